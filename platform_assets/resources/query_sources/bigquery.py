"""Billing exports and other tables in somebody's BigQuery, read with the credential's own rights.

Every query is bounded by ``maximum_bytes_billed`` and labelled; rows come in pages, so memory does not grow with the
answer. The secret is a service account's JSON key; without one, the process's own identity is used.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import AuthError, ConfigError, DataError, NotFoundError
from platform_assets.engine.spec import Spec
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import QuerySource, Secret
from platform_assets.resources.google_errors import translated
from platform_assets.resources.retrying import retried

if TYPE_CHECKING:
    import pyarrow as pa
    from google.cloud import bigquery

_SCOPES = ("https://www.googleapis.com/auth/bigquery.readonly",)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,1024}", re.ASCII)
_KEY_FIELDS = ("type", "project_id", "private_key", "client_email")


class BigQuerySourcesSettings(Spec):
    """``project`` runs (and pays for) the queries where the credential does not say; ``endpoint`` is for
    emulators, which need no credential."""

    project: str | None = None
    location: str | None = None
    endpoint: str | None = None
    timeout_seconds: Annotated[float, Field(gt=0, le=21_600)] = 600.0
    request_timeout_seconds: Annotated[float, Field(gt=0)] = 60.0
    max_attempts: Annotated[int, Field(ge=1, le=20)] = 5
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0
    page_rows: Annotated[int, Field(ge=1, le=100_000)] = 50_000


class BigQuerySources:
    """See ``ports.QuerySources``. A credential may name ``query_project`` and ``query_location``."""

    def __init__(self, settings: BigQuerySourcesSettings | None = None) -> None:
        self._settings = settings or BigQuerySourcesSettings()

    def open(self, parameters: Mapping[str, Any], secret: Secret | None) -> QuerySource:
        settings = self._settings
        project = str(parameters.get("query_project") or "") or settings.project
        location = str(parameters.get("query_location") or "") or settings.location
        return BigQueryQuerySource(settings, project, location, secret)


class BigQueryQuerySource:
    """See ``engine.ingestion.query.QuerySource``."""

    def __init__(
        self,
        settings: BigQuerySourcesSettings,
        project: str | None,
        location: str | None,
        secret: Secret | None,
    ) -> None:
        self._settings, self._location = settings, location
        self._client = _client(settings, project, location, secret)

    def query(self, query: BoundSql, *, maximum_bytes_billed: int) -> Iterator[pa.RecordBatch]:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            query_parameters=_parameters(query),
            maximum_bytes_billed=maximum_bytes_billed,
            use_legacy_sql=False,
            labels={"platform": "ingest"},
        )
        yield from self._retried("source query", partial(self._rows, query.sql, config)).to_arrow_iterable()

    def present(self, project: str, dataset: str, tables: Sequence[str]) -> frozenset[str]:
        """One look into the dataset's INFORMATION_SCHEMA, however many tables."""
        from google.cloud import bigquery

        for name in (project, dataset):
            if not _NAME.fullmatch(name):
                raise ConfigError(f"{name!r} is not the name of a project or dataset")
        config = bigquery.QueryJobConfig(
            query_parameters=[bigquery.ArrayQueryParameter("tables", "STRING", list(tables))],
            use_legacy_sql=False,
            labels={"platform": "ingest"},
        )
        sql = (
            f"SELECT table_name FROM `{project}`.`{dataset}`.INFORMATION_SCHEMA.TABLES"  # noqa: S608 - names checked
            " WHERE table_name IN UNNEST(@tables)"
        )
        try:
            rows = self._retried(f"tables of {project}.{dataset}", partial(self._rows, sql, config))
            return frozenset(row.table_name for row in rows)
        except NotFoundError:
            return frozenset()

    def estimate(self, query: BoundSql) -> int:
        from google.cloud import bigquery

        config = bigquery.QueryJobConfig(
            query_parameters=_parameters(query), dry_run=True, use_query_cache=False, use_legacy_sql=False
        )
        job = self._retried("dry run of a source query", partial(self._start, query.sql, config))
        return int(job.total_bytes_processed or 0)

    def _rows(self, sql: str, config: Any) -> Any:
        never: Any = None
        return self._start(sql, config).result(
            page_size=self._settings.page_rows,
            timeout=self._settings.timeout_seconds,
            retry=never,
            job_retry=None,
        )

    def _start(self, sql: str, config: Any) -> Any:
        # None instead of the client's own retries, which go on for ten minutes and more.
        never: Any = None
        timeout = self._settings.request_timeout_seconds
        return self._client.query(sql, job_config=config, retry=never, job_retry=None, timeout=timeout)

    def _retried(self, what: str, call: Callable[[], Any]) -> Any:
        """A query changes nothing, so it is simply asked again."""

        def once() -> Any:
            with translated(what):
                return call()

        settings = self._settings
        return retried(
            once,
            attempts=settings.max_attempts,
            backoff_seconds=settings.backoff_seconds,
            sleep=time.sleep,
        )


def _client(
    settings: BigQuerySourcesSettings, project: str | None, location: str | None, secret: Secret | None
) -> bigquery.Client:
    from google.cloud import bigquery

    with translated("BigQuery client of a source"):
        return bigquery.Client(
            project=project,
            location=location,
            credentials=_credentials(settings, secret),
            client_options={"api_endpoint": settings.endpoint} if settings.endpoint else None,
        )


def _credentials(settings: BigQuerySourcesSettings, secret: Secret | None) -> Any:
    if settings.endpoint and secret is None:
        from google.auth.credentials import AnonymousCredentials

        return AnonymousCredentials()  # type: ignore[no-untyped-call]
    if secret is None:
        return None
    from google.oauth2 import service_account

    try:
        info = json.loads(secret.reveal())
        missing = [name for name in _KEY_FIELDS if not info.get(name)]
    except (ValueError, AttributeError):
        raise AuthError("the secret is not a service account's JSON key") from None
    if missing:
        raise AuthError(f"the service account's key lacks {', '.join(missing)}")
    try:
        return service_account.Credentials.from_service_account_info(info, scopes=_SCOPES)  # type: ignore[no-untyped-call]
    except ValueError:
        raise AuthError("the service account's private key cannot be read") from None


def _parameters(query: BoundSql) -> list[Any]:
    from google.cloud import bigquery

    found = []
    for name, (kind, value) in query.parameters.items():
        if isinstance(value, tuple):
            raise DataError(f"@{name}: a source's query takes no lists")
        found.append(bigquery.ScalarQueryParameter(name, str(kind), value))
    return found
