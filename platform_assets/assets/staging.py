"""What is done with staged rows before anybody sees them: fill, audit, look, and the write that publishes them."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any

from platform_assets.assets.graph import Node, Part
from platform_assets.assets.outcomes import Audited, MeasureSum
from platform_assets.engine.ingestion.pull import PullStats, StandardValues, pull
from platform_assets.engine.ingestion.spec import Destination, IngestStep, ProviderSpec, RestSource
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import AuditPlan, CheckOutcome
from platform_assets.engine.quality.rows import CHECK_COLUMN, compile_samples
from platform_assets.engine.schema.model import FieldType, Scalar, Slice
from platform_assets.engine.sql.binding import bind
from platform_assets.engine.sql.model import BoundSql
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import HttpSource, Secret, SecretStore, SliceWrite, Warehouse

PREVIEW_ROWS = 5
Typed = tuple[FieldType, Scalar]


@dataclass(frozen=True)
class Doors:
    """The ports that filling a table needs. ``http`` opens a provider's API for one credential."""

    warehouse: Warehouse
    secrets: SecretStore
    http: Callable[[ProviderSpec, Secret | None], HttpSource]


@dataclass(frozen=True)
class Stage:
    """One private staging table, of one writer of one slice. ``day`` names the slice, not the run's date."""

    doors: Doors
    node: Node
    part: Part
    tenant: TenantSpec
    day: date
    table: TableName
    run_id: str
    now: datetime

    # --- fill ---

    def fill(self, provider: ProviderSpec | None, tell: Callable[[str], None]) -> PullStats | None:
        """Stage the writer's rows; statistics of the pull where it ingests."""
        spec = self.part.step.spec
        if isinstance(spec, IngestStep):
            assert provider is not None, "an ingest step's provider is checked when configuration is read"
            return self._ingest(spec.source, provider, tell)
        self._transform()
        return None

    def _ingest(self, source: RestSource, provider: ProviderSpec, tell: Callable[[str], None]) -> PullStats:
        credential = self.part.credential
        assert credential is not None, "an ingesting part always carries its credential"
        name = credential.secret
        secret = self.doors.secrets.get(self.tenant.tenant, name) if name else None
        stats = PullStats()
        batches = pull(
            source,
            provider,
            self.doors.http(provider, secret),
            slice_variables(
                self.day,
                tenant=self.tenant.tenant,
                credential=credential.id,
                parameters=credential.parameters,
            ),
            self.node.spec.schema,
            StandardValues(
                run_date=self.day,
                ingested_at=self.now,
                pipeline_logging_id=self.run_id,
                tenant=self.tenant.tenant,
                pipeline=self.part.step.pipeline_id,
                credential=credential.id,
            ),
            stats=stats,
            on_page=lambda so_far: tell(_progress(so_far)) if _worth_telling(so_far.requests) else None,
        )
        self.doors.warehouse.load(self.tenant.tenant, self.table, batches)
        return stats

    def _transform(self) -> None:
        self.doors.warehouse.insert_select(self.tenant.tenant, self.table, self.query())

    def query(self) -> BoundSql:
        """What a transform runs for this slice: its SQL on the tenant's tables, and the standard columns."""
        transform = self.part.step.transform
        assert transform is not None, "a transform step always carries its parsed SQL"
        values = self._parameters()
        bound = bind(transform, self.tenant.tenant, {name: values[name] for name in transform.parameters})
        return stamped(bound, self._standard_columns())

    def _parameters(self) -> dict[str, Typed]:
        """Everything a transform may ask for by ``@name``."""
        month_start = self.day.replace(day=1)
        next_month = (month_start + timedelta(days=32)).replace(day=1)
        return {
            "run_date": (FieldType.DATE, self.day),
            "next_date": (FieldType.DATE, self.day + timedelta(days=1)),
            "month_start": (FieldType.DATE, month_start),
            "month_end": (FieldType.DATE, next_month - timedelta(days=1)),
            "tenant": (FieldType.STRING, self.tenant.tenant),
            "pipeline": (FieldType.STRING, self.part.step.pipeline_id),
            "fiscal_year_start_month": (FieldType.INT64, self.tenant.fiscal_year_start_month),
        }

    def _standard_columns(self) -> dict[str, Typed]:
        return {
            "x_tenant": (FieldType.STRING, self.tenant.tenant),
            "x_pipeline": (FieldType.STRING, self.part.step.pipeline_id),
            "x_run_date": (FieldType.DATE, self.day),
            "pipeline_logging_id": (FieldType.STRING, self.run_id),
            "ingestion_timestamp": (FieldType.TIMESTAMP, self.now),
        }

    # --- audit and look ---

    def audit(self) -> Audited:
        """Judge the staged rows in one scan, and look at them as people will."""
        plan = compile_audit(self.node.suite, self.node.spec.schema, self._physical)
        checks = judge(plan, self._rows(plan.query)[0]) if self.node.suite else ()
        return Audited(checks, self._failing_rows(plan, checks), self._measures(), tuple(self._preview()))

    @property
    def _physical(self) -> TableName:
        return physical(self.tenant.tenant, self.table)

    def _rows(self, query: BoundSql) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.doors.warehouse.query(self.tenant.tenant, query).to_pylist()
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

    def _measures(self) -> tuple[MeasureSum, ...]:
        if self.node.measure is None:
            return ()
        return tuple(MeasureSum(**row) for row in self._rows(measure_query(self.node, self._physical)))

    def _preview(self) -> list[dict[str, Any]]:
        return self._rows(preview_query(self.node, self._physical))

    # --- publish ---

    @property
    def _destination(self) -> Destination:
        destination = self.node.owner.spec.destination
        assert destination is not None, "the owner of a table always declares its destination"
        return destination

    def write(self) -> SliceWrite:
        """The one statement of what publishing these rows replaces."""
        destination = self._destination
        equals: list[tuple[str, Scalar]] = [
            (_partition_column(self.node), self.day),
            ("x_pipeline", self.part.step.pipeline_id),
        ]
        if self.part.credential:
            equals.append(("x_credential", self.part.credential.id))
        return SliceWrite(
            self.node.spec, self.table, destination.write, Slice(tuple(equals)), tuple(destination.keys)
        )


