"""A sensor tick without Dagster: re-offer what is pending, then pull, store, ack, within a time budget."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from time import monotonic
from typing import TypeAlias

from platform_assets.assets.inbox.apply import Step, no_step
from platform_assets.assets.inbox.store import Inbox
from platform_assets.engine.inbox.model import DeadLetter, Quarantined, Route, Routed
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message, MessageQueue

# Decides where a delivery belongs. Never raises: what it cannot read is Quarantined with the reason.
Router: TypeAlias = Callable[[Message], Route]
LEASE_SECONDS = 120


@dataclass
class Tick:
    """What a tick did. ``waiting``: partition → (newest batch, messages waiting) over all pending batches."""

    received: int = 0
    quarantined: int = 0
    batches: int = 0
    ack_failures: int = 0
    stopped_by: str = ""
    waiting: dict[str, tuple[str, int]] = field(default_factory=dict)


def run_tick(
    inbox: Inbox,
    queue: MessageQueue,
    route: Router,
    spec: InboxSpec,
    *,
    now: Callable[[], datetime],
    step: Step = no_step,
) -> Tick:
    """Take from the queue what time, back-pressure and batch bounds allow, and say which partitions wait."""
    tick = Tick()
    deadline = monotonic() + spec.tick_seconds
    pending = len(inbox.pending())
    while not tick.stopped_by:
        if pending + tick.batches >= spec.max_pending_batches:
            tick.stopped_by = "back-pressure"
        elif monotonic() >= deadline:
            tick.stopped_by = "time budget"
        else:
            _one_batch(inbox, queue, route, spec, tick, deadline, now, step)
    tick.waiting = waiting_partitions(inbox)
    return tick


def waiting_partitions(inbox: Inbox) -> dict[str, tuple[str, int]]:
    """Partition → (newest pending batch, messages in pending batches)."""
    newest: dict[str, str] = {}
    counts: Counter[str] = Counter()
    for batch in inbox.pending():
        for partition, part in batch.waiting.items():
            newest[partition] = batch.id
            counts[partition] += part.count
    return {partition: (newest[partition], counts[partition]) for partition in sorted(newest)}


def _one_batch(
    inbox: Inbox,
    queue: MessageQueue,
    route: Router,
    spec: InboxSpec,
    tick: Tick,
    deadline: float,
    now: Callable[[], datetime],
    step: Step,
) -> None:
    step("before pull")
    messages = list(_collect(queue, spec, deadline))
    step("after pull")
    if not messages:
        tick.stopped_by = "queue empty"
        return
    routes = [route(message) for message in messages]
    routed = [item for item in routes if isinstance(item, Routed)]
    for item in routes:
        if isinstance(item, Quarantined):
            inbox.quarantine(DeadLetter(inbox.source, item.message, item.reason, 1, now()))
    step("before write")
    if routed:
        inbox.write(routed, now())
        tick.batches += 1
    step("after write")
    tick.ack_failures += len(queue.ack(messages))
    step("after ack")
    tick.received += len(messages)
    tick.quarantined += len(messages) - len(routed)


def _collect(queue: MessageQueue, spec: InboxSpec, deadline: float) -> Iterator[Message]:
    """Pull until the batch is full, old enough, or the queue is empty; leases are extended meanwhile."""
    began = renewed = monotonic()
    end = min(deadline, began + spec.batch_seconds)
    held: list[Message] = []
    size = 0
    while len(held) < spec.batch_messages and size < spec.batch_bytes and monotonic() < end:
        pulled = queue.pull(spec.batch_messages - len(held), wait_seconds=0.0 if held else 1.0)
        if not pulled:
            break
        held += pulled
        size += sum(len(message.body) for message in pulled)
        renewed = _renew(queue, held, renewed)
    if held and monotonic() - began > LEASE_SECONDS / 10:
        queue.extend(held, LEASE_SECONDS)
    yield from held


def _renew(queue: MessageQueue, held: Sequence[Message], renewed: float) -> float:
    if monotonic() - renewed < LEASE_SECONDS / 10:
        return renewed
    queue.extend(held, LEASE_SECONDS)
    return monotonic()
