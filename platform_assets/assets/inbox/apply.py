"""A run's side of the inbox: apply all messages of a partition that are not applied yet, each exactly once.

The order of writes is what makes a kill at any instant harmless: effects (idempotent by message id) → state
(compare-and-set) → dead letters → history → names of the pending parts removed. Killed before the state is written, the
effects are repeated and change nothing; killed after it, the messages are known, and what is missing of their dead
letters is written from the state, the same as it would have been.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TypeAlias

from platform_assets.assets.inbox.lease import LeaseTaken, lease
from platform_assets.assets.inbox.store import Inbox, Pause, at_once
from platform_assets.engine.errors import ConflictError, DataError, RetryableError
from platform_assets.engine.inbox.model import Dead, Held, Outcome, Part, Retry, StoredMessage, distinct
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.inbox.state import (
    UNSAID,
    PartitionState,
    conclude,
    due,
    letters,
    next_due,
    settled,
)

LOGGER = logging.getLogger(__name__)
STATE_TRIES = 5  # each lost try is another run's progress
MOST_UNKNOWN = 100  # a culprit among 100,000 stands alone after 17 tries, and between two there are good ones

# Takes messages in consumer order and makes their effects, idempotent by message id; says what became of each, by id.
# RetryableError means that nothing can be done just now: the run fails and no message's attempts are counted.
Handler: TypeAlias = Callable[[Sequence[StoredMessage]], Mapping[str, Outcome]]
Step: TypeAlias = Callable[[str], None]
Clock: TypeAlias = Callable[[], datetime]


@dataclass(frozen=True)
class Applied:
    """Counts of one application: deliveries read, messages handled, and what became of those. ``held``: not tried,
    since they stand behind a waiting one. ``busy``: another run holds the partition, and sees these messages too.
    ``trouble``: why the handler was not asked for all that are held."""

    received: int = 0
    handled: int = 0
    done: int = 0
    waiting: int = 0
    held: int = 0
    dead: int = 0
    parts_settled: int = 0
    busy: bool = False
    trouble: str = ""

    def __add__(self, other: "Applied") -> "Applied":
        names = [f.name for f in fields(self) if f.type is int]
        sums = {name: getattr(self, name) + getattr(other, name) for name in names}
        return Applied(**sums, busy=self.busy or other.busy, trouble=self.trouble or other.trouble)


def no_step(name: str) -> None:
    """Where a test may stop the process; a run does not."""


def never_ended(owner: str) -> bool:
    """For those who cannot know what became of a lease's owner: its lease must run out."""
    return False


@dataclass(frozen=True)
class Application:
    """How a partition's messages are applied. ``ordered``: a message behind a waiting one of its ordering key waits
    too. ``replay``: messages that took effect before are handled again. ``ended``: whether a run is known as over."""

    inbox: Inbox
    handler: Handler
    spec: InboxSpec
    run_id: str
    now: Clock
    ordered: bool = False
    replay: bool = False
    ended: Callable[[str], bool] = never_ended
    step: Step = no_step

    def apply(self, partition: str) -> Applied:
        """Apply every pending message of ``partition``. Repeating it, or running it twice at once, changes nothing."""
        inbox, key = self.inbox, self.inbox.lease_key(partition)
        try:
            with lease(inbox.store, key, self.run_id, self.spec.lease_seconds, self.now, self.ended):
                return self._apply(partition)
        except LeaseTaken as taken:
            LOGGER.info("%s %s: %s", inbox.source, partition, taken)
            return Applied(busy=True)

    def _apply(self, partition: str) -> Applied:
        pending = self.inbox.pending_of(partition)
        earlier = self.inbox.applied_parts(partition) if self.replay else []
        total, pauses, left = Applied(), [], set[str]()
        for chunk in _chunks(sorted({*pending, *earlier}), self.spec.apply_bytes):
            applied, unsettled, until = self._chunk(partition, chunk, frozenset(pending))
            total += applied
            if applied.trouble:  # the run fails, so that the next one waits; what it has come to stays
                self.inbox.pause(partition, None)
                raise RetryableError(f"{self.inbox.source} {partition}: {applied.trouble}")
            left |= {part.batch for part in unsettled}
            pauses += [until] if unsettled else []
        self._pause(partition, frozenset(left), pauses)
        self.step("after pause")
        if self.replay and total.waiting:
            raise RetryableError(f"{total.waiting} replayed messages could not be applied just now")
        return total

    def _chunk(
        self, partition: str, parts: Sequence[Part], pending: frozenset[Part]
    ) -> tuple[Applied, list[Part], datetime | None]:
        """(counts, parts that still wait, since when they are due) of parts that fit into memory together."""
        found = dict(zip(parts, at_once(self.inbox.read, parts), strict=True))
        received = [message for messages in found.values() for message in messages]
        state, counts = self._handle(partition, distinct(received))
        self.step("after state")
        self.inbox.quarantine(letters(received, state, self.inbox.source, partition))
        self.step("after dead letters")
        waiting = [part for part in parts if part in pending]
        finished = [part for part in waiting if settled(found[part], state)]
        self.inbox.settle(partition, finished, lambda: self.step("after history"))
        self.step("after settling")
        unsettled = [part for part in waiting if part not in finished]
        until = next_due([message for part in unsettled for message in found[part]], state)
        counts += Applied(received=len(received), parts_settled=len(finished))
        return counts, unsettled, until

    def _handle(self, partition: str, messages: Sequence[StoredMessage]) -> tuple[PartitionState, Applied]:
        """Handle what is due and remember it. Where another run was faster, look again at what is left."""
        for _ in range(STATE_TRIES):
            state, etag = self.inbox.state(partition)
            handled = self._due(messages, state)
            self.step("before effects")
            outcomes, trouble = (
                outcomes_of(self.handler, handled, ordered=self.ordered) if handled else ({}, "")
            )
            self.step("after effects")
            after = conclude(state, handled, outcomes, self.spec, self.now())
            try:
                if after != state:
                    self.inbox.save_state(partition, after, etag)
                return after, _count(handled, outcomes, after, trouble)
            except ConflictError:
                continue
            except RetryableError as error:
                if not error.effect_unknown:
                    raise
        raise RetryableError(f"{self.inbox.source} {partition}: other runs keep changing its state")

    def _due(self, messages: Sequence[StoredMessage], state: PartitionState) -> list[StoredMessage]:
        if self.replay:  # those given up are replayed from their dead letters
            return [message for message in messages if message.key not in state.dead]
        return due(messages, state, self.now(), ordered=self.ordered)

    def _pause(self, partition: str, batches: frozenset[str], pauses: Sequence[datetime | None]) -> None:
        times = [until for until in pauses if until is not None]
        if batches and len(times) == len(pauses):
            self.inbox.pause(partition, Pause(batches, min(times)))
        else:
            self.inbox.pause(partition, None)


