"""SaaS plans become daily costs: a billing cycle's price is shared out over exactly the days it pays for.

Rounding rule: days carry nine decimals (NUMERIC), and day ``i`` of ``n`` gets ``R(C·(i+1)/n) - R(C·i/n)``,
where ``R`` rounds half up at nine decimals and ``C`` is the cycle's price. So every day is within 1e-9 of
``C/n``, the days of a cycle sum to ``C`` exactly, and no day's cost depends on the window that was asked for.
``C`` itself has nine decimals (half up), which only a percent discount can ever round.

Refuses plans with critical findings; adds nothing across currencies.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, localcontext

from platform_assets.engine.costs.calendar import (
    Period,
    billing_period,
    days_in_year,
    month_of,
)
from platform_assets.engine.costs.plans import PRECISION, Plan, check_plans, cycle_cost, list_price, seats_of
from platform_assets.engine.errors import DataError


@dataclass(frozen=True)
class Terms:
    """What the tenant's organisation decides: first month of its fiscal year, and the currency of plans that
    name none."""

    fiscal_year_start_month: int = 1
    default_currency: str | None = None


@dataclass(frozen=True)
class DailyCost:
    """What one plan costs on one day; ``list_cost`` is before the discount. Run rates only describe: they
    must never be summed."""

    cost_date: date
    plan: Plan
    currency: str
    seats: Decimal
    period: Period
    cycle_cost: Decimal
    daily_cost: Decimal
    list_cost: Decimal
    monthly_run_rate: Decimal
    annual_run_rate: Decimal


def _share(price: Decimal, parts: int, whole: int) -> Decimal:
    """``price × parts / whole`` at nine decimals, half up, in exact integers."""
    with localcontext(prec=PRECISION):
        nano = int(price.scaleb(9))
        return Decimal((2 * nano * parts + whole) // (2 * whole)).scaleb(-9)


def day_share(price: Decimal, period: Period, day: date) -> Decimal:
    """``day``'s part of a price paid for ``period``; over the period the parts sum to ``price``."""
    index = (day - period.start).days
    with localcontext(prec=PRECISION):
        return _share(price, index + 1, period.days) - _share(price, index, period.days)


def period_of(plan: Plan, day: date, terms: Terms) -> Period:
    """The cycle that pays for ``day``."""
    return billing_period(
        day,
        plan.cycle,
        alignment=plan.alignment,
        start=plan.term_start or plan.start_date,
        anchor=plan.billing_anchor_day,
        fiscal_start_month=terms.fiscal_year_start_month,
    )


def cost_on(plan: Plan, day: date, terms: Terms) -> DailyCost:
    """One plan's cost on one day that it covers."""
    period, price = period_of(plan, day, terms), cycle_cost(plan)
    return DailyCost(
        cost_date=day,
        plan=plan,
        currency=plan.currency or terms.default_currency or "",
        seats=seats_of(plan),
        period=period,
        cycle_cost=price,
        daily_cost=day_share(price, period, day),
        list_cost=day_share(list_price(plan), period, day),
        monthly_run_rate=_share(price, month_of(day).days, period.days),
        annual_run_rate=_share(price, days_in_year(day.year), period.days),
    )


def daily_costs(plans: Sequence[Plan], first: date, last: date, terms: Terms) -> Iterator[DailyCost]:
    """Costs of every plan for each day of ``first`` … ``last`` (inclusive) that it covers, ordered by day,
    provider and subscription. Free days are left out. DataError lists every critical finding."""
    critical = [f for f in check_plans(plans, terms.default_currency) if f.severity == "critical"]
    if critical:
        raise DataError("SaaS plans cannot be costed:\n" + "\n".join(f"  {f}" for f in critical))
    ordered = sorted(plans, key=lambda p: (p.provider, p.subscription_id))
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        for plan in ordered:
            if plan.covers(day) and (cost := cost_on(plan, day, terms)).cycle_cost > 0:
                yield cost
