"""What can be judged only with all files at hand: who fills which table, what reads what, who may run it.

Each check is one generator of problems; none stops another. Where a pipeline could not be read, the tables it
would have filled still count as filled, so that one mistake is not told twenty times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from typing import TYPE_CHECKING, TypeAlias

from platform_assets.config.document import Document, Location
from platform_assets.config.pipeline_folder import Draft, timezone_problems
from platform_assets.config.reading import nearest, one_of
from platform_assets.config.safety import texts
from platform_assets.config.templates import template_parameters
from platform_assets.engine.currencies import CURRENCIES
from platform_assets.engine.errors import Problem
from platform_assets.engine.ingestion.spec import (
    ComputeStep,
    IngestStep,
    NoAuth,
    ObjectStoreSource,
    ProviderSpec,
    RestSource,
    SeedSource,
    SqlSource,
    TransformStep,
    UnionStep,
)
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.spec import SuiteSpec
from platform_assets.engine.schema.model import Mode, TableSpec
from platform_assets.engine.schema.reading import STANDARD_COLUMNS
from platform_assets.engine.tenancy import TenantSpec

if TYPE_CHECKING:
    from platform_assets.engine.quality.expectation import Expectation

Suites: TypeAlias = "Mapping[TableName, tuple[Expectation, ...]]"


@dataclass(frozen=True)
class Owner:
    """The step that owns a table."""

    draft: Draft
    index: int
    table: TableSpec

    @property
    def is_union(self) -> bool:
        return isinstance(self.draft.spec.steps[self.index], UnionStep)

    @property
    def place(self) -> Location:
        return ("steps", self.index, "destination", "table")


def owners(drafts: list[Draft], problems: list[Problem]) -> dict[TableName, Owner]:
    """Who fills which table; a second filler is a problem."""
    found: dict[TableName, Owner] = {}
    folded: dict[str, Owner] = {}
    for draft in drafts:
        for index, table in sorted(draft.tables.items()):
            owner = Owner(draft, index, table)
            first = folded.setdefault(str(table.name).lower(), owner)
            if first is not owner:
                where = f"{first.draft.document.file}:{first.draft.document.line(first.place)}"
                reason = f"{table.name} is filled by {where} already; one step fills one table"
                problems.append(draft.problem(owner.place, reason))
            else:
                found[table.name] = owner
    return found


def unique_pipelines(drafts: list[Draft]) -> Iterator[Problem]:
    """Pipeline ids are unique over shared pipelines and all tenants' own."""
    seen: dict[str, Draft] = {}
    for draft in drafts:
        first = seen.setdefault(draft.spec.pipeline_id.lower(), draft)
        if first is not draft:
            reason = f"{draft.spec.pipeline_id!r} is the id of {first.document.file} too"
            yield draft.problem(("pipeline_id",), reason)


# --- Tables -------------------------------------------------------------------------------------------


def contributions(
    drafts: list[Draft], tables: Mapping[TableName, Owner], known: set[str]
) -> Iterator[Problem]:
    """``contributes_to`` names a union's table, and the columns that its SQL gives fit into it."""
    unions = sorted(str(name) for name, owner in tables.items() if owner.is_union)
    for draft, index, step in _transforms(drafts):
        if step.contributes_to is None:
            continue
        at: Location = ("steps", index, "contributes_to")
        owner = tables.get(TableName.parse(step.contributes_to))
        if owner is None and step.contributes_to in known:
            continue
        if owner is None or not owner.is_union:
            what = "is not the table of a union step" if owner else "is filled by no step"
            yield draft.problem(at, f"{step.contributes_to} {what}", nearest(step.contributes_to, unions))
        else:
            yield from _contributed_columns(draft, index, at, owner.table)


def destinations(drafts: list[Draft]) -> Iterator[Problem]:
    """The columns that a transform's SQL gives fit into its own table."""
    for draft, index, step in _transforms(drafts):
        if step.destination is not None and index in draft.tables:
            at: Location = ("steps", index, "destination", "schema_file")
            yield from _contributed_columns(draft, index, at, draft.tables[index])


def _contributed_columns(draft: Draft, index: int, at: Location, table: TableSpec) -> Iterator[Problem]:
    transform = draft.transforms.get(index)
    columns = transform.columns if transform else ()
    if not columns or "*" in columns:
        return
    for column in columns:
        if table.schema.get(column) is None:
            reason = f"the SQL gives column {column!r}, which {table.name} does not have"
            yield draft.problem(at, reason, nearest(column, table.schema.names))
    given = {column.lower() for column in columns}
    standard = {f.name.lower() for f in STANDARD_COLUMNS["transform"]}
    for field in table.schema.fields:
        if field.mode is Mode.REQUIRED and field.name.lower() not in given | standard:
            reason = f"the SQL does not give column {field.name!r}, which {table.name} requires"
            yield draft.problem(at, reason, nearest(field.name, columns))


