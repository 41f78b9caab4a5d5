"""When runs are asked for: who ticks in which minute, which days a missed tick left out, when a failed one tries again.

Chance is made of names, so that it is the same in every process and after every restart.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from hashlib import sha256

from platform_assets.engine.cron import ticks_on
from platform_assets.engine.ingestion.spec import PipelineSpec, RunRetry
from platform_assets.engine.tenancy import TenantSpec


@dataclass(frozen=True)
class Timing:
    """When a pipeline ticks for some of its tenants."""

    cron: str
    timezone: str
    enabled: bool
    priority: int
    tenants: tuple[TenantSpec, ...]
    own: bool = False  # one tenant's, in place of the pipeline's


def timings(spec: PipelineSpec, tenants: Collection[TenantSpec]) -> list[Timing]:
    """The pipeline's own timing, for every tenant that has none of its own, and then those. ``tenants`` in order."""
    schedule = spec.schedule
    assert schedule is not None, "asked only for pipelines with a schedule"
    usual = tuple(t for t in tenants if spec.pipeline_id not in t.schedules)
    found = [Timing(schedule.cron, schedule.timezone, schedule.enabled, schedule.priority, usual)]
    for tenant in tenants:
        own = tenant.schedules.get(spec.pipeline_id)
        if own is not None:
            found.append(
                Timing(
                    own.cron or schedule.cron,
                    own.timezone or schedule.timezone,
                    schedule.enabled and own.enabled,
                    schedule.priority if own.priority is None else own.priority,
                    (tenant,),
                    own=True,
                )
            )
    return found


def asked_for(specs: Iterable[PipelineSpec], tenant: TenantSpec, first: date, days: int) -> Counter[date]:
    """How many runs the schedules of these pipelines ask for, per day from ``first`` on; days of the schedules' own
    time zones. ``specs``: those that the tenant runs."""
    crons = Counter(
        timing.cron
        for spec in specs
        if spec.schedule
        for timing in timings(spec, [tenant])
        if timing.enabled and timing.tenants
    )
    found: Counter[date] = Counter()
    for number in range(days):
        day = first + timedelta(days=number)
        found[day] = sum(many * ticks_on(cron, day) for cron, many in crons.items())
    return found


def offset(pipeline_id: str, tenant: str, jitter_minutes: int) -> int:
    """A tenant's minute after the tick, 0 to ``jitter_minutes``."""
    return _number(f"{pipeline_id}/{tenant}") % (jitter_minutes + 1)


def gaps(first: date, last: date, there: Collection[date]) -> Iterator[tuple[date, date]]:
    """The stretches of days from ``first`` to ``last`` that are not ``there``, both ends included, oldest first."""
    begin: date | None = None
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        if day in there and begin is not None:
            yield begin, day - timedelta(days=1)
            begin = None
        elif day not in there and begin is None:
            begin = day
    if begin is not None:
        yield begin, last


def delay(policy: RunRetry, attempt: int, name: str) -> timedelta:
    """How long after its ``attempt``-th failure (from 1) a run is tried again: exponential, between half and all of it,
    so that what failed together does not come back together."""
    longest = min(policy.max_backoff_seconds, policy.backoff_seconds * 2 ** (attempt - 1))
    return timedelta(seconds=longest * (0.5 + _number(f"{name}/{attempt}") % 1000 / 2000))


def _number(name: str) -> int:
    return int.from_bytes(sha256(name.encode()).digest()[:8])
