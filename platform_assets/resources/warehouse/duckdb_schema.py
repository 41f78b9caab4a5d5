# ruff: noqa: S608 - every name in these statements is quoted by ``identifier``, every value is bound
"""Tables in DuckDB's catalog: a ``TableSpec`` as DDL, and the catalog read back as a ``TableSchema``.

Owns what DuckDB cannot say itself: modes inside STRUCT, partitioning, clustering and labels are kept as JSON in the
table's comment. Column types always come from the catalog, so a comment that was lost costs no data.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.schema.planning import (
    AddColumn,
    Change,
    CreateTable,
    DescribeColumn,
    RelaxColumn,
    SchemaPlan,
    WidenColumn,
    apply_plan,
)
from platform_assets.engine.sql.dialect import DUCKDB_TYPES
from platform_assets.resources.warehouse.duckdb_file import Connection, quoted

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_SCALES = {9: FieldType.NUMERIC, 18: FieldType.BIGNUMERIC}
_FIELD_TYPES: Mapping[str, FieldType] = {text: kind for kind, text in DUCKDB_TYPES.items()}


def identifier(*parts: str) -> str:
    """A quoted name, dotted."""
    return ".".join('"' + part.replace('"', '""') + '"' for part in parts)


def table_identifier(table: TableName) -> str:
    """A physical table as SQL."""
    return identifier(table.dataset, table.table)


def duckdb_type(column: Field) -> str:
    """``STRUCT("a" BIGINT)[]`` and so on."""
    inner = ", ".join(f"{identifier(f.name)} {duckdb_type(f)}" for f in column.fields)
    one = f"STRUCT({inner})" if column.type is FieldType.STRUCT else DUCKDB_TYPES[column.type]
    return f"{one}[]" if column.mode is Mode.REPEATED else one


def children(kind: DuckDBPyType) -> Iterator[tuple[str, DuckDBPyType]]:
    """The columns of a STRUCT, or a list's ``child``."""
    return ((str(name), child) for name, child in kind.children if not isinstance(child, int | list))


def decimal_scale(kind: DuckDBPyType) -> int:
    """Digits after the point of a DECIMAL."""
    return next(int(str(value)) for name, value in kind.children if name == "scale")


# --- Reading the catalog --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Stored:
    """A table as it is. ``schema`` is the truth of the catalog with modes and descriptions from the comment."""

    schema: TableSchema
    partitioning: Partitioning | None = None
    cluster_by: tuple[str, ...] = ()
    description: str = ""
    labels: tuple[tuple[str, str], ...] = field(default=())


def read_table(connection: Connection, table: TableName) -> Stored | None:
    """None where the table does not exist. RejectedError where a column's type is none of the platform's."""
    place = [table.dataset, table.table]
    found = connection.execute(
        "SELECT comment FROM duckdb_tables() WHERE database_name = 'own' AND schema_name = ? AND table_name = ?",
        place,
    ).fetchone()
    if found is None:
        return None
    meta = _read_comment(found[0])
    types = connection.sql(f"SELECT * FROM {table_identifier(table)} LIMIT 0")
    columns = connection.execute(
        "SELECT column_name, is_nullable, comment FROM duckdb_columns() WHERE database_name = 'own' "
        "AND schema_name = ? AND table_name = ? ORDER BY column_index",
        place,
    ).fetchall()
    declared = {name.lower(): value for name, value in meta.get("fields", {}).items()}
    fields = tuple(
        _column(table, name, kind, nullable, comment, declared.get(name.lower(), {}))
        for (name, nullable, comment), kind in zip(columns, types.types, strict=True)
    )
    return _stored(TableSchema(fields), meta)


def _stored(schema: TableSchema, meta: Mapping[str, Any]) -> Stored:
    cut = meta.get("partitioning")
    return Stored(
        schema,
        cut
        and Partitioning(
            cut["column"], Granularity(cut["granularity"]), cut["expiration_days"], cut["filter"]
        ),
        tuple(meta.get("cluster_by", ())),
        meta.get("description", ""),
        tuple((k, v) for k, v in meta.get("labels", ())),
    )


def _read_comment(comment: str | None) -> dict[str, Any]:
    try:
        read = json.loads(comment or "{}")
    except ValueError:
        return {"description": comment}
    return read if isinstance(read, dict) else {}


def _column(
    table: TableName,
    name: str,
    kind: DuckDBPyType,
    nullable: bool,
    comment: str | None,
    extra: Mapping[str, Any],
) -> Field:
    column = _field(table, name, kind, {**extra, "description": comment or ""})
    return replace(column, mode=Mode.REQUIRED) if not nullable else column


def _field(table: TableName, name: str, kind: DuckDBPyType, extra: Mapping[str, Any]) -> Field:
    description, pii = extra.get("description", ""), bool(extra.get("pii"))
    if kind.id == "list":
        item = _field(table, name, dict(children(kind))["child"], extra)
        return replace(item, mode=Mode.REPEATED)
    mode = Mode(extra.get("mode", Mode.NULLABLE))
    if kind.id == "struct":
        known = extra.get("fields", {})
        inner = tuple(_field(table, n, k, known.get(n, {})) for n, k in children(kind))
        return Field(name, FieldType.STRUCT, mode, description, inner, pii)
    return Field(name, _field_type(table, name, kind), mode, description, (), pii)


def _field_type(table: TableName, name: str, kind: DuckDBPyType) -> FieldType:
    text = str(kind)
    scale = _SCALES.get(decimal_scale(kind)) if kind.id == "decimal" else None
    found = scale or _FIELD_TYPES.get(text)
    if found is None:
        raise RejectedError(f"{table} column {name}: {text} is not a type of the platform")
    return found


