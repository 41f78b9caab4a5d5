"""Everything about notifications that Dagster runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from platform_assets.assets.notifications.log import TABLE
from platform_assets.assets.notifications.sensors import delivery_sensor, status_sensors
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.engine.schema.model import TableSpec


@dataclass(frozen=True)
class Told:
    """What to tell, of whom, and by which kinds of channels."""

    notifications: Notifications
    tables: Mapping[str, TableSpec]
    tenants: Sequence[str]
    kinds: Sequence[str]


def build_notifications(told: Told) -> dg.Definitions:
    """Nothing at all where nobody is to be told anything."""
    names = told.notifications.tenants
    if not any(told.notifications.of(name).enabled for name in names):
        return dg.Definitions()
    return dg.Definitions(
        sensors=[
            *status_sensors(told.notifications, told.tables, told.tenants),
            delivery_sensor(told.notifications, told.tables[TABLE], told.kinds),
        ]
    )
