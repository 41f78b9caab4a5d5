"""What to do now with what waits for one channel. Jobs, state and the time in; steps out; nothing is sent here."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias

from platform_assets.engine.notifications.events import DEFAULTS, Event, Severity
from platform_assets.engine.notifications.occurrence import Job
from platform_assets.engine.notifications.quiet_hours import quiet_until
from platform_assets.engine.notifications.spec import EventTrigger, NotificationsSpec, RetryConfig
from platform_assets.engine.notifications.state import Attempts, ChannelState

JITTER = 0.2
LONGEST_WISH = 3600.0  # seconds; a server that asks for more is asked again after an hour


@dataclass(frozen=True)
class Send:
    """Deliver these jobs as one message: one, or those of a batch."""

    jobs: tuple[Job, ...]
    severity: Severity
    template: str | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(sorted({job.cooldown_key for job in self.jobs}))


@dataclass(frozen=True)
class Suppress:
    """Nobody is told, for a reason that the history keeps."""

    job: Job
    reason: str
    severity: Severity


@dataclass(frozen=True)
class Hold:
    """Not yet."""

    job: Job
    until: datetime
    reason: str


@dataclass(frozen=True)
class Forget:
    """It was finished before, and is offered again."""

    job: Job


Step: TypeAlias = Send | Suppress | Hold | Forget


def plan(
    config: NotificationsSpec,
    jobs: Sequence[Job],
    state: ChannelState,
    now: datetime,
    acknowledged: Collection[str] = (),
) -> tuple[Step, ...]:
    """Steps for one tenant's channel, oldest first; at most one Send per cooldown key, since its outcome decides on the
    others. ``acknowledged``: notifications that somebody has taken on."""
    steps: list[Step] = []
    ready: dict[str, list[Job]] = defaultdict(list)
    for job in sorted(jobs, key=lambda j: (min(j.created_at, now), j.id)):
        step = _before_sending(config, job, state, now, acknowledged)
        if step is None:
            ready[_group(config, job)].append(job)
        else:
            steps.append(step)
    waiting = {s.job.cooldown_key for s in steps if isinstance(s, Hold) and s.reason == "retry"}
    for group in ready.values():
        steps += _group_steps(config, group, waiting, now)
    return tuple(steps)


def severity_of(config: NotificationsSpec, job: Job) -> Severity:
    """The occurrence's own, else the trigger's, else the event's."""
    trigger = _trigger(config, job)
    default = DEFAULTS[job.occurrence.event].severity
    return job.occurrence.severity or (trigger.severity if trigger else None) or default


def channels_for(config: NotificationsSpec, event: Event, own: Sequence[str]) -> tuple[str, ...]:
    """Where an occurrence goes: to the channels that speak for it, else to its event's; to none where it is off."""
    if not config.enabled:
        return ()
    if own:
        return config.chosen(list(own))
    trigger = config.trigger(event)
    return config.chosen(trigger.channels) if trigger else ()


def retry_at(
    retry: RetryConfig, tries: int, now: datetime, name: str, retry_after: float | None = None
) -> datetime | None:
    """When to try again after ``tries`` attempts, or None where that was the last. A server's own wish is a lower
    bound, which the cap does not shorten (an hour does). The jitter comes from the name: the same
    wherever it is reckoned."""
    if tries >= retry.max_attempts:
        return None
    factor = 2.0 ** (tries - 1) if retry.exponential_backoff else 1.0
    delay = min(retry.initial_delay_seconds * factor, retry.max_delay_seconds)
    spread = hashlib.blake2b(f"{name}:{tries}".encode(), digest_size=2).digest()
    delay *= 1 + JITTER * int.from_bytes(spread) / 65535
    wish = min(retry_after or 0.0, LONGEST_WISH)
    return now + timedelta(seconds=max(min(delay, retry.max_delay_seconds), wish))


# --- One job ----------------------------------------------------------------------------------------------------


