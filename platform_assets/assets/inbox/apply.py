"""A run's side of the inbox: apply all messages of a partition that are not applied yet, each exactly once.

The order of writes is what makes a kill at any instant harmless: effects (idempotent by key) → dead letters → state
(compare-and-set) → applied markers. Killed before the state is written, the effects are repeated and change nothing;
killed after it, the messages are known as done.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeAlias

from platform_assets.assets.inbox.lease import LeaseTaken, lease
from platform_assets.assets.inbox.store import Inbox, PendingBatch
from platform_assets.engine.errors import DataError, RetryableError
from platform_assets.engine.inbox.model import Dead, Outcome, Retry, StoredMessage, distinct
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.inbox.state import PartitionState, conclude, due, settled

LOGGER = logging.getLogger(__name__)

# Takes messages in consumer order and makes their effects, idempotent by message id; says what became of each.
# RetryableError means that nothing can be done just now: the run fails and no message's attempts are counted.
Handler: TypeAlias = Callable[[Sequence[StoredMessage]], Mapping[str, Outcome]]
Step: TypeAlias = Callable[[str], None]


@dataclass(frozen=True)
class Applied:
    """Counts of one application. ``busy``: another run holds the partition, and will see these messages too."""

    received: int = 0
    handled: int = 0
    done: int = 0
    waiting: int = 0
    dead: int = 0
    batches_settled: int = 0
    busy: bool = False


def no_step(name: str) -> None:
    """Where a test may stop the process; a run does not."""


def apply_partition(
    inbox: Inbox,
    partition: str,
    handler: Handler,
    *,
    spec: InboxSpec,
    run_id: str,
    now: Callable[[], datetime],
    step: Step = no_step,
) -> Applied:
    """Apply every pending message of ``partition``. Repeating it, or running it twice at once, changes nothing."""
    try:
        with lease(inbox.store, inbox.lease_key(partition), run_id, spec.lease_seconds, now):
            return _apply(inbox, partition, handler, spec, now, step)
    except LeaseTaken as taken:
        LOGGER.info("%s %s: %s", inbox.source, partition, taken)
        return Applied(busy=True)


def _apply(
    inbox: Inbox,
    partition: str,
    handler: Handler,
    spec: InboxSpec,
    now: Callable[[], datetime],
    step: Step,
) -> Applied:
    state, etag = inbox.state(partition)
    parts = {
        batch.id: _part(inbox, batch, partition) for batch in inbox.pending() if partition in batch.waiting
    }
    received = [message for messages in parts.values() for message in messages]
    handled = due(distinct(received), state, now())
    step("before effects")
    outcomes = handle(handler, handled) if handled else {}
    step("after effects")
    conclusion = conclude(
        state, handled, outcomes, source=inbox.source, partition=partition, spec=spec, now=now()
    )
    for letter in conclusion.dead:
        inbox.quarantine(letter)
    step("after dead letters")
    if conclusion.state != state:
        inbox.save_state(partition, conclusion.state, etag)
    step("after state")
    finished = [batch for batch, messages in parts.items() if settled(messages, conclusion.state)]
    for batch_id in finished:
        inbox.mark_applied(batch_id, partition)
    step("after markers")
    return _count(received, handled, conclusion.state, len(conclusion.dead), len(finished))


def _part(inbox: Inbox, batch: PendingBatch, partition: str) -> list[StoredMessage]:
    return inbox.read(batch, partition)


def _count(
    received: Sequence[StoredMessage],
    handled: Sequence[StoredMessage],
    state: PartitionState,
    dead: int,
    finished: int,
) -> Applied:
    waiting = sum(message.id in state.waiting for message in handled)
    return Applied(len(received), len(handled), len(handled) - waiting - dead, waiting, dead, finished)


def handle(handler: Handler, messages: Sequence[StoredMessage]) -> dict[str, Outcome]:
    """Outcomes of all messages, whatever one of them does to the handler.

    A handler that raises on a batch is given its halves, and so on, until the message that it cannot take stands alone;
    effects being idempotent, handling the others again changes nothing. RetryableError is not the messages' fault and
    is passed on.
    """
    try:
        return dict(handler(messages))
    except RetryableError:
        raise
    except Exception as error:
        if len(messages) == 1:
            return {messages[0].id: _verdict(error)}
        LOGGER.warning("handling %d messages failed (%s); trying halves", len(messages), type(error).__name__)
        middle = len(messages) // 2
        return handle(handler, messages[:middle]) | handle(handler, messages[middle:])


def _verdict(error: Exception) -> Outcome:
    reason = f"{type(error).__name__}: {error}"
    return Dead(reason) if isinstance(error, DataError) else Retry(reason)
