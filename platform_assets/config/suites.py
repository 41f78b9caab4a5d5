"""``dq.yml`` against the tables: each suite stands next to the step that fills its table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

from platform_assets.config.checks import Owner
from platform_assets.config.document import Document, Location
from platform_assets.config.draft import Draft
from platform_assets.config.reading import nearest, one_of
from platform_assets.engine.errors import Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.spec import SuiteSpec
from platform_assets.engine.schema.model import TableSchema, TableSpec

if TYPE_CHECKING:
    from platform_assets.engine.quality.expectation import Expectation

Suites: TypeAlias = "Mapping[TableName, tuple[Expectation, ...]]"


def read_suites(
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
                visible = _visible(draft, tables)
                found[owner.table.name] = _expectations(
                    draft, at, suite, owner.table, problems, visible, known
                )
    return found


def _visible(draft: Draft, tables: Mapping[TableName, Owner]) -> dict[str, TableSchema]:
    """The tables that a suite may compare with: shared ones and its own tenant's."""
    seers = (None, draft.folder.tenant)
    return {str(name): o.table.schema for name, o in tables.items() if o.draft.folder.tenant in seers}


def compared(suites: Suites) -> dict[TableName, set[TableName]]:
    """Table → the other tables that its suite looks at, which must be filled before it."""
    return {
        table: {TableName.parse(name) for expectation in suite for name in expectation.tables} - {table}
        for table, suite in suites.items()
    }


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
    draft: Draft,
    at: Location,
    suite: SuiteSpec,
    table: TableSpec,
    problems: list[Problem],
    visible: Mapping[str, TableSchema],
    known: set[str],
) -> tuple[Expectation, ...]:
    from platform_assets.engine.quality.suite import parse_suite

    expectations, wrong = parse_suite(suite.expectations, table.schema, visible, draft.cache.facts, known)
    for found in wrong:
        place: Location = (*at, "expectations", found.index, found.field)
        problems.append(_dq(draft).problem(place, found.reason, found.nearest))
    return expectations


def _dq(draft: Draft) -> Document:
    assert draft.dq is not None
    return draft.dq