def _chunks(parts: Sequence[Part], most_bytes: int) -> Iterator[list[Part]]:
    """Parts in order, together at most ``most_bytes``; a part larger than that comes alone."""
    chunk: list[Part] = []
    for part in parts:
        if chunk and sum(p.length for p in chunk) + part.length > most_bytes:
            yield chunk
            chunk = []
        chunk.append(part)
    if chunk:
        yield chunk


def _count(
    handled: Sequence[StoredMessage], outcomes: Mapping[str, Outcome], after: PartitionState, trouble: str
) -> Applied:
    dead = sum(message.key in after.dead for message in handled) if after.dead else 0
    left = (m for m in handled if m.key not in after.dead) if dead else handled
    kinds = Counter(type(outcomes.get(m.id, UNSAID)) for m in left)
    held, waiting = kinds[Held], kinds[Retry]
    done = len(handled) - held - dead - waiting
    return Applied(handled=len(handled), done=done, waiting=waiting, held=held, dead=dead, trouble=trouble)


def outcomes_of(
    handler: Handler, messages: Sequence[StoredMessage], *, ordered: bool = False
) -> tuple[dict[str, Outcome], str]:
    """Outcomes of all messages, whatever one of them does to the handler; and why some were not tried, if so.

    A handler that raises on a batch is given its halves, and so on, until the message that it cannot take stands alone;
    effects being idempotent, handling the others again changes nothing. RetryableError is not the messages' fault and
    is passed on. ``ordered``: what follows a message that must wait, in its ordering key, is held.

    Only DataError is surely a message's own fault. After ``MOST_UNKNOWN`` other errors, none of the tries between them
    having succeeded, the rest is held for later.
    """
    halving = _Halving(handler, ordered)
    return halving.outcomes(messages), halving.trouble


@dataclass
class _Halving:
    """``unknown``: errors that were no DataError since the last success; ``trouble``: they were too many, and what
    the last one was."""

    handler: Handler
    ordered: bool
    unknown: int = 0
    trouble: str = ""

    def outcomes(self, messages: Sequence[StoredMessage]) -> dict[str, Outcome]:
        if self.trouble:
            return {message.id: Held() for message in messages}
        try:
            found = dict(self.handler(messages))
        except RetryableError:
            raise
        except Exception as error:
            self.unknown += not isinstance(error, DataError)
            if self.unknown == MOST_UNKNOWN:
                self.trouble = (
                    f"handling failed {MOST_UNKNOWN} times, last with {type(error).__name__}: {error}"
                )
            return self._halves(messages, error)
        self.unknown = 0
        return found

    def _halves(self, messages: Sequence[StoredMessage], error: Exception) -> dict[str, Outcome]:
        if len(messages) == 1:
            return {messages[0].id: _verdict(error)}
        LOGGER.warning("handling %d messages failed (%s); trying halves", len(messages), type(error).__name__)
        middle = len(messages) // 2
        first = self.outcomes(messages[:middle])
        rest = messages[middle:]
        stopped = _stopped(messages[:middle], first) if self.ordered else set()
        free = [message for message in rest if message.ordering_key not in stopped]
        second = self.outcomes(free) if free else {}
        return first | second | {m.id: Held() for m in rest if m.ordering_key in stopped}


def _stopped(messages: Sequence[StoredMessage], outcomes: Mapping[str, Outcome]) -> set[str]:
    waits = [message for message in messages if _waits(outcomes.get(message.id))]
    return {m.ordering_key for m in waits if m.ordering_key is not None}


def _waits(outcome: Outcome | None) -> bool:
    return outcome is None or isinstance(outcome, Retry | Held)


def _verdict(error: Exception) -> Outcome:
    reason = f"{type(error).__name__}: {error}"
    return Dead(reason) if isinstance(error, DataError) else Retry(reason)
