# ruff: noqa: S608 - every name in these statements is quoted by ``identifier``, every value is bound
"""Moving staged rows into their table, inside the caller's transaction.

Owns the checks that come before: REQUIRED columns, rows outside the slice, keys that are NULL or come twice. One
scan of the staging table finds them all. A failed check leaves the table as it was.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from platform_assets.engine.errors import DataError, NotFoundError, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, Mode, Slice, TableSchema
from platform_assets.ports import SliceWrite, Upsert, WriteResult
from platform_assets.resources.warehouse.duckdb_assignment import assigned
from platform_assets.resources.warehouse.duckdb_file import Connection
from platform_assets.resources.warehouse.duckdb_schema import identifier, read_table, table_identifier

_SAMPLE = 3


def publish(connection: Connection, target: TableName, staging: TableName, write: SliceWrite) -> WriteResult:
    """``target`` and ``staging`` are physical. Repeating it leaves the same rows."""
    have, staged = _existing(connection, target), _existing(connection, staging)
    extra = [name for name in staged.names if have.get(name) is None]
    if extra:
        raise RejectedError(f"{target} does not have the staged columns {', '.join(extra)}")
    move = _Move(connection, target, table_identifier(staging), staged.names)
    _require_values(move, write.target.schema)
    if write.mode == "replace":
        return _replace(move, write.slice)
    _require_keys(move, write.keys, write.mode)
    return _merge(move, write.keys, write.newest_by) if write.mode == "merge" else _append(move, write.keys)


def merge(connection: Connection, target: TableName, source: str, write: Upsert) -> WriteResult:
    """``source``: rows that the connection knows by this name, in types that the target's columns take."""
    names, selected = assigned(connection, target, f"SELECT * FROM {identifier(source)}", {})
    move = _Move(connection, target, f"({selected})", names)
    _require_values(move, write.target.schema)
    _require_keys(move, write.keys, "merge")
    return _merge(move, write.keys, write.newest_by)


class _Move:
    """A table, what comes into it (SQL), their common columns, and counting statements."""

    def __init__(self, connection: Connection, table: TableName, staging: str, names: Sequence[str]) -> None:
        self.connection, self.table, self.staging, self.names = connection, table, staging, names
        self.target, self.columns = table_identifier(table), ", ".join(map(identifier, names))

    def count(self, sql: str, values: Sequence[Any] = ()) -> int:
        # To its end: a result that is not fetched to its end keeps the connection busy where the source is Arrow's.
        found = self.connection.execute(sql, list(values)).fetchall()
        return int(found[0][0]) if found else 0


def _existing(connection: Connection, table: TableName) -> TableSchema:
    stored = read_table(connection, table)
    if stored is None:
        raise NotFoundError(f"{table} does not exist")
    return stored.schema


# --- Modes ----------------------------------------------------------------------------------------------------------


def _replace(move: _Move, rows: Slice) -> WriteResult:
    inside, values = _condition(rows)
    _require_inside(move, rows, inside, values)
    deleted = move.count(f"DELETE FROM {move.target} WHERE {inside}", values)
    inserted = move.count(
        f"INSERT INTO {move.target} ({move.columns}) SELECT {move.columns} FROM {move.staging}"
    )
    return WriteResult(inserted, deleted)


def _merge(move: _Move, keys: Sequence[str], newest_by: Sequence[str]) -> WriteResult:
    sets = ", ".join(f"{identifier(n)} = s.{identifier(n)}" for n in move.names)
    newer = f" AND {_newer(newest_by)}" if newest_by else ""
    found = move.connection.execute(
        f"MERGE INTO {move.target} AS t USING {move.staging} AS s ON {_same(keys)} "
        f"WHEN MATCHED{newer} THEN UPDATE SET {sets} "
        f"WHEN NOT MATCHED THEN INSERT ({move.columns}) VALUES ({_staged(move)}) RETURNING merge_action"
    ).fetchall()
    updated = sum(action == "UPDATE" for (action,) in found)
    return WriteResult(len(found) - updated, 0, updated)


def _append(move: _Move, keys: Sequence[str]) -> WriteResult:
    inserted = move.count(
        f"INSERT INTO {move.target} ({move.columns}) SELECT {_staged(move)} FROM {move.staging} AS s "
        f"WHERE NOT EXISTS (SELECT 1 FROM {move.target} AS t WHERE {_same(keys)})"
    )
    return WriteResult(inserted, 0)


