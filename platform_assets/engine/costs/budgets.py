"""Budgets on a day: what is spent, what the period will probably cost, and how bad that is.

Spend counts in the budget's own currency only; what was spent in others is named beside it. Months are calendar
months, quarters and years the tenant's fiscal ones.

Forecast: what is spent, plus for every day that is left the median of the same weekday over the last eight weeks
(at least three of them), else the mean of the last four weeks (at least seven days of history), else nothing is said.
Days count by charge day, and only up to the run date, so a status does not change with later days.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from statistics import median
from types import MappingProxyType
from typing import TYPE_CHECKING

from platform_assets.engine.costs.calendar import Period, fiscal_period, month_of
from platform_assets.engine.costs.functions import Inputs, Row, Slot

if TYPE_CHECKING:
    from platform_assets.engine.tenancy import Budget

_CENT_OF_A_CENT = Decimal("1e-9")
_MONTHS: Mapping[str, int] = MappingProxyType({"quarter": 3, "year": 12})
_WEEKS, _SAME_WEEKDAYS = 8, 3
_MEAN_DAYS, _MIN_HISTORY = 28, 7


@dataclass(frozen=True)
class Forecast:
    """``amount`` is None where there is too little history; ``method`` says how it was made."""

    amount: Decimal | None
    method: str


def status_rows(inputs: Inputs, slot: Slot) -> Iterator[Row]:
    """``inputs["spend"]``: BillingMonth, ChargeDate, x_Provider, BillingCurrency, BilledCost. One row per budget."""
    for budget in slot.tenant.budgets:
        yield budget_row(budget, inputs["spend"], slot.day, slot.tenant.fiscal_year_start_month)


def budget_row(budget: Budget, spend: Sequence[Row], day: date, fiscal_start_month: int) -> Row:
    """One budget's status on ``day``."""
    period = period_of(budget.period, day, fiscal_start_month)
    mine = [row for row in spend if budget.provider in (None, row["x_Provider"])]
    counted = [row for row in mine if row["BillingCurrency"] == budget.currency]
    spent = sum((r["BilledCost"] for r in counted if r["BillingMonth"] in period), Decimal(0))
    forecast = forecast_of(_daily(counted), spent, day, period)
    passed = max((p for p in budget.alert_percent if spent * 100 >= budget.amount * p), default=None)
    others = {r["BillingCurrency"] for r in mine if r["BillingMonth"] in period} - {budget.currency}
    return {
        "BudgetId": budget.id,
        "Period": budget.period,
        "PeriodStart": period.start,
        "PeriodEnd": period.end,
        "x_Provider": budget.provider,
        "BillingCurrency": budget.currency,
        "BudgetAmount": budget.amount,
        "SpentAmount": spent,
        "SpentPercent": _percent(spent, budget.amount),
        "ForecastAmount": forecast.amount,
        "ForecastPercent": None if forecast.amount is None else _percent(forecast.amount, budget.amount),
        "ForecastMethod": forecast.method,
        "ThresholdPassed": passed,
        "Status": _status(spent, forecast.amount, budget.amount, passed),
        "OtherCurrencies": ", ".join(sorted(others)) or None,
    }


def period_of(kind: str, day: date, fiscal_start_month: int) -> Period:
    """The budget period that holds ``day``."""
    return month_of(day) if kind == "month" else fiscal_period(day, _MONTHS[kind], fiscal_start_month)


def forecast_of(daily: Mapping[date, Decimal], spent: Decimal, day: date, period: Period) -> Forecast:
    """What the whole period will cost, seen from the end of ``day``."""
    left = [day + timedelta(days=n) for n in range(1, (period.end - day).days)]
    if not left:
        return Forecast(spent, "closed")
    known = _known_days(daily, day)
    if len(known) < _MIN_HISTORY:
        return Forecast(None, "none")
    by_weekday = {weekday: _weekday_median(known, day, weekday) for weekday in {d.weekday() for d in left}}
    if all(value is not None for value in by_weekday.values()):
        rest = sum((by_weekday[d.weekday()] or Decimal(0) for d in left), Decimal(0))
        return Forecast(_rounded(spent + rest), "weekday")
    recent = [amount for d, amount in known.items() if d > day - timedelta(days=_MEAN_DAYS)]
    with localcontext(prec=60):
        return Forecast(_rounded(spent + sum(recent, Decimal(0)) / len(recent) * len(left)), "mean")


def _known_days(daily: Mapping[date, Decimal], day: date) -> dict[date, Decimal]:
    """Every day from the first one with spend to ``day``; a day without rows cost nothing."""
    first = min((d for d in daily if d <= day), default=None)
    if first is None:
        return {}
    start = max(first, day - timedelta(weeks=_WEEKS) + timedelta(days=1))
    days = (start + timedelta(days=n) for n in range((day - start).days + 1))
    return {d: daily.get(d, Decimal(0)) for d in days}


def _weekday_median(known: Mapping[date, Decimal], day: date, weekday: int) -> Decimal | None:
    amounts = [amount for d, amount in known.items() if d.weekday() == weekday]
    return median(amounts) if len(amounts) >= _SAME_WEEKDAYS else None


def _daily(rows: Sequence[Row]) -> dict[date, Decimal]:
    daily: dict[date, Decimal] = defaultdict(Decimal)
    for row in rows:
        daily[row["ChargeDate"]] += row["BilledCost"]
    return daily


def _status(spent: Decimal, forecast: Decimal | None, amount: Decimal, passed: int | None) -> str:
    if spent > amount:
        return "exceeded"
    if forecast is not None and forecast > amount:
        return "forecast_exceeded"
    return "warning" if passed is not None else "ok"


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    with localcontext(prec=60):
        return _rounded(part * 100 / whole)


def _rounded(amount: Decimal) -> Decimal:
    with localcontext(prec=60):
        return amount.quantize(_CENT_OF_A_CENT, ROUND_HALF_UP)
