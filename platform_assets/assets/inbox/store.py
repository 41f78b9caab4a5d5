"""The inbox as objects: what is written in which order, and what a reader may conclude from it.

::

    inbox/<source>/messages/<day>/<batch>.jsonl            the messages, immutable
    inbox/<source>/pending/<partition>/<part>              is to be applied; empty, the name says all
    inbox/<source>/history/<partition>/<batch>.json        parts applied in one run, for replays
    inbox/<source>/state/<partition>.json                  ids done or given up, messages waiting for another attempt
    inbox/<source>/retry/<partition>.json                  batches of which nothing is due before a certain time
    inbox/<source>/ledger/<partition>.json                 what the consumer remembers of its effects, if anything
    inbox/<source>/leases/<partition>.json                 who is applying this partition, until when
    inbox/<source>/replay/<key>.json                       dead letters to be taken in again
    inbox/dead_letter/<source>/<day>/<key>.json            given up, with reason and original bytes

A batch is written before the names of its parts, and these before the messages are acked. So whatever is acked is
pending, and whatever is not acked comes again, under the same id. A part's name goes when the partition's state knows
every message of it. A tick lists ``pending/`` and ``retry/``, a run its own partition: nothing grows with age.
"""

import json
import secrets
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from platform_assets.engine.errors import ConflictError, NotFoundError
from platform_assets.engine.inbox.model import (
    Batch,
    DeadLetter,
    Part,
    Routed,
    StoredMessage,
    decode_dead_letter,
    decode_part,
    encode_batch,
    encode_dead_letter,
    safe,
    unsafe,
)
from platform_assets.engine.inbox.state import PartitionState, decode_state, encode_state
from platform_assets.ports import ObjectStore

DEAD_LETTER = "inbox/dead_letter"
REQUESTS_AT_ONCE = 8
T = TypeVar("T")
R = TypeVar("R")


