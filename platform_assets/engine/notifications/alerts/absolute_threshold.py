"""Spend of a day, a week or a month against an amount."""

from __future__ import annotations

from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from typing import ClassVar, Literal

from platform_assets.engine.notifications.alerts.conditions import holds
from platform_assets.engine.notifications.alerts.rule import Answer, Found, Moment, Question, amount
from platform_assets.engine.notifications.alerts.spend import SpendRule, between, series_of
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.tenancy import Amount, Currency

_SIGNS = {"gt": ">", "gte": "≥", "lt": "<", "lte": "≤"}


class AbsoluteThreshold(SpendRule):
    """Spend of the day, of the last seven days, or of the month so far."""

    event: ClassVar[Event] = Event.COST_THRESHOLD

    type: Literal["absolute_threshold"]
    period: Literal["day", "week", "month"] = "day"
    operator: Literal["gt", "gte", "lt", "lte"] = "gt"
    threshold_amount: Amount
    currency: Currency

    def question(self, moment: Moment) -> Question:
        return self.spend_since(_first_day(self.period, moment.day), moment.day)

    def judge(self, answer: Answer, found: Found) -> None:
        """In the rule's currency; what is in several is added up only after conversion."""
        totals: dict[str, Decimal] = defaultdict(Decimal)
        for series, daily in series_of(answer.rows):
            spent = between(daily, _first_day(self.period, answer.day), answer.day)
            worth = answer.rates.convert(spent, series.currency, self.currency, answer.day)
            if worth is None:
                found.unjudged.append(f"{series}: no rate to {self.currency} for {answer.day}")
            else:
                totals[series.prefix] += worth
        for prefix, total in sorted(totals.items()):
            if holds(self.operator, total, self.threshold_amount):
                words = (
                    f"{amount(total)} {self.currency} {_SIGNS[self.operator]} {amount(self.threshold_amount)}"
                )
                found.matches.append(f"{prefix}spend of the {self.period} {words}")


def _first_day(period: str, day: date) -> date:
    return {"day": day, "week": day - timedelta(days=6), "month": day.replace(day=1)}[period]
