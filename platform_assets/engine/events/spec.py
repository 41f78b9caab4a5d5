"""An event type, ``configs/events/<event_type>.yml``: its table, its key, its time, and what an event may change.

``check`` judges what a model cannot: the declared columns, and that key, time and clusters are among them. Contract
modes mean what dlt's schema contracts mean, but for one event: nothing here stops the others.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field as Setting

from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.schema.reading import inspect_schema
from platform_assets.engine.spec import Spec

DATASET = "raw_events"
EVENT_TYPE_PATTERN = re.compile(r"[a-z][a-z0-9_]{0,99}")
EventType = Annotated[str, Setting(pattern=f"^{EVENT_TYPE_PATTERN.pattern}$")]
Location: TypeAlias = tuple[str | int, ...]
_UNKEYED = frozenset({FieldType.STRUCT, FieldType.JSON, FieldType.FLOAT64, FieldType.BYTES})

TYPE_COLUMN = Field("event_type", FieldType.STRING, Mode.REQUIRED, "Which kind of event this is.")
# Every event's table has these; what an event says under these names is not taken over.
STANDARD = (
    Field("event_date", FieldType.DATE, Mode.REQUIRED, "UTC date of the event."),
    Field(
        "processed_timestamp", FieldType.TIMESTAMP, Mode.REQUIRED, "When this version of the row was written."
    ),
    Field(
        "x_key", FieldType.STRING, Mode.REQUIRED, "The declared key; of an event without one, its message id."
    ),
    Field(
        "x_event_time", FieldType.TIMESTAMP, Mode.REQUIRED, "When it happened; where not said, was published."
    ),
    Field("x_published_at", FieldType.TIMESTAMP, Mode.REQUIRED, "When it was published."),
    Field(
        "x_message_id", FieldType.STRING, Mode.REQUIRED, "The message that brought this version of the row."
    ),
    Field(
        "pipeline_logging_id", FieldType.STRING, Mode.REQUIRED, "The run that wrote this version of the row."
    ),
)
STANDARD_NAMES = frozenset(f.name for f in STANDARD)
NEWEST_BY = ("x_event_time", "x_published_at", "x_message_id")


class ContractMode(StrEnum):
    """``evolve`` changes the table; ``freeze`` makes a dead letter of the event; ``discard_row`` drops the event from
    the table, and says so; ``discard_value`` writes the event without the value."""

    EVOLVE = "evolve"
    FREEZE = "freeze"
    DISCARD_ROW = "discard_row"
    DISCARD_VALUE = "discard_value"


class Contract(Spec):
    """``tables``: the table does not exist yet. ``columns``: the event has a field that the table lacks, or lacks one
    that is REQUIRED. ``data_type``: a value is not of its column's type; ``evolve`` widens numbers, and what cannot
    be widened is a dead letter."""

    tables: Literal[ContractMode.EVOLVE, ContractMode.FREEZE, ContractMode.DISCARD_ROW] = ContractMode.EVOLVE
    columns: ContractMode = ContractMode.EVOLVE
    data_type: ContractMode = ContractMode.EVOLVE


class EventPartition(Spec):
    """The table is partitioned by ``event_date``; ``expiration_days`` drops whole partitions, never the table."""

    granularity: Literal[Granularity.DAY, Granularity.MONTH] = Granularity.DAY
    expiration_days: Annotated[int, Setting(ge=1, le=36_500)] | None = None
    require_filter: bool = True


class EventSpec(Spec):
    """``fields`` are columns as in BigQuery's JSON schemas. ``key``: of events with the same one the newest stays;
    ``key_within: event_date`` looks for it on the event's own day only, which reads one partition instead of all.
    ``event_time``: the TIMESTAMP column that says when it happened."""

    event_type: EventType
    description: str = ""
    table: Identifier
    key: list[Identifier] = []
    key_within: Literal["table", "event_date"] = "table"
    event_time: Identifier | None = None
    partition: EventPartition = EventPartition()
    cluster_by: Annotated[list[Identifier], Setting(max_length=4)] = []
    fields: list[dict[str, Any]] = []
    contract: Contract = Contract()
    archive: bool = True


@dataclass(frozen=True)
class EventProblem:
    """One thing wrong in an event type's file; ``location`` is the way to the field from the file's root."""

    location: Location
    reason: str
    nearest: str | None = None


def check(spec: EventSpec) -> tuple[EventProblem, ...]:
    """Everything wrong with an event type that its model accepts, in reading order."""
    return tuple(_problems(spec))


def _problems(spec: EventSpec) -> Iterator[EventProblem]:
    schema, found = inspect_schema(spec.fields) if spec.fields else (TableSchema(()), ())
    for wrong in found:
        at = tuple(int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", wrong.path))
        yield EventProblem(at, wrong.reason, wrong.nearest)
    for index, column in enumerate(spec.fields):
        name = column.get("name")
        if isinstance(name, str) and name.lower() in {*STANDARD_NAMES, TYPE_COLUMN.name}:
            yield EventProblem(
                ("fields", index, "name"), f"{name!r} is a column that every event's table has"
            )
    if "__stage_" in spec.table:
        yield EventProblem(("table",), f"{spec.table!r} is a name that the platform keeps for itself")
    yield from _named(schema, "key", spec.key)
    yield from _named(schema, "cluster_by", spec.cluster_by)
    if spec.event_time is not None:
        yield from _timed(schema, spec.event_time)


def _named(schema: TableSchema, what: str, names: Sequence[str]) -> Iterator[EventProblem]:
    for index, name in enumerate(names):
        column = schema.get(name)
        if column is None:
            yield EventProblem(
                (what, index), f"{name!r} is not declared under fields", _nearest(name, schema)
            )
        elif column.mode is Mode.REPEATED or column.type in _UNKEYED:
            kind = f"{column.type} {column.mode}"
            yield EventProblem((what, index), f"{name!r} is {kind}, which cannot be compared")
        elif name in names[:index]:
            yield EventProblem((what, index), f"{name!r} is named twice")


def _timed(schema: TableSchema, name: str) -> Iterator[EventProblem]:
    column = schema.get(name)
    if column is None:
        yield EventProblem(("event_time",), f"{name!r} is not declared under fields", _nearest(name, schema))
    elif column.type is not FieldType.TIMESTAMP or column.mode is Mode.REPEATED:
        yield EventProblem(
            ("event_time",), f"{name!r} must be one TIMESTAMP, not {column.type} {column.mode}"
        )


def _nearest(name: str, schema: TableSchema) -> str | None:
    return next(iter(get_close_matches(name, schema.names, n=1, cutoff=0.5)), None)


# --- Tables ---------------------------------------------------------------------------------------------------------


def undeclared(event_type: str) -> EventSpec:
    """The spec of an event type that nobody declared: everything is inferred, ``timestamp`` is its time."""
    return EventSpec(event_type=event_type, table=event_type, event_time="timestamp")


def declared_columns(spec: EventSpec) -> TableSchema:
    """``event_type`` and the declared fields of a checked spec, without the standard columns."""
    return TableSchema((TYPE_COLUMN, *(inspect_schema(spec.fields)[0].fields if spec.fields else ())))


def table_name(spec: EventSpec) -> TableName:
    return TableName(DATASET, spec.table)


def table_spec(spec: EventSpec, columns: TableSchema) -> TableSpec:
    """The event type's table with these ``columns`` and the standard ones."""
    return TableSpec(
        table_name(spec),
        TableSchema((*columns.fields, *STANDARD)),
        Partitioning(
            "event_date",
            spec.partition.granularity,
            spec.partition.expiration_days,
            spec.partition.require_filter,
        ),
        tuple(spec.cluster_by),
        spec.description,
        (("event_type", spec.event_type), ("kind", "events")),
    )


def merge_keys(spec: EventSpec) -> tuple[str, ...]:
    """An event without a declared key is known by its message, whose date never changes: one partition is read."""
    if spec.key and spec.key_within == "table":
        return ("x_key",)
    return ("event_date", "x_key")
