"""Slices through the real op: what is published, what is blocked, what is told, and that nothing is lost or doubled."""

import json
import os
from collections import Counter
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.demo.provider_api import Fault
from platform_assets_tests.assets.conftest import Location

COSTS = "key:raw_openai/costs"
CHAIN = " or ".join(
    f"key:{key}"
    for key in (
        "raw_openai/costs",
        "silver_cost/focus_costs",
        "gold_reporting/daily_spend",
        "gold_reporting/monthly_spend",
    )
)
PER_RUN = ("ingestion_timestamp", "pipeline_logging_id")


def content(location: Location, key: SliceKey, table: str) -> list[str]:
    rows = [row for row in location.rows(key.tenant, table) if row["x_run_date"] == key.day]
    return sorted(repr(sorted((k, v) for k, v in row.items() if k not in PER_RUN)) for row in rows)


def spend(location: Location, tenant: str, table: str, first: date, last: date) -> Decimal:
    """The sum of a table's amount over its slices from ``first`` to ``last``."""
    column = "amount_value" if table.startswith("raw") else "BilledCost"
    rows = location.rows(tenant, table)
    return sum((row[column] for row in rows if first <= row["x_run_date"] <= last), Decimal())


def month(day: date) -> tuple[date, date]:
    first = day.replace(day=1)
    return first, (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)


def published(location: Location, run: dg.ExecuteInProcessResult, table: str) -> set[str]:
    events = [
        e for e in run.get_asset_materialization_events() if e.asset_key == dg.AssetKey(table.split("."))
    ]
    return {event.partition for event in events}


def told(location: Location, run: dg.ExecuteInProcessResult, tenant: str, table: str) -> list[dict[str, Any]]:
    """The rows of one run in a metadata table."""
    rows = location.rows(tenant, f"metadata.{table}")
    return [row for row in rows if row["pipeline_logging_id"] == run.run_id]


def failure_of(run: dg.ExecuteInProcessResult) -> str:
    return next(e for e in run.all_events if e.is_step_failure).step_failure_data.error.message