def upstream(drafts: list[Draft], tables: Mapping[TableName, Owner], known: set[str]) -> Iterator[Problem]:
    """Every table that a transform reads is filled by somebody whose tables it may see."""
    names = {str(name) for name in tables} | known
    for draft, index, step in _readers(drafts):
        for table in tables_read(draft, index):
            owner = tables.get(table)
            at: Location = ("steps", index, "sql_file" if isinstance(step, TransformStep) else "inputs")
            if owner is None and str(table) not in known:
                yield draft.problem(at, f"reads {table}, which no step fills", nearest(str(table), names))
            elif owner and owner.draft.folder.tenant not in (None, draft.folder.tenant):
                reason = f"reads {table}, which only tenant {owner.draft.folder.tenant} fills"
                yield draft.problem(at, reason)


def cycles(drafts: list[Draft], tables: Mapping[TableName, Owner]) -> Iterator[Problem]:
    """No table is made, directly or not, from itself."""
    graph: dict[TableName, set[TableName]] = {name: set() for name in tables}
    for draft, index, step in _readers(drafts):
        target = _target(draft, index, step, tables)
        if target is not None:
            graph[target].update(t for t in tables_read(draft, index) if t in tables)
    while members := _circle(graph):
        owner = tables[min(members)]
        path = " → ".join(str(m) for m in members)
        yield owner.draft.problem(owner.place, f"the tables make a circle: {path}")
        graph[members[1]].discard(members[0])  # so that the next circle can be found


def _circle(graph: Mapping[TableName, set[TableName]]) -> list[TableName]:
    """Tables of which each is read by the next, the first and last being the same; empty where there is none."""
    try:
        TopologicalSorter({k: sorted(v) for k, v in sorted(graph.items())}).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _target(
    draft: Draft, index: int, step: TransformStep | ComputeStep, tables: Mapping[TableName, Owner]
) -> TableName | None:
    """The table a step writes; None where it cannot, because another step owns it."""
    if isinstance(step, TransformStep) and step.contributes_to is not None:
        name = TableName.parse(step.contributes_to)
        return name if name in tables else None
    if index not in draft.tables:
        return None
    owner = tables.get(draft.tables[index].name)
    return owner.table.name if owner and owner.draft is draft and owner.index == index else None


def tables_read(draft: Draft, index: int) -> tuple[TableName, ...]:
    """The platform's tables that a step's queries read, sorted; what a source reads elsewhere is not among them."""
    step = draft.spec.steps[index]
    if isinstance(step, TransformStep) and index in draft.transforms:
        return draft.transforms[index].tables
    return tuple(sorted({t for query in draft.inputs.get(index, {}).values() for t in query.tables}))


def _readers(drafts: list[Draft]) -> Iterator[tuple[Draft, int, TransformStep | ComputeStep]]:
    for draft in drafts:
        for index, step in enumerate(draft.spec.steps):
            if isinstance(step, TransformStep | ComputeStep):
                yield draft, index, step


def _transforms(drafts: list[Draft]) -> Iterator[tuple[Draft, int, TransformStep]]:
    for draft in drafts:
        for index, step in enumerate(draft.spec.steps):
            if isinstance(step, TransformStep):
                yield draft, index, step


# --- Data quality -------------------------------------------------------------------------------------


def suites(
    drafts: list[Draft], tables: Mapping[TableName, Owner], known: set[str], problems: list[Problem]
) -> dict[TableName, tuple[Expectation, ...]]:
    """Expectations by table. A suite stands next to the step that fills its table, and a table has one suite."""
    found: dict[TableName, tuple[Expectation, ...]] = {}
    for draft in drafts:
        for index, suite in draft.suites:
            at: Location = ("suites", index)
            owner = _suite_owner(draft, at, TableName.parse(suite.table), tables, known, problems)
            if owner and owner.table.name in found:
                problems.append(_dq(draft).problem((*at, "table"), f"{suite.table} has a suite already"))
            elif owner:
                found[owner.table.name] = _expectations(draft, at, suite, owner.table, problems)
    return found


def _suite_owner(
    draft: Draft,
    at: Location,
    table: TableName,
    tables: Mapping[TableName, Owner],
    known: set[str],
    problems: list[Problem],
) -> Owner | None:
    owner = tables.get(table)
    mine = sorted(str(t.name) for t in draft.tables.values())
    if owner and owner.draft is draft:
        return owner
    if str(table) not in known and str(table) not in mine:  # a table that two steps fill is told there
        reason = f"{table} is not filled by this pipeline, which fills {one_of(mine) or 'no table'}"
        problems.append(_dq(draft).problem((*at, "table"), reason, nearest(str(table), mine)))
    return None


def _expectations(
    draft: Draft, at: Location, suite: SuiteSpec, table: TableSpec, problems: list[Problem]
) -> tuple[Expectation, ...]:
    from platform_assets.engine.quality.suite import parse_suite

    expectations, wrong = parse_suite(suite.expectations, table.schema)
    for found in wrong:
        place: Location = (*at, "expectations", found.index, found.field)
        problems.append(_dq(draft).problem(place, found.reason, found.nearest))
    return expectations


def _dq(draft: Draft) -> Document:
    assert draft.dq is not None
    return draft.dq


