"""Pairs and groups of columns: what is ignored, what a missing value means, combinations over all rows."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(
    a="INT64", b="INT64", c="INT64", f="FLOAT64", m="BIGNUMERIC", s="STRING", t="STRING", d="DATE"
)
NAN = float("nan")


def _pairs(*pairs: tuple[Any, Any]) -> list[dict[str, Any]]:
    return [{"a": a, "b": b} for a, b in pairs]


ROWS = _pairs((1, 1), (2, 1), (1, 2), (None, 1), (1, None), (None, None))
BOTH, EITHER, NEITHER = "both_values_are_missing", "either_value_is_missing", "neither"
PAIRS = [
    # type, arguments, ignore_row_if, ignored, unexpected
    ("to_be_equal", {}, BOTH, 1, 4),
    ("to_be_equal", {}, EITHER, 3, 2),
    ("to_be_equal", {}, NEITHER, 0, 5),
    ("a_to_be_greater_than_b", {}, BOTH, 1, 4),
    ("a_to_be_greater_than_b", {"or_equal": True}, EITHER, 3, 1),
    ("to_be_in_set", {"value_pairs_set": [[1, 1], [None, 1]]}, BOTH, 1, 3),
    ("to_be_in_set", {"value_pairs_set": [[1, 1]]}, EITHER, 3, 2),
]


@pytest.mark.parametrize(("type_", "arguments", "ignore", "ignored", "unexpected"), PAIRS)
def test_pairs(type_: str, arguments: dict[str, Any], ignore: str, ignored: int, unexpected: int) -> None:
    found = Duck(SCHEMA, ROWS).one(
        f"expect_column_pair_values_{type_}", column_A="a", column_B="b", ignore_row_if=ignore, **arguments
    )
    assert (found.element_count, found.missing_count, found.unexpected_count) == (6, ignored, unexpected)


def test_nan_is_missing_in_pairs() -> None:
    duck = Duck(SCHEMA, [{"a": 1, "f": NAN}, {"a": None, "f": NAN}, {"a": 2, "f": 1.0}])
    found = duck.one("expect_column_pair_values_a_to_be_greater_than_b", column_A="a", column_B="f")
    assert (found.missing_count, found.unexpected_count) == (1, 1)


def test_texts_and_decimals_in_pairs() -> None:
    duck = Duck(SCHEMA, [{"s": "x", "t": "x", "m": Decimal("1.5"), "a": 1}, {"s": "x", "t": "y"}])
    assert duck.one("expect_column_pair_values_to_be_equal", column_A="s", column_B="t").unexpected_count == 1
    greater = duck.one("expect_column_pair_values_a_to_be_greater_than_b", column_A="m", column_B="a")
    assert (greater.success, greater.missing_count) == (True, 1)


def test_types_that_cannot_be_compared() -> None:
    entry = {"type": "expect_column_pair_values_to_be_equal", "column_A": "d", "column_B": "s"}
    _, problems = parse_suite([entry], SCHEMA)
    assert "cannot be compared: d is DATE, s is STRING" in problems[0].reason


TRIPLES = [{"a": a, "b": b, "c": c} for a, b, c in [(1, 2, 3), (1, 1, 1), (None, 1, 2), (None, None, None)]]
ALL, ANY, NEVER = "all_values_are_missing", "any_value_is_missing", "never"
SEVERAL = [
    ("expect_multicolumn_sum_to_equal", {"sum_total": 6}, ALL, 1, 2),
    ("expect_multicolumn_sum_to_equal", {"sum_total": 6}, ANY, 2, 1),
    ("expect_multicolumn_sum_to_equal", {"sum_total": 6.5}, ANY, 2, 2),
    ("expect_multicolumn_values_to_be_equal", {}, ALL, 1, 2),
    ("expect_multicolumn_values_to_be_equal", {}, NEVER, 0, 2),
    ("expect_select_column_values_to_be_unique_within_record", {}, ALL, 1, 1),
    ("expect_select_column_values_to_be_unique_within_record", {}, NEVER, 0, 2),
    ("expect_compound_columns_to_be_unique", {}, ALL, 1, 0),
]


@pytest.mark.parametrize(("type_", "arguments", "ignore", "ignored", "unexpected"), SEVERAL)
def test_several(type_: str, arguments: dict[str, Any], ignore: str, ignored: int, unexpected: int) -> None:
    found = Duck(SCHEMA, TRIPLES).one(type_, column_list=["a", "b", "c"], ignore_row_if=ignore, **arguments)
    assert (found.element_count, found.missing_count, found.unexpected_count) == (4, ignored, unexpected)


def test_exact_sums_of_money() -> None:
    duck = Duck(SCHEMA, [{"m": Decimal("0.1"), "a": 1}, {"m": Decimal("0.2"), "a": 1}])
    found = duck.one("expect_multicolumn_sum_to_equal", column_list=["m", "a"], sum_total=1.1)
    assert found.unexpected_count == 1


rows = st.lists(
    st.tuples(
        *(st.one_of(st.none(), st.integers(0, 2)) for _ in range(2)), st.sampled_from([None, "x", 'y"', ""])
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(rows)
def test_compound_uniqueness_is_python(values: list[tuple[Any, Any, Any]]) -> None:
    duck = Duck(SCHEMA, [{"a": a, "b": b, "s": s} for a, b, s in values])
    found = duck.one("expect_compound_columns_to_be_unique", column_list=["a", "b", "s"])
    considered = [v for v in values if any(x is not None for x in v)]
    times = Counter(considered)
    assert found.missing_count == len(values) - len(considered)
    assert found.unexpected_count == sum(times[v] > 1 for v in considered)
