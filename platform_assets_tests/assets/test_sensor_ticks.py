"""Sensors and schedules as the daemon ticks them: real run requests, run keys, cursors, ticks that fail in the middle.

The daemon's own loop, on a real instance with the repository's run queue; the code location is in this process, and
nothing takes runs off the queue.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run
from dagster._core.remote_origin import InProcessCodeLocationOrigin
from dagster._core.scheduler.instigation import InstigatorTick, TickStatus
from dagster._core.test_utils import create_test_daemon_workspace_context, freeze_time
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._core.workspace.load_target import InProcessWorkspaceLoadTarget
from dagster._daemon.sensor import execute_sensor_iteration
from dagster._scheduler.scheduler import launch_scheduled_runs

from platform_assets.assets import patience, second_chances
from platform_assets.assets.dead_runs import of_run, rows_of_run, write_waiting
from platform_assets.assets.keys import SliceKey, range_tags
from platform_assets.assets.run_facts import RunFacts
from platform_assets.assets.second_chances import ATTEMPT_TAG, MOST_REQUESTS, RETRY_OF_TAG, unasked
from platform_assets.demo.provider_api import Fault
from platform_assets.instance.run_coordinator import REFUSED_TAG
from platform_assets_tests.assets.conftest import Location
from platform_assets_tests.assets.test_second_chances import scheduled

__all__ = ["scheduled"]
# Dagster's own snapshot of a location asks for it.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Property `ScheduleDefinition.environment_vars`:DeprecationWarning"
)
ROOT = Path(__file__).parents[2]
NOON = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)  # every tick of the day is due
BOTH = Counter(acme1281=1, globex=1)


@dataclass
class Ticking:
    """The sensor daemon, one iteration at a time. ``at`` is the clock of Dagster and of the sensors."""

    location: Location
    instance: dg.DagsterInstance
    context: Any
    patch: pytest.MonkeyPatch
    at: datetime = NOON
    started: set[str] = field(default_factory=set)

    def __call__(self, name: str, crash: Mapping[str, Exception] | None = None) -> InstigatorTick:
        """One tick of one sensor, later than any before; how it ended."""
        self.at += timedelta(minutes=15)
        for module in (second_chances, patience):
            self.patch.setattr(module, "datetime", _clock(self.at))
        [entry] = self.context.create_request_context().get_code_location_entries().values()
        [repository] = entry.code_location.get_repositories().values()
        sensor = repository.get_sensor(name)
        for other in repository.get_sensors():
            if other.name != name:
                self.instance.stop_sensor(other.get_remote_origin_id(), other.selector_id, other)
        self.instance.start_sensor(sensor)
        flags: Any = {name: crash} if crash else None
        with freeze_time(self.at):
            list(execute_sensor_iteration(self.context, LOGGER, None, None, debug_crash_flags=flags))
        return self.instance.get_ticks(sensor.get_remote_origin_id(), sensor.selector_id)[0]

    def runs(self) -> list[dg.DagsterRun]:
        """Oldest first."""
        return list(self.instance.get_runs(ascending=True))

    def of_tenants(self) -> Counter[str]:
        return Counter(run.tags["tenant"] for run in self.runs())


LOGGER = logging.getLogger("dagster")


def _clock(at: datetime) -> Any:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
            return at

    return Clock


@pytest.fixture
def ticking(scheduled: Location, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Ticking]:
    home = tmp_path / "daemon"
    home.mkdir()
    text = (ROOT / "dagster.yaml").read_text().replace("enforce_quotas: false", "enforce_quotas: true")
    (home / "dagster.yaml").write_text(text)
    target = LoadableTargetOrigin(module_name="platform_assets.definitions")
    origin = InProcessCodeLocationOrigin(target, location_name="platform_assets")
    with (
        dg.DagsterInstance.from_config(str(home)) as instance,
        create_test_daemon_workspace_context(InProcessWorkspaceLoadTarget(origin), instance) as context,
    ):
        yield Ticking(scheduled, instance, context, monkeypatch)


# --- Missed ticks -------------------------------------------------------------------------------------


def test_missed_days_are_queued_once(ticking: Ticking) -> None:
    assert ticking("catch_up").status is TickStatus.SUCCESS
    assert ticking.of_tenants() == BOTH
    assert {run.status for run in ticking.runs()} == {dg.DagsterRunStatus.QUEUED}
    assert {run.tags["dagster/sensor_name"] for run in ticking.runs()} == {"catch_up"}
    assert ticking("catch_up").status is TickStatus.SKIPPED
    assert ticking.of_tenants() == BOTH


def test_a_tick_that_ends_in_the_middle_asks_for_the_rest_and_nothing_twice(ticking: Ticking) -> None:
    died = ticking("catch_up", {"RUN_CREATED": RuntimeError("the process ends here")})
    assert died.status is TickStatus.FAILURE
    [half] = ticking.runs()
    assert half.status is dg.DagsterRunStatus.NOT_STARTED
    ticking("catch_up")
    assert ticking.of_tenants() == BOTH
    assert {run.status for run in ticking.runs()} == {dg.DagsterRunStatus.QUEUED}
    assert half.run_id in {run.run_id for run in ticking.runs()}


def test_one_tenants_trouble_is_no_others(ticking: Ticking) -> None:
    broken = ticking.location.module.settings.platform_home / "warehouse" / "acme1281.duckdb"
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(b"no database" * 1000)
    assert ticking("catch_up").status is TickStatus.SUCCESS
    assert ticking.of_tenants() == Counter(globex=1)
    broken.unlink()
    ticking("catch_up")
    assert ticking.of_tenants() == BOTH


def test_what_was_asked_for_takes_no_place_from_the_rest() -> None:
    requests = [dg.RunRequest(run_key=str(number)) for number in range(3 * MOST_REQUESTS)]
    with dg.DagsterInstance.ephemeral() as instance:
        for number in range(2 * MOST_REQUESTS):
            instance.create_run_for_job(_nothing, tags={"dagster/run_key": str(number)})
        assert unasked(instance, requests) == requests[2 * MOST_REQUESTS :]


@dg.job
def _nothing() -> None:
    pass


# --- Summaries and alerts by the clock ----------------------------------------------------------------


def test_times_missed_while_the_daemon_was_down_are_told_once(ticking: Ticking) -> None:
    """A weekly summary and an hourly alert, three weeks: the newest time of each, however the daemon comes back."""
    down = datetime(2026, 11, 4, 12, 1, tzinfo=UTC)
    up = down + timedelta(weeks=3, minutes=7)
    names = ["summary_weekly_spend_schedule", "alert_stale_spend_schedule"]
    [entry] = ticking.context.create_request_context().get_code_location_entries().values()
    [repository] = entry.code_location.get_repositories().values()
    with freeze_time(down):
        for name in names:
            ticking.instance.start_schedule(repository.get_schedule(name))

    retries = ticking.instance.scheduler.max_tick_retries  # type: ignore[attr-defined,union-attr]

    def evaluate(at: datetime, crash: Mapping[str, Any] | None = None) -> None:
        with freeze_time(at):
            list(
                launch_scheduled_runs(
                    ticking.context, LOGGER, at, {}, max_tick_retries=retries, debug_crash_flags=crash
                )
            )

    evaluate(down)
    assert ticking.runs() == []
    evaluate(up, {name: {"RUN_CREATED": RuntimeError("the process ends here")} for name in names})
    for minutes in (1, 2):
        evaluate(up + timedelta(minutes=minutes))
    told = {run.tags["dagster/schedule_name"]: tick_of(run) for run in ticking.runs()}
    assert told == {names[0]: "2026-11-23T09:00:00+00:00", names[1]: "2026-11-25T12:00:00+00:00"}
    assert len(ticking.runs()) == 2
    assert {run.status for run in ticking.runs()} == {dg.DagsterRunStatus.QUEUED}


def tick_of(run: dg.DagsterRun) -> str:
    return str(run.run_config["ops"]["tell_on_time"]["config"]["tick"])


# --- Refused runs -------------------------------------------------------------------------------------


def blocked(location: Location, tenant: str) -> list[tuple[date, str]]:
    rows = location.rows(tenant, "metadata.pipeline_runs")
    return sorted((row["run_date"], row["pipeline_id"]) for row in rows if row["status"] == "BLOCKED")


def test_a_refused_run_is_told_once_also_when_the_first_tick_fails(
    ticking: Ticking, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant = ticking.location.configs / "tenants" / "globex.yml"
    tenant.write_text(tenant.read_text() + "limits: {daily: 0}\n")
    ticking("complete_failed_runs")  # a status sensor looks at what comes after its first tick
    ticking("catch_up")
    [refused] = [run for run in ticking.runs() if REFUSED_TAG in run.tags]
    assert refused.tags["tenant"] == "globex" and refused.status is dg.DagsterRunStatus.FAILURE
    broken = ticking.location.module.settings.platform_home / "warehouse" / "globex.duckdb"
    kept = broken.read_bytes() if broken.exists() else None
    broken.parent.mkdir(exist_ok=True)
    broken.write_bytes(b"no database" * 1000)
    assert ticking("complete_failed_runs").status is TickStatus.FAILURE
    broken.unlink() if kept is None else broken.write_bytes(kept)
    ticking("complete_failed_runs")
    first = SliceKey.parse(refused.tags["dagster/asset_partition_range_start"]).day
    last = SliceKey.parse(refused.tags["dagster/asset_partition_range_end"]).day
    days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
    told = blocked(ticking.location, "globex")
    assert [day for day, pipeline in told if pipeline == "openai_costs"] == days
    ticking("complete_failed_runs")
    assert blocked(ticking.location, "globex") == told
    ticking("catch_up")  # a refused day was never tried, and is asked for again tomorrow, not now
    assert ticking.of_tenants() == BOTH


# --- Runs that wait -----------------------------------------------------------------------------------


def history(location: Location, tenant: str, run_id: str) -> set[tuple[str, date, str, str]]:
    """(pipeline, day, status, who worked) of a run; more than one row of a slice is an error."""
    rows = [
        row for row in location.rows(tenant, "metadata.pipeline_runs") if row["pipeline_logging_id"] == run_id
    ]
    found = {(r["pipeline_id"], r["run_date"], r["status"], bool(r["worker_instance"])) for r in rows}
    assert len({(pipeline, day) for pipeline, day, _, _ in found}) == len(rows)
    return found  # type: ignore[return-value]


def moves(location: Location, tenant: str, run_id: str) -> Counter[tuple[str, str, str]]:
    rows = location.rows(tenant, "metadata.state_transitions")
    return Counter(
        (row["pipeline_id"], row["from_state"], row["to_state"])
        for row in rows
        if row["pipeline_logging_id"] == run_id and row["entity_type"] == "PIPELINE"
    )


def test_a_run_that_waits_is_pending_and_each_fact_one_row(ticking: Ticking) -> None:
    location = ticking.location
    ticking("record_queued_runs")
    ticking("complete_cancelled_runs")
    ticking("catch_up")
    waiting = {run.tags["tenant"]: run for run in ticking.runs()}
    for _ in range(2):
        ticking("record_queued_runs")
    of_acme = waiting["acme1281"].run_id
    pending = history(location, "acme1281", of_acme)
    assert {(status, worked) for _, _, status, worked in pending} == {("PENDING", False)}
    assert {pipeline for pipeline, *_ in pending} >= {"openai_costs", "cost_reporting"}
    # The next day nobody asks again for what still waits.
    ticking.at += timedelta(days=1)
    ticking("catch_up")
    again = [run for run in ticking.runs() if run.run_id not in {r.run_id for r in waiting.values()}]
    assert not any(REFUSED_TAG in run.tags for run in again)

    # One begins and writes over its rows; a sensor that is late writes over nothing.
    run_it(ticking, waiting["acme1281"])
    wait_late(ticking, waiting["acme1281"])
    ended = history(location, "acme1281", of_acme)
    assert {(p, d) for p, d, _, _ in ended} == {(p, d) for p, d, _, _ in pending}
    assert {(status, worked) for _, _, status, worked in ended} == {("COMPLETED", True)}
    # The other is cancelled in the queue.
    ticking.instance.report_run_canceled(waiting["globex"], "by hand")
    for _ in range(2):
        ticking("complete_cancelled_runs")
    cancelled = history(location, "globex", waiting["globex"].run_id)
    assert {(status, worked) for _, _, status, worked in cancelled} == {("CANCELLED", False)}
    days = {day for _, day, _, _ in cancelled}
    told = moves(location, "globex", waiting["globex"].run_id)
    assert set(told) == {(p, "PENDING", "CANCELLED") for p, *_ in cancelled}
    assert set(told.values()) == {len(days)}


def wait_late(ticking: Ticking, run: dg.DagsterRun) -> None:
    """The rest of a sensor's tick that found the run queued and was slower than it."""
    module = ticking.location.module
    record = ticking.instance.get_run_record_by_id(run.run_id)
    assert record is not None
    facts = RunFacts(run.run_id, run.tags, "v", record.create_timestamp.replace(tzinfo=UTC))
    rows = rows_of_run(facts, of_run(run, module.nodes), module.tenants, "PENDING")
    tables = module.configuration.metadata_tables
    for of_tenant in rows.values():
        write_waiting(module.defs.resources["warehouse"].adapter(), tables, facts, of_tenant)


