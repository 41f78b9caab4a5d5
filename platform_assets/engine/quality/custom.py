"""A query of one's own inside the audit: parsed, checked, and only then given real tables.

Refuses whatever a transform may not do either (DDL, scripts, unknown tables, table functions), and parameters.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sqlglot import exp

from platform_assets.engine.quality.model import CustomQueryError
from platform_assets.engine.quality.scope import Scope
from platform_assets.engine.quality.tree import Measure
from platform_assets.engine.sql.dialect import duckdb_problems
from platform_assets.engine.sql.statement import parse_query
from platform_assets.engine.sql.transform import tree_problems

_BATCH = "metadata.batch__of_the_audit"  # stands for the slice while the query is checked as a transform is
_PLACEHOLDER = re.compile(r"\{\s*batch\s*\}")


def _parse(query: str) -> exp.Query:
    tree, problems = parse_query(_PLACEHOLDER.sub(_BATCH, query))
    if problems or not isinstance(tree, exp.Query):
        reason = problems[0].reason if problems else "only one SELECT or WITH query is allowed"
        raise CustomQueryError((reason,))
    return tree


def _problems(query: str, tree: exp.Query) -> Iterator[str]:
    if not _PLACEHOLDER.search(query):
        yield "does not read {batch}, the audited rows"
    if tree.find(exp.Parameter) is not None:
        yield "parameters are not available in checks"
    yield from (problem.reason for problem in tree_problems(tree))
    yield from (problem.reason for problem in duckdb_problems(tree))


def tables_of(query: str) -> tuple[str, ...]:
    """The other logical tables that a query reads, sorted. CustomQueryError has every reason why it cannot be used, in
    the words of the checks that transforms pass."""
    tree = _parse(query)
    if reasons := tuple(_problems(query, tree)):
        raise CustomQueryError(reasons)
    names = {_name(table) for table in tree.find_all(exp.Table) if table.args.get("db")}
    return tuple(sorted(names - {_BATCH}))


def _name(table: exp.Table) -> str:
    return f"{table.db}.{table.name}"


def count_of(query: str, on: Scope) -> Measure:
    """How many rows the query finds, with the slice for ``{batch}`` and the same slice of every other table."""
    tree = _parse(query)
    for table in list(tree.find_all(exp.Table)):
        if table.args.get("db"):
            table.replace(_given(table, on))
    return Measure(exp.Count(this=exp.Star()), _as_select(tree))


def _given(table: exp.Table, on: Scope) -> exp.Expr:
    alias = table.alias or table.name
    if _name(table) == _BATCH:
        return on.select([exp.Star()]).subquery(alias, copy=False)
    return on.other(_name(table)).select([exp.Star()]).subquery(alias, copy=False)


def _as_select(tree: exp.Query) -> exp.Select:
    return tree if isinstance(tree, exp.Select) else exp.select("*").from_(tree.subquery("q_"))
