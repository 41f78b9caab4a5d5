"""A rule on its rows: which of them fire, and which could not be compared. Pure: the day and the time are given.

Each kind of rule is two things that belong together: the question (``queries``) and, here, what the answer means.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal, localcontext
from fnmatch import fnmatchcase
from typing import Any, TypeAlias

from platform_assets.engine.costs.calendar import add_months
from platform_assets.engine.notifications.alerts.conditions import holds
from platform_assets.engine.notifications.alerts.money import NO_RATES, Rates
from platform_assets.engine.notifications.alerts.spec import (
    AbsoluteThreshold,
    BudgetForecast,
    BudgetPercent,
    Conditions,
    DataFreshness,
    PercentChange,
    PipelineFailure,
    Rule,
    SpendAnomaly,
    StdDeviation,
)

Row: TypeAlias = Mapping[str, Any]
_LEAST_DAYS = 7
_ENDED = ("COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "BLOCKED")
_BAD = ("FAILED", "TIMEOUT", "BLOCKED")


@dataclass(frozen=True)
class Answer:
    """What a rule's query gave. Of ``conditions``, in their order: ``wanted`` are the values as the columns' types have
    them, ``currencies`` the columns that hold each one's currency."""

    rows: Sequence[Row]
    day: date
    now: datetime
    rates: Rates = NO_RATES
    wanted: tuple[Any, ...] = ()
    currencies: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Findings:
    """``matches``: one line for each thing that fires. ``unjudged``: what could not be compared, and why."""

    matches: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    rows: int = 0

    @property
    def status(self) -> str:
        """triggered, no_match, or no_data where there was nothing to look at."""
        if self.matches:
            return "triggered"
        return "no_match" if self.rows else "no_data"


@dataclass
class _Finding:
    matches: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


def evaluate(rule: Rule, answer: Answer) -> Findings:
    """The findings of one rule for one tenant and day."""
    found = _Finding()
    _MEANINGS[type(rule)](rule, answer, found)
    return Findings(tuple(found.matches), tuple(dict.fromkeys(found.unjudged)), len(answer.rows))


# --- Spend ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, order=True)
class _Series:
    group: str
    currency: str

    def __str__(self) -> str:
        return f"{self.group} ({self.currency})" if self.group else self.currency


