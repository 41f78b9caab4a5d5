"""What an alert file may say: ``configs/alerts/<alert_id>.yml``.

Money always has a currency: a rule without one is refused, and an amount in another currency is never compared with
it, unless a rate table says what it is worth. A value that is not there (null, NaN) fires nothing.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, model_validator

from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.notifications.alerts.absolute_threshold import AbsoluteThreshold
from platform_assets.engine.notifications.alerts.budget import BudgetForecast, BudgetPercent
from platform_assets.engine.notifications.alerts.conditions import Conditions
from platform_assets.engine.notifications.alerts.data_freshness import DataFreshness
from platform_assets.engine.notifications.alerts.percent_change import PercentChange
from platform_assets.engine.notifications.alerts.pipeline_failure import PipelineFailure
from platform_assets.engine.notifications.alerts.spend_anomaly import SpendAnomaly
from platform_assets.engine.notifications.alerts.std_deviation import StdDeviation
from platform_assets.engine.notifications.events import Event, Severity
from platform_assets.engine.notifications.spec import Channels, Cron, Timezone
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import TenantId

# The only list of kinds of rules; each is a module of its own.
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
        if not self.rule.on_gold and self.schedule is None:
            raise ValueError(f"{self.rule.type} needs a schedule: no table's run can tell what did not run")
        return self

    @property
    def event(self) -> Event:
        return self.rule.event

    def concerns(self, tenant: str) -> bool:
        return self.enabled and (self.tenants == "all" or tenant in self.tenants)
