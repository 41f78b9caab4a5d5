"""Applies the plans: claims a channel, calls its adapter, remembers the outcome, writes the history.

Each channel has its own outcome and its own thread, so one that hangs delays nobody else. The order of writes is
claim → send → outcome → history → jobs removed; killed at any instant, the next tick goes on from what is written.
"""

import logging
import uuid
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from platform_assets.assets.notifications.log import NotificationLog
from platform_assets.assets.notifications.outbox import Held, Outbox
from platform_assets.engine.errors import ConflictError, PartialError, PlatformError, RetryableError
from platform_assets.engine.notifications.message import Message, render
from platform_assets.engine.notifications.occurrence import Job, Occurrence
from platform_assets.engine.notifications.planning import (
    Forget,
    Send,
    Suppress,
    channels_for,
    plan,
    retry_at,
    severity_of,
)
from platform_assets.engine.notifications.record import Fact, notification_id
from platform_assets.engine.notifications.spec import SECRET_FIELDS, EmailChannel, NotificationsSpec
from platform_assets.engine.notifications.state import (
    ChannelState,
    Claim,
    claimed,
    delivered,
    healed,
    postponed,
    recorded,
    refused,
    released,
    suppressed,
    tries,
    unclear,
)
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.ports import Notification, Notifier, SecretStore

LOGGER = logging.getLogger(__name__)
DIED = "the process that was sending died before it could say whether it was taken"
MOST_ROUNDS = 500  # per channel and tick; what is left comes with the next


@dataclass
class Report:
    """What a tick did: counts by status, and what could not be done at all."""

    sent: int = 0
    failed: int = 0
    skipped: int = 0
    later: int = 0
    errors: list[str] = field(default_factory=list)

    def add(self, other: "Report") -> None:
        self.sent += other.sent
        self.failed += other.failed
        self.skipped += other.skipped
        self.later += other.later
        self.errors += other.errors

    def __str__(self) -> str:
        told = (
            f"{self.sent} sent, {self.failed} failed, {self.skipped} skipped, {self.later} to be tried again"
        )
        return told + "".join(f"\n{error}" for error in self.errors)


