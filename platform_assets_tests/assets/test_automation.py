"""Jobs, schedules, sensors and the shape of the asset graph."""

import json
import shutil
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.dead_runs import (
    REFUSED_TAG,
    complete_rows,
    refused_rows,
    slices_of,
    write_refused,
)
from platform_assets.assets.history import merge_rows
from platform_assets.assets.keys import (
    SliceKey,
    complete_days,
    open_tenant_day_partitions,
    range_tags,
    tenant_day_partitions,
)
from platform_assets.assets.run_facts import RunFacts, in_utc
from platform_assets.instance.run_coordinator import tenant_of
from platform_assets_tests.assets.conftest import Location
from platform_assets_tests.assets.snapshot import SNAPSHOT, graph_of


def test_the_asset_graph_is_the_one_that_was_reviewed(location: Location) -> None:
    """After a wanted change: ``make snapshot`` writes the file; review it in the diff."""
    assert graph_of(location.module.defs) == json.loads(SNAPSHOT.read_text())


def test_a_code_server_can_load_everything(location: Location) -> None:
    """Names of ops and jobs that clash are found only when all definitions are loaded, as a code server does."""
    location.module.defs.get_repository_def().load_all_definitions()


def test_every_scheduled_pipeline_has_a_job_and_a_schedule_from_its_cron(location: Location) -> None:
    pipelines = location.module.configuration.pipelines
    wanted = {name: p.spec.schedule for name, p in pipelines.items() if p.spec.schedule}
    others = ("inbox_", "event_volume_checks", "scheduled_notifications")
    schedules = {s.job_name: s for s in location.module.defs.schedules if not s.job_name.startswith(others)}
    assert set(schedules) == set(wanted)
    for name, schedule in wanted.items():
        assert schedules[name].cron_schedule == schedule.cron
        assert schedules[name].execution_timezone == schedule.timezone
        assert (
            schedules[name].default_status is dg.DefaultScheduleStatus.STOPPED
        )  # local: nothing starts by itself


def test_a_tick_asks_for_every_tenants_last_complete_days(location: Location) -> None:
    repository = location.module.defs.get_repository_def()
    schedule = repository.get_schedule_def("openai_costs_schedule")
    lookback = location.module.configuration.pipelines["openai_costs"].spec.lookback_days
    tick = datetime(2026, 11, 10, 6, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=repository)
    requests = schedule.evaluate_tick(context).run_requests
    first, last = complete_days(date(2026, 11, 10), lookback)
    assert last == date(2026, 11, 9)
    assert {r.tags["tenant"] for r in requests} == {"acme1281", "globex"}
    for request in requests:
        assert request.tags.items() >= range_tags(first, last, request.tags["tenant"]).items()
        assert request.tags["tenant"] in request.run_key


def test_a_tick_leaves_a_month_alone_that_its_source_has_closed(own_location: Callable[[], Location]) -> None:
    location = own_location()
    pipeline = location.configs / "pipelines" / "openai" / "cost" / "openai_costs" / "pipeline.yml"
    text = pipeline.read_text().replace("lookback_days: 3", "lookback_days: 45\ncloses_after_days: 14")
    pipeline.write_text(text)
    repository = own_location().module.defs.get_repository_def()
    schedule = repository.get_schedule_def("openai_costs_schedule")

    def asked(tick: datetime) -> set[tuple[str, str]]:
        context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=repository)
        ends = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
        requests = schedule.evaluate_tick(context).run_requests
        return {tuple(r.tags[end].partition("|")[0] for end in ends) for r in requests}

    assert asked(datetime(2026, 11, 14, 6, tzinfo=UTC)) == {("2026-10-01", "2026-11-13")}
    assert asked(datetime(2026, 11, 15, 6, tzinfo=UTC)) == {("2026-11-01", "2026-11-14")}


def test_what_a_tick_asks_for_runs(location: Location) -> None:
    first, last = date(2026, 6, 1), date(2026, 6, 2)
    job = location.module.defs.resolve_job_def("openai_costs")
    run = job.execute_in_process(
        instance=location.instance,
        tags=range_tags(first, last, "globex"),
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )
    days = {
        e.partition for e in run.get_asset_materialization_events() if e.asset_key.path[-1] == "daily_spend"
    }
    assert days == {"2026-06-01|globex", "2026-06-02|globex"}


def test_a_new_tenant_is_a_file(own_location: Callable[[], Location]) -> None:
    before = own_location()
    tenant = (before.configs / "tenants" / "globex.yml").read_text()
    (before.configs / "tenants" / "initech.yml").write_text(tenant.replace("globex", "initech"))
    after = own_location()
    assert (
        "initech" in after.module.partitions.get_partitions_def_for_dimension("tenant").get_partition_keys()
    )


