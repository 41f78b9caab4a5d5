"""Every way out of the platform, on one screen. Adapters live in ``resources/``, one folder per port.

All methods raise only errors of ``engine.errors``. ``tenant`` is always explicit: there is no current tenant.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from platform_assets.engine.ingestion.http import HttpRequest as HttpRequest  # noqa: PLC0414
from platform_assets.engine.ingestion.http import HttpResponse as HttpResponse  # noqa: PLC0414
from platform_assets.engine.ingestion.http import HttpSource as HttpSource  # noqa: PLC0414
from platform_assets.engine.ingestion.query import QuerySource as QuerySource  # noqa: PLC0414
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Slice, TableSchema, TableSpec
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.ingestion.spec import ProviderSpec
    from platform_assets.engine.schema.access import TableAccess

# --- Warehouse -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SliceWrite:
    """Publish ``staging`` into ``target``. ``replace`` deletes ``slice`` first; ``merge`` upserts by ``keys``;
    ``append`` inserts only rows whose ``keys`` (the idempotency key) are not there yet.

    ``newest_by``: a merge leaves a row as it is unless the staged one is greater in these columns (the first that
    differs counts; they are never NULL), so that what comes late or again changes nothing."""

    target: TableSpec
    staging: TableName
    mode: Literal["replace", "merge", "append"]
    slice: Slice
    keys: tuple[str, ...] = ()
    newest_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class WriteResult:
    rows_inserted: int
    rows_deleted: int
    rows_updated: int = 0


@dataclass(frozen=True)
class Upsert:
    """Rows for ``target`` by ``keys``, each key once; columns are named as the table's. ``newest_by`` as in
    ``SliceWrite``."""

    target: TableSpec
    rows: pa.Table
    keys: tuple[str, ...]
    newest_by: tuple[str, ...] = ()


@dataclass(frozen=True)
class Upserted:
    """``changes``: what was changed of the table itself, in words."""

    changes: tuple[str, ...]
    rows_inserted: int
    rows_updated: int


@dataclass(frozen=True)
class Estimate:
    """What a query would read: bytes (upper bound, by dry run) and its price where the deployment sets one."""

    bytes: int
    cost_usd: float | None = None


class Warehouse(Protocol):
    """Tables of tenants. Creating, staging, auditing and publishing; every write is one transaction."""

    def ensure_table(self, tenant: str, spec: TableSpec) -> tuple[str, ...]:
        """Create dataset and table, or add/relax/widen columns. Returns what was changed, in words.
        RejectedError names table, column and both types where a change is not allowed."""

    def describe(self, tenant: str, table: TableName) -> TableSchema | None:
        """The table's columns as they are, or None where it does not exist."""

    def create_staging(self, tenant: str, spec: TableSpec, token: str) -> TableName:
        """An empty private table shaped like ``spec``; creating it twice with one token empties it."""

    def load(self, tenant: str, table: TableName, batches: Iterable[pa.RecordBatch]) -> int:
        """Append Arrow batches whose columns are named as the table's. Returns rows loaded. All or nothing."""

    def insert_select(self, tenant: str, table: TableName, query: BoundSql) -> int:
        """Append a query's rows, matched by column name. Returns rows inserted."""

    def query(self, tenant: str, query: BoundSql) -> pa.Table:
        """Run a read-only query."""

    def stream(self, tenant: str, query: BoundSql) -> AbstractContextManager[pa.RecordBatchReader]:
        """Run a read-only query whose rows come batch by batch, so that no answer is too large for memory. Inside the
        context nothing else is asked of this tenant's tables. What fails on the way is not tried again."""

    def estimate(self, tenant: str, query: BoundSql) -> Estimate:
        """Dry run: nothing is read."""

    def publish(self, tenant: str, write: SliceWrite) -> WriteResult:
        """Move staged rows into the target in one transaction. Repeating it changes nothing."""

    def upsert(self, tenant: str, upserts: Sequence[Upsert]) -> Sequence[Upserted]:
        """Bring each table to its spec and merge rows that are in memory and need no audit into it: one transaction
        for all of them on DuckDB, one for each on BigQuery. Repeating it changes nothing."""

    def drop(self, tenant: str, table: TableName) -> None:
        """Drop a table if it exists."""

    def execute(
        self, tenant: str, script: Sequence[BoundSql], *, unless: BoundSql | None = None
    ) -> tuple[int, ...]:
        """Run changes (``engine.sql.script``) in one transaction; the rows changed by each. ConflictError, and nothing
        is done, where the query ``unless`` finds a row. A parameter's name means the same in all of them."""

    def store_procedure(self, tenant: str, name: str, sql: str | None) -> bool:
        """Create or replace a procedure, or drop it (None). False where the warehouse keeps none."""

    def apply_access(self, tenant: str, spec: TableSpec, access: TableAccess) -> tuple[str, ...]:
        """Bring row rules and shared views of a table to what is declared; what was done, in words."""

    def tables(self, tenant: str) -> tuple[TableName, ...]:
        """The tenant's tables, sorted, staging tables left out."""

    def drop_tenant(self, tenant: str) -> None:
        """Delete all datasets of a tenant with all that is in them; nothing where there are none."""

    def close(self) -> None:
        """Release connections and locks."""


