"""Applies waiting events of one tenant and day: table first, then archive, each idempotent. No Dagster in here.

Owns the order of writes and what an error means: a warehouse or a store that refuses is nobody's event's fault, so
the run fails and every event waits. Only what a value itself is decides about its event.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby
from typing import Any

from platform_assets.assets.inbox.store import at_once
from platform_assets.engine.errors import ConflictError, DataError, PlatformError, RetryableError
from platform_assets.engine.events.archive import (
    ArchivedEvent,
    ArchiveObject,
    archive_objects,
    hour_of,
)
from platform_assets.engine.events.envelope import read_envelope
from platform_assets.engine.events.rows import (
    Origin,
    event_hours,
    newest_of_each_key,
    table_columns,
    timeliness,
    with_standard_columns,
)
from platform_assets.engine.events.settings import EventSettings
from platform_assets.engine.events.spec import (
    NEWEST_BY,
    ContractMode,
    EventSpec,
    declared_columns,
    merge_keys,
    table_name,
    table_spec,
    undeclared,
)
from platform_assets.engine.events.taking import Taken, take
from platform_assets.engine.inbox.model import Dead, Done, Outcome, StoredMessage
from platform_assets.engine.schema.model import Slice, TableSchema, TableSpec
from platform_assets.ports import ObjectStore, SliceWrite, Warehouse

MOST_PARTITIONS = 1_000  # BigQuery takes 4,000 a statement; those of rows to be moved come on top


@dataclass(frozen=True)
class SchemaChange:
    """What an event's table was changed by: in words, when, and the inbox batches that asked for it."""

    what: str
    at: datetime
    batches: str


@dataclass
class TypeCounts:
    """What came of one event type's events in a run. ``late``: of an earlier day than they were published on;
    ``ahead``: later than they were published."""

    table: str
    received: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: int = 0
    discarded: int = 0
    late: int = 0
    ahead: int = 0
    archived: int = 0
    archive_objects: int = 0
    archive_bytes: int = 0
    newest: datetime | None = None
    discarded_values: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    changes: list[SchemaChange] = field(default_factory=list)


