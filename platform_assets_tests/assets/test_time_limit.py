"""A pipeline's time limit, in Dagster's own processes: the run that goes over is ended, and told as TIMEOUT."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.history import merge_rows
from platform_assets.assets.keys import range_tags
from platform_assets.assets.run_facts import RunFacts
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.assets.conftest import Location
from platform_assets_tests.assets.daemon_rig import Daemon, daemon

TENANT = "globex"
TIMES = {"pipeline_runs": "start_time", "state_transitions": "transition_time", "audit_logs": "created_at"}
STARTED = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])


def test_a_pipelines_minutes_are_its_jobs_seconds(own_location: Callable[[], Location]) -> None:
    pipeline = own_location().configs / "pipelines/openai/cost/openai_costs/pipeline.yml"
    pipeline.write_text(pipeline.read_text().replace("lookback_days", "timeout_minutes: 90\nlookback_days"))
    location = own_location()
    limits = {
        name: location.module.defs.resolve_job_def(name).tags.get("dagster/max_runtime")
        for name in location.module.jobs
    }
    assert limits.pop("openai_costs") == "5400"
    assert set(limits.values()) == {None}


def rows(rig: Daemon, table: str) -> list[dict[str, Any]]:
    """A metadata table, oldest first."""
    name = TableName.parse(f"metadata.{table}")
    there = physical(TENANT, name)
    query = BoundSql(f"SELECT * FROM `{there.dataset}`.`{there.table}` ORDER BY {TIMES[table]}")
    folder = rig.folder / "platform" / "warehouse"
    with closing(DuckDBWarehouse(DuckDBSettings(folder=folder))) as warehouse:
        if warehouse.describe(TENANT, name) is None:
            return []
        found: list[dict[str, Any]] = warehouse.query(TENANT, query).to_pylist()
        return found


def begun(rig: Daemon) -> str | None:
    """The run that says that it has begun; its tags are read again and again while it goes on."""
    with rig.instance() as instance:
        return next((run.run_id for run in instance.get_runs(STARTED)), None)


def test_a_run_that_goes_over_is_ended_and_told_as_timeout(tmp_path: Path) -> None:
    day = datetime.now(UTC).date() - timedelta(days=2)
    secrets = tmp_path / "platform" / "secrets" / TENANT
    secrets.mkdir(parents=True)
    (secrets / "openai_admin_key").write_text("not-a-key")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an API that takes the request and never answers
        env = {"PLATFORM_PROVIDER_API": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with daemon(tmp_path, sensors=[], env=env) as rig:
            rig.launch("openai_costs", {"dagster/partition": f"{day}|{TENANT}", "tenant": TENANT})
            with silent.accept()[0]:  # the run is in the middle of its work, however slow this machine is
                run_id = rig.wait_for(lambda: begun(rig), "the run")
                with rig.instance() as instance:
                    instance.add_run_tags(run_id, {"dagster/max_runtime": "1"})
                told = rig.wait_for(
                    lambda: [row for row in rows(rig, "pipeline_runs") if row["status"] != "RUNNING"],
                    "the end of its history",
                )
            (run,) = rig.runs()
            moves = [m for m in rows(rig, "state_transitions") if m["from_state"] == "RUNNING"]
            actions = [a["action"] for a in rows(rig, "audit_logs")]
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert {row["status"] for row in told} == {"TIMEOUT"}
    assert all("maximum runtime of 1 seconds" in row["error_message"] for row in told)
    assert [m["to_state"] for m in moves] == ["TIMEOUT"] * len(told)
    assert actions == ["run.started", "run.timeout"]


@pytest.mark.parametrize("event", ["FAILURE", "CANCELED"])
def test_whichever_end_dagster_tells_first_it_is_a_timeout(location: Location, event: str) -> None:
    """The interrupted process says that it was cancelled, its monitoring that the run failed: at the same time."""
    tables = location.module.configuration.metadata_tables
    warehouse = location.module.defs.resources["warehouse"].adapter()
    run = location.instance.create_run_for_job(
        location.module.defs.resolve_job_def("openai_costs"),
        tags=range_tags(date(2026, 5, 8), date(2026, 5, 8), TENANT),
        status=dg.DagsterRunStatus.STARTED,
    )
    facts = RunFacts(run.run_id, run.tags, "v", datetime.now(UTC))
    row = facts.run(TENANT, "openai_costs", date(2026, 5, 8), "RUNNING", facts.created)
    merge_rows(warehouse, TENANT, tables["pipeline_runs"], [row], "t")
    location.instance.report_run_canceling(
        run, message="Canceling due to exceeding maximum runtime of 60 seconds."
    )
    sensor: Any = location.module.defs.resolve_sensor_def(
        f"complete_{ {'FAILURE': 'failed', 'CANCELED': 'cancelled'}[event] }_runs"
    )
    types = {
        "FAILURE": dg.DagsterEventType.PIPELINE_FAILURE,
        "CANCELED": dg.DagsterEventType.PIPELINE_CANCELED,
    }
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=location.instance,
        dagster_run=run,
        dagster_event=dg.DagsterEvent(types[event].value, run.job_name, message="the run ended"),
        resources=location.module.defs.resources,
    )
    sensor(context)
    [told] = [
        r for r in location.rows(TENANT, "metadata.pipeline_runs") if r["pipeline_logging_id"] == run.run_id
    ]
    assert told["status"] == "TIMEOUT"
