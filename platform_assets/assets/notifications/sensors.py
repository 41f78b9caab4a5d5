"""The Dagster side: run status sensors put what happened into the outbox, one sensor delivers what waits there.

A status sensor does one small query per tenant of the run and writes small objects. It may be killed and repeat a run:
the jobs are the same. Only the statuses are watched for which somebody is told something.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import dagster as dg

from platform_assets.assets.dead_runs import REFUSED_TAG
from platform_assets.assets.notifications.delivery import Deliverer
from platform_assets.assets.notifications.log import NotificationLog
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.assets.notifications.runs import occurrences, tenants_of
from platform_assets.assets.patience import looked_at_again
from platform_assets.assets.run_facts import in_utc
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.run_events import Run
from platform_assets.engine.notifications.tenant import PLATFORM, Notifications
from platform_assets.engine.schema.model import TableSpec
from platform_assets.resources.adapter import AdapterResource

Status = Literal["STARTED", "SUCCESS", "FAILURE", "CANCELED"]
_OF_A_RUN = (
    Event.DATA_QUALITY_WARNING,
    Event.DATA_QUALITY_FAILURE,
    Event.STEP_FAILURE,
    Event.RATE_LIMIT_EXCEEDED,
    Event.SYSTEM_ERROR,
)
# Which events a run of each status can give. A run that succeeded may still have failed checks.
GIVES: Mapping[Status, tuple[Event, ...]] = {
    "STARTED": (Event.PIPELINE_STARTED,),
    "SUCCESS": (Event.PIPELINE_SUCCESS, Event.DATA_QUALITY_WARNING, Event.DATA_QUALITY_FAILURE),
    "FAILURE": (Event.PIPELINE_FAILURE, Event.PIPELINE_SUCCESS, *_OF_A_RUN),
    "CANCELED": (Event.PIPELINE_WARNING, Event.PIPELINE_FAILURE, Event.PIPELINE_SUCCESS, *_OF_A_RUN),
}


def status_sensors(
    notifications: Notifications, tables: Mapping[str, TableSpec], tenants: Sequence[str]
) -> list[dg.SensorDefinition]:
    """One per status that somebody wants to hear of."""
    names = [*tenants, PLATFORM]
    return [
        _status_sensor(status, notifications, tables, tenants)
        for status, events in GIVES.items()
        if any(_tells(notifications, name, events) for name in names)
    ]


def _tells(notifications: Notifications, tenant: str, events: Iterable[Event]) -> bool:
    return any(notifications.of(tenant).trigger(event) for event in events)


def _status_sensor(
    status: Status, notifications: Notifications, tables: Mapping[str, TableSpec], tenants: Sequence[str]
) -> dg.SensorDefinition:
    @dg.run_status_sensor(
        run_status=dg.DagsterRunStatus(status),
        name=f"notify_{status.lower()}_runs",
        description="Puts what a run has to say to each of its tenants into the outbox.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=30,
    )
    def sensor(
        context: dg.RunStatusSensorContext, warehouse: AdapterResource, object_store: AdapterResource
    ) -> None:
        record = context.instance.get_run_record_by_id(context.dagster_run.run_id)
        if record is None:  # deleted since
            return
        if status == "CANCELED" and record.dagster_run.status is dg.DagsterRunStatus.FAILURE:
            return  # ended for its time limit: its process says "cancelled", and the monitoring "failed"
        run = run_of(record, status, context.dagster_event.message or "")
        named = tenants_of(context.dagster_run.tags, tenants)
        told = [name for name in named if _tells(notifications, name, GIVES[status])]
        with looked_at_again(record):
            outbox = Outbox(object_store.adapter())
            found = occurrences(warehouse.adapter(), tables, run, told)
            added = sum(outbox.add(o, notifications.of(o.tenant), datetime.now(UTC)) for o in found)
        context.log.info(
            f"{run.name} {run.run_id}: {added} notification(s) for {', '.join(told) or 'nobody'}"
        )

    return sensor


def run_of(record: dg.RunRecord, status: Status, error: str) -> Run:
    """What notifications know of a run. Its moment is the record's: the same whenever it is looked at again."""
    run = record.dagster_run
    moment = record.start_time if status == "STARTED" else record.end_time
    at = datetime.fromtimestamp(moment, UTC) if moment else in_utc(record.create_timestamp)
    return Run(
        run.run_id, status, at, run.tags.get("pipeline") or run.job_name, error, REFUSED_TAG in run.tags
    )


def delivery_sensor(
    notifications: Notifications, table: TableSpec, kinds: Sequence[str]
) -> dg.SensorDefinition:
    """``kinds`` of channels, each an adapter ``notifier_<kind>``. An idle tick is one listing."""

    @dg.sensor(
        name="deliver_notifications",
        description="Sends what waits in the outbox: cooldowns, quiet hours, batches, retries, escalations.",
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=10,
        required_resource_keys={
            "object_store",
            "warehouse",
            "secrets",
            *(f"notifier_{kind}" for kind in kinds),
        },
    )
    def deliver(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        deliverer = Deliverer(
            outbox=Outbox(_adapter(context, "object_store")),
            log=NotificationLog(_adapter(context, "warehouse"), table),
            notifications=notifications,
            notifiers={kind: _adapter(context, f"notifier_{kind}") for kind in kinds},
            secrets=_adapter(context, "secrets"),
            now=lambda: datetime.now(UTC),
        )
        report = deliverer.deliver()
        for error in report.errors:
            context.log.error(error)
        return dg.SkipReason(str(report))

    return deliver


def _adapter(context: dg.SensorEvaluationContext, key: str) -> Any:
    resource: AdapterResource = getattr(context.resources, key)
    return resource.adapter()
