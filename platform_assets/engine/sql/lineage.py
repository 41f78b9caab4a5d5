"""Where each result column of a transform comes from.

Owns column lineage and the expansion of ``*``. Needs the columns of the tables read, because neither can be known
from the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.qualify import qualify
from sqlglot.optimizer.scope import Scope, build_scope

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.sql.checked import Lineage, Transform

Origins: TypeAlias = frozenset[tuple[TableName, str]]


def output_columns(transform: Transform, schemas: Mapping[TableName, TableSchema]) -> tuple[str, ...]:
    """Names of the result's columns in order."""
    key = _key(transform, schemas)
    spelled = _spelling(transform, key)
    return tuple(spelled.get(name.lower(), name) for name in _qualified(transform, key).named_selects)


def output_types(transform: Transform, schemas: Mapping[TableName, TableSchema]) -> dict[str, str | None]:
    """Result column → its BigQuery type (``NUMERIC``, ``ARRAY<STRING>``), or None where it does not follow from the
    tables read. ConfigError where the query cannot be resolved."""
    from sqlglot.optimizer.annotate_types import annotate_types

    key = _key(transform, schemas)
    typed = annotate_types(_qualified(transform, key).copy(), schema=_sqlglot_schema(key), dialect="bigquery")
    spelled = _spelling(transform, key)
    unknown = (None, exp.DType.UNKNOWN, exp.DType.NULL)
    return {
        spelled.get(c.alias_or_name.lower(), c.alias_or_name): None
        if c.type is None or c.type.this in unknown
        else c.type.sql("bigquery")
        for c in typed.selects
    }


def column_lineage(transform: Transform, schemas: Mapping[TableName, TableSchema]) -> Lineage:
    """Result column → the (table, column) pairs below it, sorted."""
    return dict(_lineage(transform, _key(transform, schemas)))


def _key(
    transform: Transform, schemas: Mapping[TableName, TableSchema]
) -> tuple[tuple[TableName, TableSchema], ...]:
    return tuple((table, schemas[table]) for table in transform.tables if table in schemas)


@lru_cache(maxsize=512)
def _qualified(transform: Transform, schemas: tuple[tuple[TableName, TableSchema], ...]) -> exp.Query:
    try:
        tree = qualify(transform.tree.copy(), schema=_sqlglot_schema(schemas), dialect="bigquery")
    except SqlglotError as error:
        raise ConfigError(
            f"{transform.file} cannot be resolved", (Problem(transform.file, 1, "", str(error)),)
        ) from error
    assert isinstance(tree, exp.Query)
    return tree


@lru_cache(maxsize=512)
def _lineage(
    transform: Transform, schemas: tuple[tuple[TableName, TableSchema], ...]
) -> tuple[tuple[str, tuple[tuple[TableName, str], ...]], ...]:
    root = build_scope(_qualified(transform, schemas))
    assert root is not None, "a query has a scope"
    spelled, known = _spelling(transform, schemas), dict(schemas)
    return tuple(
        (spelled.get(name.lower(), name), tuple(sorted(_declared(origin, known) for origin in origins)))
        for name, origins in _Trace(root).columns(root)
    )


def _spelling(transform: Transform, schemas: tuple[tuple[TableName, TableSchema], ...]) -> dict[str, str]:
    """Names as people wrote them, by the lower case that sqlglot makes of them; the query's own come first."""
    names = [name for _, schema in schemas for name in schema.names] + list(transform.tree.named_selects)
    return {name.lower(): name for name in names}


def _declared(
    origin: tuple[TableName, str], schemas: Mapping[TableName, TableSchema]
) -> tuple[TableName, str]:
    table, column = origin
    declared = schemas[table].get(column) if table in schemas else None
    return table, declared.name if declared else column


class _Trace:
    """Follows columns down through CTEs, subqueries and unions, each scope once.

    sqlglot's own ``lineage`` copies the query for every column, which takes half a second for a wide one.
    """

    def __init__(self, root: Scope) -> None:
        self._done: dict[int, list[tuple[str, Origins]]] = {}
        # A column is resolved where it stands; a correlated one in the scope around it.
        self._sources = {
            id(column): scope.sources[column.table]
            for scope in root.traverse()
            for column in scope.columns
            if column.table in scope.sources
        }

    def columns(self, scope: Scope) -> list[tuple[str, Origins]]:
        """(name, table columns below it) of every column of the scope's result, in order."""
        if id(scope) not in self._done:
            self._done[id(scope)] = self._columns(scope)
        return self._done[id(scope)]

    def _columns(self, scope: Scope) -> list[tuple[str, Origins]]:
        if isinstance(scope.expression, exp.SetOperation):
            left, right = (self.columns(side) for side in scope.set_operation_scopes)
            return [(name, mine | theirs) for (name, mine), (_, theirs) in zip(left, right, strict=True)]
        if isinstance(scope.expression, exp.Query):
            return [(select.alias_or_name, self._below(select)) for select in scope.expression.selects]
        return [("", self._below(scope.expression))]  # UNNEST and its like: one column out of what they read

    def _below(self, expression: exp.Expr) -> Origins:
        found = (self._origins(column) for column in expression.find_all(exp.Column))
        return frozenset().union(*found)

    def _origins(self, column: exp.Column) -> Origins:
        source = self._sources.get(id(column))
        if isinstance(source, exp.Table):
            return frozenset({(TableName(source.db, source.name), column.name)}) if source.db else frozenset()
        if source is None:
            return frozenset()
        return frozenset().union(*(o for name, o in self.columns(source) if name in ("", column.name)))


def _sqlglot_schema(
    schemas: tuple[tuple[TableName, TableSchema], ...],
) -> dict[str, object]:
    found: dict[str, dict[str, dict[str, str]]] = {}
    for table, schema in schemas:
        found.setdefault(table.dataset, {})[table.table] = {f.name: sql_type(f) for f in schema.fields}
    return dict(found)


def sql_type(field: Field) -> str:
    """BigQuery's spelling of a column's type, nested ones included: ``ARRAY<STRUCT<a INT64>>``."""
    inner = ", ".join(f"{f.name} {sql_type(f)}" for f in field.fields)
    one = f"STRUCT<{inner}>" if field.type is FieldType.STRUCT else field.type.value
    return f"ARRAY<{one}>" if field.mode is Mode.REPEATED else one
