"""What can be judged only with all files at hand: who fills which table, what reads what, who may run it.

Each check is one generator of problems; none stops another. Where a pipeline could not be read, the tables it
would have filled still count as filled, so that one mistake is not told twenty times.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from platform_assets.config.document import Location
from platform_assets.config.draft import Draft
from platform_assets.config.reading import nearest
from platform_assets.engine.errors import Problem
from platform_assets.engine.ingestion.spec import (
    ComputeStep,
    IngestStep,
    RestSource,
    TransformStep,
    UnionStep,
)
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Mode, TableSpec
from platform_assets.engine.schema.reading import STANDARD_COLUMNS


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
    """``contributes_to`` names a union's table, and the columns that its SQL gives fit into it. A pipeline contributes
    once: its slice of the table is one, and a second contribution would take the place of the first."""
    unions = sorted(str(name) for name, owner in tables.items() if owner.is_union)
    seen: dict[tuple[str, str], int] = {}
    for draft, index, step in _transforms(drafts):
        if step.contributes_to is None:
            continue
        at: Location = ("steps", index, "contributes_to")
        first = seen.setdefault((draft.spec.pipeline_id, step.contributes_to), index)
        if first != index:
            reason = f"steps[{first}] contributes to {step.contributes_to} already; join both by UNION ALL"
            yield draft.problem(at, reason)
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
    folded = [column.lower() for column in columns]
    for column in sorted({c for c in folded if folded.count(c) > 1}):
        yield draft.problem(at, f"the SQL gives column {column!r} twice")
    given = set(folded)
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


def cycles(
    drafts: list[Draft], tables: Mapping[TableName, Owner], compared: Mapping[TableName, set[TableName]]
) -> Iterator[Problem]:
    """No table is made from itself, directly or not, nor compared with what is made from it."""
    graph = {name: {other for other in compared.get(name, ()) if other in tables} for name in tables}
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


# --- Providers ----------------------------------------------------------------------------


def providers_of(drafts: list[Draft], known: set[str]) -> Iterator[Problem]:
    """A pipeline that calls an API names a provider that has a file."""
    for draft in drafts:
        calls = any(isinstance(s, IngestStep) and isinstance(s.source, RestSource) for s in draft.spec.steps)
        if calls and draft.spec.provider not in known:
            reason = f"there is no providers/{draft.spec.provider}.yml"
            yield draft.problem(("provider",), reason, nearest(draft.spec.provider, known))
