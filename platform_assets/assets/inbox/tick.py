"""A sensor tick without Dagster: pull, store, ack, within a time budget; then say which partitions wait."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeAlias

from msgspec.structs import replace

from platform_assets.assets.inbox.apply import Clock, Step, no_step
from platform_assets.assets.inbox.store import Inbox
from platform_assets.engine.errors import PlatformError, RetryableError
from platform_assets.engine.inbox.model import (
    LONGEST_NAME,
    DeadLetter,
    Quarantined,
    Route,
    Routed,
    StoredMessage,
    safe,
)
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message, MessageQueue

# Decides where a delivery belongs; what it cannot read is Quarantined with the reason. RetryableError where it cannot
# decide just now: the messages come again. It must be able to route a stored body again, for replays.
Router: TypeAlias = Callable[[Message], Route]
REPLAYS_AT_ONCE = 1_000
FIRST_WAIT_SECONDS = 1.0  # long enough for SQS to look at all of its servers
PULLED_AT_ONCE = 500  # between two looks at the clock


@dataclass(frozen=True)
class Offer:
    """A partition with parts to apply: its oldest and newest batch, and how many messages wait."""

    partition: str
    oldest: str
    newest: str
    messages: int


@dataclass
class Tick:
    """What a tick did. ``offers``: the partitions that something is due for, the one that waits longest first."""

    received: int = 0
    quarantined: int = 0
    replayed: int = 0
    batches: int = 0
    ack_failures: int = 0
    stopped_by: str = ""
    error: PlatformError | None = None
    offers: list[Offer] = field(default_factory=list)

    def stop(self, error: PlatformError) -> None:
        self.stopped_by, self.error = type(error).__name__, error


def run_tick(
    inbox: Inbox,
    queue: MessageQueue,
    route: Router,
    spec: InboxSpec,
    *,
    now: Clock,
    step: Step = no_step,
) -> Tick:
    """Take from the queue what time, back-pressure and batch bounds allow, and say which partitions wait.

    An error of the queue or the store does not keep back what waits already: the tick ends with it as ``error``.
    """
    work = _Work(inbox, queue, route, spec, now, step, Tick(), monotonic() + spec.tick_seconds)
    tick = work.tick
    room = spec.max_pending_batches - pending_batches(inbox)
    try:
        work.take_replays()
        while not tick.stopped_by:
            if tick.batches >= room:
                tick.stopped_by = "back-pressure"
            elif monotonic() >= work.deadline:
                tick.stopped_by = "time budget"
            elif not work.take_batch():
                tick.stopped_by = "queue empty"
    except PlatformError as error:
        tick.stop(error)
    tick.offers = offers(inbox, now())
    step("before requests")
    return tick


def pending_batches(inbox: Inbox) -> int:
    """How many batches have parts that wait."""
    return len({part.batch for parts in inbox.pending().values() for part in parts})


def offers(inbox: Inbox, now: datetime) -> list[Offer]:
    """The partitions with parts that are due, the one whose oldest part waits longest first."""
    pauses, found = inbox.pauses(), []
    for partition, parts in inbox.pending().items():
        pause = pauses.get(partition)
        paused = pause.batches if pause and pause.until > now else frozenset()
        if all(part.batch in paused for part in parts):
            continue
        count = sum(part.count for part in parts)
        found.append(Offer(partition, parts[0].batch, parts[-1].batch, count))
    return sorted(found, key=lambda offer: (offer.oldest, offer.partition))


@dataclass(frozen=True)
class _Work:
    """One tick's work: its parts share the ports, the bounds and the counts."""

    inbox: Inbox
    queue: MessageQueue
    route: Router
    spec: InboxSpec
    now: Clock
    step: Step
    tick: Tick
    deadline: float

    def take_replays(self) -> None:
        """Dead letters that somebody asked to be replayed become messages again. Killed in between, they are taken
        twice under one key, which counts once."""
        found = self.inbox.replays(REPLAYS_AT_ONCE)
        if not found:
            return
        routes = [self._again(letter) for _, letter in found]
        self._store(routes)
        self.inbox.store.delete([key for key, _ in found])
        self.tick.replayed += len(found)

    def _again(self, letter: DeadLetter) -> Route:
        old = letter.message
        message = Message(old.id, old.body, "", old.attributes, old.published_at, old.ordering_key)
        route = self._route(message)
        delivery = f"{letter.at:%Y%m%dT%H%M%S%f}"
        return replace(route, message=replace(route.message, delivery=delivery))

    def take_batch(self) -> bool:
        """One batch from the queue into the inbox; False where there was nothing."""
        self.step("before pull")
        with _leases_kept(self.queue, self.spec.renew_seconds) as held:
            self._pull_into(held)
            self.step("after pull")
            if held:
                self._keep(held)
        if not held:
            return False
        self.step("after write")
        self.tick.ack_failures += len(self.queue.ack(held))
        self.step("after ack")
        self.tick.received += len(held)
        return True

    def _keep(self, held: Sequence[Message]) -> None:
        try:
            self._store([self._route(message) for message in held])
        except PlatformError:
            with suppress(PlatformError):  # their leases end anyhow
                self.queue.nack(held)
            raise

    def _pull_into(self, held: list[Message]) -> None:
        """Pull until the batch is full, old enough, or the queue is empty."""
        end = min(self.deadline, monotonic() + self.spec.batch_seconds)
        size = 0
        while len(held) < self.spec.batch_messages and size < self.spec.batch_bytes and monotonic() < end:
            wait = 0.0 if held or self.tick.received else FIRST_WAIT_SECONDS
            room = self.spec.batch_messages - len(held)
            try:
                pulled = self.queue.pull(min(room, PULLED_AT_ONCE), wait_seconds=wait)
            except PlatformError as error:
                if not held:
                    raise
                self.tick.stop(error)  # what is held already is kept
                return
            if not pulled:
                return
            held += pulled
            size += sum(len(message.body) for message in pulled)

    def _route(self, message: Message) -> Route:
        try:
            found = self.route(message)
        except RetryableError:
            raise
        except Exception as error:  # one message must not stop the others, whatever it does to the router
            return Quarantined(stored(message), f"routing failed: {type(error).__name__}: {error}")
        if isinstance(found, Routed) and len(safe(found.partition)) >= LONGEST_NAME:
            return Quarantined(found.message, f"partition name {found.partition[:50]!r}… is too long")
        return found

    def _store(self, routes: Sequence[Route]) -> None:
        routed = [route for route in routes if isinstance(route, Routed)]
        refused = [route for route in routes if isinstance(route, Quarantined)]
        source, at = self.inbox.source, self.now()
        self.inbox.quarantine([DeadLetter(source, r.message, r.reason, 1, at) for r in refused])
        self.step("before write")
        if routed:
            self.inbox.write(routed, self.now(), lambda: self.step("between writes"))
            self.tick.batches += 1
        self.tick.quarantined += len(refused)


def stored(message: Message, *, id: str = "", order: str = "") -> StoredMessage:
    """A delivery as it is stored. ``id``: the consumer's own idempotency key, where the message has one."""
    return StoredMessage(
        id or message.id,
        message.body,
        message.attributes,
        message.published_at,
        message.ordering_key,
        order,
    )


@contextmanager
def _leases_kept(queue: MessageQueue, seconds: float) -> Iterator[list[Message]]:
    """Yields the list of messages held; a thread extends their leases until the block ends, however long that takes."""
    held: list[Message] = []
    stopped = threading.Event()

    def keep() -> None:
        while not stopped.wait(seconds):
            with suppress(PlatformError):  # tried again; messages whose lease ended come twice and count once
                queue.extend(list(held), round(seconds * 4))

    keeper = threading.Thread(target=keep, daemon=True, name="queue leases")
    keeper.start()
    try:
        yield held
    finally:
        stopped.set()
        keeper.join()
