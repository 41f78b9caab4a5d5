"""A tenant's end: every table exported to the object store, then, where it is wanted, deleted.

Deletes only a suspended tenant, only when its name is given a second time, and only what was exported whole. No table
is in memory whole: rows go from the warehouse to a file batch by batch, and from the file to the store in pieces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from platform_assets.commands.tenant_lifecycle import Tell
from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.sql.binding import bind_query
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import ObjectStore, Warehouse

if TYPE_CHECKING:
    import pyarrow.parquet as pq

ROWS_OF_A_QUERY = 1_000_000
_CHUNK = 8 * 2**20


@dataclass(frozen=True)
class Exported:
    """One table as one Parquet object."""

    table: str
    key: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class Part:
    """Some of a table's rows: a condition on its partition column alone ("" where it has none), and how many."""

    where: str
    rows: int


def export(
    configuration: Configuration,
    warehouse: Warehouse,
    store: ObjectStore,
    tenant: str,
    now: datetime,
    tell: Tell,
    *,
    rows_of_a_query: int = ROWS_OF_A_QUERY,
) -> list[Exported]:
    """Every table to ``offboarded/<tenant>/<dataset>/<table>.parquet``, then ``manifest.json``. A tenant without tables
    keeps the manifest of before. DataError where a table changes meanwhile.

    A query reads neighbouring days of up to ``rows_of_a_query`` rows; a day alone may have more."""
    prefix, done = f"offboarded/{tenant}", []
    for name in warehouse.tables(tenant):
        key = f"{prefix}/{name.dataset}/{name.table}.parquet"
        parts = parts_of(configuration, warehouse, tenant, name, rows_of_a_query)
        one = _export_table(warehouse, store, tenant, key, name, parts)
        tell(f"{name}: {one.rows} rows, {one.bytes} bytes to {one.key}")
        done.append(one)
    if done:
        manifest = {"tenant": tenant, "exported_at": now.isoformat(), "tables": [vars(one) for one in done]}
        store.put(f"{prefix}/manifest.json", json.dumps(manifest, indent=2).encode())
    return done


def require_deletable(tenant: TenantSpec, confirmed: str | None) -> None:
    """RejectedError unless the tenant is suspended and its name was repeated."""
    name = tenant.tenant
    if tenant.status != "suspended":
        raise RejectedError(
            f"{name} is {tenant.status}: suspend it first (platform-assets tenant suspend {name})"
        )
    if confirmed != name:
        raise RejectedError(f"to delete every table of {name}, repeat its name: --confirm {name}")


def delete(
    configuration: Configuration,
    warehouse: Warehouse,
    store: ObjectStore,
    tenant: TenantSpec,
    confirmed: str | None,
    exported: Sequence[Exported],
) -> None:
    """Delete all datasets. RejectedError as above; DataError where an exported object is not what was written, or a
    table came or changed its number of rows meanwhile."""
    require_deletable(tenant, confirmed)
    name = tenant.tenant
    for one in exported:
        if _digest(store, one) != one.sha256:
            raise DataError(f"{one.key} is not what was exported; nothing was deleted")
    left = {str(table) for table in warehouse.tables(name)} - {one.table for one in exported}
    if left:
        raise DataError(f"{', '.join(sorted(left))} were not exported; nothing was deleted")
    for one in exported:
        rows = sum(part.rows for part in parts_of(configuration, warehouse, name, TableName.parse(one.table)))
        if rows != one.rows:
            raise DataError(f"{one.table} has {rows} rows, {one.rows} were exported; nothing was deleted")
    warehouse.drop_tenant(name)


def _digest(store: ObjectStore, one: Exported) -> str:
    digest = hashlib.sha256()
    for start in range(0, one.bytes + 1, _CHUNK):  # one byte more than was written, to see what is too long
        digest.update(store.get_range(one.key, start, min(_CHUNK, one.bytes + 1 - start)))
    return digest.hexdigest()


# --- Parts of a table -------------------------------------------------------------------------------------------------


