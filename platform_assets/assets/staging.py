"""What is done with staged rows before anybody sees them: audit, look, put aside what may not pass, publish."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from hashlib import sha256
from typing import Any

from platform_assets.assets.filling import Job
from platform_assets.assets.graph import Node, Part
from platform_assets.assets.outcomes import Audited, MeasureSum
from platform_assets.assets.surroundings import Surroundings
from platform_assets.engine.costs.restatement import changes_query, summarise
from platform_assets.engine.ingestion.spec import Destination
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import AuditPlan, CheckOutcome, Facts
from platform_assets.engine.quality.past import point_of, points_of, values_of
from platform_assets.engine.quality.plot import Point
from platform_assets.engine.quality.results import verdict
from platform_assets.engine.quality.rows import (
    CHECK_COLUMN,
    compile_samples,
    kept_query,
    quarantine_query,
    quarantine_schema,
)
from platform_assets.engine.schema.model import Scalar, Slice, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite, WriteResult

PREVIEW_ROWS = 5


@dataclass(frozen=True)
class Stage:
    """One private staging table of one writer of one slice."""

    job: Job
    table: TableName
    around: Surroundings

    def audit(self) -> Audited:
        """Judge the staged rows in one scan, and look at them as people will."""
        plan, earlier = self._plan, self.around.earlier(self.job)
        facts = Facts(self.job.now, values_of(earlier))
        checks = judge(plan, self._rows(plan.query)[0], facts) if plan.checks else ()
        compared = self._compared()
        return Audited(
            checks,
            self._failing_rows(plan, checks),
            self._history(earlier, checks),
            tuple(
                MeasureSum(row["currency"], row["dimension"], row["amount_after"])
                for row in compared
                if row["rows_after"]
            ),
            tuple(self._preview()),
            summarise(compared) if compared and self._destination.write == "replace" else None,
        )

    def publish(self, checks: Sequence[CheckOutcome]) -> WriteResult:
        """Put the staged rows in the place of the old slice; rows to be quarantined go to their own table first."""
        warehouse, tenant = self.job.doors.warehouse, self.job.tenant.tenant
        if any(expectation.on_failure == "quarantine" for expectation in self.job.node.suite):
            self._put_aside(checks)
        kept = kept_query(self._plan, checks) if verdict(checks).quarantine else None
        if kept is None:
            return warehouse.publish(tenant, self._write(self.job.node.spec, self.table))
        staging = warehouse.create_staging(tenant, self.job.node.spec, f"{self._token}k")
        try:
            warehouse.insert_select(tenant, staging, kept)
            return warehouse.publish(tenant, self._write(self.job.node.spec, staging))
        finally:
            warehouse.drop(tenant, staging)

    # --- audit and look ---

    @cached_property
    def _plan(self) -> AuditPlan:
        node, table = self.job.node, physical(self.job.tenant.tenant, self.table)
        return compile_audit(node.suite, node.spec.schema, table, others=self.around.others(self.job))

    def _history(
        self, earlier: Sequence[Mapping[str, Any]], checks: Sequence[CheckOutcome]
    ) -> dict[str, tuple[Point, ...]]:
        points = points_of(earlier)
        return {
            c.expectation_id: (*points.get(c.expectation_id, ()), point_of(c, self.job.day)) for c in checks
        }

    def _rows(self, query: BoundSql) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.job.doors.warehouse.query(self.job.tenant.tenant, query).to_pylist()
        return rows

    def _failing_rows(
        self, plan: AuditPlan, checks: Sequence[CheckOutcome]
    ) -> Mapping[str, Sequence[Mapping[str, Any]]]:
        failed = [check for check in checks if not check.success]
        query = compile_samples(plan, failed, also=self._destination.keys) if failed else None
        samples: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
        for row in self._rows(query) if query else []:
            samples[row.pop(CHECK_COLUMN)].append(row)
        return samples

    def _compared(self) -> list[dict[str, Any]]:
        """The measure's sums of the staged rows, beside those of the slice whose place they will take."""
        if self.job.node.measure is None:
            return []
        tenant, spec = self.job.tenant.tenant, self.job.node.spec
        target, staging = physical(tenant, spec.name), physical(tenant, self.table)
        return self._rows(changes_query(target, staging, slice_of(self.job), self.job.node.measure))

    def _preview(self) -> list[dict[str, Any]]:
        return self._rows(preview_query(self.job.node, physical(self.job.tenant.tenant, self.table)))

    # --- publish ---

    @property
    def _destination(self) -> Destination:
        destination = self.job.node.owner.spec.destination
        assert destination is not None, "the owner of a table always declares its destination"
        return destination

    @property
    def _token(self) -> str:
        return staging_token(self.job.run_id, self.job.part, self.job.day)

    def _write(self, target: TableSpec, staging: TableName) -> SliceWrite:
        destination = self._destination
        return SliceWrite(target, staging, destination.write, slice_of(self.job), tuple(destination.keys))

    def _put_aside(self, checks: Sequence[CheckOutcome]) -> None:
        """Replace this slice's rows in ``<table>_quarantine``, with the reason and the run; also by none."""
        warehouse, tenant = self.job.doors.warehouse, self.job.tenant.tenant
        spec = quarantine_table(self.job.node.spec)
        query = quarantine_query(self._plan, checks, run_id=self.job.run_id, now=self.job.now)
        if query is None and warehouse.describe(tenant, spec.name) is None:
            return
        warehouse.ensure_table(tenant, spec)
        staging = warehouse.create_staging(tenant, spec, f"{self._token}q")
        try:
            if query is not None:
                warehouse.insert_select(tenant, staging, query)
            warehouse.publish(tenant, SliceWrite(spec, staging, "replace", slice_of(self.job)))
        finally:
            warehouse.drop(tenant, staging)


def slice_of(job: Job) -> Slice:
    """The rows of the target that this writer owns: its day, its pipeline and, where it ingests, its credential."""
    partitioning = job.node.spec.partitioning
    assert partitioning is not None, "every table of a pipeline is partitioned"
    equals: list[tuple[str, Scalar]] = [
        (partitioning.column, job.day),
        ("x_pipeline", job.part.step.pipeline_id),
    ]
    if job.part.credential:
        equals.append(("x_credential", job.part.credential.id))
    return Slice(tuple(equals))


def quarantine_table(spec: TableSpec) -> TableSpec:
    """Where a table's offending rows go: the same partitioning, nothing required, reason and run added."""
    return TableSpec(
        TableName(spec.name.dataset, f"{spec.name.table}_quarantine"),
        quarantine_schema(spec.schema),
        spec.partitioning,
        spec.cluster_by,
        f"Rows of {spec.name} that an expectation put aside.",
        spec.labels,
    )


def staging_token(run_id: str, part: Part, day: date) -> str:
    """The same for the same writer, day and run, so that a repeated attempt reuses its staging table."""
    credential = part.credential.id if part.credential else ""
    name = f"{run_id}/{part.step.pipeline_id}/{part.step.spec.step_id}/{credential}/{day}"
    return sha256(name.encode()).hexdigest()[:16]


def preview_query(node: Node, table: TableName) -> BoundSql:
    """A few rows, PII columns left out."""
    from sqlglot import exp

    columns = [f.name for f in node.spec.schema.fields if not f.pii]
    tree = (
        exp.select(*(exp.column(name, quoted=True) for name in columns))
        .from_(_from(table))
        .limit(PREVIEW_ROWS)
    )
    return BoundSql(tree.sql("bigquery"))


def _from(table: TableName) -> Any:
    from sqlglot import exp

    return exp.table_(table.table, db=table.dataset, quoted=True)
