"""Who may start a run: usage is what runs exist, in UTC days and months; nothing is counted up or down."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest

from platform_assets.engine.admission import Cover, KnownRun, decide
from platform_assets.engine.tenancy import PLANS, TenantSpec

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
DAY = date(2026, 11, 27)


def tenant(name: str = "acme1281", **other: Any) -> TenantSpec:
    return TenantSpec(tenant=name, display_name=name, **other)


def run(number: int, *, tenants: tuple[str, str] = ("acme1281", "acme1281"), **other: Any) -> KnownRun:
    cover = Cover(DAY, DAY, *tenants)
    known = KnownRun(f"r{number}", f"job{number}", cover, NOW - timedelta(minutes=number), unfinished=False)
    return replace(known, **other)


def code(asked: KnownRun, earlier: list[KnownRun], *tenants: TenantSpec, now: datetime = NOW) -> str | None:
    known: Mapping[str, TenantSpec] = {t.tenant: t for t in (tenants or (tenant(),))}
    refusal = decide(asked, known, earlier, now)
    return refusal and refusal.code


ASKED = run(0)


def test_the_plans_are_those_of_the_old_services() -> None:
    limits = {name: (p.daily, p.monthly, p.concurrent) for name, p in PLANS.items()}
    assert limits["starter"] == (6, 180, 20)
    assert limits["professional"] == (25, 750, 20)
    assert limits["scale"] == (100, 3000, 20)


@pytest.mark.parametrize(("runs", "refused"), [(5, None), (6, "QUOTA_EXCEEDED")])
def test_the_daily_limit(runs: int, refused: str | None) -> None:
    assert code(ASKED, [run(n) for n in range(1, runs + 1)]) == refused


def test_limits_agreed_with_a_tenant_win_over_its_plan() -> None:
    assert code(ASKED, [run(1)], tenant(limits={"daily": 1})) == "QUOTA_EXCEEDED"
    assert code(ASKED, [run(n) for n in range(1, 8)], tenant(limits={"daily": 8})) is None


def test_every_run_counts_however_it_ended_but_for_refused_and_abandoned_ones() -> None:
    """The old service counted only successes, and a slot that was reserved could leak."""
    earlier = [run(n) for n in range(1, 6)]
    limit = [*earlier, run(6)]
    assert code(ASKED, limit) == "QUOTA_EXCEEDED"
    assert code(ASKED, [*earlier, run(6, refused=True)]) is None
    assert code(ASKED, [*earlier, run(11, waiting=True, unfinished=True)]) is None
    assert code(ASKED, [*earlier, run(9, waiting=True, unfinished=True)]) == "QUOTA_EXCEEDED"


def test_days_are_utcs_and_a_run_over_midnight_counts_where_it_began() -> None:
    yesterday = [
        run(n, created=datetime(2026, 11, 27, 23, 59, tzinfo=UTC), unfinished=True) for n in range(1, 9)
    ]
    assert code(ASKED, yesterday) is None
    west = timezone(timedelta(hours=-8))
    today = [run(n, created=datetime(2026, 11, 27, 16, n, tzinfo=west)) for n in range(1, 7)]  # 00:0n UTC
    assert code(ASKED, today) == "QUOTA_EXCEEDED"


def test_the_month_is_not_a_days_number_that_restarts() -> None:
    """The old service kept the month's count in a row per day."""
    spread = [run(n, created=datetime(2026, 11, 1 + n % 27, tzinfo=UTC)) for n in range(180)]
    assert code(ASKED, spread) == "QUOTA_EXCEEDED"
    assert code(ASKED, spread[1:]) is None
    assert code(ASKED, [replace(r, created=r.created.replace(month=10)) for r in spread]) is None


def test_when_to_ask_again() -> None:
    refusal = decide(ASKED, {"acme1281": tenant()}, [run(n) for n in range(1, 7)], NOW)
    assert refusal is not None
    assert refusal.retry_after_seconds == 12 * 3600
    assert str(refusal) == (
        "QUOTA_EXCEEDED: acme1281 has had its 6 runs of this day (UTC, plan starter) (retry after 43200 s)"
    )


def test_other_tenants_runs_do_not_count_and_several_count_for_each() -> None:
    assert code(ASKED, [run(n, tenants=("globex", "globex")) for n in range(1, 9)]) is None
    assert code(ASKED, [run(n, tenants=("acme1281", "globex")) for n in range(1, 7)]) == "QUOTA_EXCEEDED"


def test_a_suspended_tenant() -> None:
    suspended = tenant(status="suspended")
    assert code(ASKED, [], suspended) == "SUBSCRIPTION_INACTIVE"
    both = run(0, tenants=("acme1281", "globex"))
    assert code(both, [], suspended, tenant("globex")) is None  # the range leaves it out by itself


def test_one_run_of_the_same_slices_at_a_time() -> None:
    going = replace(run(1), work=ASKED.work, unfinished=True)
    assert code(ASKED, [going]) == "RUN_IN_PROGRESS"
    assert code(ASKED, [replace(going, unfinished=False)]) is None
    assert code(ASKED, [replace(going, work="another pipeline")]) is None
    assert code(ASKED, [replace(going, refused=True)]) is None
    later = Cover(DAY + timedelta(days=1), DAY + timedelta(days=3), "acme1281", "acme1281")
    assert code(ASKED, [replace(going, cover=later)]) is None
    around = Cover(DAY - timedelta(days=1), DAY, "aaa", "zzz")
    assert code(ASKED, [replace(going, cover=around)]) == "RUN_IN_PROGRESS"
