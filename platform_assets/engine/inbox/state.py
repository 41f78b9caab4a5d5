"""What a partition remembers of its messages, and the plan of its next attempt. Pure; time is an argument."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from platform_assets.engine.inbox.model import Dead, DeadLetter, Done, Outcome, Retry, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec


class Waiting(msgspec.Struct, frozen=True):
    """A message that failed for now: attempts so far, when it is due again, and why."""

    attempts: int
    not_before: datetime
    reason: str


@dataclass(frozen=True)
class PartitionState:
    """``done``: ids that took effect or were given up, so that neither redelivery nor replay counts them twice."""

    done: frozenset[str] = frozenset()
    waiting: Mapping[str, Waiting] = field(default_factory=dict)


class _Stored(msgspec.Struct):
    done: list[str] = []
    waiting: dict[str, Waiting] = {}


def encode_state(state: PartitionState) -> bytes:
    return msgspec.json.encode(_Stored(sorted(state.done), dict(state.waiting)))


def decode_state(data: bytes) -> PartitionState:
    found = msgspec.json.decode(data, type=_Stored)
    return PartitionState(frozenset(found.done), found.waiting)


def due(messages: Sequence[StoredMessage], state: PartitionState, now: datetime) -> list[StoredMessage]:
    """The messages to handle now: not done, and not waiting for later."""

    def is_due(message: StoredMessage) -> bool:
        waiting = state.waiting.get(message.id)
        return message.id not in state.done and (waiting is None or waiting.not_before <= now)

    return [message for message in messages if is_due(message)]


@dataclass(frozen=True)
class Conclusion:
    """The state after an attempt, and the messages it gave up."""

    state: PartitionState
    dead: tuple[DeadLetter, ...]


def conclude(
    state: PartitionState,
    handled: Sequence[StoredMessage],
    outcomes: Mapping[str, Outcome],
    *,
    source: str,
    partition: str,
    spec: InboxSpec,
    now: datetime,
) -> Conclusion:
    """Fold an attempt's outcomes into the state. A handler must say something of every message it was given."""
    done, waiting, dead = set(state.done), dict(state.waiting), []
    for message in handled:
        attempts = (waiting.pop(message.id).attempts if message.id in waiting else 0) + 1
        outcome = _limited(outcomes[message.id], attempts, spec)
        if isinstance(outcome, Retry):
            later = now + timedelta(seconds=backoff_seconds(attempts, spec))
            waiting[message.id] = Waiting(attempts, later, outcome.reason)
            continue
        done.add(message.id)
        if isinstance(outcome, Dead):
            dead.append(DeadLetter(source, message, outcome.reason, attempts, now, partition))
    return Conclusion(PartitionState(frozenset(done), waiting), tuple(dead))


def _limited(outcome: Outcome, attempts: int, spec: InboxSpec) -> Outcome:
    if isinstance(outcome, Retry) and attempts >= spec.max_attempts:
        return Dead(f"{attempts} attempts used up; last: {outcome.reason}")
    return outcome


def backoff_seconds(attempts: int, spec: InboxSpec) -> float:
    """30, 60, 120 … seconds, capped."""
    return float(min(spec.retry_seconds * 2 ** min(attempts - 1, 30), spec.max_retry_seconds))


def settled(messages: Sequence[StoredMessage], state: PartitionState) -> bool:
    """Whether nothing of a part is left to do."""
    return all(message.id in state.done for message in messages)


