"""Numbers, quantiles, distinct sets and divergence of one column."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import mean, median, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(i="INT64", f="FLOAT64", m="BIGNUMERIC", n="NUMERIC", s="STRING", d="DATE", at="TIMESTAMP")
NAN, INF = float("nan"), float("inf")
VALUES = [3, 1, None, 2, 2]


def _duck(column: str, values: list[Any]) -> Duck:
    return Duck(SCHEMA, [{column: value} for value in values])


NUMBERS = [
    ("max", 3),
    ("min", 1),
    ("sum", 8),
    ("mean", 2.0),
    ("median", 2.0),
    ("stdev", stdev([3, 1, 2, 2])),
    ("unique_value_count", 3),
    ("proportion_of_unique_values", 0.75),
    ("proportion_of_non_null_values", 0.8),
]


@pytest.mark.parametrize("column", ["i", "f", "m", "n"])
@pytest.mark.parametrize(("name", "value"), NUMBERS)
def test_numbers(column: str, name: str, value: float) -> None:
    duck, type_ = _duck(column, VALUES), f"expect_column_{name}_to_be_between"
    near = (
        duck.one(type_, column=column, min_value=value - 0.01, max_value=value + 0.01) if value % 1 else None
    )
    exact = duck.one(type_, column=column, min_value=value, max_value=value) if not value % 1 else near
    above = duck.one(type_, column=column, min_value=value + 1)
    below = duck.one(type_, column=column, max_value=value - 1)
    assert exact is not None
    assert exact.success
    assert float(exact.observed_value) == pytest.approx(value)
    assert (above.success, below.success) == (False, False)


def test_strict_ends() -> None:
    duck = _duck("i", VALUES)
    assert not duck.one("expect_column_max_to_be_between", column="i", max_value=3, strict_max=True).success
    assert not duck.one("expect_column_min_to_be_between", column="i", min_value=1, strict_min=True).success
    assert duck.one("expect_column_max_to_be_between", column="i").success


@pytest.mark.parametrize("values", [[], [None, None]], ids=["empty", "all missing"])
def test_what_cannot_be_measured_fails(values: list[Any]) -> None:
    for name in ("max", "min", "sum", "mean", "median", "stdev"):
        found = _duck("i", values).one(f"expect_column_{name}_to_be_between", column="i", min_value=-1000)
        assert (found.success, found.observed_value) == (False, None), name
    counts = _duck("i", values).one("expect_column_unique_value_count_to_be_between", column="i", max_value=0)
    assert (counts.success, counts.observed_value) == (True, 0)


def test_nan_is_missing_and_infinity_is_not() -> None:
    duck = _duck("f", [1.0, NAN, INF])
    assert duck.one("expect_column_max_to_be_between", column="f", min_value=5).success
    assert duck.one("expect_column_min_to_be_between", column="f", max_value=1).success
    assert duck.one("expect_column_unique_value_count_to_be_between", column="f", max_value=2).success
    spread = duck.one("expect_column_stdev_to_be_between", column="f", min_value=0)
    assert (spread.success, spread.observed_value) == (False, None)


def test_money_is_exact() -> None:
    cent = Decimal("0.000000000000000001")
    duck = _duck("m", [Decimal("12345678901234567.1"), cent, cent])
    total = "12345678901234567.100000000000000002"
    found = duck.one("expect_column_sum_to_be_between", column="m", min_value=total, max_value=total)
    assert (found.success, found.observed_value) == (True, Decimal(total))


def test_dates_and_moments() -> None:
    days = _duck("d", [date(2026, 1, 1), date(2026, 1, 31)])
    assert days.one("expect_column_max_to_be_between", column="d", max_value="2026-01-31").success
    assert not days.one("expect_column_min_to_be_between", column="d", min_value=date(2026, 1, 2)).success
    moments = _duck("at", [datetime(2026, 1, 1, 12, tzinfo=UTC)])
    found = moments.one("expect_column_max_to_be_between", column="at", max_value="2026-01-01T12:59:00+01:00")
    assert not found.success


# --- quantiles ---


@pytest.mark.parametrize("column", ["i", "f", "m"])
def test_quantiles_are_values_of_the_column(column: str) -> None:
    found = _duck(column, [*range(1, 11), None]).one(
        "expect_column_quantile_values_to_be_between",
        column=column,
        quantile_ranges={"quantiles": [0.1, 0.5, 0.95], "value_ranges": [[1, 1], [None, 5], [10, None]]},
    )
    assert found.success
    assert [float(v) for v in found.observed_value["values"]] == [1, 5, 10]


def test_estimated_quantiles_are_near() -> None:
    found = _duck("i", list(range(1000))).one(
        "expect_column_quantile_values_to_be_between",
        column="i",
        quantile_ranges={"quantiles": [0.25, 0.9], "value_ranges": [[230, 270], [880, 920]]},
        allow_relative_error=True,
    )
    assert found.success


def test_a_quantile_out_of_its_range_is_told() -> None:
    found = _duck("i", list(range(10))).one(
        "expect_column_quantile_values_to_be_between",
        column="i",
        quantile_ranges={"quantiles": [0.0, 1.0], "value_ranges": [[0, 1], [0, 5]]},
    )
    assert not found.success
    assert found.details == {"success_details": [True, False]}


# --- distinct values ---

SETS = [
    ("to_be_in_set", ["a", "b"], True),
    ("to_be_in_set", ["a"], False),
    ("to_contain_set", ["a"], True),
    ("to_contain_set", ["a", "z"], False),
    ("to_equal_set", ["b", "a", None], True),
    ("to_equal_set", ["a", "b", "c"], False),
    ("to_equal_set", ["a"], False),
]


@pytest.mark.parametrize(("name", "members", "success"), SETS)
def test_distinct_values(name: str, members: list[str], success: bool) -> None:
    found = _duck("s", ["a", "b", "b", None]).one(
        f"expect_column_distinct_values_{name}", column="s", value_set=members
    )
    assert found.success is success


def test_what_is_missing_and_how_much_is_strange() -> None:
    found = _duck("i", [1, 2, 3, 3]).one(
        "expect_column_distinct_values_to_equal_set", column="i", value_set=[1, 9]
    )
    assert found.details == {"missing_values": [9], "unexpected_distinct_values": 2}


def test_distinct_values_of_an_empty_column() -> None:
    duck = _duck("s", [])
    assert duck.one("expect_column_distinct_values_to_be_in_set", column="s", value_set=["a"]).success
    assert not duck.one("expect_column_distinct_values_to_contain_set", column="s", value_set=["a"]).success


COMMON = [
    (["a", "a", "b"], None, True),
    (["a", "b"], None, False),
    (["a", "b"], True, True),
    ([], True, False),
]


@pytest.mark.parametrize(("values", "ties_okay", "success"), COMMON)
def test_most_common(values: list[str], ties_okay: bool | None, success: bool) -> None:
    found = _duck("s", [*values, None, None, None]).one(
        "expect_column_most_common_value_to_be_in_set", column="s", value_set=["a", "x"], ties_okay=ties_okay
    )
    assert found.success is success


def test_distinct_measures_group_the_column_once() -> None:
    plan = _duck("s", []).plan(
        [
            {"type": "expect_column_unique_value_count_to_be_between", "column": "s", "max_value": 9},
            {"type": "expect_column_values_to_be_unique", "column": "s"},
            {"type": "expect_column_distinct_values_to_equal_set", "column": "s", "value_set": ["a", "b"]},
        ]
    )
    assert plan.query.sql.count("GROUP BY") == 1


# --- divergence ---


def _entropy(p: list[float], q: list[float]) -> float:
    return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True) if a)


def test_divergence_of_listed_values() -> None:
    found = _duck("s", ["a"] * 3 + ["b"]).one(
        "expect_column_kl_divergence_to_be_less_than",
        column="s",
        threshold=1,
        partition_object={"values": ["a", "b"], "weights": [0.5, 0.5]},
    )
    assert found.observed_value == pytest.approx(_entropy([0.75, 0.25], [0.5, 0.5]))


def test_values_that_were_not_expected() -> None:
    duck = _duck("s", ["a"] * 4 + ["b"] * 2 + ["c"])
    partition = {"values": ["a"], "weights": [1.0]}
    without = duck.one(
        "expect_column_kl_divergence_to_be_less_than", column="s", threshold=9, partition_object=partition
    )
    room = duck.one(
        "expect_column_kl_divergence_to_be_less_than",
        column="s",
        threshold=9,
        partition_object=partition,
        tail_weight_holdout=0.2,
    )
    assert (without.success, without.observed_value) == (False, None)
    assert room.observed_value == pytest.approx(_entropy([4 / 7, 2 / 7, 1 / 7], [0.8, 0.1, 0.1]))


def test_divergence_of_bins() -> None:
    found = _duck("f", [0.0, 1.0, 2.5, 5.0, 6.0, NAN]).one(
        "expect_column_kl_divergence_to_be_less_than",
        column="f",
        threshold=9,
        partition_object={"bins": [0, 2, 5], "weights": [0.5, 0.3], "tail_weights": [0.1, 0.1]},
    )
    assert found.observed_value == pytest.approx(_entropy([0, 0.4, 0.4, 0.2], [0.1, 0.5, 0.3, 0.1]))


BAD_PARTITIONS = [
    ({"weights": [1.0]}, "either values or bins"),
    ({"values": ["a"], "bins": [1, 2], "weights": [1.0]}, "either values or bins"),
    ({"values": ["a", "b"], "weights": [1.0]}, "1 weights where 2"),
    ({"values": ["a"], "weights": [0.5]}, "add up to 0.5"),
    ({"bins": [2, 1], "weights": [1.0]}, "must rise"),
    ({"bins": [0, INF], "weights": [1.0]}, "must be finite"),
    ({"bins": [0, 1], "weights": [1.0]}, "bins need a column of numbers"),
]


@pytest.mark.parametrize(("partition", "reason"), BAD_PARTITIONS)
def test_bad_partitions(partition: dict[str, Any], reason: str) -> None:
    entry = {
        "type": "expect_column_kl_divergence_to_be_less_than",
        "column": "s",
        "threshold": 1,
        "partition_object": partition,
    }
    _, problems = parse_suite([entry], SCHEMA)
    assert [p.field for p in problems] == ["partition_object"]
    assert reason in problems[0].reason


# --- all numbers against plain Python ---


@settings(max_examples=50, deadline=None)
@given(st.lists(st.one_of(st.none(), st.integers(-1000, 1000)), max_size=15))
def test_aggregates_are_python(values: list[int | None]) -> None:
    known = [v for v in values if v is not None]
    names = ("max", "min", "sum", "mean", "median", "stdev")
    outcomes = _duck("i", values).check(
        *({"type": f"expect_column_{n}_to_be_between", "column": "i", "min_value": -(10**9)} for n in names)
    )
    functions: tuple[Any, ...] = (max, min, sum, mean, median, stdev)
    for outcome, function in zip(outcomes, functions, strict=True):
        enough = len(known) >= (2 if function is stdev else 1)
        assert outcome.success is enough
        if enough:
            assert float(outcome.observed_value) == pytest.approx(float(function(known)))