def test_a_tenant_that_is_removed_is_asked_for_no_more(own_location: Callable[[], Location]) -> None:
    (own_location().configs / "tenants" / "globex.yml").unlink()
    after = own_location()
    repository = after.module.defs.get_repository_def()
    schedule = repository.get_schedule_def("openai_costs_schedule")
    tick = datetime(2026, 11, 10, 6, tzinfo=UTC)
    context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=repository)
    assert {r.tags["tenant"] for r in schedule.evaluate_tick(context).run_requests} == {"acme1281"}
    tenants = after.module.partitions.get_partitions_def_for_dimension("tenant").get_partition_keys()
    assert tenants == ["acme1281"]


def test_a_tenant_added_in_the_middle_of_a_month_has_that_months_rest(
    own_location: Callable[[], Location],
) -> None:
    location = own_location()
    first, last = SliceKey(date(2026, 10, 14), "acme1281"), SliceKey(date(2026, 10, 16), "acme1281")
    chain = "key:raw_openai/costs or key:silver_cost/focus_costs or key:gold_reporting/monthly_spend"
    assert location.run(chain, first, last).success
    [month] = {row["BillingMonth"] for row in location.rows("acme1281", "gold_reporting.monthly_spend")}
    raw = sum(row["amount_value"] for row in location.rows("acme1281", "raw_openai.costs"))
    gold = sum(row["BilledCost"] for row in location.rows("acme1281", "gold_reporting.monthly_spend"))
    assert (month, gold) == (date(2026, 10, 1), raw)


def test_a_new_pipeline_is_a_folder(own_location: Callable[[], Location]) -> None:
    before = own_location()
    folder = before.configs / "pipelines" / "openai" / "cost"
    shutil.copytree(folder / "openai_costs", folder / "openai_costs_again")
    for file in (folder / "openai_costs_again").iterdir():
        text = (
            file.read_text()
            .replace("openai_costs", "openai_costs_again")
            .replace("raw_openai.costs", "raw_openai.again")
        )
        file.write_text(text)
    after = own_location()
    assert (
        dg.AssetKey(["raw_openai", "again"]) in after.module.defs.resolve_asset_graph().get_all_asset_keys()
    )
    assert set(graph_of(after.module.defs)) - set(graph_of(before.module.defs)) == {"raw_openai/again"}


@pytest.mark.parametrize(
    ("tags", "tenant"),
    [
        ({"dagster/partition": "2026-01-31|acme1281", "dagster/partition/tenant": "acme1281"}, "acme1281"),
        (range_tags(date(2026, 1, 1), date(2026, 1, 9), "globex"), "globex"),
        (
            {
                "dagster/asset_partition_range_start": "2026-01-01|acme1281",
                "dagster/asset_partition_range_end": "2026-01-09|globex",
            },
            "several",
        ),
        ({}, None),
        ({"dagster/asset_partition_range_start": "x", "dagster/asset_partition_range_end": "y"}, None),
    ],
)
def test_every_queued_run_says_whose_it_is(tags: dict[str, str], tenant: str | None) -> None:
    assert tenant_of(tags) == tenant


def test_a_run_that_died_is_completed_once(location: Location) -> None:
    tables = location.module.configuration.metadata_tables
    warehouse = location.module.defs.resources["warehouse"].adapter()
    began = datetime(2026, 5, 1, 12, tzinfo=UTC)
    row = {
        "pipeline_logging_id": "dead",
        "tenant_id": "acme1281",
        "pipeline_id": "openai_costs",
        "run_date": date(2026, 4, 30),
        "status": "RUNNING",
        "start_time": began,
        "ingestion_date": began.date(),
    }
    merge_rows(warehouse, "acme1281", tables["pipeline_runs"], [row], "token")
    facts = RunFacts("dead", {"dagster/schedule_name": "openai_costs_schedule"}, "v", began)
    ended = datetime(2026, 5, 1, 12, 1, tzinfo=UTC)

    def complete() -> int:
        return complete_rows(warehouse, tables, "acme1281", facts, "FAILED", "killed", ended)

    assert complete() == 1
    assert complete() == 0
    [found] = [
        r for r in location.rows("acme1281", "metadata.pipeline_runs") if r["pipeline_logging_id"] == "dead"
    ]
    assert (found["status"], found["error_message"], found["duration_ms"]) == ("FAILED", "killed", 60_000)
    [moved] = of_run(location, "state_transitions", "dead")
    assert (moved["from_state"], moved["to_state"], moved["duration_in_state_ms"]) == (
        "RUNNING",
        "FAILED",
        60_000,
    )
    [action] = [r for r in location.rows("acme1281", "metadata.audit_logs") if r["resource_id"] == "dead"]
    assert (action["action"], action["user_id"]) == ("run.failed", "openai_costs_schedule")


