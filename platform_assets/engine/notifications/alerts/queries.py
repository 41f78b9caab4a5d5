"""The question that each kind of rule asks, as BigQuery text over logical tables with bound values.

Nothing of a rule's text gets into a query but names that were checked against the table's columns.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, TypeAlias

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.evaluate import compared, first_day
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
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.binding import Parameters

Currencies: TypeAlias = tuple[str | None, ...]
DAILY_SPEND = TableName("gold_reporting", "daily_spend")
BUDGET_STATUS = TableName("gold_reporting", "budget_status")
ANOMALIES = TableName("gold_reporting", "anomalies")
FX_RATES = TableName("raw_platform", "fx_rates")
PIPELINE_RUNS = TableName("metadata", "pipeline_runs")
STEP_LOGS = TableName("metadata", "step_logs")
LATE_DAYS = 7  # providers complete a day in slices of the following week
_RUNS_BACK = timedelta(days=60)
_GROUPS = {
    "total": "CAST(NULL AS STRING)",
    "provider": "x_Provider",
    "service": "ServiceName",
    "project": "x_Project",
    "team": "x_Team",
}


@dataclass(frozen=True)
class Question:
    """BigQuery text, its values, and the table it is about (the asset that shows the alert)."""

    table: TableName
    sql: str
    parameters: Parameters


def question(rule: Rule, day: date, now: datetime, currencies: Currencies = ()) -> Question:
    """What to ask for one tenant and day."""
    return _QUESTIONS[type(rule)](rule, day, now, currencies)


def table_of(rule: Rule) -> TableName:
    """The table that a rule looks at."""
    if isinstance(rule, Conditions):
        return TableName.parse(rule.table)
    return _TABLES[type(rule)]


RATES = f"""
SELECT rate_date, from_currency, to_currency, rate FROM {FX_RATES}
WHERE ingestion_date = @day AND rate_date >= @first
"""  # noqa: S608


def rates_question(day: date) -> Question:
    """Rates that may count for the day: its own and those of the week before."""
    first = day - timedelta(days=7)
    return Question(FX_RATES, RATES, {"day": (FieldType.DATE, day), "first": (FieldType.DATE, first)})


def _spend(rule: Any, day: date, first: date) -> Question:
    sql = f"""
SELECT ChargeDate, BillingCurrency, {_GROUPS[rule.group_by]} AS GroupName, SUM(BilledCost) AS Cost
FROM {DAILY_SPEND}
WHERE x_run_date >= @first AND x_run_date <= @late AND ChargeDate >= @first AND ChargeDate <= @day
  AND (@provider IS NULL OR x_Provider = @provider) AND (@service IS NULL OR ServiceName = @service)
GROUP BY ChargeDate, BillingCurrency, GroupName
ORDER BY ChargeDate, BillingCurrency, GroupName
"""  # noqa: S608
    parameters: Parameters = {
        "first": (FieldType.DATE, first),
        "day": (FieldType.DATE, day),
        "late": (FieldType.DATE, day + timedelta(days=LATE_DAYS)),
        "provider": (FieldType.STRING, rule.provider),
        "service": (FieldType.STRING, rule.service),
    }
    return Question(DAILY_SPEND, sql, parameters)


def _threshold(rule: AbsoluteThreshold, day: date, now: datetime, _: Currencies) -> Question:
    return _spend(rule, day, first_day(rule.period, day))


def _change(rule: PercentChange, day: date, now: datetime, _: Currencies) -> Question:
    return _spend(rule, day, compared(rule.comparison, day)[1][0])


def _deviation(rule: StdDeviation, day: date, now: datetime, _: Currencies) -> Question:
    return _spend(rule, day, day - timedelta(days=rule.lookback_days))


def _budget(rule: BudgetPercent | BudgetForecast, day: date, now: datetime, _: Currencies) -> Question:
    sql = f"""
SELECT BudgetId, BillingCurrency, BudgetAmount, SpentAmount, SpentPercent, ForecastAmount, ForecastPercent
FROM {BUDGET_STATUS}
WHERE x_run_date = @day AND (@budget IS NULL OR BudgetId = @budget)
ORDER BY BudgetId
"""  # noqa: S608
    return Question(
        BUDGET_STATUS, sql, {"day": (FieldType.DATE, day), "budget": (FieldType.STRING, rule.budget)}
    )


def _anomaly(rule: SpendAnomaly, day: date, now: datetime, _: Currencies) -> Question:
    sql = f"""
SELECT ProviderName, ServiceName, BillingCurrency, ActualCost, ExpectedCost, IsAnomaly, Direction
FROM {ANOMALIES}
WHERE x_run_date = @day
  AND (@provider IS NULL OR ProviderName = @provider) AND (@service IS NULL OR ServiceName = @service)
ORDER BY ProviderName, ServiceName, BillingCurrency
"""  # noqa: S608
    parameters: Parameters = {
        "day": (FieldType.DATE, day),
        "provider": (FieldType.STRING, rule.provider),
        "service": (FieldType.STRING, rule.service),
    }
    return Question(ANOMALIES, sql, parameters)


def _conditions(rule: Conditions, day: date, now: datetime, currencies: Currencies) -> Question:
    """The names were looked up in the table's columns when the file was read."""
    names = dict.fromkeys([*(c.field for c in rule.conditions), *(name for name in currencies if name)])
    columns = ", ".join(names)
    sql = f"SELECT {columns} FROM {rule.table} WHERE x_run_date = @day"  # noqa: S608
    return Question(TableName.parse(rule.table), sql, {"day": (FieldType.DATE, day)})


def _failures(rule: PipelineFailure, day: date, now: datetime, _: Currencies) -> Question:
    sql = f"""
SELECT pipeline_id, pipeline_logging_id, status, start_time FROM {PIPELINE_RUNS}
WHERE start_time >= @since
ORDER BY start_time
"""  # noqa: S608
    return Question(PIPELINE_RUNS, sql, {"since": (FieldType.TIMESTAMP, now - _RUNS_BACK)})


def _freshness(rule: DataFreshness, day: date, now: datetime, _: Currencies) -> Question:
    sql = f"""
SELECT target_table, MAX(end_time) AS updated_at FROM {STEP_LOGS}
WHERE status = 'COMPLETED' AND target_table IN UNNEST(@tables)
GROUP BY target_table
ORDER BY target_table
"""  # noqa: S608
    return Question(STEP_LOGS, sql, {"tables": (FieldType.STRING, tuple(rule.tables))})


_QUESTIONS: Mapping[type, Callable[[Any, date, datetime, Currencies], Question]] = {
    AbsoluteThreshold: _threshold,
    PercentChange: _change,
    StdDeviation: _deviation,
    BudgetPercent: _budget,
    BudgetForecast: _budget,
    SpendAnomaly: _anomaly,
    Conditions: _conditions,
    PipelineFailure: _failures,
    DataFreshness: _freshness,
}
_TABLES: Mapping[type, TableName] = {
    AbsoluteThreshold: DAILY_SPEND,
    PercentChange: DAILY_SPEND,
    StdDeviation: DAILY_SPEND,
    BudgetPercent: BUDGET_STATUS,
    BudgetForecast: BUDGET_STATUS,
    SpendAnomaly: ANOMALIES,
    PipelineFailure: PIPELINE_RUNS,
    DataFreshness: STEP_LOGS,
}
