"""Events in Dagster: queue → inbox → one run per tenant and day, which fills the tables and the archive.

``events/<type>`` are written by one op: a run takes all types that wait in its partition, since they come in one
queue. Types that nobody declared are ``events/undeclared`` together.
"""

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import dagster as dg

from platform_assets.assets.events_archive import archive_specs, archived_hours
from platform_assets.assets.events_volume import volume_checks
from platform_assets.assets.inbox.run import apply_inbox, is_replay
from platform_assets.assets.inbox.sensor import QueueSource
from platform_assets.assets.inbox.tick import stored
from platform_assets.assets.keys import SliceKey, open_tenant_day_partitions
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import DataError, RetryableError
from platform_assets.engine.events.archive import ArchivedHour
from platform_assets.engine.events.envelope import arrival_days, read_envelope
from platform_assets.engine.events.settings import EventSettings
from platform_assets.engine.events.spec import EventSpec, declared_columns, table_name, table_spec
from platform_assets.engine.inbox.model import Quarantined, Route, Routed
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.schema.model import TableSchema
from platform_assets.ports import Message

if TYPE_CHECKING:
    from platform_assets.assets.events_apply import EventWriter, TypeCounts

SOURCE = "events"
UNDECLARED = "undeclared"
SHOWN = 20


class EventDefinitions(NamedTuple):
    """What the code location takes up. ``sources`` get their sensors with those of the other queues."""

    assets: list[dg.AssetsDefinition | dg.AssetSpec]
    checks: list[dg.AssetChecksDefinition]
    schedules: list[dg.ScheduleDefinition]
    sources: list[QueueSource]


def event_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["events", event_type])


def build_events(
    events: Mapping[str, EventSpec], deployment: DeploymentSpec, tenants: tuple[str, ...], start: date
) -> EventDefinitions:
    """``events``: the declared types, by name. Messages are taken where the deployment has a queue for them."""
    partitions = open_tenant_day_partitions(start, tenants)
    settings, inbox = deployment.events, deployment.inbox
    keys = [event_key(name) for name in (*events, UNDECLARED)]
    source = QueueSource(
        SOURCE,
        f"queue_{SOURCE}",
        router(frozenset(events), settings, frozenset(tenants), start),
        dg.AssetSelection.assets(*keys),
        partitions,
        lambda partition: {"tenant": SliceKey.parse(partition).tenant},
    )
    checks, schedule = volume_checks(events, tenants, event_key, enabled=deployment.schedules_enabled)
    tables = {name: event_key(name) for name in (*events, UNDECLARED)}
    archive = archive_specs([*events.items(), (UNDECLARED, None)], tables, start)
    return EventDefinitions(
        [_event_tables(events, settings, inbox, partitions, start), *archive],
        checks,
        schedule,
        [source] if SOURCE in deployment.ports.queues else [],
    )


def router(
    declared: frozenset[str], settings: EventSettings, tenants: frozenset[str], first: date
) -> Callable[[Message], Route]:
    """By tenant and day of publication. What is no event, or whose owner or type is unknown, is quarantined."""

    arrival_day = arrival_days(lambda: datetime.now(UTC), first)
    partition_of = lru_cache(maxsize=1024)(lambda day, tenant: str(SliceKey(day, tenant)))

    def route(message: Message) -> Route:
        found = stored(message, id=message.attributes.get("event_id", ""))
        try:
            envelope = read_envelope(message.body, message.attributes)
        except DataError as error:
            return Quarantined(found, str(error))
        tenant = envelope.tenant or settings.tenant
        if tenant is None:
            return Quarantined(
                found, "names no tenant (attribute or field tenant), and events.tenant is not set"
            )
        if tenant not in tenants:
            return Quarantined(found, f"there is no tenant {tenant[:100]!r}")
        if envelope.event_type not in declared and settings.undeclared != "infer":
            return Quarantined(found, f"event type {envelope.event_type!r} is not declared in configs/events")
        return Routed(partition_of(arrival_day(message.published_at), tenant), found)

    return route