# --- Providers and tenants ----------------------------------------------------------------------------


def providers_of(drafts: list[Draft], known: set[str]) -> Iterator[Problem]:
    """A pipeline that calls an API names a provider that has a file."""
    for draft in drafts:
        calls = any(isinstance(s, IngestStep) and isinstance(s.source, RestSource) for s in draft.spec.steps)
        if calls and draft.spec.provider not in known:
            reason = f"there is no providers/{draft.spec.provider}.yml"
            yield draft.problem(("provider",), reason, nearest(draft.spec.provider, known))


@dataclass(frozen=True)
class TenantCheck:
    """One tenant file against everything else."""

    document: Document
    tenant: TenantSpec
    providers: Mapping[str, ProviderSpec]
    known_providers: set[str]
    drafts: Mapping[str, Draft]
    known_pipelines: set[str]

    def problems(self) -> Iterator[Problem]:
        yield from timezone_problems(self.document, ("timezone",), self.tenant.timezone)
        yield from currency_problems(self.document, ("default_currency",), self.tenant.default_currency)
        for index, budget in enumerate(self.tenant.budgets):
            yield from currency_problems(self.document, ("budgets", index, "currency"), budget.currency)
            if budget.provider is not None:
                yield from self._provider(("budgets", index, "provider"), budget.provider)
        yield from self._credentials()
        yield from self._pipelines()

    def _provider(self, at: Location, name: str) -> Iterator[Problem]:
        if name not in self.known_providers:
            reason = f"there is no provider {name!r}; known: {one_of(self.known_providers)}"
            yield self.document.problem(at, reason, nearest(name, self.known_providers))

    def _credentials(self) -> Iterator[Problem]:
        for index, credential in enumerate(self.tenant.credentials):
            at: Location = ("credentials", index)
            yield from self._provider((*at, "provider"), credential.provider)
            provider = self.providers.get(credential.provider)
            if provider and not isinstance(provider.auth, NoAuth) and credential.secret is None:
                reason = f"{credential.provider} wants authentication: name the secret"
                yield self.document.problem((*at, "secret"), reason)
            yield from self._parameters((*at, "parameters"), credential.provider, set(credential.parameters))

    def _parameters(self, at: Location, provider: str, given: set[str]) -> Iterator[Problem]:
        for draft in self.drafts.values():
            if draft.spec.provider == provider and self._listed(draft):
                for name in sorted(parameters_used(draft) - given):
                    reason = f"pipeline {draft.spec.pipeline_id} needs parameter {name!r}"
                    yield self.document.problem(at, reason, nearest(name, given))

    def _listed(self, draft: Draft) -> bool:
        mine = draft.folder.tenant in (None, self.tenant.tenant)
        return mine and (self.tenant.pipelines == "all" or draft.spec.pipeline_id in self.tenant.pipelines)

    def _pipelines(self) -> Iterator[Problem]:
        if self.tenant.pipelines == "all":
            return
        for index, name in enumerate(self.tenant.pipelines):
            yield from self._pipeline(("pipelines", index), name)

    def _pipeline(self, at: Location, name: str) -> Iterator[Problem]:
        draft = self.drafts.get(name)
        if draft is None or draft.folder.tenant not in (None, self.tenant.tenant):
            if draft is not None or name not in self.known_pipelines:
                reason = f"there is no pipeline {name!r} for this tenant"
                yield self.document.problem(at, reason, nearest(name, self.known_pipelines - {name}))
        elif needs_credential(draft, self.providers) and not self._has_credential(draft.spec.provider):
            reason = f"{name!r} needs a credential for {draft.spec.provider}"
            yield self.document.problem(at, reason)

    def _has_credential(self, provider: str) -> bool:
        return any(c.provider == provider for c in self.tenant.credentials)


def currency_problems(document: Document, at: Location, code: str) -> Iterator[Problem]:
    """A problem where ``code`` is no active ISO 4217 currency."""
    if code not in CURRENCIES:
        yield document.problem(at, f"{code!r} is not an ISO 4217 currency", nearest(code, CURRENCIES))


def needs_credential(draft: Draft, providers: Mapping[str, ProviderSpec]) -> bool:
    """Whether the pipeline's provider wants authentication, or a source needs to be told where its data lie."""
    sources = [step.source for step in draft.spec.steps if isinstance(step, IngestStep)]
    if any(isinstance(s, SqlSource | ObjectStoreSource) or _told_by_tenant(s) for s in sources):
        return True
    if not any(isinstance(source, RestSource) for source in sources):
        return False
    provider = providers.get(draft.spec.provider)
    return provider is not None and not isinstance(provider.auth, NoAuth)


def _told_by_tenant(source: object) -> bool:
    return isinstance(source, SeedSource) and "parameters" in source.file


def parameters_used(draft: Draft) -> set[str]:
    """The ``parameters.<name>`` in the templates of a pipeline's sources."""
    sources = [step.get("source") for step in draft.document.value["steps"]]
    return {name for source in sources for _, text in texts(source) for name in template_parameters(text)}