def of_run(location: Location, table: str, run_id: str) -> list[dict[str, Any]]:
    rows = location.rows("acme1281", f"metadata.{table}")
    return [row for row in rows if row["pipeline_logging_id"] == run_id]


def test_a_refused_run_is_told_slice_by_slice_once(location: Location) -> None:
    module = location.module
    tables = module.configuration.metadata_tables
    warehouse = module.defs.resources["warehouse"].adapter()
    tags = {**range_tags(date(2026, 5, 3), date(2026, 5, 4), "acme1281"), REFUSED_TAG: "QUOTA_EXCEEDED"}
    facts = RunFacts("refused", tags, "v", datetime(2026, 5, 5, tzinfo=UTC))
    costs = [node for node in module.nodes if str(node.table) == "raw_openai.costs"]
    for _ in range(2):
        rows = refused_rows(facts, costs, module.tenants, "QUOTA_EXCEEDED: 6 runs")
        assert set(rows) == {"acme1281"}
        write_refused(warehouse, tables, "acme1281", facts, rows["acme1281"], "QUOTA_EXCEEDED: 6 runs")
    told = of_run(location, "pipeline_runs", "refused")
    assert {(r["run_date"].day, r["pipeline_id"], r["status"]) for r in told} == {
        (3, "openai_costs", "BLOCKED"),
        (4, "openai_costs", "BLOCKED"),
    }
    assert len(told) == 2 and json.loads(told[0]["error_context"]) == {"code": "QUOTA_EXCEEDED"}
    assert [m["to_state"] for m in of_run(location, "state_transitions", "refused")] == ["BLOCKED", "BLOCKED"]


def test_the_slices_of_a_range_are_its_days_and_tenants() -> None:
    tags = {
        "dagster/asset_partition_range_start": "2026-01-31|acme1281",
        "dagster/asset_partition_range_end": "2026-02-01|globex",
    }
    found = [str(key) for key in slices_of(tags, ["aaa", "acme1281", "globex", "zzz"])]
    assert found == ["2026-01-31|acme1281", "2026-02-01|acme1281", "2026-01-31|globex", "2026-02-01|globex"]
    assert list(slices_of({}, ["acme1281"])) == []


@pytest.mark.parametrize("zone", [None, UTC, timezone(timedelta(hours=-5))])
def test_a_run_was_asked_for_on_the_same_day_whatever_zone_a_storage_answers_in(zone: Any) -> None:
    moment = datetime(2026, 11, 21, 2, tzinfo=UTC)
    given = moment.astimezone(zone) if zone else moment.replace(tzinfo=None)
    row = RunFacts("r", {}, "v", in_utc(given)).run("t", "p", date(2026, 11, 20), "PENDING", moment)
    assert row["ingestion_date"] == date(2026, 11, 21)


def test_partition_keys_are_read_as_they_are_written() -> None:
    key = SliceKey(date(2026, 1, 31), "acme1281")
    assert SliceKey.parse(str(key)) == key
    assert sorted([SliceKey(date(2026, 1, 2), "a"), SliceKey(date(2026, 1, 1), "b")])[0].tenant == "b"


def test_a_cell_serves_its_own_tenants(
    own_location: Callable[[], Location], monkeypatch: pytest.MonkeyPatch
) -> None:
    configs = own_location().configs
    tenant = configs / "tenants" / "globex.yml"
    tenant.write_text(tenant.read_text() + "cell: europe\n")
    monkeypatch.setenv("PLATFORM_CELL", "europe")
    partitions = own_location().module.partitions
    assert partitions.get_partitions_def_for_dimension("tenant").get_partition_keys() == ["globex"]


def test_what_comes_by_message_has_a_partition_for_today() -> None:
    now = datetime(2026, 11, 28, 1, tzinfo=UTC)
    complete, still_filling = (
        make(date(2026, 11, 26), ("acme1281",)).get_partition_keys(current_time=now)
        for make in (tenant_day_partitions, open_tenant_day_partitions)
    )
    assert complete == ["2026-11-26|acme1281", "2026-11-27|acme1281"]
    assert still_filling == [*complete, "2026-11-28|acme1281"]
