"""Column-map expectations: every row is missing, expected or unexpected. Run in DuckDB, checked against Python."""

import math
import re
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from statistics import mean, stdev
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(
    i="INT64",
    f="FLOAT64",
    m="BIGNUMERIC",
    n="NUMERIC",
    s="STRING",
    d="DATE",
    at="TIMESTAMP",
    b="BOOL",
    raw="BYTES",
)
NAN, INF = float("nan"), float("inf")


def _rows(column: str, values: list[Any]) -> list[dict[str, Any]]:
    return [{column: value} for value in values]


TEXTS = ["a", "bb", None, "é%", "x_y", "a\\b", "", "日本語", "line\nbreak"]
CASES: list[tuple[str, str, list[Any], dict[str, Any], int, int]] = [
    # type, column, values, arguments, missing, unexpected
    ("to_be_between", "i", [1, 5, None, 9], {"min_value": 2, "max_value": 9}, 1, 1),
    ("to_be_between", "i", [1, 5, 9], {"min_value": 1, "strict_min": True}, 0, 1),
    ("to_be_between", "i", [1, 5, 9], {"max_value": 9, "strict_max": True}, 0, 1),
    ("to_be_between", "i", [1, 2, 3], {"min_value": 1.5}, 0, 1),
    ("to_be_between", "f", [NAN, INF, -INF, 0.0, None], {"min_value": 0}, 2, 1),
    ("to_be_between", "f", [NAN, INF], {"max_value": 10}, 1, 1),
    (
        "to_be_between",
        "m",
        [Decimal("0.000000000000000001"), Decimal(0)],
        {"min_value": "0.000000000000000001"},
        0,
        1,
    ),
    ("to_be_between", "n", [Decimal("0.1"), Decimal("0.2")], {"max_value": 0.1}, 0, 1),
    ("to_be_between", "s", ["a", "b", "é"], {"min_value": "b"}, 0, 1),
    ("to_be_between", "d", [date(2026, 1, 1), date(2026, 2, 1)], {"min_value": "2026-01-15"}, 0, 1),
    (
        "to_be_between",
        "at",
        [datetime(2026, 1, 1, 0, tzinfo=UTC), datetime(2026, 1, 1, 5, tzinfo=UTC)],
        {"min_value": "2026-01-01T02:00:00+01:00"},
        0,
        1,
    ),
    ("to_be_in_set", "s", TEXTS, {"value_set": ["a", "bb", None]}, 1, 6),
    ("to_be_in_set", "i", [1, 2, 3], {"value_set": [1, 2.0]}, 0, 1),
    ("to_be_in_set", "f", [1.5, NAN, None], {"value_set": [2]}, 2, 1),
    ("to_be_in_set", "b", [True, False, None], {"value_set": [True]}, 1, 1),
    ("to_be_in_set", "s", ["it's", 'say "hi"', "\\"], {"value_set": ["it's", 'say "hi"', "\\"]}, 0, 0),
    ("to_be_in_set", "i", list(range(300)), {"value_set": list(range(250))}, 0, 50),
    ("to_not_be_in_set", "i", list(range(300)), {"value_set": list(range(250))}, 0, 250),
    ("to_not_be_in_set", "s", TEXTS, {"value_set": ["a", ""]}, 1, 2),
    ("to_match_regex", "s", TEXTS, {"regex": "^[a-z]+$"}, 1, 6),
    ("to_match_regex", "s", ["xay", "b"], {"regex": "a"}, 0, 1),
    ("to_not_match_regex", "s", TEXTS, {"regex": "^[a-z]+$"}, 1, 2),
    ("to_match_regex_list", "s", ["ab", "a", "b", "c"], {"regex_list": ["a", "b"]}, 0, 1),
    ("to_match_regex_list", "s", ["ab", "a", "b", "c"], {"regex_list": ["a", "b"], "match_on": "all"}, 0, 3),
    ("to_not_match_regex_list", "s", ["ab", "a", "b", "c"], {"regex_list": ["a", "b"]}, 0, 3),
    ("to_match_like_pattern", "s", ["abc", "bc", None], {"like_pattern": "a%"}, 1, 1),
    ("to_match_like_pattern", "s", ["a\nb", "ab"], {"like_pattern": "a_b"}, 0, 1),
    ("to_match_like_pattern", "s", ["5%", "50"], {"like_pattern": "5!%", "escape": "!"}, 0, 1),
    ("to_match_like_pattern", "s", ["a\\b", "ab"], {"like_pattern": "a\\b"}, 0, 1),
    ("to_not_match_like_pattern", "s", ["abc", "bc"], {"like_pattern": "a%"}, 0, 1),
    ("to_match_like_pattern_list", "s", ["ab", "b", "c"], {"like_pattern_list": ["a%", "%b"]}, 0, 1),
    (
        "to_match_like_pattern_list",
        "s",
        ["ab", "b", "c"],
        {"like_pattern_list": ["a%", "%b"], "match_on": "all"},
        0,
        2,
    ),
    ("to_not_match_like_pattern_list", "s", ["ab", "b", "c"], {"like_pattern_list": ["a%", "%b"]}, 0, 2),
    ("to_be_unique", "i", [1, 1, 2, None, None], {}, 2, 2),
    ("to_be_unique", "f", [NAN, NAN, 1.0, 1.0, INF], {}, 2, 2),
    ("to_be_unique", "m", [Decimal("1.10"), Decimal("1.1"), Decimal(2)], {}, 0, 2),
    ("to_be_json_parseable", "s", ['{"a": 1}', "[1,", "1", "", None], {}, 1, 2),
    (
        "to_match_strftime_format",
        "s",
        ["2026-02-28", "2026-02-30", "x", None],
        {"strftime_format": "%Y-%m-%d"},
        1,
        2,
    ),
]


