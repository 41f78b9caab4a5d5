"""Writes the history of runs that cannot do it themselves: waiting, killed, out of time, cancelled or refused.

A run writes RUNNING rows first and completes them last. One that still waits in the queue has PENDING rows. Whatever is
PENDING or RUNNING when Dagster calls the run failed or cancelled was never completed, and is told as such, also where
the run died before it had written any row. A run that the queue refused is told as BLOCKED, with the code.
"""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.history import merge_rows
from platform_assets.assets.keys import SliceKey, table_key
from platform_assets.assets.patience import looked_at_again
from platform_assets.assets.run_facts import Row, RunFacts, in_utc, milliseconds
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.schema.model import FieldType, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline
from platform_assets.ports import Warehouse
from platform_assets.resources.adapter import AdapterResource

ENDED = {dg.DagsterRunStatus.FAILURE: "FAILED", dg.DagsterRunStatus.CANCELED: "CANCELLED"}
REFUSED_TAG = "platform/refused"  # set by the run queue (instance/run_coordinator.py)
OUT_OF_TIME = "exceeding maximum runtime"  # what Dagster's run monitoring says before it ends a run
OF_RUN = "SELECT * FROM `{dataset}`.`{table}` WHERE pipeline_logging_id = @run_id"
UNFINISHED = ("PENDING", "RUNNING")
AT_ONCE = 16


def dead_run_sensors(
    tables: Mapping[str, TableSpec],
    nodes: Sequence[Node],
    tenants: Mapping[str, TenantSpec],
    config_version: str,
) -> list[dg.SensorDefinition]:
    """One sensor per way a run can end without having said so, and one for runs that wait. ``tables``: the metadata
    tables by name."""
    return [
        _waiting_sensor(tables, nodes, tenants, config_version),
        *(_sensor(status, tables, nodes, tenants, config_version) for status in ENDED),
    ]


def _waiting_sensor(
    tables: Mapping[str, TableSpec],
    nodes: Sequence[Node],
    tenants: Mapping[str, TenantSpec],
    config_version: str,
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus.QUEUED,
        name="record_queued_runs",
        description="Writes PENDING rows into pipeline_runs for runs that wait in the queue.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def sensor(context: dg.RunStatusSensorContext, warehouse: AdapterResource) -> None:
        record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
        if record is None or not _waits(record):
            return  # it has begun since, and speaks for itself
        of = of_run(record.dagster_run, nodes)
        facts = _facts(record.dagster_run, of, config_version, record.create_timestamp)
        with looked_at_again(record), ThreadPoolExecutor(AT_ONCE, thread_name_prefix="queued") as pool:
            waiting = rows_of_run(facts, of, tenants, "PENDING")
            list(
                pool.map(
                    lambda rows: write_waiting(warehouse.adapter(), tables, facts, rows), waiting.values()
                )
            )

    return sensor


def _facts(run: dg.DagsterRun, of: Sequence[Node], config_version: str, created: datetime) -> RunFacts:
    tables = tuple(str(node.table) for node in of)
    return RunFacts(run.run_id, run.tags, config_version, in_utc(created), tables)


def _waits(record: dg.RunRecord) -> bool:
    return record.dagster_run.status in (dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED)


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
        run = context.dagster_run
        at = datetime.fromtimestamp(record.end_time, UTC) if record and record.end_time else datetime.now(UTC)
        error = context.dagster_event.message or "the run ended without completing its history"
        of = of_run(run, nodes)
        facts = _facts(run, of, config_version, record.create_timestamp if record else at)
        if REFUSED_TAG in run.tags:
            for tenant, rows in refused_rows(facts, of, tenants, error).items():
                write_refused(warehouse, tables, tenant, facts, rows, error)
            return
        ended = "TIMEOUT" if out_of_time(context.instance, run.run_id) else ENDED[status]
        expected = rows_of_run(facts, of, tenants, "PENDING")
        for tenant in _tenants(run.tags, tenants):
            rows = expected.get(tenant, ())
            completed = complete_rows(warehouse, tables, tenant, facts, ended, error, at, rows)
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
    at: datetime,
    expected: Sequence[Row] = (),
) -> int:
    """Give a dead run's unfinished rows their end. ``expected``: its rows where it died before it wrote any. Returns
    how many there were; repeating it finds none."""
    there = _there(warehouse, tables["pipeline_runs"], tenant, facts.run_id)
    if not any(row["worker_instance"] for row in there):
        known = {(row["pipeline_id"], row["run_date"]) for row in there}
        there += [row for row in expected if (row["pipeline_id"], row["run_date"]) not in known]
    rows = [row for row in there if row["status"] in UNFINISHED]
    if not rows:
        return 0
    moved = []
    for row in rows:
        before, since = row["status"], row["start_time"]
        elapsed = milliseconds(since, at) if before == "RUNNING" else 0
        row |= {"status": status, "end_time": at, "duration_ms": elapsed, "error_message": error}
        moved.append(facts.moved({**row, "error_context": None}, before, since, at))
    token = f"dead{facts.run_id}"
    # The rows that say RUNNING come last: a sensor that dies here finds them again.
    merge_rows(warehouse, tenant, tables["state_transitions"], moved, token)
    action = facts.audited(tenant, f"run.{status.lower()}", at, error)
    merge_rows(warehouse, tenant, tables["audit_logs"], [action], token)
    merge_rows(warehouse, tenant, tables["pipeline_runs"], rows, token)
    return len(rows)


