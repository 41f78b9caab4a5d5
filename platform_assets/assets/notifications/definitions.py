"""Everything about notifications that Dagster runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from platform_assets.assets.notifications.log import TABLE
from platform_assets.assets.notifications.scheduled import scheduled_job, schedules, time_tables
from platform_assets.assets.notifications.sensors import delivery_sensor, status_sensors
from platform_assets.engine.notifications.alerts.alert import Alert
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.engine.schema.model import TableSpec


@dataclass(frozen=True)
class Told:
    """What to tell, of whom, and by which kinds of channels. ``schedules_enabled``: whether summaries and alerts by the
    clock start by themselves."""

    notifications: Notifications
    tables: Mapping[str, TableSpec]
    tenants: Sequence[str]
    kinds: Sequence[str]
    alerts: Mapping[str, Alert]
    schedules_enabled: bool

    @property
    def kinds_in_use(self) -> list[str]:
        """Those of a channel that somebody uses: the others' adapters need not even be installed."""
        configs = self.notifications.tenants.values()
        used = {c.type for spec in configs if spec.enabled for c in spec.channels if c.enabled}
        return [kind for kind in self.kinds if kind in used]


def build_notifications(told: Told) -> dg.Definitions:
    """Nothing at all where nobody is to be told anything."""
    names = told.notifications.tenants
    if not any(told.notifications.of(name).enabled for name in names):
        return dg.Definitions()
    tables = time_tables(told.notifications, told.alerts, told.tenants)
    job = scheduled_job(told.notifications, told.alerts)
    return dg.Definitions(
        jobs=[job] if tables else [],
        schedules=schedules(job, tables, told.schedules_enabled),
        sensors=[
            *status_sensors(told.notifications, told.tables, told.tenants),
            delivery_sensor(told.notifications, told.tables[TABLE], told.kinds_in_use),
        ],
    )
