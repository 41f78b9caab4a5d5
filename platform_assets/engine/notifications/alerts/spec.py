"""What an alert file may say: ``configs/alerts/<alert_id>.yml``.

Money always has a currency: a rule without one is refused, and an amount in another currency is never compared with
it, unless a rate table says what it is worth. A value that is not there (null, NaN) fires nothing.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.notifications.events import Event, Severity
from platform_assets.engine.notifications.spec import Channels, Cron, Timezone
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import Amount, Currency, TenantId

Operator = Literal["gt", "lt", "eq", "gte", "lte", "ne", "between", "not_between", "contains", "in"]
Group = Literal["total", "provider", "service", "project", "team"]
Percent = Annotated[int, Field(ge=1, le=100_000)]
Direction = Literal["up", "down", "both"]


def _exact(value: Any) -> Any:
    """Floats as they were written; everything else as it is."""
    if isinstance(value, list):
        return [_exact(item) for item in value]
    return Decimal(str(value)) if isinstance(value, float) else value


Plain: TypeAlias = bool | int | Decimal | str
Value = Annotated[Plain | list[Plain], BeforeValidator(_exact)]


class _Spend(Spec):
    """Which part of the spend a rule looks at. ``provider`` as in configs/providers; grouped, each group by itself."""

    provider: Identifier | None = None
    service: str | None = None
    group_by: Group = "total"


class AbsoluteThreshold(_Spend):
    """Spend of the day, of the last seven days, or of the month so far."""

    type: Literal["absolute_threshold"]
    period: Literal["day", "week", "month"] = "day"
    operator: Literal["gt", "gte", "lt", "lte"] = "gt"
    threshold_amount: Amount
    currency: Currency


class BudgetPercent(Spec):
    """A tenant's budget is used by so much. Without ``budget``, any of them."""

    type: Literal["budget_percent"]
    budget: Identifier | None = None
    threshold_percent: Percent


class BudgetForecast(Spec):
    """A budget's period will probably cost so much of it. Without enough history nothing is foretold."""

    type: Literal["budget_forecast"]
    budget: Identifier | None = None
    forecast_threshold_percent: Percent = 100


class _Change(_Spend):
    """``min_absolute_change``: a smaller change is not worth looking at, in ``currency``; rows in other currencies are
    then compared by a rate, or not at all."""

    direction: Direction = "up"
    min_absolute_change: Amount | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _amounts_have_a_currency(self) -> _Change:
        if (self.min_absolute_change is None) != (self.currency is None):
            raise ValueError("min_absolute_change and currency belong together")
        return self


class PercentChange(_Change):
    """The day against the day before (dod), the seven days against the seven before (wow), or the month so far against
    as many days of the month before (mom), each in its own currency."""

    type: Literal["anomaly_percent_change"]
    comparison: Literal["dod", "wow", "mom"]
    threshold_percent: Percent


class StdDeviation(_Change):
    """The day against the mean of ``lookback_days`` before it, in standard deviations. A day without rows cost nothing;
    where spend began less than seven days ago nothing is judged."""

    type: Literal["anomaly_std_deviation"]
    lookback_days: Annotated[int, Field(ge=7, le=180)] = 30
    std_dev_threshold: Annotated[Decimal, BeforeValidator(_exact), Field(gt=0, le=100)] = Decimal(3)


class SpendAnomaly(Spec):
    """What ``gold_reporting.anomalies`` calls one: median and absolute deviation of days of the same kind."""

    type: Literal["spend_anomaly"]
    direction: Direction = "both"
    provider: str | None = None
    service: str | None = None


class Condition(Spec):
    """``unit``: of money, its currency; of other decimals ``number`` or ``percent``. ``between`` takes two values, ends
    included; ``in`` a list."""

    field: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    operator: Operator
    value: Value
    unit: Currency | Literal["number", "percent"] | None = None

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Condition:
        count = len(self.value) if isinstance(self.value, list) else None
        if self.operator in ("between", "not_between") and count != 2:
            raise ValueError(f"{self.operator} takes a list of two values")
        if self.operator == "in" and not count:
            raise ValueError("in takes a list of values")
        if self.operator not in ("between", "not_between", "in") and count is not None:
            raise ValueError(f"{self.operator} takes one value")
        return self


class Conditions(Spec):
    """Rows of a table's slice for which all conditions hold."""

    type: Literal["conditions"]
    table: str
    conditions: Annotated[list[Condition], Field(min_length=1)]


class PipelineFailure(Spec):
    """The last ``consecutive_failures`` runs of a pipeline failed. Patterns as in a shell: ``openai_*``."""

    type: Literal["pipeline_failure"]
    pipeline_patterns: Annotated[list[str], Field(min_length=1)] = ["*"]
    consecutive_failures: Annotated[int, Field(ge=1, le=100)] = 1


class DataFreshness(Spec):
    """A table was last written more than so many hours ago. One that the tenant never had is not judged."""

    type: Literal["data_freshness"]
    tables: Annotated[list[str], Field(min_length=1)]
    max_hours_since_update: Annotated[int, Field(ge=1, le=8760)]


Rule: TypeAlias = Annotated[
    AbsoluteThreshold
    | BudgetPercent
    | BudgetForecast
    | PercentChange
    | StdDeviation
    | SpendAnomaly
    | Conditions
    | PipelineFailure
    | DataFreshness,
    Field(discriminator="type"),
]
# Rules about runs have no slice: they are evaluated by the clock only.
ABOUT_RUNS = ("pipeline_failure", "data_freshness")
EVENTS = {
    "anomaly_percent_change": Event.ANOMALY_DETECTED,
    "anomaly_std_deviation": Event.ANOMALY_DETECTED,
    "spend_anomaly": Event.ANOMALY_DETECTED,
    "pipeline_failure": Event.PIPELINE_FAILURE,
    "data_freshness": Event.DATA_QUALITY_WARNING,
}


class Schedule(Spec):
    cron: Cron
    timezone: Timezone = "UTC"


class Cooldown(Spec):
    """Per tenant and alert, from the last delivery."""

    enabled: bool = True
    hours: Annotated[int, Field(ge=1, le=168)] = 24

    @property
    def seconds(self) -> int:
        return self.hours * 3600 if self.enabled else 0


class AlertNotification(Spec):
    """How it is told. Without ``channels`` those of its event (cost_threshold, anomaly_detected, …)."""

    severity: Severity = Severity.WARNING
    channels: Channels | None = None


class AlertSpec(Spec):
    """One alert for all tenants, or for those that are named. Gold is looked at as soon as a run has filled it, and at
    the times of ``schedule`` too where there is one; rules about runs need one."""

    alert_id: Identifier
    name: Annotated[str, Field(min_length=1)]
    description: str = ""
    enabled: bool = True
    tenants: Literal["all"] | Annotated[list[TenantId], Field(min_length=1)] = "all"
    rule: Rule
    schedule: Schedule | None = None
    notification: AlertNotification = AlertNotification()
    cooldown: Cooldown = Cooldown()
    tags: list[str] = []

    @model_validator(mode="after")
    def _runs_need_a_clock(self) -> AlertSpec:
        if self.rule.type in ABOUT_RUNS and self.schedule is None:
            raise ValueError(f"{self.rule.type} needs a schedule: no table's run can tell what did not run")
        return self

    @property
    def event(self) -> Event:
        return EVENTS.get(self.rule.type, Event.COST_THRESHOLD)

    def concerns(self, tenant: str) -> bool:
        return self.enabled and (self.tenants == "all" or tenant in self.tenants)
