"""Every way in which answers differ from Great Expectations', with its reason. docs/quality.md explains each by name.

A difference that no rule here explains fails the test; so does a rule that explains nothing any more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from platform_assets_tests.differential.comparison import Difference


@dataclass(frozen=True)
class Rule:
    name: str
    explains: Callable[[Difference], bool]


def _kind(*words: str) -> Callable[[Difference], bool]:
    return lambda d: any(word in d.case.type for word in words)


def _error(text: str, *words: str) -> Callable[[Difference], bool]:
    return lambda d: d.what == "error" and text in str(d.theirs) and (not words or _kind(*words)(d))


def _empty(d: Difference) -> bool:
    return (
        d.what == "counts" and d.ours["element_count"] == 0 and {**d.theirs, "unexpected_count": 0} == d.ours
    )


def _null_in_a_considered_row(d: Difference) -> bool:
    kinds = _kind("a_to_be_greater_than_b", "column_pair_values_to_be_in_set", "multicolumn_sum")
    return d.backend == "sqlite" and d.what in ("counts", "success") and kinds(d)


def _null_in_a_key(d: Difference) -> bool:
    return d.backend == "sqlite" and d.what in ("counts", "success") and _kind("compound_columns")(d)


def _sum_of_nothing(d: Difference) -> bool:
    return d.backend == "pandas" and d.table in ("no_values", "no_rows") and _kind("column_sum")(d)


def _nearest_quantile(d: Difference) -> bool:
    return d.backend == "pandas" and d.what == "observed" and _kind("quantile")(d)


def _divergence_of_nothing(d: Difference) -> bool:
    return d.what == "error" and d.table in ("no_values", "no_rows") and _kind("kl_divergence")(d)


RULES = (
    Rule("no-provider", _error("No provider found")),
    Rule("empty-counts-are-zero", _empty),
    Rule("null-in-a-considered-row", _null_in_a_considered_row),
    Rule("null-in-a-key", _null_in_a_key),
    Rule("infinite-deviation", _error("user-defined function raised", "stdev", "z_scores", "outliers")),
    Rule("time-zones", _error("offset-naive and offset-aware", "column_max", "column_min")),
    Rule("ranges-of-text", _error("ValidationError", "values_to_be_between")),
    Rule("untyped-columns", _error("column of type TEXT", "values_to_be_between")),
    Rule("divergence-of-nothing", _divergence_of_nothing),
    Rule("sum-of-nothing", _sum_of_nothing),
    Rule("decimals-with-nulls", _error("'NoneType'", "mean", "sum", "stdev", "z_scores", "outliers")),
    Rule("decimal-arithmetic", _error("decimal.Decimal", "outliers")),
    Rule("decimal-scores", _error("non-numerical column", "z_scores")),
    Rule("nearest-quantile", _nearest_quantile),
)


def rule_for(difference: Difference) -> Rule | None:
    return next((rule for rule in RULES if rule.explains(difference)), None)
