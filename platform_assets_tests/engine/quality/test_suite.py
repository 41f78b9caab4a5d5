"""Bad suites: every problem, with the argument and the nearest valid name."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from platform_assets.config.query_cache import QueryCache
from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import schema_of

SCHEMA = schema_of(
    amount="BIGNUMERIC", units="INT64", name="STRING", day="DATE", at="TIMESTAMP", extra="JSON"
)
BETWEEN = "expect_column_values_to_be_between"

BAD: list[tuple[dict[str, Any], str, str, str | None]] = [
    ({"type": "expect_column_values_to_be_beetween"}, "type", "unknown expectation", BETWEEN),
    ({}, "type", "unknown expectation", None),
    ({"type": BETWEEN, "column": "amuont", "min_value": 1}, "column", "unknown column", "amount"),
    ({"type": BETWEEN, "min_value": 1}, "column", "Field required", None),
    ({"type": BETWEEN, "column": "units"}, "min_value", "cannot both be absent", None),
    ({"type": BETWEEN, "column": "units", "min_value": 3, "max_value": 2}, "max_value", "greater than", None),
    ({"type": BETWEEN, "column": "units", "min_value": "a"}, "min_value", "not a number", None),
    ({"type": BETWEEN, "column": "amount", "min_value": "1e"}, "min_value", "not a decimal", None),
    ({"type": BETWEEN, "column": "amount", "min_value": 10**20}, "min_value", "20 digits", None),
    ({"type": BETWEEN, "column": "name", "min_value": 1}, "min_value", "not text", None),
    ({"type": BETWEEN, "column": "day", "min_value": "soon"}, "min_value", "not an ISO date", None),
    (
        {"type": BETWEEN, "column": "day", "min_value": datetime(2026, 1, 1, 12)},
        "min_value",
        "not a day",
        None,
    ),
    ({"type": BETWEEN, "column": "extra", "min_value": 1}, "column", "'extra' is JSON", None),
    (
        {"type": BETWEEN, "column": "units", "min_value": 1, "mostly": 1.5},
        "mostly",
        "less than or equal",
        None,
    ),
    ({"type": BETWEEN, "column": "units", "min_valu": 1}, "min_valu", "unknown argument", "min_value"),
    ({"type": BETWEEN, "column": "units", "min_value": 1, "severity": "bad"}, "severity", "critical", None),
    ({"type": BETWEEN, "column": "units", "min_value": 1, "strict_min": "x"}, "strict_min", "boolean", None),
]


@pytest.mark.parametrize(("entry", "field", "reason", "nearest"), BAD, ids=lambda v: str(v)[:60])
def test_bad_entries(entry: dict[str, Any], field: str, reason: str, nearest: str | None) -> None:
    suite, problems = parse_suite([entry], SCHEMA)
    assert suite == ()
    assert [p.field for p in problems] == [field]
    assert reason in problems[0].reason
    assert problems[0].nearest == nearest


BAD_CONDITIONS = [
    ("unitz > 1", "unknown column 'unitz'", "units"),
    ("units >", "not a SQL condition", None),
    ("SUM(units) > 1", "an aggregate", None),
    ("units > (SELECT 1)", "a subquery", None),
    ("units > @p", "a parameter", None),
    ("RANK() OVER (ORDER BY units) = 1", "window", None),
    ("day < CURRENT_DATE()", "the clock", None),
    ("MY_FN(units)", "a function that is not known", None),
    ("TRUE", "at least one column", None),
    ("units > 1; DROP TABLE x", "not a SQL condition", None),
    ('col("unitz") > 5', "unknown column", "units"),
    ('col("units").strip() > 5', "neither a column", None),
    ('__import__("os") or col("x")', "is not a condition", None),
]


@pytest.mark.parametrize(("condition", "reason", "nearest"), BAD_CONDITIONS)
def test_bad_conditions(condition: str, reason: str, nearest: str | None) -> None:
    entry = {"type": "expect_column_values_to_not_be_null", "column": "units", "row_condition": condition}
    _, problems = parse_suite([entry], SCHEMA)
    assert [p.field for p in problems] == ["row_condition"]
    assert reason in problems[0].reason
    assert problems[0].nearest == nearest


def test_every_problem_is_reported_with_its_index() -> None:
    good = {"type": BETWEEN, "column": "units", "min_value": 1}
    suite, problems = parse_suite([BAD[0][0], good, BAD[2][0]], SCHEMA)
    assert [p.index for p in problems] == [0, 2]
    assert len(suite) == 1


def test_the_same_expectation_twice_is_a_problem() -> None:
    good = {"type": BETWEEN, "column": "units", "min_value": 1}
    suite, problems = parse_suite([good, good, good], SCHEMA)
    assert len(suite) == 2
    assert [(p.index, p.field) for p in problems] == [(2, "name")]


def test_what_was_found_sound_before_is_not_parsed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conditional = {"type": BETWEEN, "column": "units", "min_value": 1, "row_condition": "name = 'a'"}
    query = "SELECT b.units FROM {batch} AS b JOIN raw_shop.orders AS o USING (units)"
    own = {"type": "unexpected_rows_expectation", "unexpected_rows_query": query}
    bad = [{**conditional, "row_condition": "nam = 'a'"}, {**own, "unexpected_rows_query": "SELECT 1"}]
    cache = QueryCache(tmp_path)
    _, problems = parse_suite([conditional, own, *bad], SCHEMA, memory=cache.facts)
    assert [p.index for p in problems] == [2, 3]
    cache.save()

    monkeypatch.setattr("platform_assets.engine.quality.suite.parse_condition", None)
    monkeypatch.setattr("platform_assets.engine.quality.custom.tables_of", None)
    remembered = QueryCache(tmp_path).facts
    suite, problems = parse_suite([conditional, own], SCHEMA, memory=remembered)
    assert (suite[1].tables, problems) == (("raw_shop.orders",), [])
    with pytest.raises(TypeError):  # another table has other columns
        parse_suite([conditional], schema_of(units="INT64", nam="STRING"), memory=remembered)
    with pytest.raises(TypeError):  # what was wrong is looked at again
        parse_suite(bad[1:], SCHEMA, memory=remembered)
