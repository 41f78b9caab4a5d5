"""Whether a run may start: its tenants' status, their plans' limits, and no second run of the same slices.

Nothing is counted up or down: usage is derived from the runs that exist, so a run that dies gives back what it held.
Days and months are UTC's. The codes are those of the services replaced here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from platform_assets.engine.tenancy import TenantSpec

SUBSCRIPTION_INACTIVE = "SUBSCRIPTION_INACTIVE"
QUOTA_EXCEEDED = "QUOTA_EXCEEDED"
RUN_IN_PROGRESS = "RUN_IN_PROGRESS"
# A run that was created and never handed to the queue is somebody's crash after so long, and holds nothing.
ABANDONED_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class Refusal:
    """Why a run may not start. ``retry_after_seconds``: when asking again may help; None where it will not."""

    code: str
    reason: str
    retry_after_seconds: int | None = None

    def __str__(self) -> str:
        again = "" if self.retry_after_seconds is None else f" (retry after {self.retry_after_seconds} s)"
        return f"{self.code}: {self.reason}{again}"


@dataclass(frozen=True)
class Cover:
    """The slices of a run: the cross product of days and tenants, both ends included. Tenants are in order of name."""

    first_day: date
    last_day: date
    first_tenant: str
    last_tenant: str

    def has(self, tenant: str) -> bool:
        return self.first_tenant <= tenant <= self.last_tenant

    def overlaps(self, other: Cover) -> bool:
        days = self.first_day <= other.last_day and other.first_day <= self.last_day
        return days and self.first_tenant <= other.last_tenant and other.first_tenant <= self.last_tenant


@dataclass(frozen=True)
class KnownRun:
    """A run as admission sees it. ``work``: the job, or the assets that were chosen. ``waiting``: it was created and is
    not in the queue yet."""

    run_id: str
    work: str
    cover: Cover
    created: datetime
    unfinished: bool = True
    waiting: bool = False
    refused: bool = False

    def holds(self, now: datetime) -> bool:
        """Whether it counts at all."""
        return not self.refused and not (self.waiting and now - self.created > ABANDONED_AFTER)


def decide(
    asked: KnownRun, tenants: Mapping[str, TenantSpec], earlier: Sequence[KnownRun], now: datetime
) -> Refusal | None:
    """The first reason against a run, or None. ``earlier``: this month's runs that were created before it, so that of
    two that ask at once both agree on who came first."""
    held = [run for run in earlier if run.holds(now)]
    concerned = [spec for name, spec in sorted(tenants.items()) if asked.cover.has(name)]
    return next(
        (
            refusal
            for rule in (_inactive, _over_limit, _going_on)
            for refusal in rule(asked, concerned, held, now)
        ),
        None,
    )


def _inactive(
    asked: KnownRun, tenants: Sequence[TenantSpec], held: Sequence[KnownRun], now: datetime
) -> Iterator[Refusal]:
    """A range over several tenants leaves suspended ones out by itself."""
    if tenants and all(spec.status != "active" for spec in tenants):
        names = ", ".join(spec.tenant for spec in tenants)
        yield Refusal(SUBSCRIPTION_INACTIVE, f"{names} is suspended")


def _over_limit(
    asked: KnownRun, tenants: Sequence[TenantSpec], held: Sequence[KnownRun], now: datetime
) -> Iterator[Refusal]:
    day = asked.created.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    month = day.replace(day=1)
    periods = (
        ("day", day, day + timedelta(days=1)),
        ("month", month, (month + timedelta(days=31)).replace(day=1)),
    )
    for spec in (t for t in tenants if t.status == "active"):
        limits = {"day": spec.allowed.daily, "month": spec.allowed.monthly}
        for period, start, end in periods:
            used = sum(run.cover.has(spec.tenant) and start <= run.created < end for run in held)
            if used >= limits[period]:
                reason = f"{spec.tenant} has had its {limits[period]} runs of this {period} (UTC, plan {spec.plan})"
                yield Refusal(QUOTA_EXCEEDED, reason, max(1, int((end - now).total_seconds())))


def _going_on(
    asked: KnownRun, tenants: Sequence[TenantSpec], held: Sequence[KnownRun], now: datetime
) -> Iterator[Refusal]:
    for run in held:
        if run.unfinished and run.work == asked.work and run.cover.overlaps(asked.cover):
            yield Refusal(RUN_IN_PROGRESS, f"run {run.run_id} of the same slices is going on")
