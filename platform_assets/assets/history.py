"""The run history in each tenant's own ``metadata`` dataset: pipeline_runs, step_logs, state_transitions, dq_results,
audit_logs.

One row per fact. A run's rows are written RUNNING before its first slice and completed after its last, step and
quality rows every few seconds; so a run that dies leaves what it did, and a status sensor completes the rest.
All writes merge by key: writing a fact twice leaves it once.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from platform_assets.assets.graph import Node
from platform_assets.assets.keys import SliceKey
from platform_assets.assets.outcomes import PartOutcome, SliceOutcome, Status
from platform_assets.assets.run_facts import KEYS, Row, RunFacts, milliseconds
from platform_assets.assets.slice_runner import RunContext
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.results import crashed, dq_results_row
from platform_assets.engine.schema.model import FieldType, Slice, TableSchema, TableSpec
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline
from platform_assets.ports import SliceWrite, Warehouse

FLUSH_SECONDS = 5.0


class RunHistory:
    """Writes one Dagster run's facts. ``pipeline_logging_id`` is the Dagster run id."""

    def __init__(
        self,
        warehouse: Warehouse,
        tables: Mapping[str, TableSpec],
        run: RunContext,
        facts: RunFacts,
    ) -> None:
        self._warehouse = warehouse
        self._tables = tables
        self._run = run
        self._facts = facts
        self._started = self._flushed = run.now()
        self._runs: dict[tuple[str, str, SliceKey], Row] = {}
        self._rows: dict[tuple[str, str], list[Row]] = defaultdict(list)
        self._worst: dict[tuple[str, str, SliceKey], tuple[SliceOutcome, PartOutcome]] = {}
        self._steps: dict[tuple[str, str, SliceKey], list[Row]] = defaultdict(list)
        self._order: dict[tuple[str, str], int] = {}

    def __enter__(self) -> "RunHistory":
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Completes the run rows; of a run that was interrupted only what it did is written, and a sensor does the
        rest when Dagster knows how the run ended."""
        if kind is None:
            self.end()
        else:
            self.flush()

    def begin(
        self, nodes: Sequence[Node], keys: Sequence[SliceKey], tenants: Mapping[str, TenantSpec]
    ) -> None:
        """One RUNNING row per pipeline and slice."""
        for node in nodes:
            for pipeline_id in {w.pipeline_id for w in node.writers}:
                steps = enumerate(node.pipelines[pipeline_id].steps)
                self._order |= {(pipeline_id, step.spec.step_id): index for index, step in steps}
        for key in keys:
            for pipeline_id in sorted({w.pipeline_id for node in nodes for w in node.writers}):
                pipeline = next(n.pipelines[pipeline_id] for n in nodes if pipeline_id in n.pipelines)
                if runs_pipeline(tenants[key.tenant], pipeline):
                    row = self._facts.run(key.tenant, pipeline_id, key.day, "RUNNING", self._started)
                    self._runs[key.tenant, pipeline_id, key] = row
        for tenant in sorted({tenant for tenant, _, _ in self._runs}):
            days = sorted({key.day for name, _, key in self._runs if name == tenant})
            details = {
                "first_day": str(days[0]),
                "last_day": str(days[-1]),
                "assets": list(self._facts.assets),
            }
            action = self._facts.audited(tenant, "run.started", self._started, **details)
            self._rows[tenant, "audit_logs"].append(action)
        self._moved("PENDING", self._facts.created, self._started)
        self._write_runs()
        self.flush()

    def record(self, outcome: SliceOutcome, suite: Sequence[Expectation]) -> None:
        """One step row per writer, one quality row per expectation and writer; written every few seconds."""
        tenant = outcome.key.tenant
        for part in outcome.parts:
            step = self._step_row(outcome, part)
            self._rows[tenant, "step_logs"].append(step)
            self._rows[tenant, "state_transitions"].append(self._facts.step_moved(step))
            self._steps[tenant, part.pipeline_id, outcome.key].append(step)
            self._rows[tenant, "dq_results"] += self._quality_rows(outcome, part, suite)
            self._note(outcome, part)
        if (self._run.now() - self._flushed).total_seconds() >= FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write what was recorded since the last time."""
        self._flushed = self._run.now()
        for (tenant, table), rows in sorted(self._rows.items()):
            self._merge(tenant, table, rows)
        self._rows.clear()

    def end(self) -> None:
        """Complete the run rows with what became of each pipeline's slices."""
        now = self._run.now()
        for key, row in self._runs.items():
            row |= {
                "end_time": now,
                "duration_ms": milliseconds(self._started, now),
                "run_metadata": {"steps": [_step_summary(step) for step in self._steps[key]]},
                **_verdict(*self._worst.get(key, (None, None))),
            }
        self._moved("RUNNING", self._started, now)
        self.flush()
        self._write_runs()

    def _moved(self, before: str, since: datetime, at: datetime) -> None:
        for (tenant, _, _), row in self._runs.items():
            self._rows[tenant, "state_transitions"].append(self._facts.moved(row, before, since, at))

    def _note(self, outcome: SliceOutcome, part: PartOutcome) -> None:
        key = (outcome.key.tenant, part.pipeline_id, outcome.key)
        current = self._worst.get(key)
        order = (Status.SKIPPED, Status.PUBLISHED, Status.BLOCKED, Status.FAILED)
        if current is None or order.index(part.status) > order.index(current[1].status):
            self._worst[key] = outcome, part

    def _write_runs(self) -> None:
        by_tenant: dict[str, list[Row]] = defaultdict(list)
        for (tenant, _, _), row in self._runs.items():
            by_tenant[tenant].append(row)
        for tenant, rows in sorted(by_tenant.items()):
            self._merge(tenant, "pipeline_runs", rows)

    def _step_row(self, outcome: SliceOutcome, part: PartOutcome) -> Row:
        return {
            "step_logging_id": self._fact(outcome, part),
            "pipeline_logging_id": self._run.run_id,
            "pipeline_id": part.pipeline_id,
            "tenant_id": outcome.key.tenant,
            "step_name": part.step_id,
            "step_type": part.step_type,
            "step_index": self._order.get((part.pipeline_id, part.step_id)),
            "credential_id": part.credential,
            "target_table": str(outcome.table),
            "run_date": outcome.key.day,
            "status": STEP_STATUS[part.status],
            "start_time": part.started,
            "end_time": part.ended,
            "duration_ms": milliseconds(part.started, part.ended),
            "rows_processed": part.rows_inserted,
            "error_message": part.error or None,
            "error_type": part.error_type or None,
            "user_id": self._facts.tags.get("user"),
            "metadata": {
                "rows_deleted": part.rows_deleted,
                "requests": part.pull.requests if part.pull else None,
                "rounded_money": part.pull.roundings.describe() or None if part.pull else None,
                "schema_changes": list(part.schema_changes),
            },
            "ingestion_date": self._started.date(),
        }

    def _quality_rows(
        self, outcome: SliceOutcome, part: PartOutcome, suite: Sequence[Expectation]
    ) -> list[Row]:
        """Also for a slice that never came to its audit: its checks say nothing, and why."""
        checks = part.audited.checks
        if not checks and part.status in (Status.FAILED, Status.BLOCKED):
            checks = crashed(suite, f"not audited: {part.error}")
        return [
            dq_results_row(
                check,
                fact=self._fact(outcome, part),
                tenant=outcome.key.tenant,
                pipeline_logging_id=self._run.run_id,
                pipeline_id=part.pipeline_id,
                credential_id=part.credential,
                target_table=str(outcome.table),
                run_date=outcome.key.day,
                executed_at=part.ended,
                ingestion_date=self._started.date(),
            )
            for check in checks
        ]

    def _fact(self, outcome: SliceOutcome, part: PartOutcome) -> str:
        parts = (
            self._run.run_id,
            outcome.table,
            outcome.key.day,
            part.pipeline_id,
            part.step_id,
            part.credential,
        )
        return ":".join(str(p or "-") for p in parts)

    def _merge(self, tenant: str, table: str, rows: Sequence[Row]) -> None:
        merge_rows(self._warehouse, tenant, self._tables[table], rows, self._run.run_id)


