"""What one tenant's channel remembers: when it last told what, who is delivering, what was tried, what to record.

The value is written as a whole by compare-and-set, so each function here is one atomic step: state in, state out.

A claim is written before the channel's server is called. A process that dies after that leaves it open whether the
message was taken: the claim then counts as a delivery for the cooldown, and its jobs wait until the cooldown is over
and are sent again. So there is at most one delivery per cooldown, and nothing is lost.

Clocks may jump. A time in the future is one that a clock, wrong then or now, has written: it is taken for now. So a
clock that goes back delays by one cooldown at most, and never for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from platform_assets.engine.notifications.record import Fact

REMEMBERED = timedelta(days=5)  # how long a finished job is known, should somebody see its occurrence again
COOLDOWNS_KEPT = timedelta(days=8)  # the longest cooldown is a week


@dataclass(frozen=True)
class Claim:
    """Somebody is sending. ``until``: if it has not been answered by then, its owner is dead."""

    delivery_id: str
    owner: str
    jobs: tuple[str, ...]
    keys: tuple[str, ...]
    since: datetime
    until: datetime


@dataclass(frozen=True)
class Attempts:
    """What a job has gone through. ``unclear``: the last attempt may have been a delivery."""

    count: int
    next_at: datetime
    error: str = ""
    unclear: bool = False


@dataclass(frozen=True)
class ChannelState:
    """``sent``: cooldown key → the last delivery. ``finished``: job id → when it ended. ``unrecorded``: facts that are
    not in the history yet."""

    sent: Mapping[str, datetime] = field(default_factory=dict)
    claim: Claim | None = None
    attempts: Mapping[str, Attempts] = field(default_factory=dict)
    finished: Mapping[str, datetime] = field(default_factory=dict)
    unrecorded: tuple[Fact, ...] = ()


def healed(state: ChannelState, now: datetime) -> ChannelState:
    """Without times in the future, except those that a live claim or a pending attempt may have."""
    claim = state.claim
    if claim and claim.since > now:
        claim = replace(claim, since=now, until=now + (claim.until - claim.since))
    return replace(
        state,
        sent={key: min(at, now) for key, at in state.sent.items()},
        claim=claim,
        finished={job: min(at, now) for job, at in state.finished.items()},
    )


def released(state: ChannelState, now: datetime, error: str) -> ChannelState:
    """A claim whose time is over is the mark of a dead process: its jobs may or may not have been delivered."""
    claim = state.claim
    if claim is None or claim.until > now:
        return state
    return unclear(state, claim, claim.since, now, error)


def unclear(state: ChannelState, claim: Claim, since: datetime, now: datetime, error: str) -> ChannelState:
    """The delivery may have happened at ``since``: the cooldown runs from there, the jobs stay."""
    attempts = dict(state.attempts)
    for job in claim.jobs:
        attempts[job] = Attempts(_count(state, job) + 1, now, error, unclear=True)
    sent = {**state.sent, **{key: max(since, state.sent.get(key, since)) for key in claim.keys}}
    return replace(state, sent=sent, attempts=attempts, claim=_without(state, claim))


def claimed(state: ChannelState, claim: Claim) -> ChannelState:
    """Only where there is no claim; a claim that is over goes by ``released`` first."""
    assert state.claim is None, "one delivery at a time"
    return replace(state, claim=claim)


def delivered(state: ChannelState, claim: Claim, fact: Fact, now: datetime) -> ChannelState:
    """The cooldown runs from now. Good even where the claim was taken for dead in the meantime."""
    sent = {**state.sent, **dict.fromkeys(claim.keys, now)}
    return _finish(replace(state, sent=sent, claim=_without(state, claim)), claim.jobs, [fact], now)


def refused(state: ChannelState, claim: Claim, fact: Fact, now: datetime) -> ChannelState:
    """Failed for good. No cooldown starts: the next occurrence is tried."""
    return _finish(replace(state, claim=_without(state, claim)), claim.jobs, [fact], now)


def postponed(state: ChannelState, claim: Claim, next_at: datetime, error: str) -> ChannelState:
    """Not delivered, to be tried again."""
    tried = {job: Attempts(_count(state, job) + 1, next_at, error) for job in claim.jobs}
    return replace(state, attempts={**state.attempts, **tried}, claim=_without(state, claim))


def suppressed(state: ChannelState, facts: Mapping[str, Fact], now: datetime) -> ChannelState:
    """``facts``: job id → why it is not told."""
    return _finish(state, tuple(facts), list(facts.values()), now)


def recorded(state: ChannelState, facts: Iterable[Fact], now: datetime) -> ChannelState:
    """The facts are in the history; what is too old to matter is forgotten."""
    done = {fact.notification_id for fact in facts}
    return replace(
        state,
        unrecorded=tuple(f for f in state.unrecorded if f.notification_id not in done),
        finished={job: at for job, at in state.finished.items() if now - at < REMEMBERED},
        sent={key: at for key, at in state.sent.items() if now - at < COOLDOWNS_KEPT},
    )


def tries(state: ChannelState, jobs: Sequence[str]) -> int:
    """How often the most tried of these jobs was tried."""
    return max((_count(state, job) for job in jobs), default=0)


def _count(state: ChannelState, job: str) -> int:
    return state.attempts[job].count if job in state.attempts else 0


def _without(state: ChannelState, claim: Claim) -> Claim | None:
    """The state's claim, unless it is this one: a slow process must not release its successor's."""
    return None if state.claim and state.claim.delivery_id == claim.delivery_id else state.claim


def _finish(state: ChannelState, jobs: Sequence[str], facts: Sequence[Fact], now: datetime) -> ChannelState:
    return replace(
        state,
        attempts={job: a for job, a in state.attempts.items() if job not in jobs},
        finished={**state.finished, **dict.fromkeys(jobs, now)},
        unrecorded=(*state.unrecorded, *facts),
    )