def _same(keys: Sequence[str]) -> str:
    return " AND ".join(f"t.{identifier(k)} = s.{identifier(k)}" for k in keys)


def _newer(columns: Sequence[str]) -> str:
    staged, there = ([f"{side}.{identifier(c)}" for c in columns] for side in "st")
    return f"({', '.join(staged)}) > ({', '.join(there)})"


def _staged(move: _Move) -> str:
    return ", ".join(f"s.{identifier(n)}" for n in move.names)


# --- Checks ---------------------------------------------------------------------------------------------------------


def _condition(rows: Slice) -> tuple[str, list[Any]]:
    if not rows.equals:
        raise RejectedError("a slice names at least one column; this one would replace the whole table")
    return (
        " AND ".join(f"{identifier(column)} IS NOT DISTINCT FROM ?" for column, _ in rows.equals),
        [value for _, value in rows.equals],
    )


def _require_inside(move: _Move, rows: Slice, inside: str, values: list[Any]) -> None:
    outside = f"FROM {move.staging} WHERE NOT ({inside})"
    count = move.count(f"SELECT count(*) {outside}", values)
    if count:
        columns = ", ".join(identifier(column) for column, _ in rows.equals)
        sample = move.connection.execute(
            f"SELECT DISTINCT {columns} {outside} ORDER BY ALL LIMIT {_SAMPLE}", values
        ).fetchall()
        shown = "; ".join(
            ", ".join(f"{c}={v}" for (c, _), v in zip(rows.equals, row, strict=True)) for row in sample
        )
        raise DataError(
            f"{move.table}: {count} staged rows lie outside the slice {rows}, for example {shown}"
        )


def _require_values(move: _Move, schema: TableSchema) -> None:
    """One scan counts the rows in which each REQUIRED column is missing, inside STRUCT and lists too."""
    tests = [test for column in schema.fields for test in _missing(column, identifier(column.name), 0)]
    if not tests:
        return
    (counts,) = move.connection.execute(
        f"SELECT {', '.join(f'count(*) FILTER (WHERE {sql})' for _, sql in tests)} FROM {move.staging} AS s"
    ).fetchall()
    wrong = [f"{path} in {count}" for (path, _), count in zip(tests, counts, strict=True) if count]
    if wrong:
        raise DataError(f"{move.table}: REQUIRED columns are NULL: {', '.join(wrong)} rows")


def _missing(column: Field, value: str, depth: int) -> Iterator[tuple[str, str]]:
    """(path, condition under which it is missing). A STRUCT's columns count only where the STRUCT is there; an item
    of a list is never NULL, as BigQuery has it."""
    item = f"item{depth}" if column.mode is Mode.REPEATED else value
    inner = [
        (f"{column.name}.{path}", sql)
        for child in column.fields
        for path, sql in _missing(child, f"{item}.{identifier(child.name)}", depth + 1)
    ]
    if column.mode is Mode.REPEATED:
        for path, sql in [(f"{column.name}[]", f"{item} IS NULL"), *inner]:
            yield path, f"len(list_filter({value}, lambda {item}: {sql})) > 0"
        return
    if column.mode is Mode.REQUIRED:
        yield column.name, f"{value} IS NULL"
    yield from ((path, f"({value} IS NOT NULL AND {sql})") for path, sql in inner)


def _require_keys(move: _Move, keys: Sequence[str], mode: str) -> None:
    target = move.table
    if not keys:
        raise RejectedError(f"{target}: {mode} needs keys")
    unknown = [key for key in keys if key.lower() not in {n.lower() for n in move.names}]
    if unknown:
        raise RejectedError(f"{target} has no key columns {', '.join(unknown)}")
    columns = ", ".join(identifier(key) for key in keys)
    nulls = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
    missing = move.count(f"SELECT count(*) FROM {move.staging} AS s WHERE {nulls}")
    if missing:
        raise DataError(f"{target}: the key {', '.join(keys)} is NULL in {missing} staged rows")
    twice = move.connection.execute(
        f"SELECT {columns}, count(*) FROM {move.staging} AS s GROUP BY ALL HAVING count(*) > 1 "
        f"ORDER BY ALL LIMIT {_SAMPLE}"
    ).fetchall()
    if twice:
        shown = "; ".join(", ".join(map(str, row[:-1])) + f" ({row[-1]} times)" for row in twice)
        raise DataError(
            f"{target}: the key {', '.join(keys)} comes more than once in the staged rows: {shown}"
        )
