"""Whether a day brought as many events as days before it did: one check per event type, over all tenants."""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

import dagster as dg

from platform_assets.assets.keys import complete_days
from platform_assets.engine.events.spec import EventSpec

if TYPE_CHECKING:
    from platform_assets.engine.quality.model import Judgement
    from platform_assets.ports import Warehouse

CHECK = "volume_is_usual"
HISTORY_DAYS = 28


def volume_checks(
    events: Mapping[str, EventSpec],
    tenants: tuple[str, ...],
    key_of: Callable[[str], dg.AssetKey],
    *,
    enabled: bool,
) -> tuple[list[dg.AssetChecksDefinition], list[dg.ScheduleDefinition]]:
    """Checks ``volume_is_usual`` on each event type, and the schedule that judges the last complete day (UTC).

    A day that is still filling is not judged; late events of a day count towards it in tomorrow's history.
    """
    if not events:
        return [], []
    types = {key_of(name): spec for name, spec in events.items()}
    described = (
        f"As many events as on the {HISTORY_DAYS} days before, within four robust standard deviations."
    )

    @dg.multi_asset_check(
        name="judge_event_volumes",  # a job may not be called as an op is
        specs=[dg.AssetCheckSpec(CHECK, asset=key, description=described) for key in types],
        required_resource_keys={"warehouse"},
        can_subset=True,
    )
    def event_volumes(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        warehouse = context.resources.warehouse.adapter()
        day, _ = complete_days(datetime.now(UTC).date(), 0)
        for key in sorted(context.selected_asset_check_keys, key=str):
            yield _judged(warehouse, key.asset_key, types[key.asset_key], tenants, day)

    job = dg.define_asset_job("event_volume_checks", selection=dg.AssetSelection.checks(event_volumes))
    status = dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED
    schedule = dg.ScheduleDefinition(job=job, cron_schedule="30 2 * * *", default_status=status)
    return [event_volumes], [schedule]


def _judged(
    warehouse: "Warehouse", key: dg.AssetKey, spec: EventSpec, tenants: tuple[str, ...], day: date
) -> dg.AssetCheckResult:
    found = {tenant: judgement_of(warehouse, tenant, spec, day) for tenant in tenants}
    known = {tenant: judgement for tenant, judgement in found.items() if judgement}
    unusual = [tenant for tenant, judgement in known.items() if not judgement.success]
    told = {t: {"events": j.observed_value, **j.details} for t, j in known.items()}
    return dg.AssetCheckResult(
        asset_key=key,
        check_name=CHECK,
        passed=not unusual,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{day}: {', '.join(unusual) or 'nobody'} out of the usual",
        metadata={"day": day.isoformat(), "tenants": dg.MetadataValue.json(told)},
    )


def judgement_of(warehouse: "Warehouse", tenant: str, spec: EventSpec, day: date) -> "Judgement | None":
    """One tenant's day against the days before; None where the tenant has no such events at all."""
    from platform_assets.engine.quality.history import UsualRowCount
    from platform_assets.engine.quality.model import Facts

    counts = daily_counts(warehouse, tenant, spec, day)
    if not counts:
        return None
    first = min(counts)
    days = [first + timedelta(days=n) for n in range((day - first).days)]
    history = {CHECK: [float(counts.get(d, 0)) for d in days]}
    usual = UsualRowCount(type="expect_table_row_count_to_match_history")
    return usual.judge({"number": counts.get(day, 0)}, Facts(history=history, check=CHECK))


def daily_counts(warehouse: "Warehouse", tenant: str, spec: EventSpec, day: date) -> dict[date, int]:
    """Events by UTC date, of ``day`` and the days before it that have any."""
    from platform_assets.engine.events.spec import table_name
    from platform_assets.engine.schema.model import FieldType
    from platform_assets.engine.sql.binding import bind_query

    if warehouse.describe(tenant, table_name(spec)) is None:
        return {}
    query = bind_query(
        f"SELECT event_date, COUNT(*) AS events FROM {table_name(spec)} "  # noqa: S608 - a checked identifier
        "WHERE event_date BETWEEN @first AND @day GROUP BY event_date ORDER BY event_date",
        tenant,
        {"first": (FieldType.DATE, day - timedelta(days=HISTORY_DAYS)), "day": (FieldType.DATE, day)},
    )
    return {row["event_date"]: row["events"] for row in warehouse.query(tenant, query).to_pylist()}
