"""What is told by the clock: summaries, and alerts with a schedule. A schedule per time table, one short run per tick.

A run, because a sensor has a minute and a hundred tenants' queries may take longer. What was told for a tick is the
same if the tick is run again.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg

from platform_assets.assets.notifications.alerts import evaluate_alert, tell
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.alert import Alert
from platform_assets.engine.notifications.spec import Summary
from platform_assets.engine.notifications.summaries import budget_question, spend_question, summary_occurrence
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.ports import Warehouse
from platform_assets.resources.adapter import AdapterResource

JOB = "scheduled_notifications"
AT_ONCE = 16
_GOLD = {
    "spend": TableName("gold_reporting", "daily_spend"),
    "budgets": TableName("gold_reporting", "budget_status"),
}


@dataclass(frozen=True)
class TimeTable:
    """What happens at the same times: an alert for its tenants, or the summaries of one id."""

    name: str
    cron: str
    timezone: str
    alert: str | None = None
    summary: str | None = None
    tenants: tuple[str, ...] = ()


def time_tables(
    notifications: Notifications, alerts: Mapping[str, Alert], tenants: Sequence[str]
) -> list[TimeTable]:
    """All that is told by the clock, by name. Tenants whose summary of one id has other times get one of their own."""
    found = [
        TimeTable(
            f"alert_{alert.id}_schedule",
            schedule.cron,
            schedule.timezone,
            alert=alert.id,
            tenants=tuple(t for t in tenants if alert.spec.concerns(t)),
        )
        for alert in alerts.values()
        if (schedule := alert.spec.schedule) and alert.spec.enabled
    ]
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for tenant in tenants:
        for s in _summaries(notifications, tenant):
            groups[s.summary_id, s.schedule_cron, s.schedule_timezone].append(tenant)
    taken: dict[str, int] = defaultdict(int)
    for (summary, cron, timezone), who in sorted(groups.items()):
        taken[summary] += 1
        number = f"_{taken[summary]}" if taken[summary] > 1 else ""
        name = f"summary_{summary}{number}_schedule"
        found.append(TimeTable(name, cron, timezone, summary=summary, tenants=tuple(who)))
    return found


def _summaries(notifications: Notifications, tenant: str) -> list[Summary]:
    config = notifications.of(tenant)
    return [s for s in config.summaries if s.enabled] if config.enabled else []


def scheduled_job(notifications: Notifications, alerts: Mapping[str, Alert]) -> Any:
    """The job behind all time tables; its run config says which one, and for which tick."""

    @dg.op(
        name="tell_on_time",
        config_schema={"alert": dg.Noneable(str), "summary": dg.Noneable(str), "tenants": [str], "tick": str},
    )
    def tell_on_time(
        context: dg.OpExecutionContext, warehouse: AdapterResource, object_store: AdapterResource
    ) -> None:
        asked = context.op_config
        tick = datetime.fromisoformat(asked["tick"])
        outbox, tables = Outbox(object_store.adapter()), warehouse.adapter()
        if asked["alert"]:
            told, errors = tell_alert(
                outbox, notifications, tables, alerts[asked["alert"]], asked["tenants"], tick
            )
        else:
            told, errors = tell_summaries(
                outbox, notifications, tables, asked["summary"], asked["tenants"], tick
            )
        context.log.info(f"{told} notification(s) for {len(asked['tenants'])} tenant(s)")
        if errors:
            raise dg.Failure("\n".join(errors), allow_retries=True)

    @dg.job(name=JOB, description="Summaries, and alerts with a schedule.")
    def scheduled_notifications() -> None:
        tell_on_time()

    return scheduled_notifications


def tell_alert(
    outbox: Outbox,
    notifications: Notifications,
    warehouse: Warehouse,
    alert: Alert,
    tenants: Sequence[str],
    tick: datetime,
) -> tuple[int, list[str]]:
    """Evaluate one alert for the last complete day. (how many were told, what went wrong): one tenant's trouble is no
    other's."""
    day = tick.astimezone(UTC).date() - timedelta(days=1)
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="alerts") as pool:
        results = list(pool.map(lambda tenant: evaluate_alert(warehouse, alert, tenant, day, tick), tenants))
    told = tell(outbox, notifications, results, tick)
    return told, [str(result) for result in results if result.status == "error"]


def tell_summaries(
    outbox: Outbox,
    notifications: Notifications,
    warehouse: Warehouse,
    summary_id: str,
    tenants: Sequence[str],
    tick: datetime,
) -> tuple[int, list[str]]:
    """Like ``tell_alert``, for the summaries of one id."""
    told, errors = 0, []
    for tenant in tenants:
        config = notifications.of(tenant)
        for summary in _summaries(notifications, tenant):
            if summary.summary_id == summary_id:
                try:
                    spend = _rows(warehouse, tenant, "spend", *spend_question(summary, tick))
                    budgets = _rows(warehouse, tenant, "budgets", *budget_question(summary, tick))
                    occurrence = summary_occurrence(summary, tenant, tick, spend, budgets, config)
                    told += outbox.add(occurrence, config, tick)
                except PlatformError as error:
                    errors.append(f"{summary_id} {tenant}: {error}")
    return told, errors


def _rows(warehouse: Warehouse, tenant: str, what: str, sql: str, parameters: Any) -> list[dict[str, Any]]:
    from platform_assets.engine.sql.binding import bind_query

    if warehouse.describe(tenant, _GOLD[what]) is None:
        return []
    found: list[dict[str, Any]] = warehouse.query(
        tenant, bind_query(sql, tenant, parameters, name=what)
    ).to_pylist()
    return found


def schedules(job: Any, tables: Sequence[TimeTable], enabled: bool) -> list[dg.ScheduleDefinition]:
    return [_schedule(job, table, enabled) for table in tables]


def _schedule(job: Any, table: TimeTable, enabled: bool) -> dg.ScheduleDefinition:
    @dg.schedule(
        name=table.name,
        job=job,
        cron_schedule=table.cron,
        execution_timezone=table.timezone,
        default_status=dg.DefaultScheduleStatus.RUNNING if enabled else dg.DefaultScheduleStatus.STOPPED,
    )
    def evaluate(context: dg.ScheduleEvaluationContext) -> Iterator[dg.RunRequest]:
        tick = context.scheduled_execution_time
        config = {
            "alert": table.alert,
            "summary": table.summary,
            "tenants": list(table.tenants),
            "tick": tick.isoformat(),
        }
        yield dg.RunRequest(
            run_key=f"{table.name}:{tick.isoformat()}",
            run_config={"ops": {"tell_on_time": {"config": config}}},
        )

    return evaluate
