"""A day's spend against the days before it, in standard deviations."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal, localcontext
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from platform_assets.engine.notifications.alerts.conditions import exact
from platform_assets.engine.notifications.alerts.rule import Answer, Found, Moment, Question, amount, beyond
from platform_assets.engine.notifications.alerts.spend import ChangeRule, series_of

_LEAST_DAYS = 7
_NEVER_DIFFERED = Decimal(10**9)  # any change after days that were all the same is further than any threshold


class StdDeviation(ChangeRule):
    """The day against the mean of ``lookback_days`` before it. A day without rows cost nothing; where spend began less
    than seven days ago nothing is judged."""

    type: Literal["anomaly_std_deviation"]
    lookback_days: Annotated[int, Field(ge=7, le=180)] = 30
    std_dev_threshold: Annotated[Decimal, BeforeValidator(exact), Field(gt=0, le=100)] = Decimal(3)

    def question(self, moment: Moment) -> Question:
        return self.spend_since(moment.day - timedelta(days=self.lookback_days), moment.day)

    def judge(self, answer: Answer, found: Found) -> None:
        start = answer.day - timedelta(days=self.lookback_days)
        for series, daily in series_of(answer.rows):
            known = [day for day in daily if day < answer.day]
            first = max(min(known), start) if known else answer.day
            history = [
                daily.get(first + timedelta(days=n), Decimal(0)) for n in range((answer.day - first).days)
            ]
            if len(history) < _LEAST_DAYS:
                found.unjudged.append(f"{series}: {len(history)} day(s) of history are too few")
                continue
            now = daily.get(answer.day, Decimal(0))
            mean, score = _scored(history, now)
            if beyond(self.direction, score, self.std_dev_threshold) and self.matters(
                series, now - mean, answer, found
            ):
                same = abs(score) == _NEVER_DIFFERED
                far = "after days that never differed" if same else f"{score:+.1f} standard deviations"
                words = f"{amount(now)} {series.currency}, usually {amount(mean)}: {far}"
                found.matches.append(f"{series.prefix}{words}")


def _scored(history: Sequence[Decimal], now: Decimal) -> tuple[Decimal, Decimal]:
    """(mean, distance from it in sample standard deviations)."""
    with localcontext(prec=60):
        mean = sum(history, Decimal(0)) / len(history)
        spread = (sum(((cost - mean) ** 2 for cost in history), Decimal(0)) / (len(history) - 1)).sqrt()
        change = now - mean
        if spread:
            return mean, change / spread
        return mean, _NEVER_DIFFERED.copy_sign(change) if change else Decimal(0)
