"""How tables, tenants and days appear in Dagster. Keys never depend on the deployment; physical names do."""

from datetime import date, timedelta
from typing import NamedTuple

import dagster as dg

from platform_assets.engine.names import TableName


class SliceKey(NamedTuple):
    """One tenant's day: the unit of every run, in Dagster a partition key ``2026-01-31|acme1281``."""

    day: date
    tenant: str

    @classmethod
    def parse(cls, partition_key: str) -> "SliceKey":
        day, _, tenant = partition_key.partition("|")
        return cls(date.fromisoformat(day), tenant)

    def __str__(self) -> str:
        return f"{self.day.isoformat()}|{self.tenant}"


def table_key(table: TableName) -> dg.AssetKey:
    """``silver_cost.focus_costs`` → ``silver_cost/focus_costs``."""
    return dg.AssetKey([table.dataset, table.table])


def tenant_day_partitions(start: date, tenants: tuple[str, ...]) -> dg.MultiPartitionsDefinition:
    """The one definition that all tenant × day assets of complete days share: Dagster runs only assets together
    whose partitions definition is the same. Tenants are static because a dynamic set is unknown to the CLI on a
    fresh instance."""
    return _tenant_days(start, tenants, days_ahead=0)


def open_tenant_day_partitions(start: date, tenants: tuple[str, ...]) -> dg.MultiPartitionsDefinition:
    """For what comes by message: today too, which is still filling."""
    return _tenant_days(start, tenants, days_ahead=1)


def _tenant_days(start: date, tenants: tuple[str, ...], *, days_ahead: int) -> dg.MultiPartitionsDefinition:
    return dg.MultiPartitionsDefinition(
        {
            "date": dg.DailyPartitionsDefinition(start_date=start.isoformat(), end_offset=days_ahead),
            "tenant": dg.StaticPartitionsDefinition(list(tenants)),
        }
    )


def range_tags(first: date, last: date, tenant: str) -> dict[str, str]:
    """Run tags for one tenant's days ``first`` to ``last``, both included: one run, one slice a day."""
    return {
        "dagster/asset_partition_range_start": str(SliceKey(first, tenant)),
        "dagster/asset_partition_range_end": str(SliceKey(last, tenant)),
        "tenant": tenant,
    }


def complete_days(today: date, lookback_days: int) -> tuple[date, date]:
    """The last complete day (UTC) and ``lookback_days`` before it, as (first, last)."""
    last = today - timedelta(days=1)
    return last - timedelta(days=lookback_days), last
