"""Moving staged rows into their table: one transaction for a slice, one MERGE for keys.

Owns what must hold of the staged rows before a MERGE, and which partitions it may touch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.schema.model import Mode, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite, WriteResult
from platform_assets.resources.warehouse.bigquery import statements
from platform_assets.resources.warehouse.bigquery.connection import Connection
from platform_assets.resources.warehouse.bigquery.statements import MAX_PARTITIONS, Staged

_SAMPLE = 3


def publish(connection: Connection, tenant: str, write: SliceWrite) -> WriteResult:
    """DataError where staged rows lie outside the slice, miss a REQUIRED value, or have keys that are NULL or come
    twice; the target stays as it was. Repeating it leaves the same rows."""
    move = _Move(connection, tenant, write)
    return move.replace() if write.mode == "replace" else move.merge()


class _Move:
    """One publication: where from, where to, and the words for errors."""

    def __init__(self, connection: Connection, tenant: str, write: SliceWrite) -> None:
        self.connection, self.tenant, self.write = connection, tenant, write
        self.spec: TableSpec = write.target
        self.target = connection.quoted(tenant, write.target.name)
        self.staging = connection.quoted(tenant, write.staging)
        self.what = f"{write.mode} {write.target.name}"

    def replace(self) -> WriteResult:
        script = statements.replace_slice(self.target, self.staging, self.write)
        job = self._run(script)
        ((deleted, inserted),) = self.connection.rows_of(self.what, job)
        return WriteResult(int(inserted), int(deleted))

    def merge(self) -> WriteResult:
        self._require_key_columns()
        staged = self._look()
        if not staged.rows:
            return WriteResult(0, 0)
        merge = statements.merge_rows(self.target, self.staging, self.write, staged)
        done = self._run(merge).dml_stats
        return WriteResult(int(done.inserted_row_count), 0, int(done.updated_row_count))

    def _run(self, sql: BoundSql) -> Any:
        try:
            return self.connection.dml(self.what, self.tenant, sql, self.spec.labels)
        except DataError as error:
            raise self._explained(error) from error

    def _explained(self, error: DataError) -> DataError:
        """BigQuery names the first trouble only; people want to know how many rows, and see some."""
        required = [f.name for f in self.spec.schema.fields if f.mode is Mode.REQUIRED]
        outside = statements.slice_predicate(self.write) if self.write.mode == "replace" else None
        (counts,) = self._read(statements.count_troubles(self.staging, required, outside))
        nulls = [f"{name} in {counts[f'null_{n}']}" for n, name in enumerate(required) if counts[f"null_{n}"]]
        if outside and counts["outside"]:
            columns = [name for name, _ in self.write.slice.equals]
            some = self._read(statements.some_outside(self.staging, columns, outside, _SAMPLE))
            shown = "; ".join(", ".join(f"{k}={v}" for k, v in row.items()) for row in some)
            return DataError(
                f"{self.spec.name}: {counts['outside']} staged rows lie outside the slice {self.write.slice}, "
                f"for example {shown}"
            )
        if nulls:
            return DataError(f"{self.spec.name}: REQUIRED columns are NULL: {', '.join(nulls)} rows")
        return error

    def _require_key_columns(self) -> None:
        keys = self.write.keys
        if not keys:
            raise RejectedError(f"{self.spec.name}: {self.write.mode} needs keys")
        if unknown := [key for key in keys if self.spec.schema.get(key) is None]:
            raise RejectedError(f"{self.spec.name} has no key columns {', '.join(unknown)}")

    def _look(self) -> Staged:
        """One scan of the staging table; a second query only where the keys do not hold the partition column."""
        keys, spec = self.write.keys, self.spec
        (row,) = self._read(statements.look_at_staged(self.staging, spec, keys))
        staged = Staged(
            row["row_count"], _partitions(row.get("partitions") or ()), bool(row.get("null_partition"))
        )
        self._require_keys(row["null_keys"], row["duplicate_keys"])
        partition = spec.partitioning.column.lower() if spec.partitioning else None
        if partition and staged.rows and partition not in {key.lower() for key in keys}:
            staged = self._with_partitions_of_keys(staged)
        if len(staged.partitions) > MAX_PARTITIONS:
            raise RejectedError(
                f"{self.what}: {len(staged.partitions)} partitions at once, BigQuery allows {MAX_PARTITIONS}"
            )
        return staged

    def _require_keys(self, nulls: int, duplicates: int) -> None:
        name, keys = self.spec.name, ", ".join(self.write.keys)
        if nulls:
            raise DataError(f"{name}: the key {keys} is NULL in {nulls} staged rows")
        if duplicates:
            some = self._read(statements.some_duplicates(self.staging, self.write.keys, _SAMPLE))
            shown = "; ".join(
                f"{', '.join(str(row[key]) for key in self.write.keys)} ({row['times']} times)"
                for row in some
            )
            raise DataError(f"{name}: the key {keys} comes more than once in the staged rows: {shown}")

    def _with_partitions_of_keys(self, staged: Staged) -> Staged:
        found = [
            row["part"]
            for row in self._read(
                statements.look_for_keys(self.target, self.staging, self.spec, self.write.keys)
            )
        ]
        return replace(
            staged,
            partitions=_partitions([*staged.partitions, *found]),
            null_partition=staged.null_partition or None in found,
        )

    def _read(self, query: BoundSql) -> list[dict[str, Any]]:
        return self.connection.read(self.what, self.tenant, query, _rows, self.spec.labels)


def _rows(found: Iterable[Any]) -> list[dict[str, Any]]:
    return [dict(row.items()) for row in found]


def _partitions(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted({value for value in values if value is not None}))
