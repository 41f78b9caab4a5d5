"""Alerts on gold, as asset checks of the tables they look at; and alerts by the clock.

Gold is looked at right after a run has filled it, by the run itself: tenant by tenant, the newest days of the run. So a
tenant whose slice failed keeps nobody else's alerts from being seen. What fires goes to the outbox.
"""

import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.keys import SliceKey, table_key
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.assets.outcomes import SliceOutcome, Status
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.alert import Alert, AlertResult, alert_occurrence
from platform_assets.engine.notifications.alerts.money import FX_RATES, NO_RATES, Rates, rates_query
from platform_assets.engine.notifications.events import Severity
from platform_assets.engine.notifications.tenant import NOBODY_TOLD, Notifications
from platform_assets.engine.sql.model import Parameters
from platform_assets.ports import ObjectStore, Warehouse

LOGGER = logging.getLogger(__name__)
DAYS_LOOKED_AT = 3  # per tenant and run; a backfill of a year is not 365 alerts
RECENT = timedelta(days=4)  # older days are shown, and nobody is told; less than a told one is remembered
AT_ONCE = 16


def evaluate_alert(warehouse: Warehouse, alert: Alert, tenant: str, day: date, now: datetime) -> AlertResult:
    """One alert for one tenant and day. A question that gets no answer is ``error``, never ``no_match``."""
    try:
        if warehouse.describe(tenant, alert.table) is None:
            return AlertResult(alert, tenant, day, "no_data")
        asked = alert.question(day, now)
        rows = _rows(warehouse, tenant, asked.sql, asked.parameters)
        rates = _rates(warehouse, tenant, day) if alert.needs_rates else NO_RATES
        findings = alert.judged(rows, day, now, rates)
    except PlatformError as error:
        return AlertResult(alert, tenant, day, "error", error=str(error))
    except Exception as error:  # a bug in a rule is that alert's trouble, not the run's
        LOGGER.exception("alert %s for %s", alert.id, tenant)
        return AlertResult(alert, tenant, day, "error", error=f"{type(error).__name__}: see the log")
    return AlertResult(alert, tenant, day, findings.status, findings)


def _rows(warehouse: Warehouse, tenant: str, sql: str, parameters: Parameters) -> list[dict[str, Any]]:
    from platform_assets.engine.sql.binding import bind_query

    found: list[dict[str, Any]] = warehouse.query(
        tenant, bind_query(sql, tenant, parameters, name="alert")
    ).to_pylist()
    return found


def _rates(warehouse: Warehouse, tenant: str, day: date) -> Rates:
    if warehouse.describe(tenant, FX_RATES) is None:
        return NO_RATES
    return Rates.of(_rows(warehouse, tenant, *rates_query(day)))


def tell(outbox: Outbox, notifications: Notifications, results: Iterable[AlertResult], now: datetime) -> int:
    """Puts what fired recently into the outbox, of each tenant and alert the newest day. How many jobs are new."""
    newest: dict[tuple[str, str], AlertResult] = {}
    for result in sorted(results, key=lambda r: r.day):
        if result.triggered and now.date() - result.day <= RECENT:
            newest[result.tenant, result.alert.id] = result
    return sum(
        outbox.add(alert_occurrence(r, now, notifications.of(r.tenant)), notifications.of(r.tenant), now)
        for r in newest.values()
    )


@dataclass(frozen=True)
class GoldAlerts:
    """The alerts on tables, for the op that fills them."""

    alerts: Mapping[TableName, Sequence[Alert]] = field(default_factory=dict)
    notifications: Notifications = field(default_factory=lambda: NOBODY_TOLD)

    def specs(
        self, nodes: Iterable[Node], partitions: dg.MultiPartitionsDefinition
    ) -> list[dg.AssetCheckSpec]:
        return [_spec(alert, partitions) for node in nodes for alert in self.alerts.get(node.table, ())]

    def look(
        self,
        node: Node,
        outcomes: Sequence[SliceOutcome],
        warehouse: Warehouse,
        store: Callable[[], ObjectStore],
        now: datetime,
    ) -> Iterator[dg.AssetCheckEvaluation]:
        """Evaluate what was just published and tell what fires. Never raises: the data is there, whatever becomes of
        its alerts."""
        results = self._results(node, outcomes, warehouse, now)
        error = ""
        try:
            if any(result.triggered for result in results):
                tell(Outbox(store()), self.notifications, results, now)
        except PlatformError as failed:
            error = f"could not be told: {failed}"
        yield from (_evaluation(result, error if result.triggered else "") for result in results)

    def _results(
        self, node: Node, outcomes: Sequence[SliceOutcome], warehouse: Warehouse, now: datetime
    ) -> list[AlertResult]:
        asked = [
            (alert, key)
            for key in _newest(outcomes)
            for alert in self.alerts.get(node.table, ())
            if alert.spec.concerns(key.tenant)
        ]
        if not asked:
            return []
        with ThreadPoolExecutor(min(AT_ONCE, len(asked)), thread_name_prefix="alerts") as pool:
            return list(
                pool.map(
                    lambda pair: evaluate_alert(warehouse, pair[0], pair[1].tenant, pair[1].day, now), asked
                )
            )


def by_table(alerts: Iterable[Alert]) -> dict[TableName, list[Alert]]:
    """The alerts on tables, by table."""
    found: dict[TableName, list[Alert]] = {}
    for alert in alerts:
        if alert.on_gold and alert.spec.enabled:
            found.setdefault(alert.table, []).append(alert)
    return found


def _newest(outcomes: Sequence[SliceOutcome]) -> list[SliceKey]:
    """Of each tenant the newest days that were published."""
    days: dict[str, list[SliceKey]] = {}
    for key in sorted((o.key for o in outcomes if o.status is Status.PUBLISHED), reverse=True):
        days.setdefault(key.tenant, []).append(key)
    return [key for _, keys in sorted(days.items()) for key in keys[:DAYS_LOOKED_AT]]


def _spec(alert: Alert, partitions: dg.MultiPartitionsDefinition) -> dg.AssetCheckSpec:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.PreviewWarning)
        return dg.AssetCheckSpec(
            alert.check_name,
            asset=table_key(alert.table),
            description=f"{alert.spec.name}. {alert.spec.description}".strip(),
            blocking=False,
            metadata={"severity": str(alert.spec.notification.severity), "type": alert.spec.rule.type},
            partitions_def=partitions,
        )


def _evaluation(result: AlertResult, error: str) -> dg.AssetCheckEvaluation:
    grave = result.alert.spec.notification.severity in (Severity.ERROR, Severity.CRITICAL)
    return dg.AssetCheckEvaluation(
        asset_key=table_key(result.alert.table),
        check_name=result.alert.check_name,
        passed=result.status in ("no_match", "no_data"),
        severity=dg.AssetCheckSeverity.ERROR if grave and result.triggered else dg.AssetCheckSeverity.WARN,
        description="; ".join(filter(None, (str(result), error))),
        metadata={
            "status": result.status,
            "rows": result.findings.rows,
            "unjudged": len(result.findings.unjudged),
        },
        partition=str(SliceKey(result.day, result.tenant)),
    )
