"""Completes the history of runs that could not do it themselves: killed, out of memory, cancelled.

A run writes RUNNING rows first and completes them last. Whatever is still RUNNING when Dagster calls the run failed or
cancelled was never completed, and is told as such: no row says RUNNING for ever.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import dagster as dg

from platform_assets.assets.history import merge_rows
from platform_assets.engine.names import physical
from platform_assets.engine.schema.model import FieldType, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Warehouse
from platform_assets.resources.adapter import AdapterResource

ENDED = {dg.DagsterRunStatus.FAILURE: "FAILED", dg.DagsterRunStatus.CANCELED: "CANCELLED"}
STILL_RUNNING = (
    "SELECT * FROM `{dataset}`.`{table}` WHERE pipeline_logging_id = @run_id AND status = 'RUNNING'"
)


def dead_run_sensors(runs_table: TableSpec, tenants: Sequence[str]) -> list[dg.SensorDefinition]:
    """One sensor per way a run can end without having said so."""
    return [_sensor(status, runs_table, tenants) for status in ENDED]


def _sensor(
    status: dg.DagsterRunStatus, runs_table: TableSpec, tenants: Sequence[str]
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=f"complete_{ENDED[status].lower()}_runs",
        description="Completes the pipeline_runs rows of runs that died before they could.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def sensor(context: dg.RunStatusSensorContext, warehouse: AdapterResource) -> None:
        run = context.dagster_run
        error = context.dagster_event.message or "the run ended without completing its history"
        for tenant in _tenants(run.tags, tenants):
            completed = complete_rows(
                warehouse.adapter(), tenant, runs_table, run.run_id, ENDED[status], error, datetime.now(UTC)
            )
            if completed:
                context.log.info(f"{tenant}: {completed} row(s) of {run.run_id} completed as {ENDED[status]}")

    return sensor


def complete_rows(
    warehouse: Warehouse,
    tenant: str,
    runs_table: TableSpec,
    run_id: str,
    status: str,
    error: str,
    now: datetime,
) -> int:
    """Give a dead run's RUNNING rows their end. Returns how many there were; repeating it finds none."""
    if warehouse.describe(tenant, runs_table.name) is None:
        return 0
    name = physical(tenant, runs_table.name)
    query = BoundSql(
        STILL_RUNNING.format(dataset=name.dataset, table=name.table), {"run_id": (FieldType.STRING, run_id)}
    )
    rows = warehouse.query(tenant, query).to_pylist()
    for row in rows:
        milliseconds = round((now - row["start_time"]).total_seconds() * 1000)
        row |= {"status": status, "end_time": now, "duration_ms": milliseconds, "error_message": error}
    merge_rows(warehouse, tenant, runs_table, rows, f"dead{run_id}")
    return len(rows)


def _tenants(tags: Mapping[str, str], known: Sequence[str]) -> list[str]:
    """The run's tenant, or everybody where its tags do not name one."""
    tenant = tags.get("tenant") or tags.get("dagster/partition/tenant")
    return [tenant] if tenant and tenant in known else list(known)
