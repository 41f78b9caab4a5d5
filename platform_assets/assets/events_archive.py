"""The archive as assets: ``events_archive/<type>``, partitioned by the hour in which the events happened (UTC).

No run of their own fills them. The run that takes a tenant's day writes table and archive from one reading of its
batches, and reports the hours it has archived. To archive an hour again, replay the days on which its events came.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, datetime

import dagster as dg

from platform_assets.engine.events.archive import ArchivedHour, hour_of, start_of
from platform_assets.engine.events.spec import EventSpec

_PARTITION = "%Y-%m-%d-%H:%M"


def archive_key(event_type: str) -> dg.AssetKey:
    return dg.AssetKey(["events_archive", event_type])


def archive_specs(
    types: Iterable[tuple[str, EventSpec | None]], tables: Mapping[str, dg.AssetKey], start: date
) -> list[dg.AssetSpec]:
    """For each type that is archived; ``tables``: what its archive is written with. The hour that is still running is
    a partition too."""
    partitions = dg.HourlyPartitionsDefinition(start_date=f"{start}-00:00", end_offset=1)
    return [
        dg.AssetSpec(
            archive_key(name),
            description=f"Every event of {tables[name].to_user_string()} as it was sent, JSON lines.",
            deps=[tables[name]],
            group_name="events",
            partitions_def=partitions,
            tags={"domain": "events"},
        )
        for name, spec in types
        if spec is None or spec.archive
    ]


def archived_hours(
    name: str, tenant: str, hours: Mapping[int, ArchivedHour], start: date, now: datetime
) -> Iterator[dg.AssetMaterialization]:
    """One per hour that is a partition. Events of other hours (years late, or ahead of the clock) are archived all the
    same; no partition shows them."""
    for hour, found in sorted(hours.items()):
        if start_of(hour).date() < start or hour > hour_of(now):
            continue
        yield dg.AssetMaterialization(
            archive_key(name),
            partition=start_of(hour).strftime(_PARTITION),
            metadata={
                "tenant": tenant,
                "folders": dg.MetadataValue.md(
                    "\n".join(f"- `{folder}`" for folder in sorted(found.folders))
                ),
                "events": found.events,
                "objects": found.objects,
                "bytes": found.bytes,
            },
        )