def run_it(ticking: Ticking, run: dg.DagsterRun) -> None:
    """As the queue would begin it, in this process."""
    starting = dg.DagsterEvent(dg.DagsterEventType.PIPELINE_STARTING.value, run.job_name)
    ticking.instance.report_dagster_event(starting, run.run_id)
    job = InMemoryJob(ticking.location.module.defs.resolve_job_def(run.job_name))
    taken = ticking.instance.get_run_by_id(run.run_id)
    assert taken is not None and execute_run(job, taken, ticking.instance).success


def test_a_run_that_died_before_its_first_row_has_a_history(ticking: Ticking) -> None:
    ticking("complete_failed_runs")
    ticking("catch_up")
    [run] = [run for run in ticking.runs() if run.tags["tenant"] == "globex"]
    ticking.instance.report_run_failed(run, "its process never started")
    for _ in range(2):
        ticking("complete_failed_runs")
    told = history(ticking.location, "globex", run.run_id)
    assert {(status, worked) for _, _, status, worked in told} == {("FAILED", False)}
    assert {pipeline for pipeline, *_ in told} >= {"openai_costs", "cost_reporting"}
    assert {change[1:] for change in moves(ticking.location, "globex", run.run_id)} == {("PENDING", "FAILED")}


# --- Retries ------------------------------------------------------------------------------------------


