"""Rules on ``gold_reporting.daily_spend``: what they ask, and spend as series of days, each currency by itself."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar, Literal

from pydantic import model_validator

from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.rule import Answer, Direction, Found, Question, Row
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import Amount, Currency

DAILY_SPEND = TableName("gold_reporting", "daily_spend")
LATE_DAYS = 7  # providers complete a day in slices of the following week
_GROUPS = {
    "total": "CAST(NULL AS STRING)",
    "provider": "x_Provider",
    "service": "ServiceName",
    "project": "x_Project",
    "team": "x_Team",
}


class SpendRule(Spec):
    """Which part of the spend a rule looks at. ``provider`` as in configs/providers; grouped, each group by itself."""

    on_gold: ClassVar[bool] = True

    provider: Identifier | None = None
    service: str | None = None
    group_by: Literal["total", "provider", "service", "project", "team"] = "total"

    def looks_at(self) -> TableName:
        return DAILY_SPEND

    def spend_since(self, first: date, day: date) -> Question:
        """Cost by charge day, currency and group, from ``first`` to ``day``."""
        sql = f"""
SELECT ChargeDate, BillingCurrency, {_GROUPS[self.group_by]} AS GroupName, SUM(BilledCost) AS Cost
FROM {DAILY_SPEND}
WHERE x_run_date >= @first AND x_run_date <= @late AND ChargeDate >= @first AND ChargeDate <= @day
  AND (@provider IS NULL OR x_Provider = @provider) AND (@service IS NULL OR ServiceName = @service)
GROUP BY ChargeDate, BillingCurrency, GroupName
ORDER BY ChargeDate, BillingCurrency, GroupName
"""  # noqa: S608
        return Question(
            DAILY_SPEND,
            sql,
            {
                "first": (FieldType.DATE, first),
                "day": (FieldType.DATE, day),
                "late": (FieldType.DATE, day + timedelta(days=LATE_DAYS)),
                "provider": (FieldType.STRING, self.provider),
                "service": (FieldType.STRING, self.service),
            },
        )


class ChangeRule(SpendRule):
    """``min_absolute_change``: a smaller change is not worth looking at, in ``currency``; rows in other currencies are
    then compared by a rate, or not at all."""

    event: ClassVar[Event] = Event.ANOMALY_DETECTED

    direction: Direction = "up"
    min_absolute_change: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _amounts_have_a_currency(self) -> ChangeRule:
        if (self.min_absolute_change is None) != (self.currency is None):
            raise ValueError("min_absolute_change and currency belong together")
        return self

    def matters(self, series: Series, change: Decimal, answer: Answer, found: Found) -> bool:
        """Whether a change is large enough in money."""
        if self.min_absolute_change is None or self.currency is None:
            return True
        worth = answer.rates.convert(abs(change), series.currency, self.currency, answer.day)
        if worth is None:
            found.unjudged.append(f"{series}: no rate to {self.currency} for {answer.day}")
            return False
        return worth >= self.min_absolute_change


@dataclass(frozen=True, order=True)
class Series:
    """One group's spend in one currency."""

    group: str
    currency: str

    def __str__(self) -> str:
        return f"{self.group} ({self.currency})" if self.group else self.currency

    @property
    def prefix(self) -> str:
        return f"{self.group}: " if self.group else ""


def series_of(rows: Sequence[Row]) -> Iterator[tuple[Series, dict[date, Decimal]]]:
    """Cost by charge day, for each group and currency by itself."""
    series: dict[Series, dict[date, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        if row["Cost"] is not None:
            series[Series(row["GroupName"] or "", row["BillingCurrency"])][row["ChargeDate"]] += row["Cost"]
    yield from sorted(series.items())


def between(daily: Mapping[date, Decimal], first: date, last: date) -> Decimal:
    """The sum of days, both ends included."""
    return sum((cost for day, cost in daily.items() if first <= day <= last), Decimal(0))
