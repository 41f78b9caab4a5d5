"""One client and everything that is sent through it: REST calls, queries, dry runs, DML and load jobs.

Owns credentials, endpoint, timeouts, retries, labels, the byte limit and query parameters. What is sent, and what an
answer means for a table, is decided elsewhere in this folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

from pydantic import Field

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName, physical, physical_dataset
from platform_assets.engine.spec import Spec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.google_errors import translated
from platform_assets.resources.retrying import retried
from platform_assets.resources.warehouse.bigquery import jobs
from platform_assets.resources.warehouse.bigquery.schema import labels
from platform_assets.resources.warehouse.bigquery.statements import quoted

if TYPE_CHECKING:
    from google.cloud import bigquery

Labels = Iterable[tuple[str, str]]
T = TypeVar("T")


class BigQuerySettings(Spec):
    """``endpoint`` speaks to an emulator, without credentials. ``price_per_tib_usd`` prices dry runs.

    ``require_partition_filters`` false creates tables without that guard, for emulators that refuse MERGE under it.
    ``digits_of_floats`` takes FLOAT64 into decimal columns, rounded, for emulators whose division is floating point;
    BigQuery's is exact, so there it stays unset and a FLOAT64 is refused.
    ``max_file_bytes`` bounds each temporary file of a load; ``staging_hours`` is when an orphaned staging table goes.
    """

    project: str
    location: str = "EU"
    endpoint: str | None = None
    maximum_bytes_billed: Annotated[int, Field(ge=10_485_760)] | None = None
    price_per_tib_usd: Annotated[float, Field(ge=0)] | None = None
    job_labels: Mapping[str, str] = {}
    require_partition_filters: bool = True
    digits_of_floats: Annotated[int, Field(ge=0, le=18)] | None = None
    max_file_bytes: Annotated[int, Field(ge=1)] = 512 * 1024 * 1024
    staging_hours: Annotated[int, Field(ge=1, le=168)] = 24
    schema_cache_seconds: Annotated[float, Field(ge=0)] = 300.0
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 6
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    job_timeout_seconds: Annotated[float, Field(gt=0)] = 3600.0
    use_storage_api: bool = False


class Connection:
    """Thread-safe. The client is opened on first use."""

    def __init__(self, settings: BigQuerySettings, sleep: Callable[[float], None] = time.sleep) -> None:
        self.settings = settings
        self._sleep = sleep
        self._patience = jobs.Patience(
            settings.max_attempts, settings.backoff_seconds, settings.job_timeout_seconds
        )
        self._lock, self._stack = Lock(), ExitStack()
        self._opened: bigquery.Client | None = None

    # --- names ---

    def id(self, tenant: str, table: TableName) -> str:
        """``project.dataset.table`` of a tenant's logical table."""
        own = physical(tenant, table)
        return f"{self.settings.project}.{own.dataset}.{own.table}"

    def quoted(self, tenant: str, table: TableName) -> str:
        own = physical(tenant, table)
        return f"{quoted(own.dataset)}.{quoted(own.table)}"

    def dataset_id(self, tenant: str, dataset: str) -> str:
        return f"{self.settings.project}.{physical_dataset(tenant, dataset)}"

    # --- calls ---

    def call(self, what: str, request: Callable[..., Any]) -> Any:
        """One REST request: ``request(client, retry=…, timeout=…)``. Only requests that may be repeated."""

        def once() -> Any:
            try:
                return request(self.client(), retry=None, timeout=self.settings.request_timeout_seconds)
            except Exception as error:
                raise jobs.known(error, what) from error

        return self._retried(once)

    def start_job(self, what: str, base_id: str, start: Callable[[Any, str], Any]) -> Any:
        """Run a job to its end; ``start(client, job_id)`` begins it. See ``jobs.run``."""
        return jobs.run(
            what,
            base_id,
            lambda job_id: start(self.client(), job_id),
            self._find,
            self._patience,
            self._sleep,
        )

    def dml(self, what: str, tenant: str, query: BoundSql, extra: Labels = (), base_id: str = "") -> Any:
        """A statement or script that changes something; the finished job."""
        config = self._config(tenant, query, extra)

        def start(client: Any, job_id: str) -> Any:
            return client.query(
                query.sql,
                job_config=config,
                job_id=job_id,
                location=self.settings.location,
                retry=None,
                job_retry=None,
                timeout=self.settings.request_timeout_seconds,
            )

        return self.start_job(what, base_id or jobs.unique("dml"), start)

    def rows_of(self, what: str, job: Any) -> list[Any]:
        """The result of a finished job."""
        return list(self.call(what, lambda _, **how: list(job.result(job_retry=None, **how))))

    def read(
        self,
        what: str,
        tenant: str,
        query: BoundSql,
        collect: Callable[[Any], T],
        extra: Labels = (),
        page_rows: int | None = None,
    ) -> T:
        """What ``collect`` makes of the query's ``RowIterator``. It changes nothing, so query and pages are simply
        asked for again after a failure."""
        config = self._config(tenant, query, extra)

        def once() -> T:
            try:
                return collect(self._query(query.sql, config, page_rows))
            except Exception as error:
                raise jobs.known(error, what) from error

        return self._retried(once)

    def pages(self, what: str, rows: Any) -> Iterator[Any]:
        """A ``RowIterator``'s pages as Arrow batches, each asked for when it is wanted."""
        try:
            yield from rows.to_arrow_iterable()
        except Exception as error:
            raise jobs.known(error, what) from error

    def _query(self, sql: str, config: Any, page_rows: int | None) -> Any:
        # None instead of the client's own retries, which go on for ten minutes.
        never: Any = None
        return self.client().query_and_wait(
            sql,
            job_config=config,
            location=self.settings.location,
            retry=never,
            job_retry=never,
            api_timeout=self.settings.request_timeout_seconds,
            wait_timeout=self.settings.job_timeout_seconds,
            page_size=page_rows,
        )

    def dry_run(self, what: str, tenant: str, query: BoundSql) -> Any:
        """A job that never ran: ``schema``, ``total_bytes_processed``."""
        config = self._config(tenant, query, ())
        config.dry_run, config.use_query_cache = True, False
        return self.call(
            what,
            lambda c, **how: c.query(
                query.sql, job_config=config, location=self.settings.location, job_retry=None, **how
            ),
        )

    def client(self) -> bigquery.Client:
        with self._lock:
            if self._opened is None:
                with translated("open BigQuery"):
                    self._opened = self._open()
            return self._opened

    def close(self) -> None:
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None
            self._stack.close()

    def job_labels(self, tenant: str, extra: Labels) -> dict[str, str]:
        return labels(tenant, [*self.settings.job_labels.items(), *extra])

    # --- inside ---

    def _retried(self, call: Callable[[], T]) -> T:
        patience = self._patience
        return retried(
            call, attempts=patience.attempts, backoff_seconds=patience.backoff_seconds, sleep=self._sleep
        )

    def _find(self, job_id: str) -> Any:
        return self.client().get_job(
            job_id,
            location=self.settings.location,
            retry=None,
            timeout=self.settings.request_timeout_seconds,
        )

    def _config(self, tenant: str, query: BoundSql, extra: Labels) -> Any:
        from google.cloud.bigquery import QueryJobConfig

        config = QueryJobConfig(
            labels=self.job_labels(tenant, extra),
            query_parameters=[_parameter(name, *value) for name, value in sorted(query.parameters.items())],
        )
        if self.settings.maximum_bytes_billed is not None:
            config.maximum_bytes_billed = self.settings.maximum_bytes_billed
        return config

    def _open(self) -> bigquery.Client:
        if self.settings.endpoint is not None:
            return self._open_emulator(self.settings.endpoint)
        try:
            from dagster_gcp import BigQueryResource
        except ImportError as error:
            raise ConfigError(
                "bigquery: dagster-gcp is missing; install it with: pip install dagster-gcp"
            ) from error
        resource = BigQueryResource(project=self.settings.project, location=self.settings.location)
        return self._stack.enter_context(resource.get_client())

    def _open_emulator(self, endpoint: str) -> bigquery.Client:
        """The resource knows no endpoint, so the client is made here as it makes one."""
        from google.auth.credentials import AnonymousCredentials
        from google.cloud.bigquery import Client

        return Client(
            project=self.settings.project,
            location=self.settings.location,
            credentials=AnonymousCredentials(),
            client_options={"api_endpoint": endpoint},
        )


def _parameter(name: str, kind: Any, value: Any) -> Any:
    from google.cloud.bigquery import ArrayQueryParameter, ScalarQueryParameter

    if isinstance(value, tuple):
        return ArrayQueryParameter(name, kind.value, list(value))
    return ScalarQueryParameter(name, kind.value, value)
