# ruff: noqa: S608 - every name in these statements is quoted by ``identifier``, every value is bound
"""The embedded warehouse: one DuckDB file per tenant, a schema per dataset, BigQuery's SQL translated.

Owns the port ``Warehouse`` on DuckDB: creating and evolving tables, staging, loading, publishing slices.
Refuses what BigQuery would refuse, and whatever would change a value on its way: a number that loses digits, a
NULL in a REQUIRED column, a staged row outside its slice. Holds a tenant's file only during an operation.
A dataset that all tenants share in BigQuery is each tenant's own here: no file is open to two tenants.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from platform_assets.engine.errors import ConfigError, ConflictError
from platform_assets.engine.names import TableName, physical, tenant_of, valid_tenant
from platform_assets.engine.schema.model import Partitioning, TableSchema, TableSpec
from platform_assets.engine.schema.planning import apply_plan, plan_changes
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Estimate, SliceWrite, Upsert, Upserted, WriteResult

if TYPE_CHECKING:
    import pyarrow as pa
    from duckdb import DuckDBPyRelation

    from platform_assets.engine.schema.access import TableAccess
    from platform_assets.resources.warehouse.duckdb_file import Connection, TenantFile

_INSTANCES_KEPT = 16
_STREAMED_ROWS = 20_000


class DuckDBSettings(BaseModel):
    """``folder`` holds ``<tenant>.duckdb``. ``memory_limit`` (``"2GB"``) and ``threads`` are for each tenant.
    ``staging_hours`` is when an orphaned staging table goes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: Path
    lock_timeout_seconds: Annotated[float, Field(ge=0)] = 60.0
    memory_limit: str | None = None
    threads: Annotated[int, Field(ge=1)] | None = None
    staging_hours: Annotated[int, Field(ge=1, le=168)] = 24


