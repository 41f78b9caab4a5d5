"""Files into a table: one load job, or all or nothing of several.

Owns the ids of the jobs that fill a staging table: the same call tried again asks for the same jobs, so rows whose
"loaded" got lost are not loaded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from platform_assets.engine.errors import DataError, PlatformError, RejectedError, RetryableError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import TableSchema
from platform_assets.resources.warehouse.bigquery import jobs
from platform_assets.resources.warehouse.bigquery.connection import Connection
from platform_assets.resources.warehouse.bigquery.loading import LoadFile
from platform_assets.resources.warehouse.bigquery.schema import rest_fields


@dataclass
class Filled:
    """A table being filled from here. ``nonce`` tells a staging table from an earlier one of the same name;
    ``fills`` counts the fills that are over, for good or for bad."""

    schema: TableSchema
    nonce: str
    fills: int = 0

    @contextmanager
    def job_ids(self) -> Iterator[str]:
        """The base of this fill's job ids. After a RetryableError the next fill is the same one, tried again: its
        jobs may have arrived."""
        try:
            yield f"{self.nonce}_{self.fills}"
        except RetryableError:
            raise
        except PlatformError:
            self.fills += 1
            raise
        self.fills += 1


class Loads:
    """Load jobs of local files."""

    def __init__(self, connection: Connection, clock: Callable[[], datetime]) -> None:
        self._connection, self._clock = connection, clock

    def load(
        self, tenant: str, table: TableName, schema: TableSchema, files: Sequence[LoadFile], base_id: str
    ) -> None:
        """Append the files to the table, all or nothing."""
        name = self._connection.id(tenant, table)
        if len(files) == 1:
            self._load_file(tenant, table, name, schema, files[0], f"{base_id}_0")
        elif files:
            self._load_parts(tenant, table, name, schema, files, base_id)

    def _load_parts(
        self,
        tenant: str,
        table: TableName,
        name: str,
        schema: TableSchema,
        files: Sequence[LoadFile],
        base_id: str,
    ) -> None:
        """Each file into a table of its own, then one copy job that appends them all at once."""
        parts = [f"{name}__part_{jobs.digest(base_id)}_{number}" for number in range(len(files))]
        try:
            for number, (part, file) in enumerate(zip(parts, files, strict=True)):
                self._create_part(part, table, schema)
                self._load_file(tenant, table, part, schema, file, f"{base_id}_{number}", "WRITE_TRUNCATE")
            self._copy(tenant, table, parts, name, f"{base_id}_all")
        finally:
            for part in parts:
                self._drop_part(part, table)

    def _create_part(self, part: str, table: TableName, schema: TableSchema) -> None:
        from google.cloud.bigquery import Table

        made = Table(part, schema=rest_fields(schema))
        made.expires = self._clock() + timedelta(hours=self._connection.settings.staging_hours)
        self._connection.call(
            f"create a part of {table}", lambda c, **how: c.create_table(made, exists_ok=True, **how)
        )

    def _drop_part(self, part: str, table: TableName) -> None:
        self._connection.call(
            f"drop a part of {table}", lambda c, **how: c.delete_table(part, not_found_ok=True, **how)
        )

    def _load_file(
        self,
        tenant: str,
        table: TableName,
        name: str,
        schema: TableSchema,
        file: LoadFile,
        base_id: str,
        disposition: str = "WRITE_APPEND",
    ) -> None:
        config, settings = self._config(tenant, schema, file.format, disposition), self._connection.settings

        def start(client: Any, job_id: str) -> Any:
            with file.path.open("rb") as opened:
                return client.load_table_from_file(
                    opened,
                    name,
                    size=file.path.stat().st_size,
                    num_retries=0,
                    job_id=job_id,
                    location=settings.location,
                    job_config=config,
                    timeout=settings.request_timeout_seconds,
                )

        try:
            self._connection.start_job(f"load {table}", base_id, start)
        except RejectedError as error:
            # A load only reads a file of ours: what it refuses there is the data.
            raise (DataError(str(error)) if type(error) is RejectedError else error) from error

    def _config(self, tenant: str, schema: TableSchema, source_format: str, disposition: str) -> Any:
        from google.cloud.bigquery import LoadJobConfig
        from google.cloud.bigquery.format_options import ParquetOptions

        config = LoadJobConfig(
            source_format=source_format,
            write_disposition=disposition,
            create_disposition="CREATE_NEVER",
            labels=self._connection.job_labels(tenant, ()),
        )
        if source_format == "PARQUET":
            # Lists are the columns themselves, not records of lists; decimals keep the digits of their column.
            config.parquet_options = ParquetOptions.from_api_repr({"enableListInference": True})
            config.decimal_target_types = ["NUMERIC", "BIGNUMERIC"]
        else:
            config.schema = rest_fields(schema)
        return config

    def _copy(self, tenant: str, table: TableName, parts: Sequence[str], name: str, base_id: str) -> None:
        from google.cloud.bigquery import CopyJobConfig

        settings = self._connection.settings
        config = CopyJobConfig(
            write_disposition="WRITE_APPEND",
            create_disposition="CREATE_NEVER",
            labels=self._connection.job_labels(tenant, ()),
        )

        def start(client: Any, job_id: str) -> Any:
            return client.copy_table(
                list(parts),
                name,
                job_id=job_id,
                location=settings.location,
                job_config=config,
                retry=None,
                timeout=settings.request_timeout_seconds,
            )

        self._connection.start_job(f"load {table}", base_id, start)
