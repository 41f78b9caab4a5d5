"""``platform-assets plan``: what a run would create, alter, read and write, found out without doing any of it.

Tables are described and queries estimated through the warehouse; an API's first request is rendered and not sent.
What cannot be known before the run (a query on a table that does not exist yet) is said, not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, cast

from platform_assets.assets.filling import Doors, Job, transform_query
from platform_assets.assets.graph import Node, Part, build_nodes
from platform_assets.assets.staging import slice_of
from platform_assets.config.reading import nearest
from platform_assets.engine.errors import ConfigError, PlatformError
from platform_assets.engine.ingestion.plan import first_request
from platform_assets.engine.ingestion.spec import IngestStep, RestSource
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.schema.planning import plan_changes
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import Estimate, Warehouse

_NOT_RUN = "plan"


@dataclass(frozen=True)
class PartPlan:
    """One writer's share: where its rows come from, how much is read, what is replaced. ``bytes`` None: unknown."""

    pipeline: str
    step: str
    credential: str | None
    reads: str
    bytes: int | None
    cost_usd: float | None
    writes: str


@dataclass(frozen=True)
class TablePlan:
    """One table for one tenant's day. ``refusals``: changes that would make the run fail."""

    table: str
    changes: tuple[str, ...]
    refusals: tuple[str, ...]
    parts: tuple[PartPlan, ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def plan_run(
    configuration: Configuration, warehouse: Warehouse, tables: Sequence[str], tenant: str, day: date
) -> list[TablePlan]:
    """Plans in the order of the run; no ``tables`` means all that the tenant has."""
    spec = configuration.tenants.get(tenant)
    if spec is None:
        guess = nearest(tenant, configuration.tenants)
        raise ConfigError(f"there is no tenant {tenant!r}" + (f"; did you mean {guess}?" if guess else ""))
    nodes = _selected(build_nodes(configuration.pipelines), tables)
    selected = frozenset(node.table for node in nodes)
    planner = _Planner(configuration, warehouse, spec, selected)
    return [planner.table(node, node.slice_date(day)) for node in nodes if node.parts(spec, selected)]


def _selected(nodes: Sequence[Node], tables: Iterable[str]) -> list[Node]:
    known = {str(node.table): node for node in nodes}
    for name in tables:
        if name not in known:
            guess = nearest(name, known)
            raise ConfigError(f"no step fills {name}" + (f"; did you mean {guess}?" if guess else ""))
    wanted = set(tables) or set(known)
    return [node for node in nodes if str(node.table) in wanted]


@dataclass(frozen=True)
class _Planner:
    configuration: Configuration
    warehouse: Warehouse
    tenant: TenantSpec
    selected: frozenset[TableName]

    def table(self, node: Node, day: date) -> TablePlan:
        current = self.warehouse.describe(self.tenant.tenant, node.table)
        plan = plan_changes(current, node.spec.schema)
        parts = tuple(self._part(node, part, day) for part in node.parts(self.tenant, self.selected))
        return TablePlan(str(node.table), plan.describe(), tuple(str(r) for r in plan.refusals), parts)

    def _part(self, node: Node, part: Part, day: date) -> PartPlan:
        # Saying what a slice is needs no way out of the process.
        nowhere = cast(Doors, None)
        job = Job(nowhere, node, part, self.tenant, day, _NOT_RUN, datetime.now(UTC))
        reads, estimate = self._reads(part, job)
        return PartPlan(
            part.step.pipeline_id,
            part.step.spec.step_id,
            part.credential.id if part.credential else None,
            reads,
            estimate.bytes if estimate else None,
            estimate.cost_usd if estimate else None,
            _writes(node, job),
        )

    def _reads(self, part: Part, job: Job) -> tuple[str, Estimate | None]:
        if isinstance(part.step.spec, IngestStep):
            return self._source(part, job.day), None
        reads = ", ".join(map(str, part.step.upstream)) or "no table"
        missing = [
            str(t) for t in part.step.upstream if self.warehouse.describe(self.tenant.tenant, t) is None
        ]
        if missing:
            return f"{reads} (not there yet: {', '.join(missing)})", None
        if part.step.transform is None:
            return reads, None
        try:
            return reads, self.warehouse.estimate(self.tenant.tenant, transform_query(job))
        except PlatformError as error:
            return f"{reads} (cannot be estimated: {str(error).splitlines()[0]})", None

    def _source(self, part: Part, day: date) -> str:
        spec = part.step.spec
        assert isinstance(spec, IngestStep)
        if not isinstance(spec.source, RestSource):
            return f"a {spec.source.type} source"
        credential = part.credential
        variables = slice_variables(
            day,
            tenant=self.tenant.tenant,
            credential=credential.id if credential else "",
            parameters=credential.parameters if credential else None,
        )
        request = first_request(spec.source, self.configuration.providers[part.step.provider], variables)
        query = "&".join(f"{name}={value}" for name, value in request.params)
        pages = "" if spec.source.pagination.type == "none" else f", {spec.source.pagination.type} pages"
        return f"{request.method} {request.url}{'?' if query else ''}{query}{pages}"


def _writes(node: Node, job: Job) -> str:
    destination = node.owner.spec.destination
    assert destination is not None, "the owner of a table always declares its destination"
    keys = f" by {', '.join(destination.keys)}" if destination.keys else ""
    return f"{destination.write} {slice_of(job)}{keys}"


def lines(plans: Sequence[TablePlan]) -> Iterator[str]:
    """The plans as text, one indented block per table."""
    for plan in plans:
        yield plan.table
        for change in plan.changes or ("nothing to change",):
            yield f"  table   {change}"
        for refusal in plan.refusals:
            yield f"  REFUSED {refusal}"
        for part in plan.parts:
            who = f"{part.pipeline}.{part.step}" + (f" [{part.credential}]" if part.credential else "")
            yield f"  {who}"
            yield f"    reads   {part.reads}{_size(part)}"
            yield f"    writes  {part.writes}"


def _size(part: PartPlan) -> str:
    if part.bytes is None:
        return ""
    price = "" if part.cost_usd is None else f", {part.cost_usd:.4f} USD"
    return f": at most {part.bytes:,} bytes{price}"