# --- Objects ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ObjectInfo:
    key: str
    size: int
    etag: str
    modified: datetime


class ObjectStore(Protocol):
    """Immutable-by-habit objects under string keys (``/`` separated, never starting with ``/``)."""

    def put(
        self, key: str, data: bytes | Iterable[bytes], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        """Write an object whole and return its etag. ConflictError where the condition does not hold;
        RetryableError with ``effect_unknown`` where a conditional write got no clear answer.
        A stream that raises leaves the object as it was. DataError for a key that no store takes."""

    def get(self, key: str) -> bytes:
        """NotFoundError where there is none."""

    def get_range(self, key: str, start: int, length: int) -> bytes:
        """Up to ``length`` bytes: fewer at the end, none past it."""

    def stat(self, key: str) -> ObjectInfo | None:
        """None where there is no such object."""

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        """Objects whose keys begin with ``prefix`` and come after ``start_after``, in key order, page by page."""

    def delete(self, keys: Sequence[str]) -> None:
        """Delete objects; those already gone are no error."""

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        """(URI, storage options) with which Polars reads the object in ranges; pass ``glob=False``."""


# --- Messages --------------------------------------------------------------------------------------------------


class Message(msgspec.Struct, frozen=True, gc=False):
    """One delivery. ``receipt`` is good for this delivery only; ``id`` stays the same over redeliveries."""

    id: str
    body: bytes
    receipt: str
    attributes: Mapping[str, str] = {}
    published_at: datetime | None = None
    ordering_key: str | None = None
    attempts: int = 1


class MessageQueue(Protocol):
    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Message]:
        """Lease up to ``max_messages``; they come back when the lease ends without an ack."""

    def extend(self, messages: Sequence[Message], seconds: int) -> None:
        """Make the leases last ``seconds`` from now, or the service's longest; ended ones are left alone."""

    def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Remove messages for good. Returns those that could not be acked (their lease had ended)."""

    def nack(self, messages: Sequence[Message]) -> None:
        """Give messages back at once."""


@dataclass(frozen=True)
class OutboundMessage:
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    group: str | None = None  # FIFO message group, Pub/Sub ordering key
    deduplication_id: str | None = None


class Topic(Protocol):
    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        """Publish in order; returns the message ids. Raises unless every message was accepted."""


# --- Metrics, notifications, secrets, HTTP -------------------------------------------------------------------------


class MetricKind(StrEnum):
    GAUGE = "GAUGE"
    CUMULATIVE = "CUMULATIVE"


@dataclass(frozen=True)
class MetricPoint:
    """One value of one series. ``name`` is relative (``cdc/records_total``); ``start`` only for CUMULATIVE."""

    name: str
    value: float | int
    labels: Mapping[str, str]
    end: datetime
    kind: MetricKind = MetricKind.GAUGE
    start: datetime | None = None
    unit: str = "1"
    description: str = ""


class MetricSink(Protocol):
    def write(self, points: Sequence[MetricPoint]) -> None: ...


@dataclass(frozen=True)
class Notification:
    """What to say, to whom. ``settings`` are the channel's own (webhook, recipients), secrets already resolved."""

    subject: str
    text: str
    html: str
    severity: Literal["info", "warning", "error", "critical"]
    fields: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


class Notifier(Protocol):
    def send(self, notification: Notification) -> str:
        """Deliver now; returns the channel's own id of the delivery, or ""."""


class Secret:
    """A secret value that never shows itself: str(), repr(), logs and errors see ``***``."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret('***')"

    __str__ = __repr__


class SecretStore(Protocol):
    def get(self, tenant: str, name: str) -> Secret:
        """The tenant's secret. NotFoundError says which name was looked for and where, never a value."""


class QuerySources(Protocol):
    """Other systems' SQL tables (billing exports): opens one for one credential."""

    def open(self, parameters: Mapping[str, Any], secret: Secret | None) -> QuerySource:
        """``parameters`` are the credential's own. Raises ConfigError or AuthError."""


class SourceStores(Protocol):
    """Other people's buckets (data exports), read-only: opens one for one credential."""

    def open(self, bucket: str, parameters: Mapping[str, Any], secret: Secret | None) -> ObjectStore:
        """``parameters`` are the credential's own. Raises ConfigError or AuthError."""


class HttpSources(Protocol):
    """Every provider's API: opens one for one credential. The secret goes to the provider's declared host only."""

    def open(self, provider: ProviderSpec, secret: Secret | None) -> HttpSource:
        """Raises ConfigError for an address that is not allowed, AuthError for an unusable secret."""
