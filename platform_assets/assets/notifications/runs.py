"""Which tenants a run concerns, and what its rows say of each: one small query per tenant."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from platform_assets.assets.keys import SliceKey
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets.engine.notifications.run_events import Run, RunRows, ended, started
from platform_assets.engine.notifications.tenant import PLATFORM
from platform_assets.engine.schema.model import FieldType, TableSpec
from platform_assets.ports import Warehouse

AT_ONCE = 16
RANGE = ("dagster/asset_partition_range_start", "dagster/asset_partition_range_end")
_ROWS = """
SELECT 'run' AS kind, pipeline_id, run_date, status, CAST(NULL AS STRING) AS name, CAST(NULL AS STRING) AS severity,
  CAST(NULL AS STRING) AS target_table, CAST(NULL AS STRING) AS error_type, error_message,
  worker_instance
FROM metadata.pipeline_runs WHERE pipeline_logging_id = @run_id
UNION ALL
SELECT 'step', pipeline_id, run_date, status, step_name, NULL, target_table, error_type, error_message, NULL
FROM metadata.step_logs WHERE pipeline_logging_id = @run_id AND status = 'FAILED'
UNION ALL
SELECT 'check', pipeline_id, run_date, NULL, expectation_id, severity, target_table, NULL, error_message, NULL
FROM metadata.dq_results
WHERE pipeline_logging_id = @run_id AND severity <> 'info' AND (success IS NULL OR NOT success)
ORDER BY kind, pipeline_id, run_date, name
"""
_READS = ("pipeline_runs", "step_logs", "dq_results")


def tenants_of(tags: Mapping[str, str], known: Sequence[str]) -> list[str]:
    """The run's tenants by its tags: one, or those of a range; ``PLATFORM`` where it belongs to none."""
    tenant = tags.get("tenant") or tags.get("dagster/partition/tenant")
    if tenant:
        return [tenant] if tenant in known else [PLATFORM]
    first, last = (tags.get(tag) for tag in RANGE)
    if first and last and "|" in first and "|" in last:
        low, high = SliceKey.parse(first).tenant, SliceKey.parse(last).tenant
        return [name for name in sorted(known) if low <= name <= high] or [PLATFORM]
    return [PLATFORM]


def occurrences(
    warehouse: Warehouse, tables: Mapping[str, TableSpec], run: Run, tenants: Sequence[str]
) -> Iterator[Occurrence]:
    """Everything that the run has to say, tenant by tenant; tenants are read at the same time."""
    if run.status == "STARTED":
        yield from (started(run, tenant) for tenant in tenants)
        return
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="runs") as pool:
        rows = pool.map(lambda tenant: _rows(warehouse, tables, run, tenant), tenants)
        for tenant, found in zip(tenants, rows, strict=True):
            yield from ended(run, tenant, found)


def _rows(warehouse: Warehouse, tables: Mapping[str, TableSpec], run: Run, tenant: str) -> RunRows:
    from platform_assets.engine.sql.binding import bind_query

    if tenant == PLATFORM or warehouse.describe(tenant, tables["pipeline_runs"].name) is None:
        return RunRows()
    _make(warehouse, tenant, tuple(tables[name] for name in _READS))
    query = bind_query(_ROWS, tenant, {"run_id": (FieldType.STRING, run.run_id)}, name="rows of a run")
    found = warehouse.query(tenant, query).to_pylist()
    return RunRows(
        runs=[row for row in found if row["kind"] == "run"],
        steps=[row | {"step_name": row["name"]} for row in found if row["kind"] == "step"],
        checks=[row | {"expectation_id": row["name"]} for row in found if row["kind"] == "check"],
    )


@cache
def _make(warehouse: Warehouse, tenant: str, specs: tuple[TableSpec, ...]) -> None:
    """The tables that are read, once per process: a run that died early has not made them all."""
    for spec in specs:
        warehouse.ensure_table(tenant, spec)
