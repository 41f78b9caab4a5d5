"""Short rule types in place of Great Expectations' names: ``null_check``, ``range_check``, ``pattern_check`` and so on.

Each is another word for an expectation; nothing here has a meaning of its own. ``threshold_percent`` is the share of
rows, 0-100, that may break a rule; ``threshold`` is the same as a fraction, or the limit itself where a rule has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

Entry = Mapping[str, Any]


def _same(value: Any) -> Any:
    return value


def _allowed_share(value: Any) -> Any:
    """``threshold``: the fraction that may fail → ``mostly``."""
    return 1 - value if isinstance(value, int | float) and not isinstance(value, bool) else value


def _allowed_percent(value: Any) -> Any:
    return 1 - value / 100 if isinstance(value, int | float) and not isinstance(value, bool) else value


@dataclass(frozen=True)
class Alias:
    """``type`` is the expectation meant; ``words`` maps the rule's own arguments to (argument, reading)."""

    type: str
    words: Mapping[str, tuple[str, Callable[[Any], Any]]] = field(default_factory=dict)


_ROWS = {"threshold": ("mostly", _allowed_share), "threshold_percent": ("mostly", _allowed_percent)}
_STATISTICS = {
    "mean": "expect_column_mean_to_be_between",
    "avg": "expect_column_mean_to_be_between",
    "median": "expect_column_median_to_be_between",
    "stdev": "expect_column_stdev_to_be_between",
    "stddev": "expect_column_stdev_to_be_between",
    "sum": "expect_column_sum_to_be_between",
    "min": "expect_column_min_to_be_between",
    "max": "expect_column_max_to_be_between",
    "distinct": "expect_column_unique_value_count_to_be_between",
}
ALIASES: Mapping[str, Alias] = {
    "null_check": Alias("expect_column_values_to_not_be_null", _ROWS),
    "range_check": Alias("expect_column_values_to_be_between", _ROWS),
    "pattern_check": Alias("expect_column_values_to_match_regex", {**_ROWS, "pattern": ("regex", _same)}),
    "uniqueness_check": Alias("expect_column_values_to_be_unique", _ROWS),
    "row_count_check": Alias(
        "expect_table_row_count_to_be_between",
        {
            "threshold": ("min_value", _same),
            "min_rows": ("min_value", _same),
            "max_rows": ("max_value", _same),
        },
    ),
    "freshness_check": Alias("freshness_check", {"threshold": ("max_age_hours", _same)}),
    "statistical_check": Alias("statistical_check"),
}


def resolve(entry: Entry) -> dict[str, Any]:
    """The entry in Great Expectations' words; one that uses none of the short types comes back as it is."""
    alias = ALIASES.get(str(entry.get("type")))
    if alias is None:
        return dict(entry)
    renamed = {"type": alias.type}
    for key, value in entry.items():
        argument, read = alias.words.get(key, (key, _same))
        if key != "type":
            renamed[argument] = read(value)
    return _SPECIAL.get(str(entry["type"]), dict)(renamed)


def own_word(type_: object, argument: str) -> str:
    """The word that the short rule type ``type_`` uses for an expectation's argument, for messages."""
    alias = ALIASES.get(str(type_))
    words = alias.words.items() if alias else ()
    return next((word for word, (meant, _) in words if meant == argument), argument)


def _unique(entry: dict[str, Any]) -> dict[str, Any]:
    """``columns`` (several) are unique together."""
    columns = entry.pop("columns", None)
    if columns is None:
        return entry
    if isinstance(columns, list) and len(columns) == 1:
        return {**entry, "column": columns[0]}
    return {**entry, "type": "expect_compound_columns_to_be_unique", "column_list": columns}


def _statistic(entry: dict[str, Any]) -> dict[str, Any]:
    """``statistic`` picks the number; with ``max_deviations`` it is held against history, else against a range."""
    statistic = entry.pop("statistic", None)
    if "max_deviations" in entry:
        return {**entry, "type": "expect_column_statistic_to_match_history", "statistic": statistic}
    return {
        **entry,
        "type": _STATISTICS.get(str(statistic), f"statistical_check with statistic {statistic!r}"),
    }


_SPECIAL: Mapping[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "uniqueness_check": _unique,
    "statistical_check": _statistic,
}
