"""Generated tables, and every expectation that both sides know, asked of each of them.

The tables hold what breaks comparisons: nulls, NaN, infinities, unicode, dates, decimals, duplicates, one row, none.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa

from platform_assets.engine.schema.model import Field, FieldType, TableSchema

COLUMNS: dict[str, tuple[FieldType, pa.DataType]] = {
    "id": (FieldType.INT64, pa.int64()),
    "i": (FieldType.INT64, pa.int64()),
    "j": (FieldType.INT64, pa.int64()),
    "k": (FieldType.INT64, pa.int64()),
    "f": (FieldType.FLOAT64, pa.float64()),
    "g": (FieldType.FLOAT64, pa.float64()),
    "m": (FieldType.BIGNUMERIC, pa.decimal128(38, 18)),
    "d": (FieldType.DATE, pa.date32()),
    "at": (FieldType.TIMESTAMP, pa.timestamp("us", tz="UTC")),
    "s": (FieldType.STRING, pa.string()),
    "t": (FieldType.STRING, pa.string()),
    "b": (FieldType.BOOL, pa.bool_()),
}
SCHEMA = TableSchema(tuple(Field(name, kind) for name, (kind, _) in COLUMNS.items()))
ARROW = pa.schema([pa.field(name, arrow) for name, (_, arrow) in COLUMNS.items()])
TEXTS = [
    "a",
    "bb",
    "abc",
    "é",
    "日本語",
    "x_y",
    "5%",
    "it's",
    "",
    " ",
    "NULL",
    "2026-01-31",
    "2026-02-30",
    "[1]",
    "{",
]
NAN, INF = float("nan"), float("inf")


def _mixed(count: int, seed: int) -> list[dict[str, Any]]:
    """Everything at once, each column with nulls of its own."""
    chance = random.Random(seed)

    def some(value: Any) -> Any:
        return None if chance.random() < 0.15 else value

    return [
        {
            "id": n,
            "i": some(chance.randint(-5, 10)),
            "j": some(chance.randint(-5, 10)),
            "k": some(n // 3),
            "f": some(chance.choice((NAN, INF, -INF, 0.0, -0.0, 1.5, -2.25, 3.0, 1e300))),
            "g": some(chance.gauss(10, 3)),
            "m": some(Decimal(chance.randint(-500, 1500)) / 100),
            "d": some(date(2026, 1, 1) + timedelta(days=chance.randint(0, 60))),
            "at": some(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(minutes=chance.randint(0, 90_000))),
            "s": some(chance.choice(TEXTS)),
            "t": some(chance.choice(TEXTS)),
            "b": some(chance.random() < 0.7),
        }
        for n in range(count)
    ]


def _full(count: int, seed: int) -> list[dict[str, Any]]:
    """No nulls, no NaN: the table on which most expectations can succeed."""
    chance = random.Random(seed)
    return [
        {
            "id": n,
            "i": n % 7,
            "j": n % 7 - (n % 11 == 0),
            "k": n,
            "f": float(n % 13),
            "g": chance.gauss(10, 3) + (500 if n == 17 else 0),
            "m": Decimal(n) / 4,
            "d": date(2026, 1, 1) + timedelta(days=n % 28),
            "at": datetime(2026, 1, 1, n % 24, tzinfo=UTC),
            "s": ("alpha", "beta", "gamma")[n % 3],
            "t": f"code-{n:04d}",
            "b": True,
        }
        for n in range(count)
    ]


TABLES: dict[str, list[dict[str, Any]]] = {
    "mixed": _mixed(200, 1),
    "other_mix": _mixed(60, 2),
    "whole": _full(120, 3),
    "single": _full(1, 4),
    "no_values": [{"id": n} for n in range(5)],
    "no_rows": [],
}


def arrow(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([{name: row.get(name) for name in COLUMNS} for row in rows], schema=ARROW)


@dataclass(frozen=True)
class Case:
    """One expectation. ``theirs`` replaces arguments that Great Expectations wants in another form."""

    type: str
    ours: dict[str, Any]
    theirs: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        told = ",".join(f"{key}={value}" for key, value in self.ours.items())
        return f"{self.type.removeprefix('expect_')}({told})"

    @property
    def kwargs(self) -> dict[str, Any]:
        merged = {**self.ours, **self.theirs}
        return {key: value for key, value in merged.items() if value is not ...}


def cases() -> Iterator[Case]:
    """Every shared expectation with arguments that reach its corners."""
    yield from _presence()
    yield from _ranges()
    yield from _sets()
    yield from _texts()
    yield from _against_column()
    yield from _numbers()
    yield from _distributions()
    yield from _pairs()
    yield from _several()
    yield from _tables()
    yield from _conditions()


def _presence() -> Iterator[Case]:
    for column in COLUMNS:
        for kind in ("expect_column_values_to_not_be_null", "expect_column_values_to_be_null"):
            yield Case(kind, {"column": column})
    for mostly in (0.5, 0.85, 0.0):
        yield Case("expect_column_values_to_not_be_null", {"column": "s", "mostly": mostly})


def _between(column: str, theirs: dict[str, Any] | None = None, **ours: Any) -> Case:
    return Case("expect_column_values_to_be_between", {"column": column, **ours}, theirs or {})


def _ranges() -> Iterator[Case]:
    for column in ("i", "f", "g"):
        yield _between(column, min_value=0)
        yield _between(column, max_value=3)
        yield _between(column, min_value=0, max_value=3)
        yield _between(column, min_value=0, max_value=3, strict_min=True)
        yield _between(column, min_value=0, max_value=3, strict_max=True)
        yield _between(column, min_value=0, max_value=3, strict_min=True, strict_max=True, mostly=0.4)
    yield _between("i", min_value=0.5)
    yield _between("m", min_value=0, max_value=10)
    yield _between("m", min_value=2.5, strict_min=True)
    yield _between("d", {"min_value": {"$date": "2026-01-15"}}, min_value="2026-01-15")
    yield _between(
        "at", {"max_value": {"$moment": "2026-01-20T00:00:00+00:00"}}, max_value="2026-01-20T00:00:00Z"
    )
    yield _between("s", min_value="b", max_value="x")


def _sets() -> Iterator[Case]:
    for kind in ("expect_column_values_to_be_in_set", "expect_column_values_to_not_be_in_set"):
        yield Case(kind, {"column": "s", "value_set": ["a", "bb", "日本語", "it's", "alpha"]})
        yield Case(kind, {"column": "i", "value_set": [0, 1, 2, 3]})
        yield Case(kind, {"column": "i", "value_set": [0, 1, None]})
        yield Case(kind, {"column": "f", "value_set": [0, 1.5, 3]})
        yield Case(kind, {"column": "b", "value_set": [True]})
        yield Case(kind, {"column": "s", "value_set": ["a", "alpha", "beta"], "mostly": 0.3})
    for kind in ("to_be_in_set", "to_contain_set", "to_equal_set"):
        name = f"expect_column_distinct_values_{kind}"
        yield Case(name, {"column": "s", "value_set": ["alpha", "beta", "gamma"]})
        yield Case(name, {"column": "i", "value_set": [0, 1, 2, 3, 4, 5, 6]})
        yield Case(name, {"column": "i", "value_set": [*range(-5, 11)]})
        yield Case(name, {"column": "s", "value_set": ["alpha"]})
    for ties_okay in (None, True):
        for members in ([0], [0, 1, 2, 3], ["alpha", "a"]):
            column = "s" if isinstance(members[0], str) else "i"
            arguments = {"column": column, "value_set": members, "ties_okay": ties_okay}
            yield Case("expect_column_most_common_value_to_be_in_set", arguments)


def _texts() -> Iterator[Case]:
    yield Case("expect_column_value_lengths_to_be_between", {"column": "s", "min_value": 1, "max_value": 4})
    yield Case(
        "expect_column_value_lengths_to_be_between", {"column": "s", "min_value": 1, "strict_min": True}
    )
    yield Case(
        "expect_column_value_lengths_to_be_between", {"column": "t", "max_value": 9, "strict_max": True}
    )
    yield Case("expect_column_value_lengths_to_equal", {"column": "s", "value": 3})
    for match in ("to_match", "to_not_match"):
        for regex in ("^[a-z]+$", "a", r"^\d{4}-\d{2}-\d{2}$", "^.$", r"\s", "(?i)NULL"):
            yield Case(f"expect_column_values_{match}_regex", {"column": "s", "regex": regex})
        yield Case(f"expect_column_values_{match}_regex_list", {"column": "s", "regex_list": ["^a", "b$"]})
        for pattern in ("a%", "%a%", "_", "%5\\%%"):
            yield Case(f"expect_column_values_{match}_like_pattern", {"column": "s", "like_pattern": pattern})
        escaped = {"column": "s", "like_pattern": "%!%%", "escape": "!"}
        yield Case(f"expect_column_values_{match}_like_pattern", escaped)
        patterns = {"column": "s", "like_pattern_list": ["a%", "%a"]}
        yield Case(f"expect_column_values_{match}_like_pattern_list", patterns)
    for match_on in ("any", "all"):
        both = {"column": "s", "regex_list": ["a", "b"], "match_on": match_on}
        yield Case("expect_column_values_to_match_regex_list", both)
        patterns = {"column": "s", "like_pattern_list": ["a%", "%a"], "match_on": match_on}
        yield Case("expect_column_values_to_match_like_pattern_list", patterns)
    for pattern in ("%Y-%m-%d", "%Y-%m", "%H:%M"):
        yield Case(
            "expect_column_values_to_match_strftime_format", {"column": "s", "strftime_format": pattern}
        )
    yield Case("expect_column_values_to_be_json_parseable", {"column": "s"})


def _against_column() -> Iterator[Case]:
    for column in ("id", "i", "f", "m", "s", "d", "at", "b"):
        yield Case("expect_column_values_to_be_unique", {"column": column})
    yield Case("expect_column_values_to_be_unique", {"column": "g", "mostly": 0.9})
    for column in ("i", "g", "f", "m"):
        for threshold in (0.5, 2.0):
            for double_sided in (False, True):
                arguments = {"column": column, "threshold": threshold, "double_sided": double_sided}
                yield Case("expect_column_value_z_scores_to_be_less_than", arguments)
        for method, multiplier in (("iqr", 1.5), ("iqr", 0.2), ("std", 2.0)):
            arguments = {"column": column, "method": method, "multiplier": multiplier}
            yield Case("expect_column_values_to_not_be_outliers", arguments)
    for kind in ("increasing", "decreasing"):
        for strictly in (False, True):
            for column in ("k", "i"):
                arguments = {"column": column, "strictly": strictly, "order_by": ["id"]}
                yield Case(f"expect_column_values_to_be_{kind}", arguments, {"order_by": ...})


def _numbers() -> Iterator[Case]:
    for number in ("max", "min", "sum", "mean", "median", "stdev"):
        for column in ("i", "f", "g", "m"):
            yield Case(
                f"expect_column_{number}_to_be_between", {"column": column, "min_value": 0, "max_value": 50}
            )
    for column, low in (("d", "2026-01-01"), ("at", "2026-01-01T00:00:00Z")):
        kind = "$date" if column == "d" else "$moment"
        theirs = {"min_value": {kind: low.replace("Z", "+00:00")}}
        for number in ("max", "min"):
            yield Case(f"expect_column_{number}_to_be_between", {"column": column, "min_value": low}, theirs)
    for column in ("i", "f", "s", "d", "m"):
        yield Case(
            "expect_column_unique_value_count_to_be_between",
            {"column": column, "min_value": 3, "max_value": 20},
        )
        share = {"column": column, "min_value": 0.1, "max_value": 0.9}
        yield Case("expect_column_proportion_of_unique_values_to_be_between", share)
        yield Case("expect_column_proportion_of_non_null_values_to_be_between", share)


def _distributions() -> Iterator[Case]:
    for column in ("i", "g", "m", "f"):
        ranges = {"quantiles": [0.1, 0.5, 0.9], "value_ranges": [[None, 8], [-2, 15], [2, None]]}
        yield Case(
            "expect_column_quantile_values_to_be_between", {"column": column, "quantile_ranges": ranges}
        )
    kind = "expect_column_kl_divergence_to_be_less_than"
    texts = {"values": ["alpha", "beta", "gamma"], "weights": [0.3, 0.3, 0.4]}
    yield Case(kind, {"column": "s", "threshold": 0.1, "partition_object": texts})
    yield Case(kind, {"column": "s", "threshold": 5.0, "partition_object": texts, "tail_weight_holdout": 0.2})
    bins = {"bins": [0.0, 5.0, 10.0, 20.0], "weights": [0.1, 0.4, 0.5]}
    yield Case(kind, {"column": "g", "threshold": 0.5, "partition_object": bins, "tail_weight_holdout": 0.1})
    tails = {"bins": [0.0, 5.0, 20.0], "weights": [0.1, 0.8], "tail_weights": [0.05, 0.05]}
    yield Case(kind, {"column": "g", "threshold": 0.5, "partition_object": tails})


def _pairs() -> Iterator[Case]:
    for ignore in ("both_values_are_missing", "either_value_is_missing", "neither"):
        ints = {"column_A": "i", "column_B": "j", "ignore_row_if": ignore}
        yield Case("expect_column_pair_values_to_be_equal", ints)
        yield Case("expect_column_pair_values_to_be_equal", {**ints, "column_A": "s", "column_B": "t"})
        yield Case("expect_column_pair_values_a_to_be_greater_than_b", ints)
        yield Case(
            "expect_column_pair_values_a_to_be_greater_than_b", {**ints, "or_equal": True, "mostly": 0.6}
        )
        yield Case("expect_column_pair_values_a_to_be_greater_than_b", {**ints, "column_B": "f"})
        pairs = [[a, b] for a in range(-2, 7) for b in (a, a - 1)]
        yield Case("expect_column_pair_values_to_be_in_set", {**ints, "value_pairs_set": pairs})


def _several() -> Iterator[Case]:
    for ignore in ("all_values_are_missing", "any_value_is_missing", "never"):
        three = {"column_list": ["i", "j", "k"], "ignore_row_if": ignore}
        yield Case("expect_multicolumn_sum_to_equal", {**three, "sum_total": 6})
        yield Case("expect_multicolumn_values_to_be_equal", {**three, "column_list": ["i", "j"]})
        yield Case("expect_select_column_values_to_be_unique_within_record", three)
        yield Case("expect_compound_columns_to_be_unique", {**three, "column_list": ["i", "s"]})
        yield Case("expect_compound_columns_to_be_unique", {**three, "column_list": ["k", "i", "b"]})


def _tables() -> Iterator[Case]:
    yield Case("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 150})
    yield Case("expect_table_row_count_to_be_between", {"min_value": 1, "max_value": 120, "strict_max": True})
    yield Case("expect_table_row_count_to_equal", {"value": 120})
    yield Case("expect_table_column_count_to_equal", {"value": 12})
    yield Case("expect_table_column_count_to_be_between", {"min_value": 13})
    yield Case("expect_table_columns_to_match_ordered_list", {"column_list": [*COLUMNS]})
    yield Case("expect_table_columns_to_match_ordered_list", {"column_list": ["i", "id"]})
    yield Case("expect_table_columns_to_match_set", {"column_set": ["id", "i"], "exact_match": False})
    yield Case("expect_table_columns_to_match_set", {"column_set": ["id", "i"]})
    yield Case("expect_column_to_exist", {"column": "m"})
    yield Case("expect_column_to_exist", {"column": "m", "column_index": 3})
    yield Case("expect_column_to_exist", {"column": "nowhere"})


def _conditions() -> Iterator[Case]:
    theirs = {"row_condition": 'col("i") > 2', "condition_parser": "great_expectations"}
    ours = {"row_condition": "i > 2"}
    yield Case("expect_column_values_to_not_be_null", {"column": "s", **ours}, theirs)
    yield Case("expect_column_values_to_be_between", {"column": "g", "max_value": 11, **ours}, theirs)
    yield Case("expect_column_values_to_be_unique", {"column": "j", **ours}, theirs)
    yield Case("expect_column_mean_to_be_between", {"column": "g", "max_value": 11, **ours}, theirs)
    yield Case("expect_column_median_to_be_between", {"column": "g", "max_value": 11, **ours}, theirs)
    yield Case(
        "expect_column_unique_value_count_to_be_between", {"column": "s", "max_value": 5, **ours}, theirs
    )
    yield Case(
        "expect_column_value_z_scores_to_be_less_than",
        {"column": "g", "threshold": 1.0, "double_sided": False, **ours},
        theirs,
    )
    yield Case("expect_column_pair_values_to_be_equal", {"column_A": "i", "column_B": "j", **ours}, theirs)
    yield Case("expect_compound_columns_to_be_unique", {"column_list": ["i", "j"], **ours}, theirs)
    yield Case("expect_table_row_count_to_be_between", {"min_value": 10, **ours}, theirs)
