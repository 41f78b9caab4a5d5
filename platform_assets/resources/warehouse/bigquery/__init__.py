"""The production warehouse: BigQuery, one dataset per tenant and logical dataset.

Owns the port ``Warehouse`` on BigQuery: tables from the same specs as everywhere, load jobs into private staging
tables, publishing in one transaction or one MERGE, queries with parameters, dry runs with bytes and price, byte
limits and labels. Refuses streaming inserts, and to repeat what could take effect twice.
Sources: docs.cloud.google.com/bigquery (loading-data, data-manipulation-language, transactions, quotas).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Slice, TableSchema, TableSpec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Estimate, SliceWrite, Upsert, Upserted, WriteResult
from platform_assets.resources.warehouse.bigquery.connection import BigQuerySettings as BigQuerySettings
from platform_assets.resources.warehouse.bigquery.connection import Connection

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.schema.access import TableAccess
    from platform_assets.resources.warehouse.bigquery.loads import Filled

TIB = 1024**4
_STREAMED_ROWS = 20_000


class BigQueryWarehouse:
    """Thread-safe. One client, opened on first use."""

    def __init__(
        self,
        settings: BigQuerySettings,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from platform_assets.resources.warehouse.bigquery.loads import Loads
        from platform_assets.resources.warehouse.bigquery.tables import Tables

        self.settings = settings
        self._connection = Connection(settings, sleep)
        self._tables = Tables(self._connection, clock)
        self._loads = Loads(self._connection, clock)
        self._staging: dict[str, Filled] = {}

    # --- tables ---

    def ensure_table(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        """What was changed, in words; nothing for a table found right within ``schema_cache_seconds``."""
        return self._tables.ensure(tenant, spec)

    def describe(self, tenant: str, table: TableName) -> TableSchema | None:
        return self._tables.schema(tenant, table)

    def drop(self, tenant: str, table: TableName) -> None:
        self._staging.pop(self._connection.id(tenant, table), None)
        self._tables.drop(tenant, table)

    # --- staging ---

    def create_staging(self, tenant: str, spec: TableSpec, token: str) -> TableName:
        """Gone by itself after ``staging_hours``, should nobody drop it."""
        from platform_assets.resources.warehouse.bigquery import jobs
        from platform_assets.resources.warehouse.bigquery.loads import Filled

        staging = TableName.parse(f"{spec.name}__stage_{token}")
        schema = self._tables.create_staging(tenant, spec, staging)
        self._staging[self._connection.id(tenant, staging)] = Filled(schema, jobs.unique("stage"))
        return staging

    def load(self, tenant: str, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        """The batches are read to their end, into temporary files of ``max_file_bytes``, before anything is sent."""
        from tempfile import TemporaryDirectory

        from platform_assets.resources.warehouse.bigquery.loading import write_files

        filled = self._filled(tenant, table)
        with filled.job_ids() as base_id, TemporaryDirectory(prefix="bigquery-load-") as folder:
            files = write_files(batches, filled.schema, table, Path(folder), self.settings.max_file_bytes)
            self._loads.load(tenant, table, filled.schema, files, base_id)
        return sum(file.rows for file in files)

    def insert_select(self, tenant: str, table: TableName, query: BoundSql) -> int:
        """By column name; see ``statements.insert_query`` for which types fit."""
        from platform_assets.resources.warehouse.bigquery.schema import table_schema
        from platform_assets.resources.warehouse.bigquery.statements import insert_query, require_query

        require_query(query)
        filled, what = self._filled(tenant, table), f"fill {table}"
        given = table_schema(self._connection.dry_run(what, tenant, query).schema or ())
        target = self._connection.quoted(tenant, table)
        insert = insert_query(target, given, filled.schema, query, self.settings.digits_of_floats)
        with filled.job_ids() as base_id:
            job = self._connection.dml(what, tenant, insert, base_id=base_id)
        return int(job.num_dml_affected_rows or 0)

    # --- reading ---

    def query(self, tenant: str, query: BoundSql) -> pa.Table:
        """Types as in ``engine.schema.arrow``; a BIGNUMERIC beyond 38 digits or 18 decimals is a DataError."""
        from platform_assets.resources.warehouse.bigquery.loading import result_table
        from platform_assets.resources.warehouse.bigquery.schema import table_schema
        from platform_assets.resources.warehouse.bigquery.statements import require_query

        def collect(rows: Any) -> pa.Table:
            found = rows.to_arrow(create_bqstorage_client=self.settings.use_storage_api)
            return result_table(found, table_schema(rows.schema))

        require_query(query)
        return self._connection.read(f"query of {tenant}", tenant, query, collect)

    @contextmanager
    def stream(self, tenant: str, query: BoundSql) -> Iterator[pa.RecordBatchReader]:
        """As ``query``, a page of the answer at a time."""
        import pyarrow as pa

        from platform_assets.engine.schema.arrow import arrow_schema
        from platform_assets.resources.warehouse.bigquery.loading import result_table
        from platform_assets.resources.warehouse.bigquery.schema import table_schema
        from platform_assets.resources.warehouse.bigquery.statements import require_query

        require_query(query)
        what = f"query of {tenant}"
        rows = self._connection.read(what, tenant, query, lambda found: found, page_rows=_STREAMED_ROWS)
        schema = table_schema(rows.schema)

        def batches() -> Iterator[pa.RecordBatch]:
            for page in self._connection.pages(what, rows):
                yield from result_table(pa.Table.from_batches([page]), schema).to_batches()

        with pa.RecordBatchReader.from_batches(arrow_schema(schema), batches()) as reader:
            yield reader

    def estimate(self, tenant: str, query: BoundSql) -> Estimate:
        """An upper bound on clustered tables; a price only where ``price_per_tib_usd`` is set."""
        from platform_assets.resources.warehouse.bigquery.statements import require_query

        require_query(query)
        job = self._connection.dry_run(f"estimate for {tenant}", tenant, query)
        read, price = int(job.total_bytes_processed or 0), self.settings.price_per_tib_usd
        return Estimate(read, None if price is None else read / TIB * price)

    # --- publishing ---

    def publish(self, tenant: str, write: SliceWrite) -> WriteResult:
        """See ``publishing.publish``."""
        from platform_assets.resources.warehouse.bigquery.publishing import publish

        return publish(self._connection, tenant, write)

    def upsert(self, tenant: str, upserts: Sequence[Upsert]) -> Sequence[Upserted]:
        """By a load job and a MERGE each."""
        return [self._upsert(tenant, one) for one in upserts]

    def _upsert(self, tenant: str, one: Upsert) -> Upserted:
        changes = self.ensure_table(tenant, one.target)
        staging = self.create_staging(tenant, one.target, f"u{uuid.uuid4().hex[:12]}")
        try:
            self.load(tenant, staging, one.rows.to_batches())
            write = SliceWrite(one.target, staging, "merge", Slice(()), one.keys, one.newest_by)
            done = self.publish(tenant, write)
        finally:
            self.drop(tenant, staging)
        return Upserted(changes, done.rows_inserted, done.rows_updated)

    # --- scripts, procedures, access ---

    def execute(
        self, tenant: str, script: Sequence[BoundSql], *, unless: BoundSql | None = None
    ) -> tuple[int, ...]:
        """One script; see ``statements.transaction``."""
        from platform_assets.resources.warehouse.bigquery.scripts import execute

        return execute(self._connection, tenant, script, unless)

    def store_procedure(self, tenant: str, name: str, sql: str | None) -> bool:
        from platform_assets.resources.warehouse.bigquery.scripts import store_procedure

        self._tables.ensure_dataset(tenant, "metadata")
        store_procedure(self._connection, tenant, name, sql)
        return True

    def tables(self, tenant: str) -> tuple[TableName, ...]:
        from platform_assets.resources.warehouse.bigquery.datasets import tables

        return tables(self._connection, tenant)

    def drop_tenant(self, tenant: str) -> None:
        from platform_assets.resources.warehouse.bigquery.datasets import drop_datasets

        drop_datasets(self._connection, tenant)
        self._tables.forget(tenant)

    def apply_access(self, tenant: str, spec: TableSpec, access: TableAccess) -> tuple[str, ...]:
        """Row access policies and shared views as declared; returns the statements that ran."""
        from platform_assets.resources.warehouse.bigquery.access import apply_access

        for view in access.views:
            self._tables.ensure_dataset(tenant, view.dataset)
        return apply_access(self._connection, tenant, spec, access)

    def close(self) -> None:
        self._connection.close()

    def _filled(self, tenant: str, table: TableName) -> Filled:
        """What is known of a staging table made here; any other table is looked at, and never has old job ids."""
        from platform_assets.engine.errors import NotFoundError
        from platform_assets.resources.warehouse.bigquery import jobs
        from platform_assets.resources.warehouse.bigquery.loads import Filled

        if known := self._staging.get(self._connection.id(tenant, table)):
            return known
        schema = self._tables.schema(tenant, table)
        if schema is None:
            raise NotFoundError(f"{table} of {tenant} does not exist")
        return Filled(schema, jobs.unique("load"))
