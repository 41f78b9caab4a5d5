"""How one writer's rows get into its staging table: from an API, other systems' tables or files, SQL, a computation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.assets.graph import Node, Part
from platform_assets.engine.costs.functions import Slot, compute
from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion.pull import PullStats, StandardValues, pull
from platform_assets.engine.ingestion.spec import ComputeStep, IngestStep, ProviderSpec, RestSource
from platform_assets.engine.ingestion.tabular import Openers, pull_columns
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, Scalar
from platform_assets.engine.sql.model import BoundSql
from platform_assets.engine.tenancy import Credential, TenantSpec
from platform_assets.ports import HttpSources, QuerySources, Secret, SecretStore, SourceStores, Warehouse

if TYPE_CHECKING:
    from platform_assets.engine.sql.checked import Transform

Typed = tuple[FieldType, Scalar]
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Doors:
    """The ports that filling a table needs."""

    warehouse: Warehouse
    secrets: SecretStore
    http: HttpSources
    queries: QuerySources
    stores: SourceStores


@dataclass(frozen=True)
class Job:
    """One writer of one slice. ``day`` names the slice (the first of the month where it is a month)."""

    doors: Doors
    node: Node
    part: Part
    tenant: TenantSpec
    day: date
    run_id: str
    now: datetime

    @property
    def standard(self) -> StandardValues:
        """What the standard columns of this slice hold."""
        credential = self.part.credential
        return StandardValues(
            run_date=self.day,
            ingested_at=self.now,
            pipeline_logging_id=self.run_id,
            tenant=self.tenant.tenant,
            pipeline=self.part.step.pipeline_id,
            credential=credential.id if credential else "",
        )


def fill(job: Job, staging: TableName, provider: ProviderSpec | None, tell: Tell) -> PullStats | None:
    """Stage the writer's rows; statistics of the pull where it ingests. Raises what the source raises."""
    spec = job.part.step.spec
    if isinstance(spec, IngestStep):
        return _ingest(job, spec, staging, provider, tell)
    if isinstance(spec, ComputeStep):
        _compute(job, spec, staging)
    else:
        _transform(job, staging)
    return None


# --- Ingest -------------------------------------------------------------------------------------------------------


def _ingest(
    job: Job, spec: IngestStep, staging: TableName, provider: ProviderSpec | None, tell: Tell
) -> PullStats:
    credential = job.part.credential
    assert credential is not None, "an ingesting part always carries its credential"
    name = credential.secret
    secret = job.doors.secrets.get(job.tenant.tenant, name) if name else None
    variables = slice_variables(
        job.day, tenant=job.tenant.tenant, credential=credential.id, parameters=credential.parameters
    )
    stats = PullStats()
    schema = job.node.spec.schema
    if isinstance(spec.source, RestSource):
        assert provider is not None, "an API's provider is checked when configuration is read"
        http = job.doors.http.open(provider, secret)
        batches = pull(
            spec.source, provider, http, variables, schema, job.standard, stats, _page_teller(tell)
        )
    else:
        openers = _openers(job, credential, secret)
        query = job.part.step.transform
        batches = pull_columns(spec.source, query, openers, variables, schema, job.standard, stats)
    job.doors.warehouse.load(job.tenant.tenant, staging, batches)
    return stats


def _openers(job: Job, credential: Credential, secret: Secret | None) -> Openers:
    folder = job.node.pipelines[job.part.step.pipeline_id].folder
    return Openers(
        queries=lambda: job.doors.queries.open(credential.parameters, secret),
        store=lambda bucket: job.doors.stores.open(bucket, credential.parameters, secret),
        seed=lambda name: _seed(folder, name),
    )


def _seed(folder: Path, name: str) -> str | None:
    """A reviewed file of the pipeline's folder; its name may come from a template, so it may not lead out."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise DataError(f"seed file {name!r} leads out of {folder.name}")
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _page_teller(tell: Tell) -> Callable[[PullStats], None]:
    """Tells the first page, then every tenth: enough to see that a long pull moves."""

    def on_page(stats: PullStats) -> None:
        if stats.requests == 1 or stats.requests % 10 == 0:
            tell(f"{stats.requests} requests, {stats.records} records, {stats.bytes / 1e6:.1f} MB")

    return on_page


# --- SQL and computations ---------------------------------------------------------------------------------------------


def _transform(job: Job, staging: TableName) -> None:
    job.doors.warehouse.insert_select(job.tenant.tenant, staging, transform_query(job))


def transform_query(job: Job) -> BoundSql:
    """What a transform runs for this slice: its SQL on the tenant's tables, and the standard columns."""
    transform = job.part.step.transform
    assert transform is not None, "a transform step always carries its parsed SQL"
    return stamped(_bound(job, transform), _stamps(job))


def _bound(job: Job, transform: "Transform") -> BoundSql:
    # Imported here: every process that loads definitions would pay for the SQL parser.
    from platform_assets.engine.sql.binding import bind

    values = parameters(job)
    return bind(transform, job.tenant.tenant, {name: values[name] for name in transform.parameters})


def parameters(job: Job) -> dict[str, Typed]:
    """Everything a tenant's SQL may ask for by ``@name``."""
    month_start = job.day.replace(day=1)
    next_month = (month_start + timedelta(days=32)).replace(day=1)
    return {
        "run_date": (FieldType.DATE, job.day),
        "next_date": (FieldType.DATE, job.day + timedelta(days=1)),
        "month_start": (FieldType.DATE, month_start),
        "month_end": (FieldType.DATE, next_month - timedelta(days=1)),
        "tenant": (FieldType.STRING, job.tenant.tenant),
        "pipeline": (FieldType.STRING, job.part.step.pipeline_id),
        "fiscal_year_start_month": (FieldType.INT64, job.tenant.fiscal_year_start_month),
    }


def _stamps(job: Job) -> dict[str, Typed]:
    return {
        "x_tenant": (FieldType.STRING, job.tenant.tenant),
        "x_pipeline": (FieldType.STRING, job.part.step.pipeline_id),
        "x_run_date": (FieldType.DATE, job.day),
        "pipeline_logging_id": (FieldType.STRING, job.run_id),
        "ingestion_timestamp": (FieldType.TIMESTAMP, job.now),
    }


def stamped(bound: BoundSql, constants: Mapping[str, Typed]) -> BoundSql:
    """The query's rows with constant columns added, each bound as ``@stamp_<column>``."""
    from sqlglot import exp, parse_one

    rows = parse_one(bound.sql, dialect="bigquery")
    assert isinstance(rows, exp.Query), "what is bound is a query"
    stamps = [exp.alias_(exp.Parameter(this=exp.var(f"stamp_{name}")), name) for name in constants]
    tree = exp.select("stamped.*", *stamps).from_(rows.subquery("stamped"))
    named: dict[str, Any] = {f"stamp_{name}": value for name, value in constants.items()}
    return BoundSql(tree.sql("bigquery"), {**bound.parameters, **named})


def _compute(job: Job, spec: ComputeStep, staging: TableName) -> None:
    warehouse, tenant = job.doors.warehouse, job.tenant.tenant
    inputs = {
        name: warehouse.query(tenant, _bound(job, query)) for name, query in job.part.step.inputs.items()
    }
    constants = {name: value for name, (_, value) in _stamps(job).items()}
    batch = compute(spec.function, inputs, Slot(job.tenant, job.day), job.node.spec.schema, constants)
    warehouse.load(tenant, staging, [batch])