@dataclass(frozen=True)
class Deliverer:
    """``notifiers``: adapters by kind of channel. ``step`` is told each point at which a process may die."""

    outbox: Outbox
    log: NotificationLog
    notifications: Notifications
    notifiers: Mapping[str, Notifier]
    secrets: SecretStore
    now: Callable[[], datetime]
    owner: str = field(default_factory=lambda: uuid.uuid4().hex)
    step: Callable[[str], None] = lambda name: None

    def deliver(self, budget_seconds: float = 45.0, at_once: int = 8) -> Report:
        """Work on every channel for which something waits. Returns after ``budget_seconds`` at the latest; threads that
        still wait for a server then end by themselves, under their claim."""
        channels = sorted(self.outbox.waiting().items())
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="notify")
        futures = {pool.submit(self._channel, *place, keys): place for place, keys in channels}
        try:
            done, late = wait(futures, timeout=budget_seconds)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
        report = Report()
        for future in sorted(done, key=lambda f: futures[f]):
            report.add(future.result())
        report.errors += [f"{'/'.join(futures[f])}: no answer in {budget_seconds:g} s" for f in late]
        return report

    def deliver_now(self, occurrence: Occurrence) -> list[Fact]:
        """Tell something once, whatever the cooldowns say, and start none: for trying channels out."""
        config = self.notifications.of(occurrence.tenant)
        facts = []
        for channel in channels_for(config, occurrence.event, occurrence.channels):
            job = Job(occurrence, channel, self.now())
            send = Send((job,), severity_of(config, job))
            outcome = self._attempt(config, send, channel, repeats=False)
            facts.append(self._fact(config, send, outcome, 1, self.now()))
        if facts:
            self.log.write(occurrence.tenant, facts)
        return facts

    # --- One channel --------------------------------------------------------------------------------------------------

    def _channel(self, tenant: str, channel: str, keys: Sequence[str]) -> Report:
        """Steps until nothing can be done now, or another process is at it; then the history. A history that cannot be
        written is written later, and keeps nobody from being told."""
        report = Report()
        try:
            jobs = self.outbox.jobs(keys)
            with suppress(ConflictError):  # another process is working on this channel
                for _ in range(MOST_ROUNDS):
                    if not self._round(tenant, channel, jobs, report):
                        break
            self._record(tenant, channel)
        except Exception as error:
            LOGGER.exception("notifications of %s by %s", tenant, channel)
            report.errors.append(f"{tenant}/{channel}: {type(error).__name__}: {error}")
        return report

    def _round(self, tenant: str, channel: str, jobs: list[Job], report: Report) -> bool:
        """One step; whether there may be another."""
        now = self.now()
        held = self._settled(tenant, channel, now)
        if held.state.claim:
            return False
        config = self.notifications.of(tenant)
        unrecorded = {job.id for fact in held.state.unrecorded for job in fact.jobs}
        open_jobs = [job for job in jobs if job.id not in unrecorded]
        steps = plan(config, open_jobs, held.state, now, self.outbox.acknowledged(open_jobs))
        if forgotten := [s.job for s in steps if isinstance(s, Forget)]:
            self.outbox.remove(forgotten)
            jobs[:] = [job for job in jobs if job not in forgotten]
        if unwanted := [s for s in steps if isinstance(s, Suppress)]:
            facts = {s.job.id: self._skipped(config, s, now) for s in unwanted}
            self.outbox.write(tenant, channel, suppressed(held.state, facts, now), held.etag)
            report.skipped += len(facts)
            return True
        send = next((s for s in steps if isinstance(s, Send)), None)
        if send is None:
            return False
        self._send(tenant, channel, held, send, report)
        return True

    def _settled(self, tenant: str, channel: str, now: datetime) -> Held:
        """The state without impossible times and without a dead process's claim."""
        held = self.outbox.read(tenant, channel)
        settled = released(healed(held.state, now), now, DIED)
        if settled == held.state:
            return held
        return Held(settled, self.outbox.write(tenant, channel, settled, held.etag))

    def _record(self, tenant: str, channel: str) -> None:
        """Facts into the history, then the jobs away, then the facts out of the state. Each may be done twice."""
        facts = self.outbox.read(tenant, channel).state.unrecorded
        if not facts:
            return
        if tenant in self.notifications.tenants:
            self._escalate(tenant, facts)
            self.log.write(tenant, facts)
        else:  # gone since; its datasets are not made anew for this
            LOGGER.warning("%s is no tenant (any more): %d notification(s) dropped", tenant, len(facts))
        self.step("recorded")
        self.outbox.remove(job for fact in facts for job in fact.jobs)
        self.outbox.change(tenant, channel, lambda state: recorded(state, facts, self.now()))

    def _escalate(self, tenant: str, facts: Sequence[Fact]) -> None:
        """What was told and wants to be acknowledged is told to others later on."""
        config = self.notifications.of(tenant)
        for fact in facts:
            trigger = config.trigger(fact.jobs[0].occurrence.event)
            if fact.status != "sent" or fact.jobs[0].escalates or not trigger or not trigger.escalate_to:
                continue
            due = fact.at + timedelta(minutes=trigger.escalate_after_minutes or 0)
            for name in config.chosen(trigger.escalate_to):
                self.outbox.add_job(
                    Job(
                        fact.jobs[0].occurrence, name, fact.at, not_before=due, escalates=fact.notification_id
                    )
                )

    # --- One delivery -------------------------------------------------------------------------------------------------

    def _send(self, tenant: str, channel: str, held: Held, send: Send, report: Report) -> None:
        config = self.notifications.of(tenant)
        claim = self._claim(config, send)
        self.outbox.write(tenant, channel, claimed(held.state, claim), held.etag)
        self.step("claimed")
        attempts = tries(held.state, claim.jobs) + 1
        repeats = any(held.state.attempts[j].unclear for j in claim.jobs if j in held.state.attempts)
        outcome = self._attempt(config, send, channel, repeats=repeats)
        self.step("sent")
        now = self.now()
        fact = self._fact(config, send, outcome, attempts, now)
        step = self._outcome(config, claim, fact, outcome, attempts, now, report)
        self.outbox.change(tenant, channel, lambda state: step(healed(state, now)))
        self.step("remembered")

    def _claim(self, config: NotificationsSpec, send: Send) -> Claim:
        now = self.now()
        # A server is waited for at several points of one delivery; a claim that ends too soon would be taken for dead.
        until = now + timedelta(seconds=4 * config.timeout_seconds)
        return Claim(uuid.uuid4().hex, self.owner, tuple(j.id for j in send.jobs), send.keys, now, until)

    def _attempt(
        self, config: NotificationsSpec, send: Send, channel_id: str, *, repeats: bool
    ) -> Message | PlatformError:
        """The message as it was delivered, or why it was not."""
        channel = config.channel(channel_id)
        assert channel is not None, "planned for a channel in use"
        try:
            template = self.notifications.templates.get(send.template) if send.template else None
            message = render(send.jobs, send.severity, template, repeats=repeats)
            settings = self._settings(send.jobs[0].occurrence.tenant, config, channel)
            self.notifiers[channel.type].send(_notification(message, settings))
        except PlatformError as error:
            return error
        except Exception as error:  # a bug in an adapter is that channel's failure, not the others'
            LOGGER.exception("%s failed", channel_id)
            return PlatformError(f"{type(error).__name__}: see the log")
        return message

    def _settings(self, tenant: str, config: NotificationsSpec, channel: Any) -> dict[str, Any]:
        settings = {**channel.model_dump(exclude_none=True), "timeout_seconds": config.timeout_seconds}
        for target, name in SECRET_FIELDS.items():
            if name in settings:
                settings[target] = self.secrets.get(tenant, settings.pop(name))
        return settings

    def _outcome(
        self,
        config: NotificationsSpec,
        claim: Claim,
        fact: Fact,
        outcome: Message | PlatformError,
        attempts: int,
        now: datetime,
        report: Report,
    ) -> Callable[[ChannelState], ChannelState]:
        """What the outcome does to the channel's state."""
        if isinstance(outcome, Message | PartialError):
            report.sent += 1
            return lambda state: delivered(state, claim, fact, now)
        next_at = None
        if isinstance(outcome, RetryableError):
            next_at = retry_at(config.retry_config, attempts, now, claim.jobs[0], outcome.retry_after)
        if next_at is None:
            report.failed += 1
            return lambda state: refused(state, claim, fact, now)
        report.later += 1
        error = str(outcome)
        if isinstance(outcome, RetryableError) and outcome.effect_unknown:
            return lambda state: unclear(state, claim, now, next_at, error)
        return lambda state: postponed(state, claim, next_at, error)

    # --- Facts --------------------------------------------------------------------------------------------------------

    def _fact(
        self,
        config: NotificationsSpec,
        send: Send,
        outcome: Message | PlatformError,
        attempts: int,
        now: datetime,
    ) -> Fact:
        job = send.jobs[0]
        told = outcome if isinstance(outcome, Message) else render(send.jobs, send.severity)
        return Fact(
            notification_id=notification_id(send.jobs),
            jobs=send.jobs,
            provider=_kind(config, job.channel_id),
            status="sent" if isinstance(outcome, Message | PartialError) else "failed",
            severity=send.severity,
            at=now,
            subject=told.subject,
            preview=told.text,
            error=None if isinstance(outcome, Message) else str(outcome),
            attempts=attempts,
            recipients=_recipients(config, job.channel_id),
        )

    def _skipped(self, config: NotificationsSpec, step: Suppress, now: datetime) -> Fact:
        job = step.job
        return Fact(
            notification_id=notification_id([job]),
            jobs=(job,),
            provider=_kind(config, job.channel_id),
            status="skipped",
            severity=step.severity,
            at=now,
            reason=step.reason,
            recipients=_recipients(config, job.channel_id),
        )


def _notification(message: Message, settings: Mapping[str, Any]) -> Notification:
    return Notification(
        subject=message.subject,
        text=message.text,
        html=message.html,
        severity=message.severity.value,
        fields=message.fields,
        settings=settings,
    )


def _kind(config: NotificationsSpec, channel_id: str) -> str:
    return next((c.type for c in config.channels if c.channel_id == channel_id), channel_id)


def _recipients(config: NotificationsSpec, channel_id: str) -> tuple[str, ...]:
    """Whom a channel reaches, as far as that is no secret."""
    channel = next((c for c in config.channels if c.channel_id == channel_id), None)
    if isinstance(channel, EmailChannel):
        return (*channel.to_emails, *channel.cc_emails)
    name = getattr(channel, "channel", None)
    return (name,) if name else ()
