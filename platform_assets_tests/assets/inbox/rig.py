"""An inbox with everything in memory: a queue whose redeliveries the test decides, effects that are counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from msgspec.structs import replace

from platform_assets.assets.inbox.apply import Application, Applied, Handler, no_step
from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import Tick, offers, run_tick, stored
from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.inbox.model import Done, Outcome, Quarantined, Route, Routed, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message
from platform_assets_tests.engine.metrics.stores import MemoryStore

START = datetime(2026, 1, 31, 12, tzinfo=UTC)
SPEC = InboxSpec(batch_messages=7, max_attempts=3)
PARTITIONS = ("2026-01-31|acme", "2026-01-31|globex", "2026-02-01|acme")


class Killed(BaseException):
    """What SIGKILL looks like from inside: nothing catches it."""


@dataclass
class MemoryQueue:
    """See ``ports.MessageQueue``. Leases end when the test says so (``redeliver``)."""

    ready: list[Message] = field(default_factory=list)
    leased: dict[str, Message] = field(default_factory=dict)
    before: Callable[[str], None] = lambda operation: None
    deliveries: int = 0

    def send(self, id_: str, body: bytes, *, group: str | None = None, day: datetime = START) -> None:
        self.ready.append(Message(id_, body, "", published_at=day, ordering_key=group))

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Message]:
        self.before("pull")
        taken, self.ready = self.ready[:max_messages], self.ready[max_messages:]
        found = []
        for message in taken:
            self.deliveries += 1
            found.append(replace(message, receipt=f"r{self.deliveries}"))
            self.leased[f"r{self.deliveries}"] = message
        return found

    def extend(self, messages: Sequence[Message], seconds: int) -> None:
        return

    def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        self.before("ack")
        return [m for m in messages if self.leased.pop(m.receipt, None) is None]

    def nack(self, messages: Sequence[Message]) -> None:
        self.ready += [m for m in (self.leased.pop(m.receipt, None) for m in messages) if m]

    def redeliver(self) -> None:
        """All leases end."""
        self.ready, self.leased = [*self.leased.values(), *self.ready], {}


def body(partition: str, **more: object) -> bytes:
    return json.dumps({"partition": partition, **more}).encode()


def route(message: Message) -> Route:
    """By the body's ``partition``; unknown ones and what is no JSON are quarantined."""
    try:
        found = json.loads(message.body)
        partition = found["partition"]
    except (ValueError, KeyError, TypeError):
        return Quarantined(stored(message), "not JSON with a partition")
    if partition not in PARTITIONS:
        return Quarantined(stored(message), f"there is no partition {partition!r}")
    return Routed(partition, stored(message, id=found.get("id", ""), order=found.get("order", "")))


@dataclass
class Effects:
    """A handler whose effects are idempotent by message id, as handlers must be. ``made``: id → how often it was tried;
    ``order``: ids as first made."""

    made: Counter[str] = field(default_factory=Counter)
    order: list[str] = field(default_factory=list)
    outcome: Callable[[StoredMessage], Outcome] = lambda message: Done()
    before: Callable[[], None] = lambda: None

    def __call__(self, messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        return {message.id: self.one(message) for message in messages}

    def one(self, message: StoredMessage) -> Outcome:
        self.before()
        said = json.loads(message.body)
        if said.get("poison"):
            raise {"data": DataError, "bug": ZeroDivisionError, "refused": RejectedError}[said["poison"]](
                "cannot take it"
            )
        outcome = self.outcome(message)
        if isinstance(outcome, Done):
            self.made[message.id] += 1
            if self.made[message.id] == 1:
                self.order.append(message.id)
        return outcome


@dataclass
class Rig:
    """All parts of one source, and a clock that only the test moves."""

    store: MemoryStore = field(default_factory=MemoryStore)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    effects: Effects = field(default_factory=Effects)
    spec: InboxSpec = SPEC
    time: datetime = START
    runs: int = 0

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.store, "orders")

    def now(self) -> datetime:
        self.time += timedelta(milliseconds=1)
        return self.time

    def tick(self, step: Callable[[str], None] = no_step) -> Tick:
        return run_tick(self.inbox, self.queue, route, self.spec, now=self.now, step=step)

    def apply(
        self,
        partition: str,
        step: Callable[[str], None] = no_step,
        *,
        handler: Handler | None = None,
        replay: bool = False,
        ordered: bool = False,
        ended: bool = True,
    ) -> Applied:
        self.runs += 1
        return Application(
            self.inbox,
            handler or self.effects,
            self.spec,
            f"run{self.runs}",
            self.now,
            step=step,
            replay=replay,
            ordered=ordered,
            ended=lambda owner: ended,
        ).apply(partition)

    def drain(self, ordered: bool = False) -> None:
        """Tick and run until nothing is left, as time goes by."""
        for _ in range(40):
            self.queue.redeliver()
            self.tick()
            for offer in offers(self.inbox, self.now()):
                self.apply(offer.partition, ordered=ordered)
            if not self.queue.ready and not self.inbox.pending():
                return
            self.time += timedelta(hours=1)
        raise AssertionError(f"still waiting: {self.inbox.pending()}")

    def dead(self) -> dict[str, str]:
        """Id → reason of all dead letters; every one is there once."""
        found = [letter for _, letter in self.inbox.dead_letters()]
        assert len({letter.message.id for letter in found}) == len(found)
        return {letter.message.id: letter.reason for letter in found}
