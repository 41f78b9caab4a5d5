"""A bench for pipeline folders: the reviewed configuration, a real DuckDB warehouse, one step at a time.

Rows go the way they go in a run: staged, audited with the table's own suite, published. What a run adds around it
(partitions, outcomes, history) is not here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from platform_assets.assets.staging import stamped
from platform_assets.config import load
from platform_assets.engine.costs.functions import Slot, compute
from platform_assets.engine.ingestion.pull import StandardValues
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.pipelines import Configuration, ResolvedStep
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import FieldType, Scalar, Slice, TableSpec
from platform_assets.engine.sql.binding import bind, bind_query
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import SliceWrite
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse

CONFIGS = Path(__file__).parents[2] / "configs"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = "11111111-2222-3333-4444-555555555555"
TENANT = TenantSpec(tenant="acme1281", display_name="Acme", fiscal_year_start_month=4)


@cache
def configuration() -> Configuration:
    """The reviewed configuration, read once."""
    return load(CONFIGS, deployment="local", environment={}, today=NOW.date())


def step(pipeline: str, name: str) -> ResolvedStep:
    return next(s for s in configuration().pipelines[pipeline].steps if s.spec.step_id == name)


class Bench:
    """One tenant's warehouse below a folder."""

    def __init__(self, folder: Path, tenant: TenantSpec = TENANT) -> None:
        self.warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder), clock=lambda: NOW)
        self.tenant = tenant

    # --- writing ---

    def standard(self, pipeline: str, day: date, credential: str = "default") -> StandardValues:
        return StandardValues(day, NOW, RUN, self.tenant.tenant, pipeline, credential)

    def land(
        self,
        pipeline: str,
        name: str,
        day: date,
        data: Sequence[Mapping[str, Any]] | Iterator[pa.RecordBatch],
        credential: str = "default",
    ) -> list[CheckOutcome]:
        """Publish an ingest step's slice from rows (column → value) or from batches; returns its checks."""
        resolved = step(pipeline, name)
        if isinstance(data, Sequence):
            constants = self.standard(pipeline, day, credential).columns()
            rows = [{**row, **constants} for row in data]
            batches: Any = [pa.RecordBatch.from_pylist(rows, schema=arrow_schema(resolved.table.schema))]
        else:
            batches = data
        equals = self._slice(resolved, day, pipeline, credential)
        return self._publish(resolved.table, equals, lambda staging: self._load(staging, batches))

    def transform(self, pipeline: str, name: str, day: date) -> list[CheckOutcome]:
        """Publish a transform's slice. A month's slice is named by its first day."""
        resolved = step(pipeline, name)
        assert resolved.transform is not None
        values = self.parameters(day, pipeline)
        query = bind(
            resolved.transform, self.tenant.tenant, {n: values[n] for n in resolved.transform.parameters}
        )
        rows = stamped(query, {n: (kind, v) for n, (kind, v) in self._stamps(pipeline, day).items()})
        equals = self._slice(resolved, day, pipeline, None)
        tenant = self.tenant.tenant
        return self._publish(
            resolved.table, equals, lambda staging: self.warehouse.insert_select(tenant, staging, rows)
        )

    def compute(self, pipeline: str, name: str, day: date) -> list[CheckOutcome]:
        """Publish a computation's slice."""
        resolved = step(pipeline, name)
        values = self.parameters(day, pipeline)
        inputs = {
            key: self.warehouse.query(
                self.tenant.tenant, bind(q, self.tenant.tenant, {n: values[n] for n in q.parameters})
            )
            for key, q in resolved.inputs.items()
        }
        constants = {n: v for n, (_, v) in self._stamps(pipeline, day).items()}
        batch = compute(
            resolved.spec.function, inputs, Slot(self.tenant, day), resolved.table.schema, constants
        )
        equals = self._slice(resolved, day, pipeline, None)
        return self._publish(resolved.table, equals, lambda staging: self._load(staging, [batch]))

    def parameters(self, day: date, pipeline: str) -> dict[str, tuple[FieldType, Scalar]]:
        month_start = day.replace(day=1)
        month_end = (month_start + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        return {
            "run_date": (FieldType.DATE, day),
            "next_date": (FieldType.DATE, day + timedelta(days=1)),
            "month_start": (FieldType.DATE, month_start),
            "month_end": (FieldType.DATE, month_end),
            "tenant": (FieldType.STRING, self.tenant.tenant),
            "pipeline": (FieldType.STRING, pipeline),
            "fiscal_year_start_month": (FieldType.INT64, self.tenant.fiscal_year_start_month),
        }

    def _stamps(self, pipeline: str, day: date) -> dict[str, tuple[FieldType, Scalar]]:
        return {
            "x_tenant": (FieldType.STRING, self.tenant.tenant),
            "x_pipeline": (FieldType.STRING, pipeline),
            "x_run_date": (FieldType.DATE, day),
            "pipeline_logging_id": (FieldType.STRING, RUN),
            "ingestion_timestamp": (FieldType.TIMESTAMP, NOW),
        }

    def _load(self, staging: TableName, batches: Any) -> int:
        return self.warehouse.load(self.tenant.tenant, staging, batches)

    def _slice(self, resolved: ResolvedStep, day: date, pipeline: str, credential: str | None) -> Slice:
        partitioning = resolved.table.partitioning
        assert partitioning is not None
        equals: list[tuple[str, Scalar]] = [(partitioning.column, day), ("x_pipeline", pipeline)]
        return Slice((*equals, ("x_credential", credential)) if credential else tuple(equals))

    def _publish(self, table: TableSpec, slice_: Slice, fill: Any) -> list[CheckOutcome]:
        tenant = self.tenant.tenant
        self.warehouse.ensure_table(tenant, table)
        staging = self.warehouse.create_staging(tenant, table, "bench")
        try:
            fill(staging)
            checks = self._audit(table, staging)
            self.warehouse.publish(tenant, SliceWrite(table, staging, "replace", slice_))
        finally:
            self.warehouse.drop(tenant, staging)
        return checks

    def _audit(self, table: TableSpec, staging: TableName) -> list[CheckOutcome]:
        owner = next(
            s
            for p in configuration().pipelines.values()
            for s in p.steps
            if s.table.name == table.name and s.spec.destination is not None
        )
        if not owner.suite:
            return []
        plan = compile_audit(owner.suite, table.schema, physical(self.tenant.tenant, staging))
        [row] = self.warehouse.query(self.tenant.tenant, plan.query).to_pylist()
        return list(judge(plan, row))

    # --- reading ---

    def rows(self, sql: str, **parameters: tuple[FieldType, Scalar]) -> list[dict[str, Any]]:
        """A BigQuery query over logical tables."""
        query = bind_query(sql, self.tenant.tenant, parameters)
        result: list[dict[str, Any]] = self.warehouse.query(self.tenant.tenant, query).to_pylist()
        return result

    def value(self, sql: str) -> Any:
        [row] = self.rows(sql)
        [value] = row.values()
        return value


def failed(checks: Sequence[CheckOutcome], severity: str = "critical") -> list[str]:
    """The types of failed checks of one severity, with their columns."""
    return [f"{c.type}:{c.column}" for c in checks if not c.success and c.severity == severity]


def money(text: str) -> Decimal:
    return Decimal(text)
