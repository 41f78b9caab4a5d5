"""Earlier values come from dq_results: one per data date, the newest run's, oldest first."""

from datetime import UTC, date, datetime
from typing import Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.past import needing_history, past_query, points_of, values_of
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
    _result(1, "7", target_table="raw_x.u"),
    _result(3, None, success=None, hour=23),  # a check that broke says nothing
    _result(1, "[1]", expectation_id="share", element_count=200, unexpected_count=5),
]


def _found() -> list[dict[str, Any]]:
    query = past_query(
        RESULTS,
        target_table="raw_x.t",
        pipeline_id="p",
        expectation_ids=["rows", "share"],
        before=date(2026, 1, 4),
    )
    assert "CAST('2026-01-04' AS DATE)" in query.sql
    return Duck(SCHEMA, ROWS, RESULTS).rows(query)


def test_values_for_anomalies() -> None:
    assert values_of(_found()) == {"rows": (10.0, 20.5, 30.0)}


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
