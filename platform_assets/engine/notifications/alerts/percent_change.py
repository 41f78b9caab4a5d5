"""Spend against the time before, in percent."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Literal

from platform_assets.engine.costs.calendar import add_months
from platform_assets.engine.notifications.alerts.rule import (
    Answer,
    Found,
    Moment,
    Percent,
    Question,
    amount,
    beyond,
    percent,
)
from platform_assets.engine.notifications.alerts.spend import ChangeRule, between, series_of


class PercentChange(ChangeRule):
    """The day against the day before (dod), the seven days against the seven before (wow), or the month so far against
    as many days of the month before (mom), each in its own currency."""

    type: Literal["anomaly_percent_change"]
    comparison: Literal["dod", "wow", "mom"]
    threshold_percent: Percent

    def question(self, moment: Moment) -> Question:
        return self.spend_since(compared(self.comparison, moment.day)[1][0], moment.day)

    def judge(self, answer: Answer, found: Found) -> None:
        (first, last), (before, until) = compared(self.comparison, answer.day)
        for series, daily in series_of(answer.rows):
            now, then = between(daily, first, last), between(daily, before, until)
            if then <= 0:
                if now > 0:
                    found.unjudged.append(f"{series}: nothing was spent from {before} to {until}")
                continue
            change = percent(now - then, then)
            far = beyond(self.direction, change, Decimal(self.threshold_percent))
            if far and self.matters(series, now - then, answer, found):
                words = (
                    f"{amount(then)} → {amount(now)} {series.currency} ({change:+.1f} % {self.comparison})"
                )
                found.matches.append(f"{series.prefix}{words}")


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