def test_passing_failures_are_queued_again_once_per_attempt(ticking: Ticking) -> None:
    location, day = ticking.location, ticking.at.date() - timedelta(days=3)
    location.api.fail(*[Fault(status=503, path="/costs", tenant="globex")] * 99)
    job = location.module.defs.resolve_job_def("openai_costs")
    failed = job.execute_in_process(
        instance=ticking.instance, tags=range_tags(day, day, "globex"), raise_on_error=False
    )
    ended = ticking.instance.get_run_record_by_id(failed.run_id).end_time  # type: ignore[union-attr]
    ticking.at = datetime.fromtimestamp(ended, UTC) - timedelta(minutes=15)  # type: ignore[arg-type]
    assert ticking("retry_failed_slices").status is TickStatus.SKIPPED, "its backoff is not over"
    assert ticking("retry_failed_slices").status is TickStatus.SUCCESS
    _, again = ticking.runs()
    assert again.tags.items() >= range_tags(day, day, "globex").items()
    assert (again.tags[RETRY_OF_TAG], again.tags[ATTEMPT_TAG]) == (failed.run_id, "2")
    assert again.status is dg.DagsterRunStatus.QUEUED
    assert ticking("retry_failed_slices").status is TickStatus.SKIPPED
    assert len(ticking.runs()) == 2
