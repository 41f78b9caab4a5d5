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
from platform_assets.ports import SliceWrite, WriteResult
from platform_assets.resources.warehouse.duckdb_file import Connection
from platform_assets.resources.warehouse.duckdb_schema import identifier, read_table, table_identifier

_SAMPLE = 3


def publish(connection: Connection, target: TableName, staging: TableName, write: SliceWrite) -> WriteResult:
    """``target`` and ``staging`` are physical. Repeating it leaves the same rows."""
    have, staged = _existing(connection, target), _existing(connection, staging)
    extra = [name for name in staged.names if have.get(name) is None]
    if extra:
        raise RejectedError(f"{target} does not have the staged columns {', '.join(extra)}")
    _require_values(connection, target, staging, write.target.schema)
    columns = ", ".join(identifier(name) for name in staged.names)
    move = _Move(connection, table_identifier(target), table_identifier(staging), columns, staged.names)
    if write.mode == "replace":
        return _replace(move, target, write.slice)
    _require_keys(move, target, write)
    return _merge(move, write) if write.mode == "merge" else _append(move, write.keys)


class _Move:
    """Two quoted tables, their common columns, and counting statements."""

    def __init__(
        self, connection: Connection, target: str, staging: str, columns: str, names: Sequence[str]
    ) -> None:
        self.connection, self.target, self.staging = connection, target, staging
        self.columns, self.names = columns, names

    def count(self, sql: str, values: Sequence[Any] = ()) -> int:
        found = self.connection.execute(sql, list(values)).fetchone()
        return int(found[0]) if found else 0


def _existing(connection: Connection, table: TableName) -> TableSchema:
    stored = read_table(connection, table)
    if stored is None:
        raise NotFoundError(f"{table} does not exist")
    return stored.schema


# --- Modes ----------------------------------------------------------------------------------------------------------


def _replace(move: _Move, target: TableName, rows: Slice) -> WriteResult:
    inside, values = _condition(rows)
    _require_inside(move, target, rows, inside, values)
    deleted = move.count(f"DELETE FROM {move.target} WHERE {inside}", values)
    inserted = move.count(
        f"INSERT INTO {move.target} ({move.columns}) SELECT {move.columns} FROM {move.staging}"
    )
    return WriteResult(inserted, deleted)


def _merge(move: _Move, write: SliceWrite) -> WriteResult:
    sets = ", ".join(f"{identifier(n)} = s.{identifier(n)}" for n in move.names)
    newer = f" AND {_newer(write.newest_by)}" if write.newest_by else ""
    found = move.connection.execute(
        f"MERGE INTO {move.target} AS t USING {move.staging} AS s ON {_same(write.keys)} "
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


def _require_inside(move: _Move, target: TableName, rows: Slice, inside: str, values: list[Any]) -> None:
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
        raise DataError(f"{target}: {count} staged rows lie outside the slice {rows}, for example {shown}")


def _require_values(
    connection: Connection, target: TableName, staging: TableName, schema: TableSchema
) -> None:
    """One scan counts the rows in which each REQUIRED column is missing, inside STRUCT and lists too."""
    tests = [test for column in schema.fields for test in _missing(column, identifier(column.name), 0)]
    if not tests:
        return
    counts = connection.execute(
        f"SELECT {', '.join(f'count(*) FILTER (WHERE {sql})' for _, sql in tests)} "
        f"FROM {table_identifier(staging)}"
    ).fetchone()
    wrong = [f"{path} in {count}" for (path, _), count in zip(tests, counts or (), strict=True) if count]
    if wrong:
        raise DataError(f"{target}: REQUIRED columns are NULL: {', '.join(wrong)} rows")


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


def _require_keys(move: _Move, target: TableName, write: SliceWrite) -> None:
    keys = write.keys
    if not keys:
        raise RejectedError(f"{target}: {write.mode} needs keys")
    unknown = [key for key in keys if key.lower() not in {n.lower() for n in move.names}]
    if unknown:
        raise RejectedError(f"{target} has no key columns {', '.join(unknown)}")
    columns = ", ".join(identifier(key) for key in keys)
    nulls = " OR ".join(f"{identifier(key)} IS NULL" for key in keys)
    missing = move.count(f"SELECT count(*) FROM {move.staging} WHERE {nulls}")
    if missing:
        raise DataError(f"{target}: the key {', '.join(keys)} is NULL in {missing} staged rows")
    twice = move.connection.execute(
        f"SELECT {columns}, count(*) FROM {move.staging} GROUP BY ALL HAVING count(*) > 1 "
        f"ORDER BY ALL LIMIT {_SAMPLE}"
    ).fetchall()
    if twice:
        shown = "; ".join(", ".join(map(str, row[:-1])) + f" ({row[-1]} times)" for row in twice)
        raise DataError(
            f"{target}: the key {', '.join(keys)} comes more than once in the staged rows: {shown}"
        )
