"""Missed ticks and passing failures are asked for again: within bounds, once, and what they ask for runs."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.history import merge_rows
from platform_assets.assets.keys import SliceKey, range_tags
from platform_assets.assets.run_facts import RunFacts
from platform_assets.assets.second_chances import (
    ATTEMPT_TAG,
    RETRY_OF_TAG,
    RETRY_TAG,
    missed,
    retry_tags,
    to_retry,
)
from platform_assets.demo.provider_api import Fault
from platform_assets_tests.assets.conftest import Location

NOW = datetime(2026, 11, 20, 12, tzinfo=UTC)
SCHEDULE = 'schedule:\n  cron: "15 6 * * *"\n  jitter_minutes: 20\n  catch_up_days: 5\n  priority: 3\n'


@pytest.fixture
def scheduled(own_location: Callable[[], Location], tmp_path: Path) -> Location:
    """openai_costs spreads its ticks and catches up; globex has a time of its own."""
    configs = tmp_path / "configs"
    pipeline = configs / "pipelines/openai/cost/openai_costs/pipeline.yml"
    lines = pipeline.read_text().splitlines(keepends=True)
    first = next(i for i, line in enumerate(lines) if line.startswith("schedule:"))
    end = next(i for i in range(first + 1, len(lines)) if not lines[i].startswith(" "))
    pipeline.write_text("".join([*lines[:first], SCHEDULE, *lines[end:]]))
    tenant = configs / "tenants" / "globex.yml"
    own = "schedules:\n  openai_costs: {cron: '5 3 * * *', timezone: Asia/Tokyo, priority: 9}\n"
    tenant.write_text(tenant.read_text() + own)
    return own_location()


def asked(location: Location, now: datetime = NOW) -> dict[tuple[str, str, str], dg.RunRequest]:
    module = location.module
    warehouse = module.defs.resources["warehouse"].adapter()
    runs = module.configuration.metadata_tables["pipeline_runs"].name
    pipelines = {"openai_costs": module.configuration.pipelines["openai_costs"]}
    found = missed(warehouse, pipelines, module.tenants, runs, date(2025, 12, 1), now)
    ends = [f"dagster/asset_partition_range_{end}" for end in ("start", "end")]
    return {
        (r.tags["tenant"], *(SliceKey.parse(r.tags[end]).day.isoformat()[5:] for end in ends)): r
        for r in found
    }


def ran(location: Location, tenant: str, day: date, status: str) -> None:
    tables = location.module.configuration.metadata_tables
    warehouse = location.module.defs.resources["warehouse"].adapter()
    facts = RunFacts(f"{status}{day}", {}, "v", NOW)
    row = facts.run(tenant, "openai_costs", day, status, NOW)
    merge_rows(warehouse, tenant, tables["pipeline_runs"], [row], "t")


def test_missed_days_are_asked_for_within_bounds(scheduled: Location) -> None:
    assert set(asked(scheduled)) == {("acme1281", "11-15", "11-19"), ("globex", "11-15", "11-18")}
    for day, status in ((16, "COMPLETED"), (17, "FAILED"), (18, "BLOCKED")):
        ran(scheduled, "acme1281", date(2026, 11, day), status)
    found = asked(scheduled)
    # A failed day is the retry sensor's; what the queue refused was never tried.
    assert {key for key in found if key[0] == "acme1281"} == {
        ("acme1281", "11-15", "11-15"),
        ("acme1281", "11-18", "11-19"),
    }
    request = found["acme1281", "11-18", "11-19"]
    assert request.job_name == "openai_costs" and request.tags["dagster/priority"] == "3"
    assert found["globex", "11-15", "11-18"].tags["dagster/priority"] == "9"


def test_a_day_is_not_missed_before_its_tick_was_due(scheduled: Location) -> None:
    early = NOW.replace(hour=6, minute=30)  # acme's tick of 06:15 was 15 minutes ago
    found = asked(scheduled, early)
    assert ("acme1281", "11-15", "11-18") in found
    assert ("globex", "11-15", "11-18") in found  # 03:05 in Tokyo is still the day before, in UTC


def test_a_spread_tick_asks_each_tenant_once_in_its_own_minute(scheduled: Location) -> None:
    repository = scheduled.module.defs.get_repository_def()
    schedule = repository.get_schedule_def("openai_costs_schedule")
    assert schedule.cron_schedule == "15-35 6 * * *"
    requests = []
    for minute in range(15, 36):
        tick = datetime(2026, 11, 10, 6, minute, tzinfo=UTC)
        context = dg.build_schedule_context(scheduled_execution_time=tick, repository_def=repository)
        requests += schedule.evaluate_tick(context).run_requests
    assert [r.tags["tenant"] for r in requests] == ["acme1281"]
    own = repository.get_schedule_def("openai_costs_globex_schedule")
    assert (own.cron_schedule, own.execution_timezone) == ("5-25 3 * * *", "Asia/Tokyo")


# --- Retries ------------------------------------------------------------------------------------------


def fail(location: Location, day: date, status: int, **tags: str) -> dg.ExecuteInProcessResult:
    location.api.forget_faults()
    location.api.fail(*[Fault(status=status, path="/costs", tenant="globex")] * 99)
    job = location.module.defs.resolve_job_def("openai_costs")
    return job.execute_in_process(
        instance=location.instance,
        tags={**range_tags(day, day + timedelta(days=1), "globex"), **tags},
        raise_on_error=False,
        run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
    )


def again(location: Location, seconds: int) -> list[dg.RunRequest]:
    later = datetime.now(UTC) + timedelta(seconds=seconds)
    return list(to_retry(location.instance, location.module.configuration.pipelines, later))


def test_only_passing_failures_are_tried_again_after_their_backoff(location: Location, day: date) -> None:
    refused = fail(location, day, 403)
    assert RETRY_TAG not in location.instance.get_run_by_id(refused.run_id).tags
    run = fail(location, day, 503)
    spans: dict[str, Any] = json.loads(location.instance.get_run_by_id(run.run_id).tags[RETRY_TAG])
    assert spans == {"globex": [str(day), str(day + timedelta(days=1))]}
    assert not [r for r in again(location, 0) if r.tags[RETRY_OF_TAG] == run.run_id]
    [request] = [r for r in again(location, 60) if r.tags[RETRY_OF_TAG] == run.run_id]
    assert request.tags.items() >= range_tags(day, day + timedelta(days=1), "globex").items()
    assert request.tags[ATTEMPT_TAG] == "2" and request.job_name == "openai_costs"
    location.api.forget_faults()
    job = location.module.defs.resolve_job_def("openai_costs")
    done = job.execute_in_process(instance=location.instance, tags=request.tags)
    assert done.success
    [row] = [
        r
        for r in location.rows("globex", "metadata.pipeline_runs")
        if (r["pipeline_logging_id"], r["pipeline_id"], r["run_date"]) == (done.run_id, "openai_costs", day)
    ]
    assert (row["trigger_type"], row["trigger_by"]) == ("retry", run.run_id)


def test_the_last_attempt_is_the_last(location: Location, day: date) -> None:
    run = fail(location, day, 503, **{ATTEMPT_TAG: "3"})
    assert not [r for r in again(location, 3600) if r.tags[RETRY_OF_TAG] == run.run_id]


def test_nothing_to_retry_leaves_no_tags() -> None:
    assert retry_tags({}) == {}
