"""Slices through the real op: what is published, what is blocked, what is told, and that nothing is lost or doubled."""

from datetime import date, timedelta
from decimal import Decimal

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.demo.provider_api import Fault
from platform_assets_tests.assets.conftest import DAY, Location

ACME = SliceKey(DAY, "acme1281")
COSTS = "key:raw_openai/costs"
CHAIN = "key:raw_openai/costs or key:silver_cost/focus_costs or key:gold_reporting/daily_spend or key:gold_reporting/monthly_spend"
PER_RUN = ("ingestion_timestamp", "pipeline_logging_id")


def content(location: Location, tenant: str, table: str) -> list[str]:
    rows = location.rows(tenant, table)
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in PER_RUN)) for row in rows)


def spend(location: Location, tenant: str, table: str, column: str) -> Decimal:
    return location.rows(tenant, table, f"SELECT SUM({column}) AS total FROM {{table}}")[0]["total"]


def test_a_slice_goes_from_the_api_to_the_reports_to_the_last_digit(location: Location) -> None:
    run = location.run(CHAIN, ACME)
    assert run.success
    billed = spend(location, "acme1281", "raw_openai.costs", "amount_value")
    assert billed > 0
    for table in ("silver_cost.focus_costs", "gold_reporting.daily_spend", "gold_reporting.monthly_spend"):
        assert spend(location, "acme1281", table, "BilledCost") == billed
        assert location.partitions(table) == {str(ACME)}


def test_a_second_run_changes_nothing(location: Location) -> None:
    location.run(CHAIN, ACME)
    tables = ("raw_openai.costs", "silver_cost.focus_costs", "gold_reporting.monthly_spend")
    before = {table: content(location, "acme1281", table) for table in tables}
    location.run(CHAIN, ACME)
    assert {table: content(location, "acme1281", table) for table in tables} == before


def test_a_range_is_one_run_with_an_outcome_per_slice(location: Location) -> None:
    last = SliceKey(DAY + timedelta(days=1), "globex")
    run = location.run(CHAIN, ACME, last)
    assert run.success
    expected = {f"{day}|{tenant}" for day in (DAY, last.day) for tenant in ("acme1281", "globex")}
    assert location.partitions("raw_openai.costs") == expected
    assert location.partitions("gold_reporting.monthly_spend") == expected
    evaluations = {
        e.partition for e in run.get_asset_check_evaluations() if e.asset_key.path[0] == "raw_openai"
    }
    assert evaluations == expected


def test_a_failing_slice_fails_alone_and_the_rest_is_committed(location: Location) -> None:
    bad = SliceKey(DAY, "globex")
    location.api.fail(Fault(status=403, path="/costs", tenant="globex"))
    run = location.run(CHAIN, ACME, bad)
    assert not run.success
    assert location.partitions("gold_reporting.daily_spend") == {str(ACME)}
    assert spend(location, "acme1281", "gold_reporting.daily_spend", "BilledCost") > 0
    failure = next(e for e in run.all_events if e.is_step_failure).step_failure_data
    assert "raw_openai.costs 2026-11-02|globex: failed" in failure.error.message
    assert "gold_reporting.daily_spend 2026-11-02|globex: blocked" in failure.error.message
    runs = location.rows("globex", "metadata.pipeline_runs")
    assert {(row["pipeline_id"], row["status"]) for row in runs} == {
        ("openai_costs", "FAILED"),
        ("cost_reporting", "FAILED"),
    }
    steps = {(s["target_table"], s["status"]) for s in location.rows("globex", "metadata.step_logs")}
    assert ("raw_openai.costs", "FAILED") in steps


def test_a_failed_source_leaves_the_old_rows(location: Location) -> None:
    location.run(COSTS, ACME)
    before = content(location, "acme1281", "raw_openai.costs")
    location.api.fail(Fault(truncate=0.5, path="/costs"))
    assert not location.run(COSTS, ACME).success
    assert content(location, "acme1281", "raw_openai.costs") == before


def test_an_empty_answer_clears_the_slice_and_says_so(location: Location) -> None:
    location.run(COSTS, ACME)
    assert location.rows("acme1281", "raw_openai.costs")

    def emptied(page: dict) -> dict:
        buckets = [bucket | {"results": []} for bucket in page["data"]]
        return page | {"data": buckets, "has_more": False, "next_page": None}

    location.api.fail(Fault(edit=emptied, path="/costs"))
    run = location.run(COSTS, ACME)
    assert run.success
    assert location.rows("acme1281", "raw_openai.costs") == []
    [event] = run.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert "no rows" in metadata["empty_answer"].value
    assert metadata["rows_deleted"].value > 0


