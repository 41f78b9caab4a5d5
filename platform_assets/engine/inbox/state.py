"""What a partition remembers of its messages, and what an attempt adds to that. Pure; time is an argument."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import msgspec

from platform_assets.engine.inbox.model import Dead, DeadLetter, Done, Held, Outcome, Retry, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec

UNSAID = Retry("the handler said nothing of it")


class Waiting(msgspec.Struct, frozen=True):
    """A message that failed for now: attempts so far, when it is due again, why, and what must wait behind it."""

    attempts: int
    not_before: datetime
    reason: str
    ordering_key: str | None = None


class Verdict(msgspec.Struct, frozen=True):
    """Why and when a message was given up. Kept, so that its dead letter can be written again, the same."""

    attempts: int
    at: datetime
    reason: str


@dataclass(frozen=True)
class PartitionState:
    """``done``: key → day of every message that took effect, so that no redelivery counts twice; ``dead``: those
    given up; ``waiting``: those to try again."""

    done: Mapping[str, date] = field(default_factory=dict)
    dead: Mapping[str, Verdict] = field(default_factory=dict)
    waiting: Mapping[str, Waiting] = field(default_factory=dict)

    def knows(self, message: StoredMessage) -> bool:
        """Whether nothing is left to do for the message."""
        return (key := message.key) in self.done or key in self.dead


class _Stored(msgspec.Struct, omit_defaults=True):
    done: dict[str, list[str]] = {}
    dead: dict[str, Verdict] = {}
    waiting: dict[str, Waiting] = {}


def encode_state(state: PartitionState) -> bytes:
    days: dict[date, list[str]] = defaultdict(list)
    for key, day in state.done.items():
        days[day].append(key)
    done = {day.isoformat(): keys for day, keys in days.items()}
    return msgspec.json.encode(_Stored(done, dict(state.dead), dict(state.waiting)))


def decode_state(data: bytes) -> PartitionState:
    found = msgspec.json.decode(data, type=_Stored)
    done: dict[str, date] = {}
    for day, keys in found.done.items():
        done |= dict.fromkeys(keys, date.fromisoformat(day))
    return PartitionState(done, found.dead, found.waiting)


def due(
    messages: Sequence[StoredMessage], state: PartitionState, now: datetime, *, ordered: bool = False
) -> list[StoredMessage]:
    """The messages to handle now: not known yet, and not waiting for later. ``ordered``: those behind a waiting
    message of their ordering key wait too."""
    late = {key: w for key, w in state.waiting.items() if w.not_before > now}
    blocked = {w.ordering_key for w in late.values()} - {None} if ordered else set()
    done, dead = state.done, state.dead
    return [
        m
        for m in messages
        if (key := m.key) not in done
        and key not in dead
        and key not in late
        and m.ordering_key not in blocked
    ]


def conclude(
    state: PartitionState,
    handled: Sequence[StoredMessage],
    outcomes: Mapping[str, Outcome],
    spec: InboxSpec,
    now: datetime,
) -> PartitionState:
    """Fold an attempt's outcomes (by message id) into the state, and forget what is past retention.

    A message that took effect before and fails in a replay stays done: its effect is there.
    """
    done, dead, waiting = dict(state.done), dict(state.dead), dict(state.waiting)
    today = now.date()
    for message in handled:
        key, outcome = message.key, outcomes.get(message.id, UNSAID)
        if isinstance(outcome, Done) and key not in waiting:  # nearly all of them
            done[key] = today
            continue
        if isinstance(outcome, Held) or (isinstance(outcome, Retry) and key in done):
            continue
        attempts = (waiting.pop(key).attempts if key in waiting else 0) + 1
        outcome = _limited(outcome, attempts, spec)
        if isinstance(outcome, Retry):
            later = now + timedelta(seconds=backoff_seconds(attempts, spec))
            waiting[key] = Waiting(attempts, later, outcome.reason, message.ordering_key)
        elif isinstance(outcome, Dead):
            done.pop(key, None)
            dead[key] = Verdict(attempts, now, outcome.reason)
        else:
            done[key] = today
    return _forget(
        state, PartitionState(done, dead, waiting), (now - timedelta(days=spec.retention_days)).date()
    )


def _forget(before: PartitionState, after: PartitionState, first: date) -> PartitionState:
    if after == before:  # forgetting alone is not worth a write
        return before
    done = after.done
    if min(set(done.values()), default=first) < first:
        done = {key: day for key, day in done.items() if day >= first}
    dead = {key: verdict for key, verdict in after.dead.items() if verdict.at.date() >= first}
    return replace(after, done=done, dead=dead)


def _limited(outcome: Outcome, attempts: int, spec: InboxSpec) -> Outcome:
    if isinstance(outcome, Retry) and attempts >= spec.max_attempts:
        return Dead(f"{attempts} attempts used up; last: {outcome.reason}")
    return outcome


def backoff_seconds(attempts: int, spec: InboxSpec) -> float:
    """30, 60, 120 … seconds, capped."""
    return float(min(spec.retry_seconds * 2 ** min(attempts - 1, 30), spec.max_retry_seconds))


def settled(messages: Iterable[StoredMessage], state: PartitionState) -> bool:
    """Whether nothing of a part is left to do."""
    done, dead = state.done, state.dead
    return all((key := message.key) in done or key in dead for message in messages)


def letters(
    messages: Iterable[StoredMessage], state: PartitionState, source: str, partition: str
) -> list[DeadLetter]:
    """The dead letters of those given up; the same ones whenever they are asked for."""
    if not state.dead:
        return []
    found = {message.key: message for message in messages if message.key in state.dead}
    verdicts = [(message, state.dead[key]) for key, message in found.items()]
    return [DeadLetter(source, m, v.reason, v.attempts, v.at, partition) for m, v in verdicts]


def next_due(messages: Iterable[StoredMessage], state: PartitionState) -> datetime | None:
    """When the first of these is to be tried again; None where one can be tried now."""
    left = [message for message in messages if not state.knows(message)]
    times = [state.waiting[m.key].not_before for m in left if m.key in state.waiting]
    held = [m for m in left if m.key not in state.waiting]
    keys = {w.ordering_key for w in state.waiting.values()} - {None}
    if not times or any(m.ordering_key not in keys for m in held):
        return None
    return min(times)