def _partition_column(node: Node) -> str:
    partitioning = node.spec.partitioning
    assert partitioning is not None, "every table of a pipeline is partitioned"
    return partitioning.column


def stamped(bound: BoundSql, constants: Mapping[str, Typed]) -> BoundSql:
    """The query's rows with constant columns added, each bound as ``@stamp_<column>``."""
    from sqlglot import exp, parse_one

    rows = parse_one(bound.sql, dialect="bigquery")
    assert isinstance(rows, exp.Query), "what is bound is a query"
    stamps = [exp.alias_(exp.Parameter(this=exp.var(f"stamp_{name}")), name) for name in constants]
    tree = exp.select("stamped.*", *stamps).from_(rows.subquery("stamped"))
    parameters = {**bound.parameters, **{f"stamp_{name}": value for name, value in constants.items()}}
    return BoundSql(tree.sql("bigquery"), parameters)


def _worth_telling(requests: int) -> bool:
    """The first page, then every tenth: enough to see that a long pull moves."""
    return requests == 1 or requests % 10 == 0


def _progress(stats: PullStats) -> str:
    return f"{stats.requests} requests, {stats.records} records, {stats.bytes / 1e6:.1f} MB"


def staging_token(run_id: str, part: Part, day: date) -> str:
    """The same for the same writer, day and run, so that a repeated attempt reuses its staging table."""
    credential = part.credential.id if part.credential else ""
    return sha256(
        f"{run_id}/{part.step.pipeline_id}/{part.step.spec.step_id}/{credential}/{day}".encode()
    ).hexdigest()[:16]


def preview_query(node: Node, table: TableName) -> BoundSql:
    """A few rows in a fixed order, PII columns left out."""
    from sqlglot import exp

    columns = [f.name for f in node.spec.schema.fields if not f.pii]
    tree = (
        exp.select(*(exp.column(name, quoted=True) for name in columns))
        .from_(_from(table))
        .limit(PREVIEW_ROWS)
    )
    return BoundSql(tree.sql("bigquery"))


def measure_query(node: Node, table: TableName) -> BoundSql:
    """currency, dimension, amount: sums of the measure, never across currencies."""
    from sqlglot import exp

    measure = node.measure
    assert measure is not None, "asked only for tables with a measure"

    def column(name: str | None) -> exp.Expression:
        return exp.cast(exp.column(name, quoted=True), "STRING") if name else exp.cast(exp.null(), "STRING")

    tree = (
        exp.select(
            exp.alias_(column(measure.currency), "currency"),
            exp.alias_(column(measure.by), "dimension"),
            exp.alias_(exp.Sum(this=exp.column(measure.column, quoted=True)), "amount"),
        )
        .from_(_from(table))
        .group_by("1", "2")
        .order_by("1", "2")
    )
    return BoundSql(tree.sql("bigquery"))


def _from(table: TableName) -> Any:
    from sqlglot import exp

    return exp.table_(table.table, db=table.dataset, quoted=True)
