"""Completes the history of runs that could not do it themselves: killed, out of time, cancelled or refused.

A run writes RUNNING rows first and completes them last. Whatever is still RUNNING when Dagster calls the run failed or
cancelled was never completed, and is told as such: no row says RUNNING for ever. A run that the queue refused never
wrote any row: its slices are told as BLOCKED, with the code.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.history import merge_rows
from platform_assets.assets.keys import SliceKey, table_key
from platform_assets.assets.patience import looked_at_again
from platform_assets.assets.run_facts import Row, RunFacts, milliseconds
from platform_assets.engine.names import physical
from platform_assets.engine.schema.model import FieldType, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline
from platform_assets.ports import Warehouse
from platform_assets.resources.adapter import AdapterResource

ENDED = {dg.DagsterRunStatus.FAILURE: "FAILED", dg.DagsterRunStatus.CANCELED: "CANCELLED"}
REFUSED_TAG = "platform/refused"  # set by the run queue (instance/run_coordinator.py)
OUT_OF_TIME = "exceeding maximum runtime"  # what Dagster's run monitoring says before it ends a run
STILL_RUNNING = (
    "SELECT * FROM `{dataset}`.`{table}` WHERE pipeline_logging_id = @run_id AND status = 'RUNNING'"
)


def dead_run_sensors(
    tables: Mapping[str, TableSpec],
    nodes: Sequence[Node],
    tenants: Mapping[str, TenantSpec],
    config_version: str,
) -> list[dg.SensorDefinition]:
    """One sensor per way a run can end without having said so. ``tables``: the metadata tables by name."""
    return [_sensor(status, tables, nodes, tenants, config_version) for status in ENDED]


def _sensor(
    status: dg.DagsterRunStatus,
    tables: Mapping[str, TableSpec],
    nodes: Sequence[Node],
    tenants: Mapping[str, TenantSpec],
    config_version: str,
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=status,
        name=f"complete_{ENDED[status].lower()}_runs",
        description="Completes the pipeline_runs rows of runs that died before they could, or were refused.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def sensor(context: dg.RunStatusSensorContext, warehouse: AdapterResource) -> None:
        record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
        with looked_at_again(record):
            _complete(context, record, warehouse.adapter())

    def _complete(
        context: dg.RunStatusSensorContext, record: dg.RunRecord | None, warehouse: Warehouse
    ) -> None:
        run, now = context.dagster_run, datetime.now(UTC)
        error = context.dagster_event.message or "the run ended without completing its history"
        created = record.create_timestamp.replace(tzinfo=UTC) if record else now
        facts = RunFacts(run.run_id, run.tags, config_version, created)
        if REFUSED_TAG in run.tags:
            for tenant, rows in refused_rows(facts, _of_run(run, nodes), tenants, error).items():
                write_refused(warehouse, tables, tenant, facts, rows, error)
            return
        ended = "TIMEOUT" if out_of_time(context.instance, run.run_id) else ENDED[status]
        for tenant in _tenants(run.tags, tenants):
            completed = complete_rows(warehouse, tables, tenant, facts, ended, error, now)
            if completed:
                context.log.info(f"{tenant}: {completed} row(s) of {run.run_id} completed as {ended}")

    return sensor


def out_of_time(instance: dg.DagsterInstance, run_id: str) -> bool:
    """Whether a run was ended for its time limit. How it ended does not tell: the process that is interrupted says
    "cancelled" and the monitoring that interrupts it "failed", in either order."""
    asked = instance.get_records_for_run(run_id, of_type=dg.DagsterEventType.RUN_CANCELING).records
    return any(OUT_OF_TIME in record.event_log_entry.message for record in asked)


def complete_rows(
    warehouse: Warehouse,
    tables: Mapping[str, TableSpec],
    tenant: str,
    facts: RunFacts,
    status: str,
    error: str,
    now: datetime,
) -> int:
    """Give a dead run's RUNNING rows their end. Returns how many there were; repeating it finds none."""
    runs = tables["pipeline_runs"]
    if warehouse.describe(tenant, runs.name) is None:
        return 0
    name = physical(tenant, runs.name)
    query = BoundSql(
        STILL_RUNNING.format(dataset=name.dataset, table=name.table),
        {"run_id": (FieldType.STRING, facts.run_id)},
    )
    rows = warehouse.query(tenant, query).to_pylist()
    if not rows:
        return 0
    for row in rows:
        elapsed = milliseconds(row["start_time"], now)
        row |= {"status": status, "end_time": now, "duration_ms": elapsed, "error_message": error}
    moved = [facts.moved({**row, "error_context": None}, "RUNNING", row["start_time"], now) for row in rows]
    token = f"dead{facts.run_id}"
    # The rows that say RUNNING come last: a sensor that dies here finds them again.
    merge_rows(warehouse, tenant, tables["state_transitions"], moved, token)
    action = facts.audited(tenant, f"run.{status.lower()}", now, error)
    merge_rows(warehouse, tenant, tables["audit_logs"], [action], token)
    merge_rows(warehouse, tenant, runs, rows, token)
    return len(rows)