def test_a_critical_expectation_keeps_the_old_slice_and_blocks_that_tenant_day_alone(
    location: Location,
) -> None:
    first, last = ACME, SliceKey(DAY, "globex")
    location.run(CHAIN, first, last)
    before = content(location, "acme1281", "raw_openai.costs")

    def without_amount(page: dict) -> dict:
        for bucket in page["data"]:
            for result in bucket["results"]:
                result["amount"]["currency"] = None
        return page

    location.api.fail(*[Fault(edit=without_amount, path="/costs", tenant="acme1281")] * 50)
    run = location.run(CHAIN, first, last)
    assert not run.success
    assert content(location, "acme1281", "raw_openai.costs") == before
    message = next(e for e in run.all_events if e.is_step_failure).step_failure_data.error.message
    assert "acme1281: failed" in message and "globex" not in message
    failed = [e for e in run.get_asset_check_evaluations() if not e.passed]
    assert failed and {e.partition for e in failed} == {str(first)}
    assert any(e.severity is dg.AssetCheckSeverity.ERROR for e in failed)
    assert any("failing_rows" in e.metadata for e in failed)
    kept = location.rows("acme1281", "metadata.dq_results")
    assert any(row["success"] is False and row["severity"] == "critical" for row in kept)


def test_a_blocked_day_leaves_its_month_to_the_other_days(location: Location) -> None:
    second = SliceKey(DAY + timedelta(days=1), "acme1281")
    stamp = int((date(2026, 11, 3) - date(1970, 1, 1)).total_seconds())
    location.api.fail(*[Fault(status=404, path=f"start_time={stamp}")] * 9)
    run = location.run(CHAIN, ACME, second)
    assert not run.success
    assert location.partitions("gold_reporting.monthly_spend") == {str(ACME)}
    monthly = spend(location, "acme1281", "gold_reporting.monthly_spend", "BilledCost")
    assert monthly == spend(location, "acme1281", "raw_openai.costs", "amount_value")


def test_what_people_see_on_a_materialization(location: Location) -> None:
    run = location.run(COSTS, ACME)
    [event] = run.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert metadata["requests"].value > 1
    assert metadata["rows_inserted"].value == len(location.rows("acme1281", "raw_openai.costs"))
    assert metadata["pipeline_logging_id"].value == run.run_id
    assert metadata["chart"].value.startswith("![") and "image/svg+xml" in metadata["chart"].value
    assert metadata["preview"].value.count("\n") >= 2
    assert Decimal(metadata["amount_value_USD"].value) == spend(
        location, "acme1281", "raw_openai.costs", "amount_value"
    )


def test_column_lineage_is_found_from_the_sql(location: Location) -> None:
    run = location.run(CHAIN, ACME)
    events = {e.asset_key.to_user_string(): e for e in run.get_asset_materialization_events()}
    lineage = events["silver_cost/focus_costs"].materialization.metadata["dagster/column_lineage"].value
    sources = {(d.asset_key.to_user_string(), d.column_name) for d in lineage.deps_by_column["BilledCost"]}
    assert ("raw_openai/costs", "amount_value") in sources


def test_every_fact_is_written_once(location: Location) -> None:
    run = location.run(CHAIN, ACME)
    runs = location.rows("acme1281", "metadata.pipeline_runs")
    assert {(r["pipeline_id"], r["status"], r["pipeline_logging_id"]) for r in runs} == {
        ("openai_costs", "COMPLETED", run.run_id),
        ("cost_reporting", "COMPLETED", run.run_id),
    }
    assert all(r["end_time"] >= r["start_time"] and r["config_version"] for r in runs)
    steps = location.rows("acme1281", "metadata.step_logs")
    assert len({s["step_logging_id"] for s in steps}) == len(steps) == 4
    results = location.rows("acme1281", "metadata.dq_results")
    assert len({r["dq_result_id"] for r in results}) == len(results)
    suites = [
        node.suite for node in location.module.nodes if str(node.table) in {s["target_table"] for s in steps}
    ]
    assert len(results) == sum(len(suite) for suite in suites)


def test_a_tenant_without_the_provider_is_skipped_not_failed(location: Location) -> None:
    run = location.run("key:raw_anthropic/costs", ACME)
    assert run.success
    assert location.partitions("raw_anthropic.costs") == set()


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_a_refusing_source_is_a_clear_failure(location: Location, status: int) -> None:
    location.api.fail(*[Fault(status=status, path="/costs")] * 9)
    run = location.run(COSTS, ACME)
    assert not run.success
    [step] = location.rows("acme1281", "metadata.step_logs")
    assert step["status"] == "FAILED"
    assert str(status) in step["error_message"]
    assert location.api.url.partition("//")[2].partition(":")[0] in step["error_message"]
