"""Moving staged rows into their table: one transaction for a slice, one MERGE for keys.

Owns what must hold of the staged rows before a MERGE, and which partitions it may touch.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite, WriteResult
from platform_assets.resources.warehouse.bigquery import statements
from platform_assets.resources.warehouse.bigquery.connection import Connection
from platform_assets.resources.warehouse.bigquery.statements import MAX_PARTITIONS, Staged


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
        job = self.connection.dml(self.what, self.tenant, script, self.spec.labels)
        ((deleted, inserted),) = self.connection.rows_of(self.what, job)
        return WriteResult(int(inserted), int(deleted))

    def merge(self) -> WriteResult:
        self._require_key_columns()
        staged = self._look()
        if not staged.rows:
            return WriteResult(0, 0)
        merge = statements.merge_rows(self.target, self.staging, self.write, staged)
        done = self.connection.dml(self.what, self.tenant, merge, self.spec.labels).dml_stats
        return WriteResult(int(done.inserted_row_count), 0, int(done.updated_row_count))

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
        for count, trouble in (
            (row["null_keys"], "is NULL"),
            (row["duplicate_keys"], "comes more than once"),
        ):
            if count:
                raise DataError(
                    f"{spec.name}: the key {', '.join(keys)} {trouble} in the staged rows ({count} times)"
                )
        partition = spec.partitioning.column.lower() if spec.partitioning else None
        if partition and staged.rows and partition not in {key.lower() for key in keys}:
            staged = self._with_partitions_of_keys(staged)
        if len(staged.partitions) > MAX_PARTITIONS:
            raise RejectedError(
                f"{self.what}: {len(staged.partitions)} partitions at once, BigQuery allows {MAX_PARTITIONS}"
            )
        return staged

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
        rows = self.connection.read(self.what, self.tenant, query, self.spec.labels)
        return [dict(row.items()) for row in rows]


def _partitions(values: Iterable[Any]) -> tuple[Any, ...]:
    return tuple(sorted({value for value in values if value is not None}))
