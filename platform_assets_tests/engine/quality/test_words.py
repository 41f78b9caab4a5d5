"""Other words for expectations: short rule types, nested forms, packs."""

from typing import Any

import pytest

from platform_assets.engine.quality.focus import CURRENCIES, MANDATORY
from platform_assets.engine.quality.model import Severity
from platform_assets.engine.quality.suite import known_types, parse_suite
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(a="INT64", s="STRING", at="TIMESTAMP")

RULES: list[tuple[dict[str, Any], dict[str, Any]]] = [
    (
        {"type": "null_check", "column": "a", "threshold_percent": 5},
        {"type": "expect_column_values_to_not_be_null", "column": "a", "mostly": 0.95},
    ),
    (
        {"type": "range_check", "column": "a", "min_value": 1, "threshold": 0.5},
        {"type": "expect_column_values_to_be_between", "column": "a", "min_value": 1, "mostly": 0.5},
    ),
    (
        {"type": "pattern_check", "column": "s", "pattern": "^x", "on_failure": "fail"},
        {"type": "expect_column_values_to_match_regex", "column": "s", "regex": "^x", "severity": "critical"},
    ),
    (
        {"type": "uniqueness_check", "columns": ["a", "s"]},
        {"type": "expect_compound_columns_to_be_unique", "column_list": ["a", "s"]},
    ),
    (
        {"type": "uniqueness_check", "columns": ["a"]},
        {"type": "expect_column_values_to_be_unique", "column": "a"},
    ),
    (
        {"type": "row_count_check", "threshold": 10},
        {"type": "expect_table_row_count_to_be_between", "min_value": 10},
    ),
    (
        {"type": "freshness_check", "column": "at", "threshold": 24},
        {"type": "freshness_check", "column": "at", "max_age_hours": 24},
    ),
    (
        {"type": "statistical_check", "column": "a", "statistic": "mean", "max_value": 3},
        {"type": "expect_column_mean_to_be_between", "column": "a", "max_value": 3},
    ),
    (
        {"type": "statistical_check", "column": "a", "statistic": "mean", "max_deviations": 3},
        {
            "type": "expect_column_statistic_to_match_history",
            "column": "a",
            "statistic": "mean",
            "max_deviations": 3,
        },
    ),
    (
        {"expectation_type": "expect_column_values_to_be_between", "kwargs": {"column": "a", "max_value": 3}},
        {"type": "expect_column_values_to_be_between", "column": "a", "max_value": 3},
    ),
    (
        {"type": "expect_table_row_count_to_equal", "value": 0, "filter": "a > 1", "on_failure": "warn"},
        {"type": "expect_table_row_count_to_equal", "value": 0, "row_condition": "a > 1"},
    ),
]


@pytest.mark.parametrize(("said", "meant"), RULES, ids=lambda r: str(r.get("type", r))[:40])
def test_short_rules_mean_expectations(said: dict[str, Any], meant: dict[str, Any]) -> None:
    (found,), problems = parse_suite([said], SCHEMA)
    (wanted,), _ = parse_suite([meant], SCHEMA)
    assert problems == []
    assert found.model_copy(update={"on_failure": None}) == wanted


def test_problems_use_the_words_of_the_rule() -> None:
    rules = [
        {"type": "pattern_check", "column": "s", "pattern": "(?=x)"},
        {"type": "null_check", "column": "a", "threshold_percent": 300},
        {"type": "statistical_check", "column": "a", "statistic": "mode"},
    ]
    _, problems = parse_suite(rules, SCHEMA)
    assert [(p.index, p.field) for p in problems] == [(0, "pattern"), (1, "threshold"), (2, "type")]
    assert "statistic 'mode'" in problems[2].reason


# --- the FOCUS pack ---

FOCUS = schema_of(
    BilledCost="BIGNUMERIC",
    ListCost="BIGNUMERIC",
    ListUnitPrice="BIGNUMERIC",
    PricingQuantity="FLOAT64",
    BillingCurrency="STRING",
    ChargeCategory="STRING",
    ChargeClass="STRING",
    ChargeFrequency="STRING",
    ServiceName="STRING",
    BillingPeriodStart="TIMESTAMP",
    BillingPeriodEnd="TIMESTAMP",
    ConsumedUnit="STRING",
)
GOOD: dict[str, Any] = {
    "BilledCost": 1,
    "ListCost": 6,
    "ListUnitPrice": 2,
    "PricingQuantity": 3.0,
    "BillingCurrency": "USD",
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "ServiceName": "API",
    "BillingPeriodStart": "2026-01-01T00:00:00Z",
    "BillingPeriodEnd": "2026-02-01T00:00:00Z",
    "ConsumedUnit": "tokens",
}
BROKEN = [
    ({"BilledCost": None}, "BilledCost_not_null"),
    ({"BillingCurrency": "usd"}, "BillingCurrency_iso_4217"),
    ({"ChargeClass": "Error"}, "ChargeClass_allowed"),
    ({"ChargeCategory": "Purchase", "ConsumedUnit": None}, "Purchase_frequency"),
    ({"ChargeCategory": "Credit"}, "ConsumedUnit_usage_only"),
    ({"ServiceName": "NULL"}, "ServiceName_no_null_text"),
    ({"ServiceName": " "}, "ServiceName_no_null_text"),
    ({"BillingPeriodEnd": "2026-01-01T00:00:00Z"}, "BillingPeriod_order"),
    ({"ListCost": 7}, "ListCost_is_price_times_quantity"),
]


def _failed(rows: list[dict[str, Any]], **pack: Any) -> set[str]:
    outcomes = Duck(FOCUS, rows).check({"pack": "focus_1_2", **pack})
    return {o.expectation_id.removeprefix("focus_1_2__") for o in outcomes if not o.success}


def _always_failed() -> set[str]:
    missing = {f"{c}_exists" for c in MANDATORY if FOCUS.get(c) is None}
    return missing | {"PricingQuantity_decimal"}


def test_a_good_row_breaks_only_what_the_table_lacks() -> None:
    assert _failed([GOOD]) == _always_failed()


@pytest.mark.parametrize(("change", "rule"), BROKEN)
def test_each_rule_finds_its_breach(change: dict[str, Any], rule: str) -> None:
    assert _failed([GOOD, {**GOOD, **change}]) - _always_failed() == {rule}


def test_rules_can_be_left_out_and_severity_set() -> None:
    raw = {"type": "focus_1_2", "except": ["BilledCost_not_null"], "severity": "info"}
    suite, problems = parse_suite([raw], FOCUS)
    assert problems == []
    assert {e.severity for e in suite} == {Severity.INFO}
    assert "focus_1_2__BilledCost_not_null" not in {e.name for e in suite}


def test_packs_that_are_not_there() -> None:
    _, problems = parse_suite(
        [{"pack": "focus_1_3"}, {"pack": "focus_1_2", "except": ["BilledCost_notnull"], "colum": "x"}], FOCUS
    )
    assert [(p.index, p.field, p.nearest) for p in problems] == [
        (0, "pack", "focus_1_2"),
        (1, "colum", None),
        (1, "except", "BilledCost_not_null"),
    ]


def test_the_catalogue() -> None:
    types = known_types()
    assert sum(t.startswith("expect_") for t in types) >= 50
    assert {"null_check", "focus_1_2", "unexpected_rows_expectation"} <= set(types)
    assert len(CURRENCIES) == len(set(CURRENCIES)) > 150
