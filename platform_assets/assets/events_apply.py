"""Applies waiting events of one tenant and day: table first, then archive, each idempotent. No Dagster in here.

Owns the order of writes and what an error means: a warehouse or a store that refuses is nobody's event's fault, so
the run fails and every event waits. Only what a value itself is decides about its event.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from itertools import groupby, zip_longest
from typing import Any

from platform_assets.assets.inbox.store import at_once
from platform_assets.engine.errors import ConflictError, DataError, PlatformError, RetryableError
from platform_assets.engine.events.archive import (
    ArchivedEvent,
    ArchivedHour,
    ArchiveObject,
    archive_objects,
    hour_of,
)
from platform_assets.engine.events.envelope import event_type_of
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
from platform_assets.engine.inbox.model import DONE, Dead, Outcome, StoredMessage
from platform_assets.engine.schema.model import TableSchema
from platform_assets.ports import ObjectStore, Upsert, Upserted, Warehouse

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
    ``ahead``: later than they were published. ``archived`` and its like count what was not there yet, ``archive_hours``
    all that is."""

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
    archive_hours: dict[int, ArchivedHour] = field(default_factory=dict)
    newest: datetime | None = None
    discarded_values: dict[str, int] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)
    changes: list[SchemaChange] = field(default_factory=list)


@dataclass(frozen=True)
class _Part:
    """Some events of one type, ready to be written. ``rows``: with the standard columns; ``origins``: their messages;
    ``upserts``: the newest of each key."""

    spec: EventSpec
    messages: Sequence[StoredMessage]
    taken: Taken
    rows: Any
    origins: Sequence[StoredMessage]
    upserts: Sequence[Upsert]


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
        specs, waiting = list[EventSpec](), list[Iterator[list[StoredMessage]]]()
        for event_type, group in sorted(_by_type(messages).items()):
            spec = self.specs.get(event_type)
            if spec is None and self.settings.undeclared != "infer":
                outcomes |= {m.id: Dead(f"event type {event_type!r} is not declared") for m in group}
                continue
            specs.append(spec or undeclared(event_type))
            waiting.append(_slices(group, self.settings.batch_rows))
        for slices in zip_longest(*waiting, fillvalue=()):
            outcomes |= self._write([(spec, part) for spec, part in zip(specs, slices, strict=True) if part])
        return outcomes

    def _write(self, slices: Sequence[tuple[EventSpec, Sequence[StoredMessage]]]) -> dict[str, Outcome]:
        """One slice of each type: all tables in one go, then the archive. A table that is in the way of its own events
        does not keep those of other types from theirs; the run fails all the same."""
        outcomes, parts, failed = dict[str, Outcome](), list[_Part](), list[RetryableError]()
        for spec, messages in slices:
            try:
                stored = self.warehouse.describe(self.tenant, table_name(spec))
                if stored is None and spec.contract.tables is not ContractMode.EVOLVE:
                    outcomes |= self._without_table(spec, messages)
                else:
                    parts.append(self._prepared(spec, messages, stored))
            except (DataError, RetryableError):
                raise
            except PlatformError as error:
                failed.append(_to_be_mended(f"{table_name(spec)} of {self.tenant}", error))
        try:
            self._publish(parts)
            for part in parts:
                outcomes |= self._concluded(part)
        except (DataError, RetryableError):
            raise
        except PlatformError as error:
            raise _to_be_mended(f"tables of {self.tenant}", error) from error
        if failed:
            raise failed[0]
        return outcomes

    def _counts(self, spec: EventSpec) -> TypeCounts:
        return self.counts.setdefault(spec.event_type, TypeCounts(str(table_name(spec))))

    def _without_table(self, spec: EventSpec, messages: Sequence[StoredMessage]) -> dict[str, Outcome]:
        reason = f"table {table_name(spec)} does not exist, and its contract creates none"
        counts = self._counts(spec)
        counts.received += len(messages)
        counts.reasons.append(reason)
        if spec.contract.tables is ContractMode.FREEZE:
            counts.refused += len(messages)
            return {m.id: Dead(reason) for m in messages}
        self._archive(spec, [_archived(m) for m in messages], counts)
        counts.discarded += len(messages)
        return {m.id: DONE for m in messages}

    def _prepared(
        self, spec: EventSpec, messages: Sequence[StoredMessage], stored: TableSchema | None
    ) -> _Part:
        taken = take(table_columns(declared_columns(spec), stored), spec.contract, [m.body for m in messages])
        origins = [messages[index] for index in taken.indexes]
        published = [m.published_at or self.now() for m in origins]
        origin = Origin([m.id for m in origins], published, self.run_id, self.now())
        rows = with_standard_columns(spec, taken.rows, origin)
        target, keys = table_spec(spec, taken.columns), merge_keys(spec)
        newest = newest_of_each_key(spec, rows)
        upserts = [Upsert(target, some, keys, NEWEST_BY) for some in _few_partitions(newest)]
        return _Part(spec, messages, taken, rows, origins, upserts)

    def _concluded(self, part: _Part) -> dict[str, Outcome]:
        """What stands in the table is archived too, and what the contract keeps out of it."""
        counts, taken = self._counts(part.spec), part.taken
        hours = zip(part.origins, event_hours(part.rows), strict=True)
        discarded = [_archived(part.messages[index]) for index in taken.discarded]
        archived = [ArchivedEvent(m.batch, m.id, hour, m.body) for m, hour in hours]
        self._archive(part.spec, archived + discarded, counts)
        _count(counts, taken, part.rows)
        counts.received += len(part.messages)
        outcomes: dict[str, Outcome] = dict.fromkeys((m.id for m in part.messages), DONE)
        return outcomes | {part.messages[i].id: Dead(reason) for i, reason in taken.refused.items()}

    # --- The tables -------------------------------------------------------------------------------------------------

    def _publish(self, parts: Sequence[_Part]) -> None:
        upserts = [upsert for part in parts for upsert in part.upserts]
        done = iter(self.warehouse.upsert(self.tenant, upserts) if upserts else ())
        for part in parts:
            self._tell(part, [next(done) for _ in part.upserts])

    def _tell(self, part: _Part, done: Sequence[Upserted]) -> None:
        counts = self._counts(part.spec)
        batches = sorted({m.batch for m in part.messages})
        named = batches[0] if len(batches) == 1 else f"{batches[0]} … {batches[-1]}"
        changes = [change for one in done for change in one.changes]
        counts.changes += [SchemaChange(change, self.now(), named) for change in changes]
        inserted, updated = (sum(one.rows_inserted for one in done), sum(one.rows_updated for one in done))
        counts.inserted += inserted
        counts.updated += updated
        counts.unchanged += part.rows.num_rows - inserted - updated

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
            counts.archive_hours.setdefault(found.hour, ArchivedHour()).add(found)
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


def _to_be_mended(where: str, error: PlatformError) -> RetryableError:
    """Missing rights, a full quota, a table that was declared otherwise: not these events' fault, so they wait."""
    return RetryableError(f"{where}: {error}")


def _by_type(messages: Sequence[StoredMessage]) -> dict[str, list[StoredMessage]]:
    groups: dict[str, list[StoredMessage]] = {}
    for message in messages:
        groups.setdefault(event_type_of(message.body), []).append(message)
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
        if days:
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