def merge_rows(
    warehouse: Warehouse,
    tenant: str,
    spec: TableSpec,
    rows: Sequence[Row],
    token: str,
    mode: Literal["merge", "append"] = "merge",
) -> None:
    """Write facts into a metadata table, by its key: a fact that is there already is completed, not doubled; with
    ``append`` it stays as it is."""
    if not rows:
        return
    warehouse.ensure_table(tenant, spec)
    staging = warehouse.create_staging(tenant, spec, token.replace("-", "")[:16])
    try:
        warehouse.load(tenant, staging, [_batch(spec.schema, rows)])
        warehouse.publish(tenant, SliceWrite(spec, staging, mode, Slice(()), KEYS[spec.name.table]))
    finally:
        warehouse.drop(tenant, staging)


STEP_STATUS = {
    Status.PUBLISHED: "COMPLETED",
    Status.SKIPPED: "SKIPPED",
    Status.BLOCKED: "SKIPPED",
    Status.FAILED: "FAILED",
}


def _batch(schema: TableSchema, rows: Sequence[Row]) -> Any:
    """Rows as one Arrow batch; JSON columns as text, columns that a row does not name as null."""
    import pyarrow as pa

    from platform_assets.engine.schema.arrow import arrow_schema

    texts = {field.name for field in schema.fields if field.type is FieldType.JSON}
    encoded = [
        {name: _json(row.get(name)) if name in texts else row.get(name) for name in schema.names}
        for row in rows
    ]
    return pa.RecordBatch.from_pylist(encoded, schema=arrow_schema(schema))


def _json(value: Any) -> str | None:
    return (
        value if value is None or isinstance(value, str) else json.dumps(value, default=str, sort_keys=True)
    )


def _step_summary(step: Row) -> Row:
    names = ("step_name", "target_table", "credential_id", "status", "duration_ms", "rows_processed")
    return {name: step[name] for name in names}


def _verdict(outcome: SliceOutcome | None, part: PartOutcome | None) -> Row:
    """A pipeline's end from the worst of its parts; nothing to do is a good end."""
    if outcome is None or part is None or part.status not in (Status.FAILED, Status.BLOCKED):
        return {"status": "COMPLETED", "error_message": None, "error_context": None}
    context = {"table": str(outcome.table), "step": part.step_id, "error_type": part.error_type or None}
    return {"status": "FAILED", "error_message": part.error, "error_context": context}