def _event_tables(
    events: Mapping[str, EventSpec],
    settings: EventSettings,
    inbox: InboxSpec,
    partitions: dg.PartitionsDefinition,
    start: date,
) -> dg.AssetsDefinition:
    @dg.multi_asset(
        name="event_tables",
        specs=[*(_spec(spec, partitions) for spec in events.values()), _undeclared_spec(partitions)],
        required_resource_keys={"object_store", "warehouse"},
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def event_tables(context: dg.AssetExecutionContext) -> Iterator[dg.AssetMaterialization]:
        store, warehouse = context.resources.object_store.adapter(), context.resources.warehouse.adapter()
        writers: dict[str, EventWriter] = {}

        def handler(partition: str) -> "EventWriter":
            from platform_assets.assets.events_apply import EventWriter

            writers[partition] = EventWriter(
                warehouse,
                store,
                SliceKey.parse(partition).tenant,
                events,
                settings,
                context.run.run_id,
                lambda: datetime.now(UTC),
                replay=is_replay(context),
            )
            return writers[partition]

        failed: RetryableError | None = None
        try:
            apply_inbox(context, store, SOURCE, handler, inbox)
        except RetryableError as error:
            failed = error
        for partition, writer in sorted(writers.items()):
            yield from _told(partition, writer, frozenset(events))
            yield from _archived(writer, frozenset(events), start)
        if failed:
            raise failed

    return event_tables


# --- What people see ------------------------------------------------------------------------------------------------


def _spec(spec: EventSpec, partitions: dg.PartitionsDefinition) -> dg.AssetSpec:
    table = table_spec(spec, declared_columns(spec))
    return dg.AssetSpec(
        event_key(spec.event_type),
        description=spec.description,
        group_name="events",
        partitions_def=partitions,
        skippable=True,  # a run writes the types that wait
        tags={"domain": "events"},
        metadata={
            "dagster/table_name": str(table_name(spec)),
            "dagster/column_schema": _column_schema(table.schema),
            "key": ", ".join(spec.key) or "message id",
            "contract": dg.MetadataValue.json({k: str(v) for k, v in spec.contract}),
        },
    )


def _undeclared_spec(partitions: dg.PartitionsDefinition) -> dg.AssetSpec:
    return dg.AssetSpec(
        event_key(UNDECLARED),
        description="Event types without a file in configs/events, each in a table of what its events hold.",
        group_name="events",
        partitions_def=partitions,
        skippable=True,
        tags={"domain": "events"},
    )


def _column_schema(schema: TableSchema) -> dg.TableSchema:
    return dg.TableSchema(
        columns=[
            dg.TableColumn(
                field.name,
                f"{field.type} {field.mode}",
                field.description,
                tags={"pii": ""} if field.pii else {},
            )
            for field in schema.fields
        ]
    )


def _told(
    partition: str, writer: "EventWriter", declared: frozenset[str]
) -> Iterator[dg.AssetMaterialization]:
    others = {name: counts for name, counts in writer.counts.items() if name not in declared}
    for name, counts in sorted(writer.counts.items()):
        if name in declared:
            found = _metadata(counts, writer.now())
            yield dg.AssetMaterialization(event_key(name), partition=partition, metadata=found)
    if others:
        found = {
            f"{name}/{k}": v
            for name, c in sorted(others.items())
            for k, v in _metadata(c, writer.now()).items()
        }
        yield dg.AssetMaterialization(event_key(UNDECLARED), partition=partition, metadata=found)


def _archived(
    writer: "EventWriter", declared: frozenset[str], start: date
) -> Iterator[dg.AssetMaterialization]:
    hours: dict[str, dict[int, ArchivedHour]] = {}
    for name, counts in writer.counts.items():
        of_type = hours.setdefault(name if name in declared else UNDECLARED, {})
        for hour, found in counts.archive_hours.items():
            of_type[hour] = of_type.get(hour, ArchivedHour()) + found
    for name, found_hours in sorted(hours.items()):
        yield from archived_hours(name, writer.tenant, found_hours, start, writer.now())


def _metadata(counts: "TypeCounts", now: datetime) -> dict[str, Any]:
    """Volume, freshness, what was odd, and what the table was changed by."""
    found: dict[str, Any] = {
        "table": counts.table,
        "events": counts.received,
        **{
            name: getattr(counts, name)
            for name in ("inserted", "updated", "unchanged", "refused", "discarded", "late", "ahead")
        },
        "archive/events": counts.archived,
        "archive/objects": counts.archive_objects,
        "archive/bytes": counts.archive_bytes,
    }
    if counts.newest:
        found["freshness/newest_event"] = dg.MetadataValue.timestamp(counts.newest)
        found["freshness/age_seconds"] = round((now - counts.newest).total_seconds(), 1)
    if counts.reasons:
        found["not_written"] = dg.MetadataValue.md("\n".join(f"- {r}" for r in counts.reasons[:SHOWN]))
    if counts.discarded_values:
        found["discarded_values"] = dg.MetadataValue.json(counts.discarded_values)
    if counts.changes:
        rows = [f"| {c.at:%Y-%m-%d %H:%M:%SZ} | {c.what} | {c.batches} |" for c in counts.changes]
        head = "| when | what | inbox batches |\n|---|---|---|\n"
        found["schema_changes"] = dg.MetadataValue.md(head + "\n".join(rows))
    return found