def refused_rows(
    facts: RunFacts, nodes: Sequence[Node], tenants: Mapping[str, TenantSpec], error: str
) -> dict[str, list[Row]]:
    """Tenant → a BLOCKED row of ``pipeline_runs`` for every pipeline and slice that the run would have had."""
    found: dict[str, list[Row]] = {}
    pipelines = {w.pipeline_id: node.pipelines[w.pipeline_id] for node in nodes for w in node.writers}
    for key in slices_of(facts.tags, sorted(tenants)):
        for pipeline_id, pipeline in sorted(pipelines.items()):
            # A suspended tenant's pipelines are those that it would run.
            if runs_pipeline(tenants[key.tenant].model_copy(update={"status": "active"}), pipeline):
                row = facts.run(key.tenant, pipeline_id, key.day, "BLOCKED", facts.created)
                context = {"code": facts.tags[REFUSED_TAG]}
                row |= {"end_time": facts.created, "duration_ms": 0, "error_message": error}
                found.setdefault(key.tenant, []).append(row | {"error_context": context})
    return found


def write_refused(
    warehouse: Warehouse,
    tables: Mapping[str, TableSpec],
    tenant: str,
    facts: RunFacts,
    rows: Sequence[Row],
    error: str,
) -> None:
    """Tell a refused run's slices of one tenant; repeating it changes nothing."""
    token = f"refused{facts.run_id}"
    moved = [facts.moved(row, "PENDING", facts.created, facts.created) for row in rows]
    action = facts.audited(tenant, "run.refused", facts.created, error, code=facts.tags[REFUSED_TAG])
    for table, facts_of in (
        ("pipeline_runs", rows),
        ("state_transitions", moved),
        ("audit_logs", [action]),
    ):
        merge_rows(warehouse, tenant, tables[table], facts_of, token)


def slices_of(tags: Mapping[str, str], tenants: Sequence[str]) -> Iterator[SliceKey]:
    """The slices that a run's partition tags name, of the tenants that there are."""
    single = tags.get("dagster/partition", "")
    ends = (
        [single, single]
        if single
        else [tags.get(f"dagster/asset_partition_range_{e}", "") for e in ("start", "end")]
    )
    if not all("|" in end for end in ends):
        return
    first, last = (SliceKey.parse(end) for end in ends)
    for tenant in tenants:
        if first.tenant <= tenant <= last.tenant:
            for number in range((last.day - first.day).days + 1):
                yield SliceKey(first.day + timedelta(days=number), tenant)


def _of_run(run: dg.DagsterRun, nodes: Sequence[Node]) -> list[Node]:
    """The tables that a run was for: those chosen, else those of the pipeline that its job is named for."""
    if run.asset_selection:
        return [node for node in nodes if table_key(node.table) in run.asset_selection]
    pipeline = run.tags.get("pipeline")
    return [node for node in nodes if pipeline in {w.pipeline_id for w in node.writers}]


def _tenants(tags: Mapping[str, str], known: Mapping[str, TenantSpec]) -> list[str]:
    """The run's tenant, or everybody where its tags do not name one."""
    tenant = tags.get("tenant") or tags.get("dagster/partition/tenant")
    return [tenant] if tenant and tenant in known else sorted(known)
