"""What ``gold_reporting.anomalies`` calls unusual."""

from __future__ import annotations

from typing import ClassVar, Literal

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.rule import (
    Answer,
    Direction,
    Found,
    Moment,
    Question,
    amount,
)
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec

ANOMALIES = TableName("gold_reporting", "anomalies")
_SQL = f"""
SELECT ProviderName, ServiceName, BillingCurrency, ActualCost, ExpectedCost, IsAnomaly, Direction
FROM {ANOMALIES}
WHERE x_run_date = @day
  AND (@provider IS NULL OR ProviderName = @provider) AND (@service IS NULL OR ServiceName = @service)
ORDER BY ProviderName, ServiceName, BillingCurrency
"""  # noqa: S608
_DIRECTIONS = {"up": ("spike",), "down": ("drop",), "both": ("spike", "drop")}


class SpendAnomaly(Spec):
    """Median and absolute deviation of days of the same kind. ``provider`` is FOCUS's ProviderName."""

    on_gold: ClassVar[bool] = True
    event: ClassVar[Event] = Event.ANOMALY_DETECTED

    type: Literal["spend_anomaly"]
    direction: Direction = "both"
    provider: str | None = None
    service: str | None = None

    def looks_at(self) -> TableName:
        return ANOMALIES

    def question(self, moment: Moment) -> Question:
        parameters = {
            "day": (FieldType.DATE, moment.day),
            "provider": (FieldType.STRING, self.provider),
            "service": (FieldType.STRING, self.service),
        }
        return Question(ANOMALIES, _SQL, parameters)

    def judge(self, answer: Answer, found: Found) -> None:
        for row in answer.rows:
            if row["IsAnomaly"] and row["Direction"] in _DIRECTIONS[self.direction]:
                usual = "" if row["ExpectedCost"] is None else f", usually {amount(row['ExpectedCost'])}"
                cost = f"{amount(row['ActualCost'])} {row['BillingCurrency']}"
                found.matches.append(
                    f"{row['ProviderName']} {row['ServiceName']}: {row['Direction']} to {cost}{usual}"
                )