# --- Writing the catalog --------------------------------------------------------------------------------------------


def create_table(connection: Connection, table: TableName, spec: TableSpec) -> None:
    """Create the schema and the table with its constraints and comments."""
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(table.dataset)}")
    connection.execute(f"CREATE TABLE {table_identifier(table)} ({_columns(spec.schema, constrained=True)})")
    for column in spec.schema.fields:
        _describe(connection, table, column.name, column.description)


def create_staging(connection: Connection, table: TableName, schema: TableSchema, now: datetime) -> None:
    """Create an empty table without constraints: an audit has to see what is wrong before it is refused."""
    name, note = table_identifier(table), json.dumps({"staged_at": now.isoformat()})
    connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(table.dataset)}")
    connection.execute(f"CREATE OR REPLACE TABLE {name} ({_columns(schema, constrained=False)})")
    connection.execute(f"COMMENT ON TABLE {name} IS {quoted(note)}")


def drop_stale_staging(connection: Connection, dataset: str, before: datetime) -> None:
    """Drop what runs left behind that died before they could clean up."""
    found = connection.execute(
        "SELECT table_name, comment FROM duckdb_tables() "
        "WHERE database_name = 'own' AND schema_name = ? AND contains(table_name, '__stage_')",
        [dataset],
    ).fetchall()
    for name, comment in sorted(found):
        staged_at = _read_comment(comment).get("staged_at")
        if staged_at and datetime.fromisoformat(staged_at) < before:
            connection.execute(f"DROP TABLE {identifier(dataset, name)}")


def _columns(schema: TableSchema, *, constrained: bool) -> str:
    def one(column: Field) -> str:
        end = " NOT NULL" if constrained and column.mode is Mode.REQUIRED else ""
        return f"{identifier(column.name)} {duckdb_type(column)}{end}"

    return ", ".join(one(column) for column in schema.fields)


def apply_changes(
    connection: Connection, table: TableName, spec: TableSpec, have: TableSchema | None, plan: SchemaPlan
) -> None:
    """Bring the table from ``have`` to the plan; inside the caller's transaction."""
    for change in plan.changes:
        if isinstance(change, CreateTable):
            create_table(connection, table, spec)
        # DuckDB is told the whole type of a STRUCT, so each change starts from what the ones before have made.
        have = apply_plan(have, SchemaPlan((change,)))
        for statement in _statements(table, have, change):
            connection.execute(statement)


def _statements(table: TableName, after: TableSchema, change: Change) -> Iterator[str]:
    alter = f"ALTER TABLE {table_identifier(table)}"
    match change:
        case AddColumn(path, column):
            yield f"{alter} ADD COLUMN {_path(after, path)} {duckdb_type(column)}"
            if column.description and len(path) == 1:
                yield _comment_on_column(table, column.name, column.description)
        case RelaxColumn((name,)):
            yield f"{alter} ALTER COLUMN {identifier(name)} DROP NOT NULL"
        case WidenColumn((name, *_)):
            top = after.get(name)
            assert top is not None, "a plan only widens columns that are there"
            yield f"{alter} ALTER COLUMN {identifier(name)} SET DATA TYPE {duckdb_type(top)}"
        case DescribeColumn((name,), text):
            yield _comment_on_column(table, name, text)
        case _:  # modes and descriptions inside STRUCT live in the table's comment alone
            return


def _path(schema: TableSchema, path: tuple[str, ...]) -> str:
    """DuckDB names the items of a list ``element``."""
    parts, fields = [], schema.fields
    for name in path[:-1]:
        column = next(f for f in fields if f.name == name)
        parts += [name, "element"] if column.mode is Mode.REPEATED else [name]
        fields = column.fields
    return identifier(*parts, path[-1])


def _describe(connection: Connection, table: TableName, name: str, text: str) -> None:
    if text:
        connection.execute(_comment_on_column(table, name, text))


def _comment_on_column(table: TableName, name: str, text: str) -> str:
    return f"COMMENT ON COLUMN {table_identifier(table)}.{identifier(name)} IS {quoted(text)}"


def write_comment(connection: Connection, table: TableName, schema: TableSchema, spec: TableSpec) -> None:
    """Keep with the table what the catalog has no place for. ``schema`` is the whole table's, not only the spec's."""
    cut = spec.partitioning
    meta = {
        "description": spec.description,
        "labels": [list(pair) for pair in spec.labels],
        "partitioning": cut
        and {
            "column": cut.column,
            "granularity": cut.granularity.value,
            "expiration_days": cut.expiration_days,
            "filter": cut.require_filter,
        },
        "cluster_by": list(spec.cluster_by),
        "fields": {f.name: extra for f in schema.fields if (extra := _extra(f))},
    }
    text = json.dumps(meta, ensure_ascii=False, sort_keys=True)
    connection.execute(f"COMMENT ON TABLE {table_identifier(table)} IS {quoted(text)}")


def _extra(column: Field, *, inside: bool = False) -> dict[str, Any]:
    """What the catalog cannot say about a column; inside STRUCT that is the mode and description too."""
    nested = {f.name: extra for f in column.fields if (extra := _extra(f, inside=True))}
    found: dict[str, Any] = {}
    if nested:
        found["fields"] = nested
    if column.pii:
        found["pii"] = True
    if inside and column.mode is Mode.REQUIRED:
        found["mode"] = column.mode.value
    if inside and column.description:
        found["description"] = column.description
    return found
