"""Unusual spend: a day against days of the same kind, by median and median absolute deviation.

Kinds of days: the first and the last day of a month (fees, taxes, commitments) are compared with the same day of the
months before; every other day with the same weekday of the last twelve weeks, or where those are too few with the
weekdays, or the weekends, of the last six. Too little history judges nothing and says so.

An anomaly is both unusual (four robust standard deviations, a deviation being at least 5 % of the median) and worth
looking at (by at least MIN_AMOUNT in the row's currency and a quarter of the median). A day without rows costs 0, so a
service that stops shows as a drop.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext
from statistics import median

from platform_assets.engine.costs.calendar import month_of
from platform_assets.engine.costs.functions import Inputs, Row, Slot

MIN_AMOUNT = Decimal(10)
MIN_SHARE = Decimal("0.25")
MAX_DEVIATIONS = Decimal(4)
_SMALLEST_SPREAD = Decimal("0.05")
_NORMAL = Decimal("1.4826")  # standard deviation of a normal distribution ÷ its median absolute deviation
_QUANTUM = Decimal("1e-9")
_EDGE_DAYS, _WEEKDAY_DAYS, _MIXED_DAYS = 3, 6, 10
_WEEKS, _MIXED_WEEKS = 12, 6


@dataclass(frozen=True)
class Peers:
    """Comparable days: what they are, and what each of them cost."""

    kind: str
    amounts: tuple[Decimal, ...]


def anomaly_rows(inputs: Inputs, slot: Slot) -> Iterator[Row]:
    """``inputs["spend"]``: ChargeDate, ProviderName, ServiceName, BillingCurrency, EffectiveCost. One row per
    provider, service and currency that ever cost something before or on the day."""
    series: dict[tuple[str, str, str], dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in inputs["spend"]:
        key = (row["ProviderName"], row["ServiceName"], row["BillingCurrency"])
        series[key][row["ChargeDate"]] += row["EffectiveCost"]
    for key, daily in sorted(series.items()):
        names = ("ProviderName", "ServiceName", "BillingCurrency")
        yield {"ChargeDate": slot.day, **dict(zip(names, key, strict=True)), **judged(daily, slot.day)}


def judged(daily: Mapping[date, Decimal], day: date) -> Row:
    """One day of one series."""
    actual = daily.get(day, Decimal(0))
    peers = peers_of(daily, day)
    row: dict[str, object] = {
        "ActualCost": actual,
        "ComparedWith": peers.kind if peers else "nothing",
        "ComparableDays": len(peers.amounts) if peers else 0,
        "IsAnomaly": False,
    }
    if peers is None:
        return {**row, "Reason": "too few comparable days"}
    with localcontext(prec=60):
        return {**row, **_verdict(actual, peers.amounts)}


def _verdict(actual: Decimal, amounts: tuple[Decimal, ...]) -> Row:
    centre = median(amounts)
    spread = max(
        _NORMAL * median(abs(a - centre) for a in amounts),
        abs(centre) * _SMALLEST_SPREAD,
        MIN_AMOUNT / MAX_DEVIATIONS,
    )
    distance = actual - centre
    unusual = abs(distance) > MAX_DEVIATIONS * spread
    matters = abs(distance) >= max(MIN_AMOUNT, abs(centre) * MIN_SHARE)
    return {
        "ExpectedCost": _rounded(centre),
        "LowestUsual": _rounded(centre - MAX_DEVIATIONS * spread),
        "HighestUsual": _rounded(centre + MAX_DEVIATIONS * spread),
        "Score": _rounded(distance / spread),
        "IsAnomaly": unusual and matters,
        "Direction": ("spike" if distance > 0 else "drop") if unusual and matters else None,
    }


def peers_of(daily: Mapping[date, Decimal], day: date) -> Peers | None:
    """The days that ``day`` may be compared with, or None where there are too few."""
    earlier = [d for d in daily if d < day]
    if not earlier:
        return None
    first = min(earlier)
    if edge := _edge(day):
        days = [d for d in _days(first, day) if _edge(d) == edge]
        return _peers(daily, f"{edge} days of months", days, _EDGE_DAYS)
    plain = [d for d in _days(first, day) if not _edge(d)]
    same = [d for d in plain if d.weekday() == day.weekday() and d > day - timedelta(weeks=_WEEKS)]
    mixed = [d for d in plain if _weekend(d) == _weekend(day) and d > day - timedelta(weeks=_MIXED_WEEKS)]
    return _peers(daily, f"{day:%A}s", same, _WEEKDAY_DAYS) or _peers(
        daily, "weekends" if _weekend(day) else "weekdays", mixed, _MIXED_DAYS
    )


def _peers(daily: Mapping[date, Decimal], kind: str, days: list[date], least: int) -> Peers | None:
    return Peers(kind, tuple(daily.get(d, Decimal(0)) for d in days)) if len(days) >= least else None


def _days(first: date, until: date) -> Iterator[date]:
    return (first + timedelta(days=n) for n in range((until - first).days))


def _edge(day: date) -> str:
    month = month_of(day)
    if day == month.start:
        return "first"
    return "last" if day + timedelta(days=1) == month.end else ""


def _weekend(day: date) -> bool:
    return day.weekday() >= 5


def _rounded(amount: Decimal) -> Decimal:
    return amount.quantize(_QUANTUM, ROUND_HALF_UP)