@dataclass
class EventWriter:
    """The handler of one partition's messages. ``counts``: by event type, since it was made. ``replay``: whether
    what was handled before comes again."""

    warehouse: Warehouse
    store: ObjectStore
    tenant: str
    specs: Mapping[str, EventSpec]
    settings: EventSettings
    run_id: str
    now: Callable[[], datetime]
    replay: bool = False
    counts: dict[str, TypeCounts] = field(default_factory=dict)
    _archived: set[str] = field(default_factory=set)

    def __call__(self, messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        outcomes: dict[str, Outcome] = {}
        for event_type, group in sorted(_by_type(messages).items()):
            spec = self.specs.get(event_type)
            if spec is None and self.settings.undeclared != "infer":
                outcomes |= {m.id: Dead(f"event type {event_type!r} is not declared") for m in group}
                continue
            for part in _slices(group, self.settings.batch_rows):
                outcomes |= self._write(spec or undeclared(event_type), part)
        return outcomes

    def _write(self, spec: EventSpec, messages: Sequence[StoredMessage]) -> dict[str, Outcome]:
        counts = self.counts.setdefault(spec.event_type, TypeCounts(str(table_name(spec))))
        try:
            stored = self.warehouse.describe(self.tenant, table_name(spec))
            if stored is None and spec.contract.tables is not ContractMode.EVOLVE:
                return self._without_table(spec, messages, counts)
            return self._into_table(spec, messages, stored, counts)
        except (DataError, RetryableError):
            raise
        except PlatformError as error:
            # Missing rights, a full quota, a table that was declared otherwise: not these events' fault.
            raise RetryableError(f"{table_name(spec)} of {self.tenant}: {error}") from error

    def _without_table(
        self, spec: EventSpec, messages: Sequence[StoredMessage], counts: TypeCounts
    ) -> dict[str, Outcome]:
        reason = f"table {table_name(spec)} does not exist, and its contract creates none"
        counts.received += len(messages)
        counts.reasons.append(reason)
        if spec.contract.tables is ContractMode.FREEZE:
            counts.refused += len(messages)
            return {m.id: Dead(reason) for m in messages}
        self._archive(spec, [_archived(m) for m in messages], counts)
        counts.discarded += len(messages)
        return {m.id: Done() for m in messages}

    def _into_table(
        self,
        spec: EventSpec,
        messages: Sequence[StoredMessage],
        stored: TableSchema | None,
        counts: TypeCounts,
    ) -> dict[str, Outcome]:
        taken = take(table_columns(declared_columns(spec), stored), spec.contract, [m.body for m in messages])
        origins = [messages[index] for index in taken.indexes]
        published = [m.published_at or self.now() for m in origins]
        origin = Origin([m.id for m in origins], published, self.run_id, self.now())
        rows = with_standard_columns(spec, taken.rows, origin)
        self._publish(spec, taken.columns, rows, messages, counts)
        hours = zip(origins, event_hours(rows), strict=True)
        discarded = [_archived(messages[index]) for index in taken.discarded]
        archived = [ArchivedEvent(m.batch, m.id, hour, m.body) for m, hour in hours]
        self._archive(spec, archived + discarded, counts)
        _count(counts, taken, rows)
        counts.received += len(messages)
        refused = {messages[index].id: Dead(reason) for index, reason in taken.refused.items()}
        return {m.id: refused.get(m.id, Done()) for m in messages}

    # --- The table --------------------------------------------------------------------------------------------------

    def _publish(
        self,
        spec: EventSpec,
        columns: TableSchema,
        rows: Any,
        messages: Sequence[StoredMessage],
        counts: TypeCounts,
    ) -> None:
        if rows.num_rows == 0:
            return
        target = table_spec(spec, columns)
        batches = sorted({m.batch for m in messages})
        named = batches[0] if len(batches) == 1 else f"{batches[0]} … {batches[-1]}"
        changes = self.warehouse.ensure_table(self.tenant, target)
        counts.changes += [SchemaChange(change, self.now(), named) for change in changes]
        newest = newest_of_each_key(spec, rows)
        for part in _few_partitions(newest):
            self._merge(spec, target, part, counts)
        counts.unchanged += rows.num_rows - newest.num_rows

    def _merge(self, spec: EventSpec, target: TableSpec, rows: Any, counts: TypeCounts) -> None:
        warehouse, token = self.warehouse, f"e{self.run_id.replace('-', '')[:12]}"
        staging = warehouse.create_staging(self.tenant, target, token)
        try:
            warehouse.load(self.tenant, staging, rows.to_batches())
            write = SliceWrite(target, staging, "merge", Slice(()), merge_keys(spec), NEWEST_BY)
            done = warehouse.publish(self.tenant, write)
        finally:
            warehouse.drop(self.tenant, staging)
        counts.inserted += done.rows_inserted
        counts.updated += done.rows_updated
        counts.unchanged += rows.num_rows - done.rows_inserted - done.rows_updated

    # --- The archive ------------------------------------------------------------------------------------------------

    def _archive(self, spec: EventSpec, events: Sequence[ArchivedEvent], counts: TypeCounts) -> None:
        """A message that came in two batches is archived with the first, also where a replay reads both."""
        if not spec.archive:
            return
        new = [event for event in events if event.message_id not in self._archived]
        prefix = f"{self.settings.archive_prefix}/{self.tenant}/output"
        objects = archive_objects(prefix, spec.event_type, new, self.now())
        for found, written in zip(objects, at_once(self._put, objects), strict=True):
            counts.archived += found.events if written else 0
            counts.archive_objects += written
            counts.archive_bytes += len(found.body) if written else 0
        if self.replay:
            self._archived |= {event.message_id for event in new}

    def _put(self, found: ArchiveObject) -> bool:
        """Whether it was not there yet."""
        try:
            self.store.put(found.key, found.body, if_absent=True)
        except ConflictError:
            return False
        except RetryableError as error:
            if error.effect_unknown and self.store.stat(found.key):
                return True
            raise
        return True


def _by_type(messages: Sequence[StoredMessage]) -> dict[str, list[StoredMessage]]:
    groups: dict[str, list[StoredMessage]] = {}
    for message in messages:
        groups.setdefault(read_envelope(message.body, message.attributes).event_type, []).append(message)
    return groups


def _slices(messages: Sequence[StoredMessage], most: int) -> Iterator[list[StoredMessage]]:
    """At most ``most`` messages at a time, cut where batches end: a batch of one type always falls into the same
    slices, whatever comes with it, so that its archive objects are always the same."""
    held: list[StoredMessage] = []
    for _, group in groupby(messages, key=lambda message: message.batch):
        batch = list(group)
        if held and len(held) + len(batch) > most:
            yield held
            held = []
        if len(batch) <= most:
            held += batch
            continue
        yield from (batch[start : start + most] for start in range(0, len(batch), most))
    if held:
        yield held


def _archived(message: StoredMessage) -> ArchivedEvent:
    at = message.published_at or datetime.now(UTC)
    return ArchivedEvent(message.batch, message.id, hour_of(at), message.body)


def _few_partitions(rows: Any) -> Iterator[Any]:
    """Rows in groups of at most so many dates as one statement may touch."""
    import pyarrow as pa
    import pyarrow.compute as pc

    days: list[date] = sorted(pc.unique(rows.column("event_date")).to_pylist())
    if len(days) <= MOST_PARTITIONS:
        yield rows
        return
    for start in range(0, len(days), MOST_PARTITIONS):
        some = pa.array(days[start : start + MOST_PARTITIONS], pa.date32())
        yield rows.filter(pc.is_in(rows.column("event_date"), some))


def _count(counts: TypeCounts, taken: Taken, rows: Any) -> None:
    counts.refused += len(taken.refused)
    counts.discarded += len(taken.discarded)
    counts.reasons += [*taken.refused.values(), *taken.discarded.values()][:20]
    for name, number in taken.discarded_values.items():
        counts.discarded_values[name] = counts.discarded_values.get(name, 0) + number
    seen = timeliness(rows)
    counts.late += seen.late
    counts.ahead += seen.ahead
    counts.newest = max(filter(None, (counts.newest, seen.newest)), default=None)
