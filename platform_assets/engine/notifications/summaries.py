"""Reports of spend by day, week and month: what they ask for, and what they say. Each currency by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, localcontext
from typing import Any, TypeAlias

from platform_assets.engine.costs.calendar import add_months
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets.engine.notifications.spec import NotificationsSpec, Summary
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import Parameters

Row: TypeAlias = Mapping[str, Any]
LATE_DAYS = 7
_SPEND = """
SELECT ChargeDate, BillingCurrency, x_Provider, ServiceName, SUM(BilledCost) AS Cost
FROM gold_reporting.daily_spend
WHERE x_run_date >= @first AND x_run_date <= @late AND ChargeDate >= @first AND ChargeDate <= @last
  AND (@provider IS NULL OR x_Provider = @provider)
GROUP BY ChargeDate, BillingCurrency, x_Provider, ServiceName
ORDER BY ChargeDate, BillingCurrency, x_Provider, ServiceName
"""
_BUDGETS = """
SELECT BudgetId, BillingCurrency, BudgetAmount, SpentAmount, SpentPercent, ForecastPercent, Status
FROM gold_reporting.budget_status WHERE x_run_date = @day
ORDER BY BudgetId
"""


@dataclass(frozen=True)
class Stretch:
    """Days, both ends included."""

    first: date
    last: date

    def __str__(self) -> str:
        return str(self.last) if self.first == self.last else f"{self.first} to {self.last}"

    def __contains__(self, day: date) -> bool:
        return self.first <= day <= self.last


def stretches(kind: str, tick: datetime) -> tuple[Stretch, Stretch]:
    """(what a summary sent at ``tick`` is about, what came before it): the last complete day (UTC), the seven days that
    end with it, or the month before the one that the tick's own timezone is in."""
    last = tick.astimezone(UTC).date() - timedelta(days=1)
    if kind == "monthly":
        start = tick.date().replace(day=1)
        before = add_months(start, -1)
        month = Stretch(before, start - timedelta(days=1))
        return month, Stretch(add_months(before, -1), before - timedelta(days=1))
    days = timedelta(days={"daily": 1, "weekly": 7}[kind] - 1)
    now = Stretch(last - days, last)
    return now, Stretch(now.first - days - timedelta(days=1), now.first - timedelta(days=1))


def spend_question(summary: Summary, tick: datetime) -> tuple[str, Parameters]:
    now, before = stretches(summary.summary_type, tick)
    return _SPEND, {
        "first": (FieldType.DATE, before.first),
        "last": (FieldType.DATE, now.last),
        "late": (FieldType.DATE, now.last + timedelta(days=LATE_DAYS)),
        "provider": (FieldType.STRING, summary.provider),
    }


def budget_question(summary: Summary, tick: datetime) -> tuple[str, Parameters]:
    """Budgets as they stood on the last day that the summary is about."""
    return _BUDGETS, {"day": (FieldType.DATE, stretches(summary.summary_type, tick)[0].last)}


def summary_occurrence(
    summary: Summary,
    tenant: str,
    tick: datetime,
    spend: Sequence[Row],
    budgets: Sequence[Row],
    config: NotificationsSpec,
) -> Occurrence:
    """What one tenant is told. The same tick always gives the same occurrence."""
    now, before = stretches(summary.summary_type, tick)
    material = _Material(summary, spend, budgets, now, before)
    sections = tuple(
        (title, lines)
        for name in dict.fromkeys(summary.include_sections)
        for title, write in [_SECTIONS[name]]
        if (lines := tuple(write(material)))
    )
    nothing = (
        ""
        if any(row["ChargeDate"] in now for row in spend)
        else " Nothing was spent, or nothing is known yet."
    )
    return Occurrence(
        key=f"{summary.summary_id}:{tick.isoformat()}",
        tenant=tenant,
        event=Event.SUMMARY_SCHEDULED,
        title=f"{summary.name}: {tenant}, {now}",
        message=f"Spend of {tenant}, {now}.{nothing}",
        at=tick,
        subject=summary.summary_id,
        summary_id=summary.summary_id,
        sections=sections,
        channels=config.chosen(summary.channels),
        cooldown_seconds=0,
    )


# --- Sections ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Material:
    summary: Summary
    spend: Sequence[Row]
    budgets: Sequence[Row]
    now: Stretch
    before: Stretch

    def totals(self, stretch: Stretch, column: str | None = None) -> dict[tuple[str, str], Decimal]:
        """(currency, value of the column) → cost."""
        totals: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
        for row in self.spend:
            if row["ChargeDate"] in stretch and row["Cost"] is not None:
                totals[row["BillingCurrency"], str(row[column]) if column else ""] += row["Cost"]
        return dict(totals)


def _total(material: _Material) -> list[str]:
    return [_money(cost, currency) for (currency, _), cost in sorted(material.totals(material.now).items())]


def _comparison(material: _Material) -> list[str]:
    now, before = material.totals(material.now), material.totals(material.before)
    lines = []
    for key in sorted(now.keys() | before.keys()):
        cost, then = now.get(key, Decimal(0)), before.get(key, Decimal(0))
        with localcontext(prec=60):
            change = f"{(cost - then) * 100 / then:+.1f} %" if then > 0 else "nothing to compare with"
        lines.append(f"{_money(cost, key[0])} against {_money(then, key[0])} ({change})")
    return lines


def _top(column: str) -> Callable[[_Material], list[str]]:
    def lines(material: _Material) -> list[str]:
        by_currency: dict[str, list[tuple[Decimal, str]]] = defaultdict(list)
        for (currency, name), cost in material.totals(material.now, column).items():
            by_currency[currency].append((cost, name))
        return [
            f"{name}: {_money(cost, currency)}"
            for currency, costs in sorted(by_currency.items())
            for cost, name in sorted(costs, key=lambda pair: (-pair[0], pair[1]))[
                : material.summary.top_n_items
            ]
        ]

    return lines


def _budgets(material: _Material) -> list[str]:
    return [
        f"{row['BudgetId']}: {row['SpentPercent']:.1f} % of {_money(row['BudgetAmount'], row['BillingCurrency'])}, "
        f"{str(row['Status']).replace('_', ' ')}{_foretold(row)}"
        for row in material.budgets
    ]


def _foretold(row: Row) -> str:
    return (
        "" if row["ForecastPercent"] is None else f", {row['ForecastPercent']:.1f} % by the end of its period"
    )


_SECTIONS: Mapping[str, tuple[str, Callable[[_Material], list[str]]]] = {
    "total_cost": ("Total", _total),
    "wow_comparison": ("Against the time before", _comparison),
    "top_providers": ("Providers", _top("x_Provider")),
    "top_services": ("Services", _top("ServiceName")),
    "budget_status": ("Budgets", _budgets),
}


def _money(amount: Decimal, currency: str) -> str:
    return f"{amount:,.2f} {currency}"