@pytest.mark.parametrize(("type_", "column", "values", "arguments", "missing", "unexpected"), CASES)
def test_counts(
    type_: str, column: str, values: list[Any], arguments: dict[str, Any], missing: int, unexpected: int
) -> None:
    duck = Duck(SCHEMA, _rows(column, values))
    found = duck.one(f"expect_column_values_{type_}", column=column, **arguments)
    assert (found.element_count, found.missing_count, found.unexpected_count) == (
        len(values),
        missing,
        unexpected,
    )
    assert found.success == (unexpected == 0)


@pytest.mark.parametrize(
    ("values", "nulls"),
    [([1.0, None, NAN, INF], 2), ([None, NAN], 2), ([1.0], 0)],
    ids=["some", "all", "none"],
)
def test_missing_means_null_or_nan(values: list[Any], nulls: int) -> None:
    duck = Duck(SCHEMA, _rows("f", values))
    there = duck.one("expect_column_values_to_not_be_null", column="f")
    absent = duck.one("expect_column_values_to_be_null", column="f")
    assert (there.unexpected_count, absent.unexpected_count) == (nulls, len(values) - nulls)
    assert (there.missing_count, absent.missing_count) == (None, None)


def test_lengths_are_characters_and_bytes() -> None:
    duck = Duck(SCHEMA, [{"s": "日本", "raw": "日本".encode()}, {"s": "𝄞", "raw": b""}])
    texts = duck.one("expect_column_value_lengths_to_equal", column="s", value=2)
    data = duck.one("expect_column_value_lengths_to_be_between", column="raw", min_value=6, max_value=6)
    assert (texts.unexpected_count, data.unexpected_count) == (1, 1)


MOSTLY = [(0.8, 4, 1, True), (0.8, 3, 1, False), (1.0, 9, 1, False), (0.0, 0, 5, True), (0.999, 999, 1, True)]


@pytest.mark.parametrize(("mostly", "good", "bad", "success"), MOSTLY)
def test_mostly_is_a_share_of_the_known_rows(mostly: float, good: int, bad: int, success: bool) -> None:
    values = [1] * good + [100] * bad + [None] * 50
    found = Duck(SCHEMA, _rows("i", values)).one(
        "expect_column_values_to_be_between", column="i", max_value=10, mostly=mostly
    )
    assert found.success is success
    assert found.unexpected_percent == pytest.approx(bad / (good + bad) * 100)


@pytest.mark.parametrize("rows", [[], [{"i": None}, {"i": None}]], ids=["empty", "all missing"])
def test_nothing_to_consider_succeeds(rows: list[dict[str, Any]]) -> None:
    duck = Duck(SCHEMA, rows)
    between = duck.one("expect_column_values_to_be_between", column="i", max_value=1)
    unique = duck.one("expect_column_values_to_be_unique", column="i")
    scores = duck.one("expect_column_value_z_scores_to_be_less_than", column="i", threshold=1)
    for found in (between, unique, scores):
        assert (found.success, found.unexpected_count, found.unexpected_percent) == (True, 0, None)
        assert found.element_count == len(rows)


# --- against statistics of the column ---

NUMBERS = [1, 2, 3, 4, 100, None]


@pytest.mark.parametrize("column", ["i", "f", "m"])
def test_z_scores(column: str) -> None:
    known = [float(v) for v in NUMBERS if v is not None]
    scores = [(v - mean(known)) / stdev(known) for v in known]
    duck = Duck(SCHEMA, _rows(column, NUMBERS))
    one_sided = duck.one("expect_column_value_z_scores_to_be_less_than", column=column, threshold=0.5)
    both = duck.one(
        "expect_column_value_z_scores_to_be_less_than", column=column, threshold=0.45, double_sided=True
    )
    assert one_sided.unexpected_count == sum(score >= 0.5 for score in scores) == 1
    assert both.unexpected_count == sum(abs(score) >= 0.45 for score in scores) > 1