def _series(rows: Sequence[Row]) -> Iterator[tuple[_Series, dict[date, Decimal]]]:
    """Cost by charge day, for each group and currency by itself."""
    series: dict[_Series, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        if row["Cost"] is not None:
            series[_Series(row["GroupName"] or "", row["BillingCurrency"])][row["ChargeDate"]] += row["Cost"]
    yield from sorted(series.items())


def _between(daily: Mapping[date, Decimal], first: date, last: date) -> Decimal:
    return sum((amount for day, amount in daily.items() if first <= day <= last), Decimal(0))


def first_day(period: str, day: date) -> date:
    """Of the period that ends with ``day``: the day, the last seven days, the month so far."""
    return {"day": day, "week": day - timedelta(days=6), "month": day.replace(day=1)}[period]


def _threshold(rule: AbsoluteThreshold, answer: Answer, found: _Finding) -> None:
    """Groups are compared in the rule's currency; what is in several is added up only after conversion."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for series, daily in _series(answer.rows):
        amount = _between(daily, first_day(rule.period, answer.day), answer.day)
        worth = answer.rates.convert(amount, series.currency, rule.currency, answer.day)
        if worth is None:
            found.unjudged.append(f"{series}: no rate to {rule.currency} for {answer.day}")
        else:
            totals[series.group] += worth
    for group, total in sorted(totals.items()):
        if holds(rule.operator, total, rule.threshold_amount):
            what = f"{group}: " if group else ""
            words = f"{_money(total)} {rule.currency} {_SIGNS[rule.operator]} {_money(rule.threshold_amount)}"
            found.matches.append(f"{what}spend of the {rule.period} {words}")


def _change(rule: PercentChange, answer: Answer, found: _Finding) -> None:
    (first, last), (before, until) = compared(rule.comparison, answer.day)
    for series, daily in _series(answer.rows):
        now, then = _between(daily, first, last), _between(daily, before, until)
        if then <= 0:
            if now > 0:
                found.unjudged.append(f"{series}: nothing was spent from {before} to {until}")
            continue
        percent = _percent(now - then, then)
        if _is(rule.direction, percent, Decimal(rule.threshold_percent)) and _matters(
            rule, series, now - then, answer, found
        ):
            words = f"{_money(then)} → {_money(now)} {series.currency} ({percent:+.1f} % {rule.comparison})"
            found.matches.append(f"{series.group + ': ' if series.group else ''}{words}")


def compared(comparison: str, day: date) -> tuple[tuple[date, date], tuple[date, date]]:
    """((first, last), (first, last)) of what is compared and what it is compared with, both ends included."""
    if comparison == "mom":
        start = day.replace(day=1)
        before = add_months(start, -1)
        # as many days, but never more than the shorter month has
        until = min(before + (day - start), start - timedelta(days=1))
        return (start, day), (before, until)
    days = {"dod": 1, "wow": 7}[comparison]
    first = day - timedelta(days=days - 1)
    return (first, day), (first - timedelta(days=days), first - timedelta(days=1))


def _deviation(rule: StdDeviation, answer: Answer, found: _Finding) -> None:
    for series, daily in _series(answer.rows):
        start = answer.day - timedelta(days=rule.lookback_days)
        known = [day for day in daily if day < answer.day]
        first = max(min(known), start) if known else answer.day
        history = [daily.get(first + timedelta(days=n), Decimal(0)) for n in range((answer.day - first).days)]
        if len(history) < _LEAST_DAYS:
            found.unjudged.append(f"{series}: {len(history)} day(s) of history are too few")
            continue
        now = daily.get(answer.day, Decimal(0))
        with localcontext(prec=60):
            mean = sum(history, Decimal(0)) / len(history)
            spread = (sum(((h - mean) ** 2 for h in history), Decimal(0)) / (len(history) - 1)).sqrt()
            change = now - mean
            score = (
                change / spread
                if spread
                else (Decimal(0) if change == 0 else Decimal(10**9).copy_sign(change))
            )
        if _is(rule.direction, score, rule.std_dev_threshold) and _matters(
            rule, series, change, answer, found
        ):
            far = f"{score:+.1f} standard deviations" if spread else "after days that never differed"
            words = f"{_money(now)} {series.currency}, usually {_money(mean)}: {far}"
            found.matches.append(f"{series.group + ': ' if series.group else ''}{words}")


def _is(direction: str, change: Decimal, threshold: Decimal) -> bool:
    """Strictly beyond the threshold, in a direction that is wanted."""
    up, down = change > threshold, change < -threshold
    return {"up": up, "down": down, "both": up or down}[direction]


def _matters(
    rule: PercentChange | StdDeviation, series: _Series, change: Decimal, answer: Answer, found: _Finding
) -> bool:
    if rule.min_absolute_change is None or rule.currency is None:
        return True
    worth = answer.rates.convert(abs(change), series.currency, rule.currency, answer.day)
    if worth is None:
        found.unjudged.append(f"{series}: no rate to {rule.currency} for {answer.day}")
        return False
    return worth >= rule.min_absolute_change


# --- Gold tables ------------------------------------------------------------------------------------------------------


def _budget(rule: BudgetPercent | BudgetForecast, answer: Answer, found: _Finding) -> None:
    """Each budget is in its own currency, so percent is all there is to compare."""
    forecast = isinstance(rule, BudgetForecast)
    percent, amount, words = (
        ("ForecastPercent", "ForecastAmount", "will probably be")
        if forecast
        else ("SpentPercent", "SpentAmount", "is")
    )
    limit = rule.forecast_threshold_percent if isinstance(rule, BudgetForecast) else rule.threshold_percent
    for row in answer.rows:
        if forecast and row[percent] is None:
            found.unjudged.append(f"budget {row['BudgetId']}: too little history to foretell")
        elif holds("gte", row[percent], Decimal(limit)):
            used = f"{row[percent]:.1f} % used ({_money(row[amount])} of {_money(row['BudgetAmount'])} "
            found.matches.append(f"budget {row['BudgetId']} {words} {used}{row['BillingCurrency']})")


def _anomaly(rule: SpendAnomaly, answer: Answer, found: _Finding) -> None:
    wanted = {"up": ("spike",), "down": ("drop",), "both": ("spike", "drop")}[rule.direction]
    for row in answer.rows:
        if row["IsAnomaly"] and row["Direction"] in wanted:
            usual = "" if row["ExpectedCost"] is None else f", usually {_money(row['ExpectedCost'])}"
            cost = f"{_money(row['ActualCost'])} {row['BillingCurrency']}"
            found.matches.append(
                f"{row['ProviderName']} {row['ServiceName']}: {row['Direction']} to {cost}{usual}"
            )


def _conditions(rule: Conditions, answer: Answer, found: _Finding) -> None:
    for row in answer.rows:
        if all(_condition(rule, i, row, answer, found) for i in range(len(rule.conditions))):
            pairs = zip(rule.conditions, answer.currencies, strict=True)
            values = (
                f"{c.field} = {_shown(row[c.field])} {row[money] if money else ''}".rstrip()
                for c, money in pairs
            )
            found.matches.append(", ".join(values))


def _condition(rule: Conditions, index: int, row: Row, answer: Answer, found: _Finding) -> bool:
    condition, actual = rule.conditions[index], row[rule.conditions[index].field]
    money = answer.currencies[index]
    if money and actual is not None:
        currency, unit = row[money], str(condition.unit)
        if currency is None:  # of no known currency: compared with nothing
            return False
        actual = answer.rates.convert(Decimal(actual), currency, unit, answer.day)
        if actual is None:
            found.unjudged.append(f"{condition.field} in {currency}: no rate to {unit} for {answer.day}")
    return holds(condition.operator, actual, answer.wanted[index])


# --- Runs -------------------------------------------------------------------------------------------------------------


def _failures(rule: PipelineFailure, answer: Answer, found: _Finding) -> None:
    """A run is the worst of its slices; the newest runs count, those that go on do not."""
    runs: dict[str, dict[str, tuple[datetime, bool]]] = defaultdict(dict)
    for row in answer.rows:
        if row["status"] in _ENDED and any(
            fnmatchcase(row["pipeline_id"], p) for p in rule.pipeline_patterns
        ):
            of_pipeline = runs[row["pipeline_id"]]
            _, bad = of_pipeline.get(row["pipeline_logging_id"], (row["start_time"], False))
            of_pipeline[row["pipeline_logging_id"]] = (row["start_time"], bad or row["status"] in _BAD)
    for pipeline, of_pipeline in sorted(runs.items()):
        newest_first = sorted(of_pipeline.values(), reverse=True)
        failures = next((i for i, (_, bad) in enumerate(newest_first) if not bad), len(newest_first))
        if failures >= rule.consecutive_failures:
            found.matches.append(f"{pipeline}: the last {failures} run(s) failed")


def _freshness(rule: DataFreshness, answer: Answer, found: _Finding) -> None:
    updated = {row["target_table"]: row["updated_at"] for row in answer.rows}
    for table in rule.tables:
        last = updated.get(table)
        if last is None:
            found.unjudged.append(f"{table}: never written for this tenant")
        elif (age := answer.now - last) > timedelta(hours=rule.max_hours_since_update):
            hours = age.total_seconds() / 3600
            found.matches.append(f"{table}: last written {last:%Y-%m-%d %H:%M} UTC, {hours:.1f} h ago")


_MEANINGS: Mapping[type, Callable[[Any, Answer, _Finding], None]] = {
    AbsoluteThreshold: _threshold,
    BudgetPercent: _budget,
    BudgetForecast: _budget,
    PercentChange: _change,
    StdDeviation: _deviation,
    SpendAnomaly: _anomaly,
    Conditions: _conditions,
    PipelineFailure: _failures,
    DataFreshness: _freshness,
}
_SIGNS = {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    with localcontext(prec=60):
        return part * 100 / whole


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}"


def _shown(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