class DuckDBWarehouse:
    """Thread-safe: operations on one tenant take turns, those of different tenants run side by side."""

    def __init__(
        self, settings: DuckDBSettings, *, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._files: dict[str, TenantFile] = {}
        self._files_lock = Lock()

    # --- tables ---

    def ensure_table(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        from platform_assets.resources.warehouse.duckdb_options import option_changes
        from platform_assets.resources.warehouse.duckdb_schema import apply_changes, read_table, write_comment

        table = physical(tenant, spec.name)
        with self._file(tenant).transaction() as connection:
            stored = read_table(connection, table)
            have = stored.schema if stored else None
            plan = plan_changes(have, spec.schema)
            plan.require_allowed(spec.name)
            said = plan.describe() + option_changes(stored, spec)
            if said:
                apply_changes(connection, table, spec, have, plan)
                write_comment(connection, table, apply_plan(have, plan), spec)
            self._expire(connection, table, spec.partitioning)
        return tuple(f"{spec.name}: {change}" for change in said)

    def describe(self, tenant: str, table: TableName) -> TableSchema | None:
        from platform_assets.resources.warehouse.duckdb_schema import read_table

        with self._file(tenant).open() as connection:
            stored = read_table(connection, physical(tenant, table))
        return stored.schema if stored else None

    def drop(self, tenant: str, table: TableName) -> None:
        from platform_assets.resources.warehouse.duckdb_schema import table_identifier

        with self._file(tenant).open() as connection:
            connection.execute(f"DROP TABLE IF EXISTS {table_identifier(physical(tenant, table))}")

    def _expire(self, connection: Connection, table: TableName, partitioning: Partitioning | None) -> None:
        """Partitions whose start is ``expiration_days`` ago or more are gone, as BigQuery drops them."""
        from platform_assets.resources.warehouse.duckdb_schema import identifier, table_identifier

        if partitioning is None or partitioning.expiration_days is None:
            return
        start = f"date_trunc('{partitioning.granularity.lower()}', {identifier(partitioning.column)})"
        connection.execute(
            f"DELETE FROM {table_identifier(table)} "
            f"WHERE CAST({start} AS TIMESTAMPTZ) + to_days($days) <= $now",
            {"days": partitioning.expiration_days, "now": self._clock()},
        )

    # --- staging ---

    def create_staging(self, tenant: str, spec: TableSpec, token: str) -> TableName:
        from platform_assets.resources.warehouse.duckdb_schema import create_staging, drop_stale_staging

        staging = TableName.parse(f"{spec.name}__stage_{token}")
        table, now = physical(tenant, staging), self._clock()
        with self._file(tenant).transaction() as connection:
            drop_stale_staging(connection, table.dataset, now - timedelta(hours=self._settings.staging_hours))
            create_staging(connection, table, spec.schema, now)
        return staging

    def load(self, tenant: str, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        """The batches are read to their end before the file is opened, beyond 64 MB through a temporary file: a slow
        source must not hold the tenant's lock."""
        from platform_assets.resources.warehouse.arrow_spool import spooled

        with spooled(batches) as reader:
            if reader is None:
                return 0
            with self._file(tenant).open() as connection:
                connection.register("incoming", reader)
                try:
                    with self._file(tenant).transaction():
                        return _insert(connection, physical(tenant, table), "SELECT * FROM incoming", {})
                finally:
                    connection.unregister("incoming")

    def insert_select(self, tenant: str, table: TableName, query: BoundSql) -> int:
        sql, values = _prepared(query)
        with self._file(tenant).transaction() as connection:
            return _insert(connection, physical(tenant, table), sql, _used(connection, sql, values))

    # --- reading ---

    def query(self, tenant: str, query: BoundSql) -> pa.Table:
        """INT64 columns are int64 whatever width DuckDB computed in; decimals keep the scale they have."""
        sql, values = _prepared(query)
        with self._file(tenant).open() as connection:
            return _narrowed(connection.sql(sql, params=_used(connection, sql, values))).to_arrow_table()

    @contextmanager
    def stream(self, tenant: str, query: BoundSql) -> Iterator[pa.RecordBatchReader]:
        """As ``query``. The tenant's file is held until the context ends."""
        sql, values = _prepared(query)
        with self._file(tenant).open() as connection:
            rows = _narrowed(connection.sql(sql, params=_used(connection, sql, values)))
            with rows.to_arrow_reader(_STREAMED_ROWS) as reader:
                yield reader

    def estimate(self, tenant: str, query: BoundSql) -> Estimate:
        """Binds the query, so that what BigQuery's dry run refuses is refused here. ``bytes`` is a guess above the
        truth: all rows of every table named, a fixed width being its size and a text or a list 32 bytes. No price."""
        from platform_assets.resources.warehouse.duckdb_estimate import table_bytes

        sql, values = _prepared(query)
        with self._file(tenant).open() as connection:
            connection.sql(f"EXPLAIN {sql}", params=_used(connection, sql, values))
            return Estimate(sum(table_bytes(connection, table) for table in _tables(query.sql)))

    # --- scripts, procedures, access ---

    def execute(
        self, tenant: str, script: Sequence[BoundSql], *, unless: BoundSql | None = None
    ) -> tuple[int, ...]:
        with self._file(tenant).transaction() as connection:
            if unless is not None:
                sql, values = _prepared(unless)
                if connection.execute(sql, _used(connection, sql, values)).fetchone():
                    raise ConflictError(f"nothing was done for {tenant}: it was done already")
            return tuple(_change(connection, statement) for statement in script)

    def store_procedure(self, tenant: str, name: str, sql: str | None) -> bool:
        """DuckDB keeps none; a procedure's changes run as a script."""
        return False

    def apply_access(self, tenant: str, spec: TableSpec, access: TableAccess) -> tuple[str, ...]:
        """The shared views. A file has no users, so row rules are checked and have nobody to hold for."""
        from platform_assets.resources.warehouse.duckdb_access import apply_views

        with self._file(tenant).transaction() as connection:
            return apply_views(connection, tenant, spec, access)

    def tables(self, tenant: str) -> tuple[TableName, ...]:
        with self._file(tenant).open() as connection:
            found = connection.execute(
                "SELECT schema_name, table_name FROM duckdb_tables() "
                "WHERE database_name = 'own' AND NOT contains(table_name, '__stage_')"
            ).fetchall()
        own = ((dataset.removeprefix(f"{tenant}_"), table) for dataset, table in found if tenant_of(dataset))
        return tuple(sorted(TableName(dataset, table) for dataset, table in own))

    def drop_tenant(self, tenant: str) -> None:
        """The file goes, so that nothing is left on the disk."""
        self._file(tenant).remove()

    # --- publishing ---

    def publish(self, tenant: str, write: SliceWrite) -> WriteResult:
        from platform_assets.resources.warehouse.duckdb_publish import publish

        target, staging = physical(tenant, write.target.name), physical(tenant, write.staging)
        with self._file(tenant).transaction() as connection:
            result = publish(connection, target, staging, write)
            self._expire(connection, target, write.target.partitioning)
        return result

    def upsert(self, tenant: str, upserts: Sequence[Upsert]) -> Sequence[Upserted]:
        """Arrow's memory is merged as it is: no staging table, and the file is attached and written back once."""
        file = self._file(tenant)
        with file.open() as connection:
            changes = [self.ensure_table(tenant, one.target) for one in upserts]
            with file.transaction():
                merged = [_merge(connection, tenant, one) for one in upserts]
        return [
            Upserted(said, done.rows_inserted, done.rows_updated)
            for said, done in zip(changes, merged, strict=True)
        ]

    def close(self) -> None:
        with self._files_lock:
            files = list(self._files.values())
            self._files.clear()
        for file in files:
            file.close()

    def _file(self, tenant: str) -> TenantFile:
        from platform_assets.resources.warehouse.duckdb_file import TenantFile

        if not valid_tenant(tenant):
            raise ConfigError(f"{tenant!r} is not a tenant id")
        settings = self._settings
        with self._files_lock:
            # The last one is the one used last; an instance costs 5 MB and some threads, so old ones rest.
            file = self._files.pop(tenant, None) or TenantFile(
                settings.folder.absolute() / f"{tenant}.duckdb",
                lock_timeout=settings.lock_timeout_seconds,
                memory_limit=settings.memory_limit,
                threads=settings.threads,
            )
            self._files[tenant] = file
            idle = list(self._files.values())[:-_INSTANCES_KEPT]
        for old in idle:
            old.rest()
        return file


def _prepared(query: BoundSql, *, change: bool = False) -> tuple[str, dict[str, Any]]:
    """DuckDB text and its values. RejectedError where a parameter is not a value of its type."""
    from platform_assets.engine.sql.dialect import DUCKDB_TYPES, change_to_duckdb, to_duckdb

    types = tuple(
        (name, DUCKDB_TYPES[kind] + ("[]" if isinstance(value, tuple) else ""))
        for name, (kind, value) in sorted(query.parameters.items())
    )
    values = {n: list(v) if isinstance(v, tuple) else v for n, (_, v) in query.parameters.items()}
    return (change_to_duckdb if change else to_duckdb)(query.sql, types), values


def _used(connection: Connection, sql: str, values: dict[str, Any]) -> dict[str, Any]:
    """DuckDB refuses values for parameters that the statement does not name; BigQuery takes them."""
    names = connection.extract_statements(sql)[0].named_parameters
    return {name: value for name, value in values.items() if name in names}


def _narrowed(rows: DuckDBPyRelation) -> DuckDBPyRelation:
    """Integers that DuckDB computed in another width as INT64; DataError (from DuckDB) where one does not fit."""
    from platform_assets.resources.warehouse.duckdb_schema import identifier

    columns = [
        f"CAST({identifier(name)} AS BIGINT) AS {identifier(name)}"
        if kind.id in ("hugeint", "integer")
        else identifier(name)
        for name, kind in zip(rows.columns, rows.types, strict=True)
    ]
    return rows.project(", ".join(columns))


def _change(connection: Connection, statement: BoundSql) -> int:
    sql, values = _prepared(statement, change=True)
    found = connection.execute(sql, _used(connection, sql, values)).fetchone()
    return int(found[0]) if found else 0


def _insert(connection: Connection, table: TableName, sql: str, values: dict[str, Any]) -> int:
    from platform_assets.resources.warehouse.duckdb_assignment import insert_statement

    found = connection.execute(insert_statement(connection, table, sql, values), values).fetchone()
    return int(found[0]) if found else 0


def _merge(connection: Connection, tenant: str, one: Upsert) -> WriteResult:
    from platform_assets.resources.warehouse.duckdb_publish import merge

    connection.register("incoming", one.rows)
    try:
        return merge(connection, physical(tenant, one.target.name), "incoming", one)
    finally:
        connection.unregister("incoming")


@lru_cache(maxsize=1024)
def _tables(sql: str) -> tuple[TableName, ...]:
    """The physical tables a query reads."""
    from sqlglot import parse_one

    from platform_assets.engine.sql.transform import dataset_tables

    tree = parse_one(sql, dialect="bigquery")
    return tuple(sorted({TableName(t.db, t.name) for t in dataset_tables(tree)}))