def test_no_spread_no_outliers() -> None:
    for values in ([5, 5, 5], [5], []):
        duck = Duck(SCHEMA, _rows("i", values))
        assert duck.one("expect_column_value_z_scores_to_be_less_than", column="i", threshold=0.1).success
        assert duck.one("expect_column_values_to_not_be_outliers", column="i", method="std").success


def test_an_infinity_leaves_no_scale() -> None:
    duck = Duck(SCHEMA, _rows("f", [1.0, 2.0, INF]))
    found = duck.one("expect_column_value_z_scores_to_be_less_than", column="f", threshold=0.1)
    assert (found.success, found.unexpected_count) == (True, 0)


def test_outliers() -> None:
    duck = Duck(SCHEMA, _rows("i", [*range(1, 12), 500, -400]))
    assert duck.one("expect_column_values_to_not_be_outliers", column="i").unexpected_count == 2
    deviations = duck.one("expect_column_values_to_not_be_outliers", column="i", method="std", multiplier=2)
    assert deviations.unexpected_count == 2


ORDERED_ROWS = [{"i": i, "d": date(2026, 1, day)} for i, day in enumerate((1, 2, 2, 5, 3))]


@pytest.mark.parametrize(
    ("type_", "strictly", "unexpected"),
    [("increasing", False, 1), ("increasing", True, 2), ("decreasing", None, 2), ("decreasing", True, 3)],
)
def test_order(type_: str, strictly: bool | None, unexpected: int) -> None:
    found = Duck(SCHEMA, ORDERED_ROWS).one(
        f"expect_column_values_to_be_{type_}", column="d", order_by=["i"], strictly=strictly
    )
    assert (found.success, found.unexpected_count, found.element_count) == (False, unexpected, 5)


# --- every kind against plain Python ---

Predicate = Callable[[Any], bool]


def _known(values: list[Any]) -> list[Any]:
    return [v for v in values if v is not None and not (isinstance(v, float) and math.isnan(v))]


def _count(values: list[Any], good: Predicate) -> int:
    return sum(not good(v) for v in _known(values))


floats = st.one_of(st.none(), st.floats(-5, 5), st.sampled_from([NAN, INF, -INF, 0.0, -0.0]))
texts = st.one_of(st.none(), st.text(alphabet="ab\\%_é'\n", max_size=4))
several = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@several
@given(st.lists(floats, max_size=12), st.floats(-5, 5), st.floats(-5, 5), st.booleans(), st.booleans())
def test_between_is_python(values: list[Any], a: float, b: float, strict_min: bool, strict_max: bool) -> None:
    low, high = min(a, b), max(a, b)
    found = Duck(SCHEMA, _rows("f", values)).one(
        "expect_column_values_to_be_between",
        column="f",
        min_value=low,
        max_value=high,
        strict_min=strict_min,
        strict_max=strict_max,
    )

    def good(v: float) -> bool:
        return (v > low if strict_min else v >= low) and (v < high if strict_max else v <= high)

    assert found.unexpected_count == _count(values, good)
    assert found.missing_count == len(values) - len(_known(values))


@several
@given(
    st.lists(texts, max_size=12), st.lists(st.text(alphabet="ab\\%_é'\n", max_size=3), min_size=1, max_size=4)
)
def test_sets_lengths_and_uniqueness_are_python(values: list[Any], members: list[str]) -> None:
    duck = Duck(SCHEMA, _rows("s", values))
    inside, length, unique = duck.check(
        {"type": "expect_column_values_to_be_in_set", "column": "s", "value_set": members},
        {"type": "expect_column_value_lengths_to_be_between", "column": "s", "min_value": 1, "max_value": 2},
        {"type": "expect_column_values_to_be_unique", "column": "s"},
    )
    times = Counter(_known(values))
    assert inside.unexpected_count == _count(values, lambda v: v in members)
    assert length.unexpected_count == _count(values, lambda v: 1 <= len(v) <= 2)
    assert unique.unexpected_count == _count(values, lambda v: times[v] == 1)


@several
@given(
    st.lists(texts, max_size=10), st.text(alphabet="ab\\%_é!", max_size=4), st.sampled_from([None, "!", "\\"])
)
def test_like_is_python(values: list[Any], pattern: str, escape: str | None) -> None:
    if escape and re.search(rf"(?:{re.escape(escape)}{{2}})*{re.escape(escape)}$", pattern):
        pattern += "a"  # a pattern may not end in a lone escape character
    found = Duck(SCHEMA, _rows("s", values)).one(
        "expect_column_values_to_match_like_pattern", column="s", like_pattern=pattern, escape=escape
    )
    regex, literal = "", False
    for c in pattern:
        if literal or (c not in "%_" and c != escape):
            regex, literal = regex + re.escape(c), False
        elif c == escape:
            literal = True
        else:
            regex += ".*" if c == "%" else "."
    whole = re.compile(regex, re.DOTALL)
    assert found.unexpected_count == _count(values, lambda v: whole.fullmatch(v) is not None)