def test_a_slice_goes_from_the_api_to_the_reports_to_the_last_digit(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    run = location.run(CHAIN, acme)
    assert run.success
    billed = spend(location, "acme1281", "raw_openai.costs", day, day)
    assert billed > 0
    assert spend(location, "acme1281", "silver_cost.focus_costs", day, day) == billed
    assert spend(location, "acme1281", "gold_reporting.daily_spend", day, day) == billed
    in_month = spend(location, "acme1281", "raw_openai.costs", *month(day))
    assert spend(location, "acme1281", "gold_reporting.monthly_spend", *month(day)) == in_month
    for table in ("raw_openai.costs", "silver_cost.focus_costs", "gold_reporting.monthly_spend"):
        assert published(location, run, table) == {str(acme)}


def test_a_second_run_changes_nothing(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    location.run(CHAIN, acme)
    slices = {
        "raw_openai.costs": acme,
        "silver_cost.focus_costs": acme,
        "gold_reporting.daily_spend": acme,
        "gold_reporting.monthly_spend": SliceKey(day.replace(day=1), "acme1281"),
    }
    before = {table: content(location, key, table) for table, key in slices.items()}
    assert all(before.values())
    location.run(CHAIN, acme)
    assert {table: content(location, key, table) for table, key in slices.items()} == before


def test_a_range_is_one_run_with_an_outcome_per_slice(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    last = SliceKey(day + timedelta(days=1), "globex")
    run = location.run(CHAIN, acme, last)
    assert run.success
    expected = {f"{each}|{tenant}" for each in (day, last.day) for tenant in ("acme1281", "globex")}
    assert published(location, run, "raw_openai.costs") == expected
    assert published(location, run, "gold_reporting.monthly_spend") == expected
    evaluations = {
        e.partition for e in run.get_asset_check_evaluations() if e.asset_key.path[0] == "raw_openai"
    }
    assert evaluations == expected


def test_a_failing_slice_fails_alone_and_the_rest_is_committed(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    bad = SliceKey(day, "globex")
    location.api.fail(Fault(status=403, path="/costs", tenant="globex"))
    run = location.run(CHAIN, acme, bad)
    assert not run.success
    assert published(location, run, "gold_reporting.daily_spend") == {str(acme)}
    assert spend(location, "acme1281", "gold_reporting.daily_spend", day, day) > 0
    assert f"raw_openai.costs {bad}: failed" in failure_of(run)
    assert f"gold_reporting.daily_spend {bad}: blocked" in failure_of(run)
    runs = told(location, run, "globex", "pipeline_runs")
    assert {(row["pipeline_id"], row["status"]) for row in runs} == {
        ("openai_costs", "FAILED"),
        ("cost_reporting", "FAILED"),
    }
    steps = {(s["target_table"], s["status"]) for s in told(location, run, "globex", "step_logs")}
    assert ("raw_openai.costs", "FAILED") in steps


def test_a_failed_source_leaves_the_old_rows(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    location.run(COSTS, acme)
    before = content(location, acme, "raw_openai.costs")
    location.api.fail(Fault(truncate=0.5, path="/costs"))
    assert not location.run(COSTS, acme).success
    assert content(location, acme, "raw_openai.costs") == before


def _emptied(page: dict) -> dict:
    buckets = [bucket | {"results": []} for bucket in page["data"]]
    return page | {"data": buckets, "has_more": False, "next_page": None}


def test_an_empty_answer_clears_the_slice_and_says_so(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    location.run(COSTS, acme)
    assert content(location, acme, "raw_openai.costs")

    location.api.fail(Fault(edit=_emptied, path="/costs"))
    run = location.run(COSTS, acme)
    assert run.success
    assert content(location, acme, "raw_openai.costs") == []
    [event] = run.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert "no rows" in metadata["empty_answer"].value
    assert metadata["rows_deleted"].value > 0


def test_a_critical_expectation_keeps_the_old_slice_of_that_tenant_day_alone(
    location: Location, day: date
) -> None:
    acme = SliceKey(day, "acme1281")
    first, last = acme, SliceKey(day, "globex")
    location.run(CHAIN, first, last)
    before = content(location, acme, "raw_openai.costs")

    def without_amount(page: dict) -> dict:
        for bucket in page["data"]:
            for result in bucket["results"]:
                result["amount"]["currency"] = None
        return page

    location.api.fail(*[Fault(edit=without_amount, path="/costs", tenant="acme1281")] * 50)
    run = location.run(CHAIN, first, last)
    assert not run.success
    assert content(location, acme, "raw_openai.costs") == before
    assert "acme1281: failed" in failure_of(run) and "globex" not in failure_of(run)
    failed = [e for e in run.get_asset_check_evaluations() if not e.passed]
    assert failed and {e.partition for e in failed} == {str(first)}
    assert any(e.severity is dg.AssetCheckSeverity.ERROR for e in failed)
    assert any("failing_rows" in e.metadata for e in failed)
    kept = told(location, run, "acme1281", "dq_results")
    assert any(row["success"] is False and row["severity"] == "critical" for row in kept)


@pytest.mark.parametrize("bad", [1, 2])
def test_a_blocked_day_leaves_its_month_to_the_other_days(location: Location, bad: int) -> None:
    """Also where the day is the first, whose date is the month's own name."""
    days = [SliceKey(date(2026, 6 + bad, number), "acme1281") for number in (1, 2)]
    first, second = days
    acme, day = days[2 - bad], first.day
    stamp = int((days[bad - 1].day - date(1970, 1, 1)).total_seconds())
    location.api.fail(*[Fault(status=404, path=f"start_time={stamp}")] * 9)
    run = location.run(CHAIN, first, second)
    assert not run.success
    assert published(location, run, "gold_reporting.monthly_spend") == {str(acme)}
    monthly = spend(location, "acme1281", "gold_reporting.monthly_spend", *month(day))
    assert monthly == spend(location, "acme1281", "raw_openai.costs", *month(day))


def test_what_people_see_on_a_materialization(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    run = location.run(COSTS, acme)
    [event] = run.get_asset_materialization_events()
    metadata = event.materialization.metadata
    assert (
        metadata["requests"].value >= 1 and metadata["bytes_received"].value > 100
    )  # how many depends on the day
    assert metadata["rows_inserted"].value == len(content(location, acme, "raw_openai.costs"))
    assert metadata["pipeline_logging_id"].value == run.run_id
    assert metadata["chart"].value.startswith("![") and "image/svg+xml" in metadata["chart"].value
    assert metadata["preview"].value.count("\n") >= 2
    assert Decimal(metadata["amount_value_USD"].value) == spend(
        location, "acme1281", "raw_openai.costs", day, day
    )


def test_a_restated_day_says_what_changed(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    first = location.run(COSTS, acme).get_asset_materialization_events()[0].materialization.metadata
    assert "what_changed" not in first
    again = location.run(COSTS, acme).get_asset_materialization_events()[0].materialization.metadata
    rows = first["rows_inserted"].value
    assert again["what_changed"].value == f"rows {rows} → {rows}; no amount changed"
    before = spend(location, "acme1281", "raw_openai.costs", day, day)
    location.api.fail(Fault(edit=_emptied, path="/costs"))
    gone = location.run(COSTS, acme).get_asset_materialization_events()[0].materialization.metadata
    assert gone["what_changed"].value.startswith(f"rows {rows} → 0, USD {-before:+f}\n")


def test_column_lineage_is_found_from_the_sql(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    run = location.run(CHAIN, acme)
    events = {e.asset_key.to_user_string(): e for e in run.get_asset_materialization_events()}
    lineage = events["silver_cost/focus_costs"].materialization.metadata["dagster/column_lineage"].value
    sources = {(d.asset_key.to_user_string(), d.column_name) for d in lineage.deps_by_column["BilledCost"]}
    assert ("raw_openai/costs", "amount_value") in sources


def test_every_fact_is_written_once(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    run = location.run(CHAIN, acme)
    runs = told(location, run, "acme1281", "pipeline_runs")
    assert {(r["pipeline_id"], r["status"], r["pipeline_logging_id"]) for r in runs} == {
        ("openai_costs", "COMPLETED", run.run_id),
        ("cost_reporting", "COMPLETED", run.run_id),
    }
    assert all(r["end_time"] >= r["start_time"] and r["config_version"] for r in runs)
    steps = told(location, run, "acme1281", "step_logs")
    assert len({s["step_logging_id"] for s in steps}) == len(steps) == 4
    assert {r["worker_instance"].rpartition(":")[2] for r in runs} == {str(os.getpid())}
    assert all(len(json.loads(r["run_metadata"])["steps"]) for r in runs)
    assert all(s["step_index"] is not None for s in steps)
    moves = told(location, run, "acme1281", "state_transitions")
    assert len({m["transition_id"] for m in moves}) == len(moves) == 2 * len(runs) + len(steps)
    assert Counter(m["to_state"] for m in moves) == {"RUNNING": 2, "COMPLETED": 2 + 4}
    actions = location.rows("acme1281", "metadata.audit_logs")
    assert [a["action"] for a in actions if a["resource_id"] == run.run_id] == ["run.started"]
    results = told(location, run, "acme1281", "dq_results")
    assert len({r["dq_result_id"] for r in results}) == len(results)
    suites = [
        node.suite for node in location.module.nodes if str(node.table) in {s["target_table"] for s in steps}
    ]
    assert len(results) == sum(len(suite) for suite in suites)


def test_a_tenant_without_the_provider_is_skipped_not_failed(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    run = location.run("key:raw_anthropic/costs", acme)
    assert run.success
    assert published(location, run, "raw_anthropic.costs") == set()


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusing_source_is_a_clear_failure(location: Location, day: date, status: int) -> None:
    acme = SliceKey(day, "acme1281")
    location.api.fail(*[Fault(status=status, path="/costs")] * 9)
    run = location.run(COSTS, acme)
    assert not run.success
    [step] = told(location, run, "acme1281", "step_logs")
    assert step["status"] == "FAILED"
    assert str(status) in step["error_message"]
    assert location.api.url.partition("//")[2].partition(":")[0] in step["error_message"]


def test_no_secret_is_told_anywhere(location: Location, day: date) -> None:
    acme = SliceKey(day, "acme1281")
    good = location.run(CHAIN, acme)
    location.api.fail(Fault(status=401, path="/costs"))
    bad = location.run(COSTS, acme)
    assert good.success and not bad.success
    events = [entry.to_json() for run in (good, bad) for entry in location.instance.all_logs(run.run_id)]
    runs = [repr(location.instance.get_run_by_id(run.run_id)) for run in (good, bad)]
    facts = [
        repr(told(location, bad, "acme1281", table)) for table in ("pipeline_runs", "step_logs", "dq_results")
    ]
    assert location.secrets and len(events) > 50
    for secret in location.secrets:
        assert not [text for text in (*events, *runs, *facts) if secret in text]