def at_once(function: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``function`` of every item, in their order, a few at a time; a store's round trips are what takes long."""
    if len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(min(REQUESTS_AT_ONCE, len(items))) as pool:
        return list(pool.map(function, items))


@dataclass(frozen=True)
class Pause:
    """Of these batches' parts of a partition, nothing is due before ``until``."""

    batches: frozenset[str]
    until: datetime


class Inbox:
    """One source's inbox in an object store."""

    def __init__(self, store: ObjectStore, source: str) -> None:
        self.store = store
        self.source = source
        self._root = f"inbox/{safe(source)}"

    # --- the sensor's side ---

    def write(
        self, routed: Sequence[Routed], now: datetime, between: Callable[[], None] = lambda: None
    ) -> Batch:
        """Make messages durable and pending. Only after this may they be acked."""
        batch = encode_batch(new_batch_id(now), routed)
        self.store.put(self._batch_key(batch.id), batch.body, if_absent=True)
        between()
        names = [f"{self._pending(partition)}{part}" for partition, part in batch.parts.items()]
        at_once(lambda name: self.store.put(name, b""), names)
        return batch

    def quarantine(self, letters: Sequence[DeadLetter]) -> None:
        """Keep messages that are given up. Doing it twice keeps them once."""
        at_once(self._quarantine, letters)

    def _quarantine(self, letter: DeadLetter) -> None:
        # The day the message was sent, where known: it is the same over redeliveries, so the key is.
        day = letter.message.published_at or letter.at
        name = f"{day:%Y-%m-%d}/{safe(letter.message.key)}.json"
        with suppress(ConflictError):
            key = f"{DEAD_LETTER}/{safe(self.source)}/{name}"
            self.store.put(key, encode_dead_letter(letter), if_absent=True)

    def pending(self) -> dict[str, list[Part]]:
        """Partition → its parts that wait, oldest first."""
        found: dict[str, list[Part]] = defaultdict(list)
        prefix = f"{self._root}/pending/"
        for info in self.store.list(prefix):
            partition, _, part = info.key.removeprefix(prefix).partition("/")
            found[unsafe(partition)].append(Part.parse(part))
        return {partition: sorted(found[partition]) for partition in sorted(found)}

    def pauses(self) -> dict[str, Pause]:
        """Partition → what of it need not be offered yet."""
        found = {}
        prefix = f"{self._root}/retry/"
        for info in self.store.list(prefix):
            with suppress(NotFoundError):  # a run has just ended the pause
                data = json.loads(self.store.get(info.key))
                pause = Pause(frozenset(data["batches"]), datetime.fromisoformat(data["until"]))
                found[unsafe(_name(info.key).removesuffix(".json"))] = pause
        return found

    # --- the run's side ---

    def pending_of(self, partition: str) -> list[Part]:
        """One partition's parts that wait, oldest first."""
        return sorted(Part.parse(_name(info.key)) for info in self.store.list(self._pending(partition)))

    def read(self, part: Part) -> list[StoredMessage]:
        """The messages of a part; only their bytes are read."""
        key = self._batch_key(part.batch)
        data = self.store.get_range(key, part.offset, part.length)
        return decode_part(data, f"{key}@{part.offset}", part.batch)

    def settle(
        self, partition: str, parts: Sequence[Part], between: Callable[[], None] = lambda: None
    ) -> None:
        """These parts are done: remember them for replays, then take them off what waits."""
        if not parts:
            return
        key = f"{self._history(partition)}{max(parts).batch}.json"
        self.store.put(key, json.dumps([str(part) for part in parts]).encode())
        between()
        self.store.delete([f"{self._pending(partition)}{part}" for part in parts])

    def pause(self, partition: str, pause: Pause | None) -> None:
        """Say until when what waits need not be offered; None: offer it."""
        key = f"{self._root}/retry/{safe(partition)}.json"
        if pause is None:
            self.store.delete([key])
            return
        record = {"until": pause.until.isoformat(), "batches": sorted(pause.batches)}
        self.store.put(key, json.dumps(record).encode())

    def state(self, partition: str) -> tuple[PartitionState, str | None]:
        """(state, etag); a partition never seen has an empty state and no etag."""
        key = self._state_key(partition)
        info = self.store.stat(key)
        return (decode_state(self.store.get(key)), info.etag) if info else (PartitionState(), None)

    def save_state(self, partition: str, state: PartitionState, etag: str | None) -> None:
        """ConflictError where another run has written in between."""
        self._put_over(self._state_key(partition), encode_state(state), etag)

    def ledger(self, partition: str) -> tuple[bytes | None, str | None]:
        """(bytes, etag) of what the consumer has kept for itself, in a form of its own; None where there is none."""
        key = self._ledger_key(partition)
        info = self.store.stat(key)
        return (self.store.get(key), info.etag) if info else (None, None)

    def save_ledger(self, partition: str, data: bytes, etag: str | None) -> None:
        """ConflictError where another run has written in between."""
        self._put_over(self._ledger_key(partition), data, etag)

    def _put_over(self, key: str, data: bytes, etag: str | None) -> None:
        if etag is None:
            self.store.put(key, data, if_absent=True)
        else:
            self.store.put(key, data, if_match=etag)

    def lease_key(self, partition: str) -> str:
        return f"{self._root}/leases/{safe(partition)}.json"

    def _state_key(self, partition: str) -> str:
        return f"{self._root}/state/{safe(partition)}.json"

    def _ledger_key(self, partition: str) -> str:
        return f"{self._root}/ledger/{safe(partition)}.json"

    def _pending(self, partition: str) -> str:
        return f"{self._root}/pending/{safe(partition)}/"

    def _history(self, partition: str) -> str:
        return f"{self._root}/history/{safe(partition)}/"

    def _batch_key(self, batch_id: str) -> str:
        day = f"{batch_id[:4]}-{batch_id[4:6]}-{batch_id[6:8]}"
        return f"{self._root}/messages/{day}/{batch_id}.jsonl"

    # --- replay ---

    def applied_parts(self, partition: str) -> list[Part]:
        """Everything the partition has applied and that retention has left, oldest first."""
        keys = [info.key for info in self.store.list(self._history(partition))]
        found = {Part.parse(name) for data in at_once(self.store.get, keys) for name in json.loads(data)}
        parts = sorted(found)
        there = at_once(lambda part: self.store.stat(self._batch_key(part.batch)), parts)
        return [part for part, info in zip(parts, there, strict=True) if info]

    def dead_letters(self) -> Iterator[tuple[str, DeadLetter]]:
        """(key, letter) of everything given up, by day."""
        for key in self.dead_letter_keys():
            if letter := self.letter(key):
                yield key, letter

    def letter(self, key: str) -> DeadLetter | None:
        """One dead letter, or None where it has been replayed or dropped."""
        try:
            return decode_dead_letter(self.store.get(key))
        except NotFoundError:
            return None

    def dead_letter_keys(self) -> Iterator[str]:
        for info in self.store.list(f"{DEAD_LETTER}/{safe(self.source)}/"):
            yield info.key

    def owns(self, key: str) -> bool:
        """Whether a dead letter is this source's."""
        return key.startswith(f"{DEAD_LETTER}/{safe(self.source)}/")

    def ask_for_replay(self, key: str) -> None:
        """Hand a dead letter to the next tick. In this order, a kill leaves it in both places: nothing is lost."""
        data = self.store.get(key)
        self.store.put(f"{self._root}/replay/{_name(key)}", data)
        self.store.delete([key])

    def replays(self, limit: int) -> list[tuple[str, DeadLetter]]:
        """(key, letter) of dead letters to be taken in again."""
        found = []
        for info in self.store.list(f"{self._root}/replay/"):
            with suppress(NotFoundError):  # another tick has just taken it
                found.append((info.key, decode_dead_letter(self.store.get(info.key))))
            if len(found) == limit:
                break
        return found

    # --- retention ---

    def forget_before(self, cutoff: datetime) -> int:
        """Delete what is older than ``cutoff`` and not pending; returns the number of objects.

        Batches whose writer was killed before it named their parts go the same way: nothing refers to them.
        """
        pending = {part.batch for parts in self.pending().values() for part in parts}
        first = f"{cutoff:%Y%m%d}"
        old = [key for key, batch in self._dated() if batch[:8] < first and batch not in pending]
        old += self._untouched_since(cutoff)
        self.store.delete(old)
        return len(old)

    def _dated(self) -> Iterator[tuple[str, str]]:
        """(key, batch id) of objects that are named after a batch."""
        for info in self.store.list(f"{self._root}/messages/"):
            yield info.key, _name(info.key).removesuffix(".jsonl")
        for info in self.store.list(f"{self._root}/history/"):
            yield info.key, _name(info.key).removesuffix(".json")

    def _untouched_since(self, cutoff: datetime) -> Iterable[str]:
        """State, ledgers, leases and pauses of partitions that nobody has applied since. A run that is about to write
        one of them loses the comparison with what it read, and begins again."""
        for kind in ("state", "ledger", "leases", "retry"):
            for info in self.store.list(f"{self._root}/{kind}/"):
                if info.modified < cutoff:
                    yield info.key

    def sizes(self) -> Mapping[str, int]:
        """For people: how many partitions, parts and messages wait, and how many dead letters there are."""
        pending = self.pending()
        parts = [part for waiting in pending.values() for part in waiting]
        return {
            "partitions_waiting": len(pending),
            "parts_waiting": len(parts),
            "messages_waiting": sum(part.count for part in parts),
            "dead_letters": sum(1 for _ in self.dead_letter_keys()),
        }


def sources(store: ObjectStore) -> list[str]:
    """Every source that has given up messages, by name."""
    found = {
        info.key.removeprefix(f"{DEAD_LETTER}/").partition("/")[0] for info in store.list(f"{DEAD_LETTER}/")
    }
    return sorted(unsafe(name) for name in found)


def new_batch_id(now: datetime) -> str:
    """Sorts by time; unique over processes."""
    return f"{now:%Y%m%dT%H%M%S%f}-{secrets.token_hex(4)}"


def _name(key: str) -> str:
    return key.rpartition("/")[2]
