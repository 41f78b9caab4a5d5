"""Earlier values come from dq_results: one per data date, the newest run's, oldest first."""

from datetime import UTC, date, datetime
from typing import Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.past import (
    needing_history,
    newest_of_months,
    past_query,
    point_of,
    points_of,
    values_of,
)
from platform_assets.engine.quality.plot import Point
from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import Duck, schema_of

RESULTS = TableName("acme1281_metadata", "dq_results")
SCHEMA = schema_of(
    expectation_id="STRING",
    run_date="DATE",
    success="BOOL",
    observed_value="STRING",
    element_count="INT64",
    unexpected_count="INT64",
    ingestion_date="DATE",
    target_table="STRING",
    pipeline_id="STRING",
    credential_id="STRING",
    executed_at="TIMESTAMP",
)


def _result(day: int, value: str | None, *, hour: int = 3, **other: Any) -> dict[str, Any]:
    return {
        "expectation_id": "rows",
        "run_date": date(2026, 1, day),
        "success": True,
        "observed_value": value,
        "ingestion_date": date(2026, 1, day),
        "target_table": "raw_x.t",
        "pipeline_id": "p",
        "executed_at": datetime(2026, 1, day, hour, tzinfo=UTC),
        **other,
    }


ROWS = [
    _result(3, "30"),
    _result(1, "10"),
    _result(2, "99", hour=1),
    _result(2, "20.5", hour=9, success=False),
    _result(4, "40"),  # not before the slice
    _result(1, "7", pipeline_id="other"),
    _result(1, "8", credential_id="second"),
    _result(1, "7", target_table="raw_x.u"),
    _result(3, None, success=None, hour=23),  # a check that broke says nothing
    _result(1, "[1]", expectation_id="share", element_count=200, unexpected_count=5),
]


def _found(pipeline: str = "p", credential: str | None = None) -> list[dict[str, Any]]:
    query = past_query(RESULTS, target_tables=["raw_x.t"], since=date(2025, 12, 1), before=date(2026, 1, 4))
    assert "CAST('2026-01-04' AS DATE)" in query.sql
    rows = Duck(SCHEMA, ROWS, RESULTS).rows(query)
    return [r for r in rows if (r["pipeline_id"], r["credential_id"]) == (pipeline, credential)]


def test_values_for_anomalies() -> None:
    assert values_of(_found()) == {"rows": (10.0, 20.5, 30.0)}


def test_every_writer_has_a_past_of_its_own() -> None:
    assert values_of(_found("other")) == {"rows": (7.0,)}
    assert values_of(_found("p", "second")) == {"rows": (8.0,)}


def test_a_monthly_table_has_one_value_per_month() -> None:
    days = [date(2026, 1, 3), date(2026, 1, 30), date(2026, 2, 2)]
    rows = [{"expectation_id": "rows", "run_date": day, "value": day.day} for day in days]
    assert values_of(newest_of_months(rows)) == {"rows": (30.0, 2.0)}


def test_a_result_as_a_point() -> None:
    schema = schema_of(x="INT64")
    mean, share = Duck(schema, [{"x": 1}, {"x": 4}, {"x": None}]).check(
        {"type": "expect_column_mean_to_be_between", "column": "x", "max_value": 9},
        {"type": "expect_column_values_to_be_between", "column": "x", "max_value": 3},
    )
    day = date(2026, 1, 4)
    assert point_of(mean, day) == Point(day, 2.5, True)
    assert point_of(share, day) == Point(day, 1 / 3 * 100, False)


def test_points_for_pictures() -> None:
    points = points_of(_found())
    assert [p.success for p in points["rows"]] == [True, False, True]
    assert points["share"] == (Point(date(2026, 1, 1), 2.5, True),)


def test_which_expectations_ask_for_history() -> None:
    suite, _ = parse_suite(
        [
            {"type": "expect_table_row_count_to_match_history"},
            {"type": "expect_table_row_count_to_equal", "value": 1},
            {
                "type": "expect_column_statistic_to_match_history",
                "column": "x",
                "statistic": "mean",
                "name": "mean_x",
            },
        ],
        schema_of(x="INT64"),
    )
    assert needing_history(suite) == ("expect_table_row_count_to_match_history", "mean_x")