def _there(warehouse: Warehouse, runs: TableSpec, tenant: str, run_id: str) -> list[Row]:
    if warehouse.describe(tenant, runs.name) is None:
        return []
    name = physical(tenant, runs.name)
    sql = OF_RUN.format(dataset=name.dataset, table=name.table)
    found: list[Row] = warehouse.query(
        tenant, BoundSql(sql, {"run_id": (FieldType.STRING, run_id)})
    ).to_pylist()
    return found


def rows_of_run(
    facts: RunFacts, nodes: Sequence[Node], tenants: Mapping[str, TenantSpec], status: str
) -> dict[str, list[Row]]:
    """Tenant → a row of ``pipeline_runs`` for every pipeline and slice that a run is for, nobody having begun on it."""
    found: dict[str, list[Row]] = {}
    pipelines = {w.pipeline_id: node.pipelines[w.pipeline_id] for node in nodes for w in node.writers}
    for key in slices_of(facts.tags, sorted(tenants)):
        for pipeline_id, pipeline in sorted(pipelines.items()):
            if runs_pipeline(tenants[key.tenant], pipeline):
                row = facts.run(key.tenant, pipeline_id, key.day, status, facts.created)
                found.setdefault(key.tenant, []).append(row | {"worker_instance": None})
    return found


def write_waiting(
    warehouse: Warehouse, tables: Mapping[str, TableSpec], facts: RunFacts, rows: Sequence[Row]
) -> None:
    """Tell one tenant's slices of a run that waits. What the run itself has written meanwhile stays."""
    merge_rows(
        warehouse, rows[0]["tenant_id"], tables["pipeline_runs"], rows, f"wait{facts.run_id}", "append"
    )


def refused_rows(
    facts: RunFacts, nodes: Sequence[Node], tenants: Mapping[str, TenantSpec], error: str
) -> dict[str, list[Row]]:
    """Tenant → a BLOCKED row of ``pipeline_runs`` for every pipeline and slice that the run would have had."""
    # A suspended tenant's pipelines are those that it would run.
    active = {name: spec.model_copy(update={"status": "active"}) for name, spec in tenants.items()}
    context = {"code": facts.tags[REFUSED_TAG]}
    end = {"end_time": facts.created, "duration_ms": 0, "error_message": error, "error_context": context}
    rows = rows_of_run(facts, nodes, active, "BLOCKED")
    return {tenant: [row | end for row in of_tenant] for tenant, of_tenant in rows.items()}


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


def of_run(run: dg.DagsterRun, nodes: Sequence[Node]) -> list[Node]:
    """The tables that a run is for: those chosen, else those of the pipeline that its job is named for, and what is
    downstream of them. ``nodes`` in the order of a run."""
    if run.asset_selection:
        return [node for node in nodes if table_key(node.table) in run.asset_selection]
    pipeline = run.tags.get("pipeline")
    found: dict[TableName, Node] = {}
    for node in nodes:
        if pipeline in {w.pipeline_id for w in node.writers} or not found.keys().isdisjoint(node.before):
            found[node.table] = node
    return list(found.values())


def _tenants(tags: Mapping[str, str], known: Mapping[str, TenantSpec]) -> list[str]:
    """The run's tenant, or everybody where its tags do not name one."""
    tenant = tags.get("tenant") or tags.get("dagster/partition/tenant")
    return [tenant] if tenant and tenant in known else sorted(known)
