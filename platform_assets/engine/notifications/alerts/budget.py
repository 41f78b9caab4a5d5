"""Budgets, as ``gold_reporting.budget_status`` has them: each in its own currency, so percent is all to compare."""

from __future__ import annotations

from decimal import Decimal
from typing import ClassVar, Literal

from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.conditions import holds
from platform_assets.engine.notifications.alerts.rule import (
    Answer,
    Found,
    Moment,
    Percent,
    Question,
    Row,
    amount,
)
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec

BUDGET_STATUS = TableName("gold_reporting", "budget_status")
_SQL = f"""
SELECT BudgetId, BillingCurrency, BudgetAmount, SpentAmount, SpentPercent, ForecastAmount, ForecastPercent
FROM {BUDGET_STATUS}
WHERE x_run_date = @day AND (@budget IS NULL OR BudgetId = @budget)
ORDER BY BudgetId
"""  # noqa: S608


class BudgetRule(Spec):
    """``budget``: the tenant's own id of it; without one, any of the tenant's."""

    on_gold: ClassVar[bool] = True
    event: ClassVar[Event] = Event.COST_THRESHOLD

    budget: Identifier | None = None

    def looks_at(self) -> TableName:
        return BUDGET_STATUS

    def question(self, moment: Moment) -> Question:
        parameters = {"day": (FieldType.DATE, moment.day), "budget": (FieldType.STRING, self.budget)}
        return Question(BUDGET_STATUS, _SQL, parameters)


class BudgetPercent(BudgetRule):
    """A budget is used by so much."""

    type: Literal["budget_percent"]
    threshold_percent: Percent

    def judge(self, answer: Answer, found: Found) -> None:
        for row in answer.rows:
            if holds("gte", row["SpentPercent"], Decimal(self.threshold_percent)):
                found.matches.append(_words(row, "is", row["SpentPercent"], row["SpentAmount"]))


class BudgetForecast(BudgetRule):
    """A budget's period will probably cost so much of it. Without enough history nothing is foretold."""

    type: Literal["budget_forecast"]
    forecast_threshold_percent: Percent = 100

    def judge(self, answer: Answer, found: Found) -> None:
        for row in answer.rows:
            if row["ForecastPercent"] is None:
                found.unjudged.append(f"budget {row['BudgetId']}: too little history to foretell")
            elif holds("gte", row["ForecastPercent"], Decimal(self.forecast_threshold_percent)):
                found.matches.append(
                    _words(row, "will probably be", row["ForecastPercent"], row["ForecastAmount"])
                )


def _words(row: Row, verb: str, used: Decimal, cost: Decimal) -> str:
    money = f"{amount(cost)} of {amount(row['BudgetAmount'])} {row['BillingCurrency']}"
    return f"budget {row['BudgetId']} {verb} {used:.1f} % used ({money})"