def _before_sending(
    config: NotificationsSpec,
    job: Job,
    state: ChannelState,
    now: datetime,
    acknowledged: Collection[str],
) -> Step | None:
    """Why a job is not to be sent now, or None where it is."""
    if job.id in state.finished:
        return Forget(job)
    severity = severity_of(config, job)
    if reason := _unwanted(config, job, acknowledged):
        return Suppress(job, reason, severity)
    if job.not_before and job.not_before > now and job.created_at <= now:
        return Hold(job, job.not_before, "escalation")
    tried = state.attempts.get(job.id)
    if tried and _pause(config.retry_config, tried, now) > now:
        return Hold(job, _pause(config.retry_config, tried, now), "retry")
    if step := _cooling(config, job, state, now, severity):
        return step
    quiet = quiet_until(config.quiet_hours, now) if _is_quiet(config, job, severity) else None
    return Hold(job, quiet, "quiet hours") if quiet else None


def _unwanted(config: NotificationsSpec, job: Job, acknowledged: Collection[str]) -> str | None:
    if not config.enabled:
        return "notifications are disabled"
    if config.channel(job.channel_id) is None:
        return "the channel is not in use any more"
    if job.escalates in acknowledged:
        return "acknowledged"
    if not job.occurrence.channels and not job.escalates and config.trigger(job.occurrence.event) is None:
        return "the event is disabled"
    return None


def _pause(retry: RetryConfig, tried: Attempts, now: datetime) -> datetime:
    """The next attempt; one that lies further ahead than any backoff was written by a wrong clock."""
    furthest = now + timedelta(seconds=max(retry.max_delay_seconds, LONGEST_WISH))
    return tried.next_at if tried.next_at <= furthest else now


def _cooling(
    config: NotificationsSpec, job: Job, state: ChannelState, now: datetime, severity: Severity
) -> Step | None:
    last = state.sent.get(job.cooldown_key)
    seconds = 0 if job.escalates else cooldown_of(config, job)
    if last is None or now - last >= timedelta(seconds=seconds):
        return None
    tried = state.attempts.get(job.id)
    if tried and tried.unclear:  # that last delivery may have been this very job's, or nobody's
        return Hold(job, last + timedelta(seconds=seconds), "cooldown")
    told = f"cooldown: told at {last:%Y-%m-%dT%H:%M:%SZ}, not again for {seconds} s"
    return Suppress(job, told, severity)


def cooldown_of(config: NotificationsSpec, job: Job) -> int:
    """Seconds; the occurrence's own wins."""
    own = job.occurrence.cooldown_seconds
    trigger = _trigger(config, job)
    if own is not None:
        return own
    return trigger.cooldown if trigger else DEFAULTS[job.occurrence.event].cooldown_seconds


def _is_quiet(config: NotificationsSpec, job: Job, severity: Severity) -> bool:
    trigger = _trigger(config, job)
    return severity is not Severity.CRITICAL and (trigger is None or trigger.quiet)


# --- Batches ------------------------------------------------------------------------------------------------------


def _group(config: NotificationsSpec, job: Job) -> str:
    """What may go out in one message: an event's batch, else what shares a cooldown."""
    batched = _window(config, job) and not job.escalates
    return f"batch {job.occurrence.event}" if batched else job.cooldown_key


def _window(config: NotificationsSpec, job: Job) -> int:
    trigger = _trigger(config, job)
    return trigger.batch_window_seconds if trigger else 0


def _group_steps(
    config: NotificationsSpec, jobs: Sequence[Job], waiting: Collection[str], now: datetime
) -> Iterator[Step]:
    first = jobs[0]
    window = _window(config, first)
    trigger = _trigger(config, first)
    template = trigger.template if trigger else None
    if _group(config, first) == first.cooldown_key:
        # While an earlier one of them waits for its next attempt, the others wait for what becomes of it.
        if first.cooldown_key not in waiting or cooldown_of(config, first) == 0:
            yield Send((first,), severity_of(config, first), template)
        return
    opened = min(_told_by(job, now, now - timedelta(seconds=window)) for job in jobs)
    if (closes := opened + timedelta(seconds=window)) > now:
        yield from (Hold(job, closes, "batch") for job in jobs)
        return
    worst = max((severity_of(config, job) for job in jobs), key=list(Severity).index)
    yield Send(tuple(jobs), worst, template)


def _told_by(job: Job, now: datetime, otherwise: datetime) -> datetime:
    """When a job was made; one from the future was made by a wrong clock, and has waited long enough."""
    return job.created_at if job.created_at <= now else otherwise


def _trigger(config: NotificationsSpec, job: Job) -> EventTrigger | None:
    return config.trigger(job.occurrence.event)
