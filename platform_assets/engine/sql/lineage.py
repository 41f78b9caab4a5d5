"""Where each result column of a transform comes from.

Owns column lineage and the expansion of ``*``. Needs the columns of the tables read, because neither can be known
from the text alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.lineage import Node, lineage
from sqlglot.optimizer.qualify import qualify

from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.sql.transform import Lineage, Transform


def output_columns(transform: Transform, schemas: Mapping[TableName, TableSchema]) -> tuple[str, ...]:
    """Names of the result's columns in order."""
    return tuple(_qualified(transform, _key(transform, schemas)).named_selects)


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
    tree = _qualified(transform, schemas)
    nodes = lineage(None, tree, schema=_sqlglot_schema(schemas), dialect="bigquery")
    return tuple((name, _sources(node)) for name, node in nodes.items())


def _sources(root: Node) -> tuple[tuple[TableName, str], ...]:
    return tuple(sorted({found for node in root.walk() if (found := _source(node))}))


def _source(node: Node) -> tuple[TableName, str] | None:
    """A leaf of the lineage: its name is ``alias.column``, perhaps quoted; its source is the table."""
    if not isinstance(node.source, exp.Table) or not node.source.db:
        return None
    return TableName(node.source.db, node.source.name), node.name.rpartition(".")[2].strip('`"')


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
