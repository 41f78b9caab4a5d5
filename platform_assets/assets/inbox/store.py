"""The inbox as objects: what is written in which order, and what a reader may conclude from it.

::

    inbox/<source>/messages/<day>/<batch>.jsonl   the messages, immutable
    inbox/<source>/pending/<batch>.json           the batch's index, until every partition of it is applied
    inbox/<source>/applied/<batch>/<partition>    this partition's messages of the batch are settled
    inbox/<source>/state/<partition>.json         ids done, messages waiting for another attempt
    inbox/<source>/leases/<partition>.json        who is applying this partition, until when
    inbox/dead_letter/<source>/<day>/<id>.json    given up, with reason and original bytes

A batch is written before its index, and its index before the messages are acked. So whatever is acked is pending, and
whatever is not pending and not acked comes again. Listing ``pending/`` is all that a tick needs, however old the inbox.
"""

import secrets
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from platform_assets.engine.errors import ConflictError, NotFoundError
from platform_assets.engine.inbox.model import (
    Batch,
    DeadLetter,
    Part,
    Routed,
    StoredMessage,
    decode_dead_letter,
    decode_index,
    decode_part,
    encode_batch,
    encode_dead_letter,
    encode_index,
    safe,
    unsafe,
)
from platform_assets.engine.inbox.state import PartitionState, decode_state, encode_state
from platform_assets.ports import ObjectStore

DEAD_LETTER = "inbox/dead_letter"


@dataclass(frozen=True)
class PendingBatch:
    """A batch that waits: where its messages are, and which of its partitions are not applied yet."""

    id: str
    object_key: str
    waiting: Mapping[str, Part]


class Inbox:
    """One source's inbox in an object store."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self.store = store
        self.source = source
        self._root = f"inbox/{safe(source)}"
        self._indexes: dict[str, tuple[str, dict[str, Part]]] = {}  # an index never changes

    # --- the sensor's side ---

    def write(self, routed: Sequence[Routed], now: datetime) -> Batch:
        """Make messages durable and pending. Only after this may they be acked."""
        batch = encode_batch(new_batch_id(now), routed)
        key = f"{self._root}/messages/{now:%Y-%m-%d}/{batch.id}.jsonl"
        self.store.put(key, batch.body, if_absent=True)
        self.store.put(f"{self._root}/pending/{batch.id}.json", encode_index(batch, key), if_absent=True)
        return batch

    def quarantine(self, letter: DeadLetter) -> None:
        """Keep a message that is given up. Doing it twice keeps it once."""
        key = f"{DEAD_LETTER}/{safe(self.source)}/{letter.at:%Y-%m-%d}/{safe(letter.message.id)}.json"
        try:
            self.store.put(key, encode_dead_letter(letter), if_absent=True)
        except ConflictError:
            return

    def pending(self) -> list[PendingBatch]:
        """Batches with partitions still to apply, oldest first. Those found fully applied are cleared away."""
        ids = [_name(info.key).removesuffix(".json") for info in self.store.list(f"{self._root}/pending/")]
        applied = self._applied() if ids else {}
        found = []
        for batch_id in ids:
            batch = self._pending(batch_id, applied.get(batch_id, frozenset()))
            if batch and batch.waiting:
                found.append(batch)
            elif batch:
                self._clear(batch_id)
        return found

    def _applied(self) -> dict[str, set[str]]:
        """Batch → partitions settled. One listing: markers live only as long as their batch is pending."""
        applied: dict[str, set[str]] = defaultdict(set)
        prefix = f"{self._root}/applied/"
        for info in self.store.list(prefix):
            batch_id, _, partition = info.key.removeprefix(prefix).partition("/")
            applied[batch_id].add(unsafe(partition))
        return applied

    def _pending(self, batch_id: str, applied: Collection[str]) -> PendingBatch | None:
        if batch_id not in self._indexes:
            try:
                self._indexes[batch_id] = decode_index(
                    self.store.get(f"{self._root}/pending/{batch_id}.json")
                )
            except NotFoundError:  # another tick has just cleared it
                return None
        object_key, parts = self._indexes[batch_id]
        return PendingBatch(batch_id, object_key, {p: part for p, part in parts.items() if p not in applied})

    def _clear(self, batch_id: str) -> None:
        # The index goes first: markers without an index mean nothing, an index without markers would be applied again.
        self.store.delete([f"{self._root}/pending/{batch_id}.json"])
        self.store.delete([info.key for info in self.store.list(f"{self._root}/applied/{batch_id}/")])
        self._indexes.pop(batch_id, None)

    # --- the run's side ---

    def read(self, batch: PendingBatch, partition: str) -> list[StoredMessage]:
        """One partition's messages of a batch; only their bytes are read."""
        part = batch.waiting[partition]
        data = self.store.get_range(batch.object_key, part.offset, part.length)
        return decode_part(data, f"{batch.object_key}@{part.offset}")

    def mark_applied(self, batch_id: str, partition: str) -> None:
        self.store.put(f"{self._root}/applied/{batch_id}/{safe(partition)}", b"")

    def state(self, partition: str) -> tuple[PartitionState, str | None]:
        """(state, etag); a partition never seen has an empty state and no etag."""
        key = self._state_key(partition)
        info = self.store.stat(key)
        return (decode_state(self.store.get(key)), info.etag) if info else (PartitionState(), None)

    def save_state(self, partition: str, state: PartitionState, etag: str | None) -> None:
        """ConflictError where another run has written in between."""
        body = encode_state(state)
        if etag is None:
            self.store.put(self._state_key(partition), body, if_absent=True)
        else:
            self.store.put(self._state_key(partition), body, if_match=etag)

    def _state_key(self, partition: str) -> str:
        return f"{self._root}/state/{safe(partition)}.json"

    def lease_key(self, partition: str) -> str:
        return f"{self._root}/leases/{safe(partition)}.json"

    # --- replay, retention, looking ---

    def stored(self, first_day: str = "", last_day: str = "9999-12-31") -> Iterator[str]:
        """Keys of the batch objects received from ``first_day`` to ``last_day``, oldest first."""
        prefix = f"{self._root}/messages/"
        for info in self.store.list(prefix, start_after=f"{prefix}{first_day}" if first_day else ""):
            if info.key.removeprefix(prefix)[:10] > last_day:
                return
            yield info.key

    def dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """(key, letter) of everything given up, by day."""
        for info in self.store.list(f"{DEAD_LETTER}/{safe(self.source)}/"):
            yield info.key, decode_dead_letter(self.store.get(info.key))

    def forget_before(self, cutoff: datetime) -> int:
        """Delete batch objects received before ``cutoff`` that are not pending. Returns how many."""
        pending = {batch.object_key for batch in self.pending()}
        last_day = f"{cutoff - timedelta(days=1):%Y-%m-%d}"
        old = [key for key in self.stored(last_day=last_day) if key not in pending]
        self.store.delete(old)
        return len(old)


def new_batch_id(now: datetime) -> str:
    """Sorts by time; unique over processes."""
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
