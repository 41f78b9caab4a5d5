"""Freshness against the time, anomalies against earlier values."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from platform_assets.engine.quality.audit import judge
from platform_assets.engine.quality.model import CheckOutcome, Facts
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(at="TIMESTAMP", day="DATE", x="FLOAT64", s="STRING")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def _judged(rows: list[dict[str, Any]], raw: dict[str, Any], facts: Facts) -> CheckOutcome:
    duck = Duck(SCHEMA, rows)
    plan = duck.plan([{"name": "check", **raw}])
    return judge(plan, duck.rows(plan.query)[0], facts)[0]


AGES = [
    ({"at": NOW - timedelta(hours=5)}, "at", 6, True),
    ({"at": NOW - timedelta(hours=7)}, "at", 6, False),
    ({"at": NOW + timedelta(hours=1)}, "at", 1, True),
    ({"day": date(2026, 1, 31)}, "day", 1, True),
    ({"day": date(2026, 1, 30)}, "day", 13, True),
    ({"day": date(2026, 1, 30)}, "day", 11, False),
]


@pytest.mark.parametrize(("row", "column", "hours", "success"), AGES)
def test_freshness(row: dict[str, Any], column: str, hours: float, success: bool) -> None:
    raw = {"type": "freshness_check", "column": column, "max_age_hours": hours}
    assert _judged([row, {}], raw, Facts(now=NOW)).success is success


def test_an_empty_slice_is_not_fresh() -> None:
    raw = {"type": "freshness_check", "column": "at", "max_age_hours": 1}
    assert not _judged([], raw, Facts(now=NOW)).success


def test_without_a_time_the_check_is_broken_not_failed() -> None:
    raw = {"type": "freshness_check", "column": "at", "max_age_hours": 1}
    found = _judged([{"at": NOW}], raw, Facts())
    assert (found.success, found.error) == (False, "the audit was given no time")


USUAL = (100.0, 104.0, 98.0, 101.0, 99.0, 103.0, 100.0)
VOLUMES = [(100, True), (107, True), (108, False), (93, True), (92, False), (0, False)]


@pytest.mark.parametrize(("count", "success"), VOLUMES)
def test_volume(count: int, success: bool) -> None:
    raw = {"type": "expect_table_row_count_to_match_history", "max_deviations": 5}
    found = _judged([{"x": 1.0}] * count, raw, Facts(history={"check": USUAL}))
    assert found.success is success
    assert found.observed_value == count
    assert found.details["expected"] == 100


def test_one_odd_day_in_the_past_does_not_widen_what_is_usual() -> None:
    raw = {"type": "expect_table_row_count_to_match_history"}
    odd = Facts(history={"check": (*USUAL, 5000.0)})
    assert not _judged([{"x": 1.0}] * 200, raw, odd).success


def test_too_little_history_proves_nothing() -> None:
    raw = {"type": "expect_table_row_count_to_match_history"}
    found = _judged([], raw, Facts(history={"check": USUAL[:6], "other": USUAL}))
    assert (found.success, found.observed_value) == (True, 0)
    assert "6 of 7" in found.details["history"]


def test_a_series_that_never_moved_tolerates_a_little() -> None:
    raw = {"type": "expect_table_row_count_to_match_history", "max_deviations": 2, "min_change_percent": 1}
    still = Facts(history={"check": (100.0,) * 10})
    assert _judged([{"x": 1.0}] * 102, raw, still).success
    assert not _judged([{"x": 1.0}] * 103, raw, still).success


STATISTICS = [
    ("mean", 2.0),
    ("sum", 6.0),
    ("min", 1.0),
    ("max", 3.0),
    ("median", 2.0),
    ("stdev", 1.0),
    ("null_percent", 40.0),
    ("unique_count", 3.0),
    ("unique_percent", 100.0),
]


@pytest.mark.parametrize(("statistic", "value"), STATISTICS)
def test_statistics(statistic: str, value: float) -> None:
    rows = [{"x": v} for v in (1.0, 2.0, 3.0, None, float("nan"))]
    raw = {"type": "expect_column_statistic_to_match_history", "column": "x", "statistic": statistic}
    usual = _judged(rows, raw, Facts(history={"check": (value,) * 7}))
    unusual = _judged(rows, raw, Facts(history={"check": (value * 2 + 1,) * 7}))
    assert usual.observed_value == pytest.approx(value)
    assert (usual.success, unusual.success) == (True, False)


def test_nothing_measured_is_unusual() -> None:
    raw = {"type": "expect_column_statistic_to_match_history", "column": "x", "statistic": "mean"}
    found = _judged([], raw, Facts(history={"check": (1.0,) * 7}))
    assert (found.success, found.observed_value) == (False, None)
