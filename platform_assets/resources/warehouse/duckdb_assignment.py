# ruff: noqa: S608 - every name in these statements is quoted by ``identifier``, every value is bound
"""How a query's columns become a table's: by name, and only where no value changes.

Owns assignment as BigQuery has it: numbers may widen, a decimal may take fewer digits only where none is lost,
floating point never becomes money by itself, text never becomes a number.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.resources.warehouse.duckdb_file import Connection, quoted
from platform_assets.resources.warehouse.duckdb_schema import (
    children,
    decimal_scale,
    identifier,
    table_identifier,
)

if TYPE_CHECKING:
    from duckdb.sqltypes import DuckDBPyType

_INTEGERS = frozenset(
    {
        "tinyint",
        "smallint",
        "integer",
        "bigint",
        "hugeint",
        "utinyint",
        "usmallint",
        "uinteger",
        "ubigint",
        "uhugeint",
    }
)
# target → sources that convert without asking; a conversion that may lose something is checked value by value.
_ALLOWED: Mapping[str, frozenset[str]] = {
    "bigint": _INTEGERS,
    "double": _INTEGERS | {"double", "float", "decimal"},
    "decimal": _INTEGERS | {"decimal"},
    "date": frozenset({"date", "timestamp"}),
    "timestamp": frozenset({"timestamp", "date", "timestamp_ns", "timestamp_ms", "timestamp_s"}),
    "timestamp with time zone": frozenset({"timestamp with time zone", "timestamp"}),
    "varchar": frozenset({"varchar", "uuid", "enum"}),
}
_CHECKED = frozenset({("timestamp", "date"), ("timestamp_ns", "timestamp")})


def insert_statement(connection: Connection, table: TableName, sql: str, values: Mapping[str, Any]) -> str:
    """``INSERT INTO table (…) SELECT … FROM (sql)``; see ``assigned``."""
    names, selected = assigned(connection, table, sql, values)
    columns = ", ".join(map(identifier, names))
    return f"INSERT INTO {table_identifier(table)} ({columns}) {selected}"


def assigned(
    connection: Connection, table: TableName, sql: str, values: Mapping[str, Any]
) -> tuple[list[str], str]:
    """(columns of ``table`` that ``sql`` gives, a query for their values in the table's types). NotFoundError without
    the table; RejectedError names every column that the table does not have or whose type does not fit."""
    wanted = _columns(connection, f"SELECT * FROM {table_identifier(table)} LIMIT 0", {})
    given = _columns(connection, sql, values)
    targets = {name.lower(): (name, kind) for name, kind in wanted}
    problems = [
        reason
        for name, kind in given
        if (reason := _problem(name, kind, targets.get(name.lower(), (name, None))[1]))
    ]
    names = [name.lower() for name, _ in given]
    problems += [f"column {n} comes twice" for n in sorted({n for n in names if names.count(n) > 1})]
    if problems:
        raise RejectedError(f"{table} cannot take these rows: " + "; ".join(problems))
    pairs = [(targets[name.lower()], (name, kind)) for name, kind in given]
    selected = ", ".join(
        f"{_converted(name, kind, to)} AS {identifier(target)}" for (target, to), (name, kind) in pairs
    )
    return [target for (target, _), _ in pairs], f"SELECT {selected} FROM ({sql}) AS rows_"


def _columns(connection: Connection, sql: str, values: Mapping[str, Any]) -> list[tuple[str, DuckDBPyType]]:
    relation = connection.sql(sql, params=dict(values)) if values else connection.sql(sql)
    return list(zip(relation.columns, relation.types, strict=True))


def _problem(name: str, kind: DuckDBPyType, target: DuckDBPyType | None) -> str | None:
    if target is None:
        return f"column {name} does not exist in the table"
    return None if _fits(kind, target) else f"column {name} is {target}, the rows give {kind}"


def _fits(kind: DuckDBPyType, target: DuckDBPyType) -> bool:
    if kind.id == "null" or str(kind) == str(target):
        return True
    if target.id == "list":
        return kind.id == "list" and _fits(dict(children(kind))["child"], dict(children(target))["child"])
    if target.id == "struct":
        inner = {n.lower(): k for n, k in children(target)}
        return kind.id == "struct" and all(
            n.lower() in inner and _fits(k, inner[n.lower()]) for n, k in children(kind)
        )
    return kind.id in _ALLOWED.get(target.id, {target.id})


def _converted(name: str, kind: DuckDBPyType, target: DuckDBPyType) -> str:
    column = f"rows_.{identifier(name)}"
    if str(kind) == str(target):
        return column
    cast = f"CAST({column} AS {target})"
    if not _may_lose(kind, target):
        return cast
    lost = f"error({quoted(f'column {name} is {target} and would change the value ')} || CAST({column} AS VARCHAR))"
    return f"CASE WHEN CAST({cast} AS {kind}) IS NOT DISTINCT FROM {column} THEN {cast} ELSE {lost} END"


def _may_lose(kind: DuckDBPyType, target: DuckDBPyType) -> bool:
    if kind.id in ("list", "struct") and kind.id == target.id:
        inner = {n.lower(): k for n, k in children(target)}
        return any(_may_lose(k, inner[n.lower()]) for n, k in children(kind))
    if (kind.id, target.id) == ("decimal", "decimal"):
        return decimal_scale(kind) > decimal_scale(target)
    return (kind.id, target.id) in _CHECKED
