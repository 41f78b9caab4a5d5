"""Billing periods: which stretch of days one price pays for.

Owns calendar, fiscal, anchored and term arithmetic on dates. Refuses nothing about money: it knows none.
All periods are half open, and those of one kind tile the calendar: every day lies in exactly one.
"""

from __future__ import annotations

from calendar import isleap, monthrange
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from types import MappingProxyType

_MONDAY = date(1970, 1, 5)
_FALLBACK_DAYS = 30


class Cycle(StrEnum):
    """How often a plan is paid. OTHER is anything unknown: thirty-day periods, reported as a finding."""

    WEEKLY = "weekly"
    MONTHLY = "monthly"
    QUARTERLY = "quarterly"
    SEMI_ANNUAL = "semi_annual"
    ANNUAL = "annual"
    OTHER = "other"


class Alignment(StrEnum):
    """FISCAL: periods of the tenant's fiscal calendar. TERM: counted from the plan's own start, so that an
    annual contract signed in May sums to its price from May to April."""

    FISCAL = "fiscal"
    TERM = "term"


MONTHS: Mapping[Cycle, int] = MappingProxyType(
    {Cycle.MONTHLY: 1, Cycle.QUARTERLY: 3, Cycle.SEMI_ANNUAL: 6, Cycle.ANNUAL: 12}
)
DAYS: Mapping[Cycle, int] = MappingProxyType({Cycle.WEEKLY: 7, Cycle.OTHER: _FALLBACK_DAYS})


@dataclass(frozen=True, order=True)
class Period:
    """Days from ``start`` up to but not including ``end``."""

    start: date
    end: date

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def __contains__(self, day: date) -> bool:
        return self.start <= day < self.end


def add_months(day: date, months: int) -> date:
    """The same day of a later (or earlier) month; the month's last day where it is shorter."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    return date(year, month + 1, min(day.day, monthrange(year, month + 1)[1]))


def fiscal_period(day: date, months: int, start_month: int) -> Period:
    """The fiscal month, quarter, half or year holding ``day``; the fiscal year begins in ``start_month``.

    Counting blocks from the start of the fiscal year that holds the day keeps January to March of a year that
    began in July in its own third quarter: quarters and halves always tile the year.
    """
    first = day.replace(day=1)
    into_block = (day.month - start_month) % 12 % months
    start = add_months(first, -into_block)
    return Period(start, add_months(start, months))


def anchored_month(day: date, anchor: int) -> Period:
    """The month-long period holding ``day`` that begins on day ``anchor`` (1 to 28) of a month."""
    this = day.replace(day=anchor)
    start = this if day >= this else add_months(this, -1)
    return Period(start, add_months(start, 1))


def term_period(day: date, months: int, origin: date) -> Period:
    """The period holding ``day`` when periods are counted from ``origin``.

    Every boundary is computed from the origin itself, so that 31 January does not drift to the 28th for good.
    """
    index = ((day.year - origin.year) * 12 + day.month - origin.month) // months
    if add_months(origin, index * months) > day:
        index -= 1
    elif add_months(origin, (index + 1) * months) <= day:
        index += 1
    return Period(add_months(origin, index * months), add_months(origin, (index + 1) * months))


def fixed_period(day: date, length: int, origin: date) -> Period:
    """The period of ``length`` days holding ``day``, counted from ``origin``."""
    start = day - timedelta(days=(day - origin).days % length)
    return Period(start, start + timedelta(days=length))


def billing_period(
    day: date,
    cycle: Cycle,
    *,
    alignment: Alignment = Alignment.FISCAL,
    start: date | None = None,
    anchor: int | None = None,
    fiscal_start_month: int = 1,
) -> Period:
    """The period whose price ``day`` shares. ``anchor`` only concerns monthly plans; ``start`` is where
    weeks and terms are counted from."""
    if cycle in DAYS:
        return fixed_period(day, DAYS[cycle], start or _MONDAY)
    months = MONTHS[cycle]
    if cycle is Cycle.MONTHLY and anchor is not None:
        return anchored_month(day, anchor)
    if alignment is Alignment.TERM and start is not None:
        return term_period(day, months, start)
    return fiscal_period(day, months, fiscal_start_month)


def month_of(day: date) -> Period:
    """The calendar month holding ``day``."""
    return fiscal_period(day, 1, 1)


def days_in_year(year: int) -> int:
    return 366 if isleap(year) else 365


_ALIASES: Mapping[str, Cycle] = MappingProxyType(
    {
        "week": Cycle.WEEKLY,
        "month": Cycle.MONTHLY,
        "quarter": Cycle.QUARTERLY,
        "semiannual": Cycle.SEMI_ANNUAL,
        "semi_annually": Cycle.SEMI_ANNUAL,
        "half_yearly": Cycle.SEMI_ANNUAL,
        "biannual": Cycle.SEMI_ANNUAL,
        "year": Cycle.ANNUAL,
        "yearly": Cycle.ANNUAL,
        "annually": Cycle.ANNUAL,
    }
)


def parse_cycle(text: str) -> Cycle:
    """``"semi-annual"`` → SEMI_ANNUAL; what nobody knows becomes OTHER."""
    name = text.strip().lower().replace("-", "_").replace(" ", "_")
    return _ALIASES.get(name) or next((c for c in Cycle if c.value == name), Cycle.OTHER)
