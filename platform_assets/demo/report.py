"""What the demo prints, read back from the warehouse as any user would."""

from collections.abc import Iterator, Mapping
from hashlib import sha256
from typing import Any

import dagster as dg
from rich.console import Console
from rich.table import Table

from platform_assets.definitions import configuration, defs, nodes
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Warehouse

SPEND = """
SELECT BillingCurrency AS currency, ProviderName AS provider, ServiceName AS service,
       COUNT(*) AS charges, SUM(BilledCost) AS spend
FROM {focus_costs} GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
"""
CHECKS = """
SELECT target_table, expectation_id, severity, success IS TRUE AS passed, COUNT(*) AS results
FROM {dq_results} WHERE pipeline_logging_id = @run_id GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4
"""
EVERYTHING = "SELECT * FROM {table}"
# What every run writes anew; everything else must be the same after a second run.
PER_RUN = frozenset({"ingestion_timestamp", "pipeline_logging_id"})
Snapshot = Mapping[tuple[str, str], tuple[int, str]]  # (tenant, table) → rows, content hash


def _warehouse() -> Warehouse:
    warehouse: Warehouse = defs.resources["warehouse"].adapter()
    return warehouse


def snapshot() -> Snapshot:
    """Rows and a hash of the content of every table of every tenant that exists."""
    return {
        (tenant, str(node.table)): _content(tenant, node.table)
        for tenant in sorted(configuration.tenants)
        for node in nodes
        if _warehouse().describe(tenant, node.table) is not None
    }


def _content(tenant: str, table: TableName) -> tuple[int, str]:
    rows = _rows(tenant, EVERYTHING.format(table=_quoted(tenant, table)))
    lines = sorted(repr(sorted((k, str(v)) for k, v in row.items() if k not in PER_RUN)) for row in rows)
    return len(rows), sha256("\n".join(lines).encode()).hexdigest()[:12]


def _rows(tenant: str, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = _warehouse().query(tenant, BoundSql(sql)).to_pylist()
    return rows


def _quoted(tenant: str, table: TableName) -> str:
    name = physical(tenant, table)
    return f"`{name.dataset}`.`{name.table}`"


def print_report(run: dg.ExecuteInProcessResult, before: Snapshot, after: Snapshot) -> None:
    """The tables' rows, spend per tenant and service, checks, and where everything is."""
    console = Console()
    console.print(_tables(after))
    console.print(_spend())
    for line in _checks(run.run_id):
        console.print(line, soft_wrap=True)
    console.print(f"run        {run.run_id}: {'success' if run.success else 'FAILED'}")
    if before:
        changed = [
            f"{tenant} {table}"
            for (tenant, table) in after
            if before.get((tenant, table)) != after[tenant, table]
        ]
        console.print(
            f"changed    {', '.join(changed) or 'nothing: the same slices were replaced by the same rows'}"
        )
    warehouse = configuration.deployment.ports.warehouse
    console.print(f"warehouse  {warehouse.kind} {dict(warehouse.settings)}")
    console.print("UI         make dev, then http://127.0.0.1:3000")


def _checks(run_id: str) -> Iterator[str]:
    """How many of this run's checks passed, and each that did not."""
    found = [row for tenant in sorted(configuration.tenants) for row in _results(tenant, run_id)]
    passed = sum(row["results"] for row in found if row["passed"])
    failed = [row for row in found if not row["passed"]]
    yield f"checks     {passed} passed, {sum(row['results'] for row in failed)} failed  (metadata.dq_results)"
    for row in failed:
        what = f"{row['severity']}: {row['expectation_id']} of {row['target_table']}"
        yield f"           {row['tenant']}: {what}, {row['results']} times"


def _results(tenant: str, run_id: str) -> Iterator[dict[str, Any]]:
    sql = CHECKS.format(dq_results=_quoted(tenant, TableName("metadata", "dq_results")))
    bound = BoundSql(sql, {"run_id": (FieldType.STRING, run_id)})
    return ({"tenant": tenant, **row} for row in _warehouse().query(tenant, bound).to_pylist())


def _tables(after: Snapshot) -> Table:
    shown = Table(title="Tables", title_justify="left")
    for column in ("tenant", "table", "rows", "content"):
        shown.add_column(column, justify="right" if column == "rows" else "left")
    for (tenant, table), (rows, content) in sorted(after.items()):
        shown.add_row(tenant, table, str(rows), content)
    return shown


def _spend() -> Table:
    shown = Table(title="Spend", title_justify="left")
    for column in ("tenant", "provider", "service", "charges", "billed"):
        shown.add_column(column, justify="right" if column in ("charges", "billed") else "left")
    for tenant in sorted(configuration.tenants):
        table = TableName("silver_cost", "focus_costs")
        for row in _rows(tenant, SPEND.format(focus_costs=_quoted(tenant, table))):
            billed = f"{row['spend']:,.6f} {row['currency']}"
            shown.add_row(tenant, row["provider"], row["service"], str(row["charges"]), billed)
    return shown
