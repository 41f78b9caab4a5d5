"""From pipelines to tables: which table is filled by which steps, in which order.

Lineage is never declared: a transform's upstream tables come from its parsed SQL.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from graphlib import TopologicalSorter
from hashlib import sha256

from platform_assets.engine.ingestion.spec import IngestStep, Measure, TransformStep
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Pipeline, ResolvedStep
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.tenancy import Credential, TenantSpec, credentials_for, runs_pipeline


@dataclass(frozen=True)
class Part:
    """One writer of a table for one tenant: a step, with a credential where it ingests."""

    step: ResolvedStep
    credential: Credential | None


@dataclass(frozen=True, eq=False)
class Node:
    """One table and everything that writes it. ``writers`` is the owner, or for a union its contributors."""

    owner: ResolvedStep
    writers: tuple[ResolvedStep, ...]
    pipelines: Mapping[str, Pipeline]

    @property
    def table(self) -> TableName:
        return self.owner.table.name

    @property
    def spec(self) -> TableSpec:
        return self.owner.table

    @property
    def suite(self) -> tuple[Expectation, ...]:
        return self.owner.suite

    @property
    def measure(self) -> Measure | None:
        destination = self.owner.spec.destination
        return destination.measure if destination else None

    @cached_property
    def upstream(self) -> tuple[TableName, ...]:
        return tuple(sorted({table for writer in self.writers for table in writer.upstream}))

    @cached_property
    def compared(self) -> tuple[TableName, ...]:
        """The other tables that the suite looks at, sorted."""
        names = {name for expectation in self.suite for name in expectation.tables}
        return tuple(sorted({TableName.parse(name) for name in names} - {self.table}))

    @cached_property
    def before(self) -> tuple[TableName, ...]:
        """The tables that must be right before this one is filled and audited, sorted."""
        return tuple(sorted({*self.upstream, *self.compared}))

    @property
    def monthly(self) -> bool:
        return getattr(self.owner.spec, "grain", "day") == "month"

    @cached_property
    def code_version(self) -> str:
        """Changes when what fills the table changes: steps, SQL, schema or expectations."""
        says = [repr((w.spec, w.transform)) for w in self.writers] + [repr(self.spec), repr(self.suite)]
        return sha256("\n".join(says).encode()).hexdigest()[:12]

    def slice_date(self, day: date) -> date:
        """The date that names the slice holding ``day``: the day, or the first of its month."""
        return day.replace(day=1) if self.monthly else day

    def parts(self, tenant: TenantSpec, selected: frozenset[TableName]) -> list[Part]:
        """This tenant's writers. Of a union's contributors, only those whose sources the run refreshes too;
        all of them where it refreshes none."""
        mine = [w for w in self.writers if runs_pipeline(tenant, self.pipelines[w.pipeline_id])]
        refreshed = [w for w in mine if selected.intersection(w.upstream)]
        return [part for writer in refreshed or mine for part in _parts(writer, tenant)]


def _parts(writer: ResolvedStep, tenant: TenantSpec) -> Iterable[Part]:
    if isinstance(writer.spec, IngestStep):
        return [Part(writer, credential) for credential in credentials_for(tenant, writer.provider)]
    return [Part(writer, None)]


def build_nodes(pipelines: Mapping[str, Pipeline]) -> tuple[Node, ...]:
    """Every table once, upstream before downstream; tables without order between them by name."""
    steps = [step for _, pipeline in sorted(pipelines.items()) for step in pipeline.steps]
    nodes = {
        step.table.name: Node(step, tuple(_writers(step, steps)), pipelines)
        for step in steps
        if step.spec.destination is not None
    }
    sorter = TopologicalSorter({name: [u for u in node.before if u in nodes] for name, node in nodes.items()})
    sorter.prepare()
    ordered: list[Node] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready())
        ordered.extend(nodes[name] for name in ready)
        sorter.done(*ready)
    return tuple(ordered)


def _writers(owner: ResolvedStep, steps: Iterable[ResolvedStep]) -> Iterable[ResolvedStep]:
    if owner.spec.type != "union":
        return [owner]
    return [
        s
        for s in steps
        if isinstance(s.spec, TransformStep) and s.spec.contributes_to == str(owner.table.name)
    ]