def parts_of(
    configuration: Configuration,
    warehouse: Warehouse,
    tenant: str,
    name: TableName,
    most_rows: int = ROWS_OF_A_QUERY,
) -> tuple[Part, ...]:
    """All rows, each in one part: those without a partition first, then days in order. Every query has a literal
    condition on the partition column, which tables demand."""
    spec = configuration.tables.get(TableName(name.dataset, name.table.removesuffix("_quarantine")))
    source = f"`{name.dataset}`.`{name.table}`"
    if spec is None or spec.partitioning is None:
        ((rows,),) = _answer(warehouse, tenant, f"SELECT COUNT(*) FROM {source}")  # noqa: S608 - of the catalog
        return (Part("", rows),)
    column = f"`{spec.partitioning.column}`"
    kind = next(c.type for c in spec.schema.fields if c.name == spec.partitioning.column)
    undated = f"{column} IS NULL"
    ((rows,),) = _answer(warehouse, tenant, f"SELECT COUNT(*) FROM {source} WHERE {undated}")  # noqa: S608
    days = _answer(
        warehouse,
        tenant,
        f"SELECT CAST({column} AS DATE) AS day, COUNT(*) AS found FROM {source} "  # noqa: S608
        f"WHERE {column} >= {kind} '0001-01-01' GROUP BY 1 ORDER BY 1",
    )
    dated = (
        Part(f"{column} >= {kind} '{first}'{_before(last, column, kind)}", count)
        for first, last, count in _ranges(days, most_rows)
    )
    return (Part(undated, rows), *dated)


def _before(last: date, column: str, kind: str) -> str:
    return f" AND {column} < {kind} '{last + timedelta(1)}'" if last < date.max else ""


def _ranges(days: Sequence[tuple[date, int]], most_rows: int) -> Iterator[tuple[date, date, int]]:
    """(first day, last day, rows) of neighbouring days that have no more rows together."""
    waiting: tuple[date, date, int] | None = None
    for day, rows in days:
        if waiting and waiting[2] + rows <= most_rows:
            waiting = (waiting[0], day, waiting[2] + rows)
            continue
        if waiting:
            yield waiting
        waiting = (day, day, rows)
    if waiting:
        yield waiting


def _answer(warehouse: Warehouse, tenant: str, sql: str) -> list[tuple[Any, ...]]:
    rows = warehouse.query(tenant, bind_query(sql, tenant)).to_pylist()
    return [tuple(row.values()) for row in rows]


# --- One table --------------------------------------------------------------------------------------------------------


def _export_table(
    warehouse: Warehouse,
    store: ObjectStore,
    tenant: str,
    key: str,
    name: TableName,
    parts: Sequence[Part],
) -> Exported:
    with TemporaryDirectory(prefix="offboard-") as folder:
        path = Path(folder) / "table.parquet"
        rows = _write(warehouse, tenant, name, parts, path)
        digest = hashlib.sha256()
        store.put(key, _chunks(path, digest))
        return Exported(str(name), key, rows, path.stat().st_size, digest.hexdigest())


def _write(warehouse: Warehouse, tenant: str, name: TableName, parts: Sequence[Part], path: Path) -> int:
    """Rows written: all of all parts, a row group for each batch. An empty table is a file with its columns."""
    import pyarrow.parquet as pq

    writer: pq.ParquetWriter | None = None
    total = 0
    try:
        for part in (parts[0], *(part for part in parts[1:] if part.rows)):
            where = f" WHERE {part.where}" if part.where else ""
            sql = f"SELECT * FROM `{name.dataset}`.`{name.table}`{where}"  # noqa: S608 - names of the catalog
            with warehouse.stream(tenant, bind_query(sql, tenant)) as batches:
                writer = writer or pq.ParquetWriter(path, batches.schema, compression="zstd")
                written = 0
                for batch in batches:
                    writer.write_batch(batch)
                    written += batch.num_rows
            if written != part.rows:
                raise DataError(f"{name} changed while it was exported; export it again")
            total += written
    finally:
        if writer is not None:
            writer.close()
    return total


def _chunks(path: Path, digest: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            yield chunk
