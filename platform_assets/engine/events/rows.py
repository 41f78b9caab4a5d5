"""Rows of one batch as the table wants them: with the standard columns, and of each key the newest only."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING

from platform_assets.engine.events.spec import NEWEST_BY, STANDARD, STANDARD_NAMES, EventSpec, merge_keys
from platform_assets.engine.schema.arrow import arrow_type
from platform_assets.engine.schema.model import Field, Mode, TableSchema
from platform_assets.engine.schema.planning import WIDENINGS, apply_plan, plan_changes

if TYPE_CHECKING:
    import pyarrow as pa

UNKEYED = "message/"  # stands before the message id where an event has no key


@dataclass(frozen=True)
class Origin:
    """Where each row came from, in the rows' order, and which run writes it, when."""

    message_ids: Sequence[str]
    published_at: Sequence[datetime]
    run_id: str
    now: datetime


def with_standard_columns(spec: EventSpec, rows: pa.Table, origin: Origin) -> pa.Table:
    """``rows`` and the standard columns: an event that tells no time happened when it was published."""
    import pyarrow as pa
    import pyarrow.compute as pc

    types = {field.name: arrow_type(field) for field in STANDARD}
    published = pa.array(origin.published_at, types["x_published_at"])
    ids = pa.array(origin.message_ids, pa.string())
    happened = published
    time = rows.schema.field(spec.event_time).type if spec.event_time in rows.schema.names else None
    if spec.event_time and time == published.type:
        happened = pc.coalesce(rows.column(spec.event_time), published)
    count = rows.num_rows
    columns = {
        "event_date": pc.cast(happened, types["event_date"]),
        "processed_timestamp": pa.repeat(pa.scalar(origin.now, types["processed_timestamp"]), count),
        "x_key": _keys(spec, rows, ids),
        "x_event_time": happened,
        "x_published_at": published,
        "x_message_id": ids,
        "pipeline_logging_id": pa.repeat(origin.run_id, count),
    }
    for field in STANDARD:
        rows = rows.append_column(field.name, columns[field.name])
    return rows.combine_chunks()


def _keys(spec: EventSpec, rows: pa.Table, ids: pa.Array) -> pa.Array | pa.ChunkedArray:
    """One key as it is, several as a JSON array; where one of them is missing, the message's id."""
    import pyarrow as pa
    import pyarrow.compute as pc

    own = pc.binary_join_element_wise(UNKEYED, ids, "")
    columns = [rows.column(name) for name in _actual(rows, spec.key)]
    if not columns:
        return own
    if len(columns) == 1 and (pa.types.is_string(columns[0].type) or pa.types.is_integer(columns[0].type)):
        return pc.coalesce(pc.cast(columns[0], pa.string()), own)
    values = zip(*(column.to_pylist() for column in columns), strict=True)
    keys = [None if None in row else json.dumps([str(v) for v in row], ensure_ascii=False) for row in values]
    return pc.coalesce(pa.array(keys, pa.string()), own)


def _actual(rows: pa.Table, names: Sequence[str]) -> list[str]:
    have = {name.lower(): name for name in rows.schema.names}
    return [have[name.lower()] for name in names if name.lower() in have]


def newest_of_each_key(spec: EventSpec, rows: pa.Table) -> pa.Table:
    """Of rows with the same merge key, the one that is greatest by time, publication and message."""
    import numpy as np
    import pyarrow.compute as pc

    keys = merge_keys(spec)
    if rows.num_rows < 2 or rows.group_by(list(keys)).aggregate([]).num_rows == rows.num_rows:
        return rows
    order = [(key, "ascending") for key in keys] + [(name, "descending") for name in NEWEST_BY]
    rows = rows.take(pc.sort_indices(rows, sort_keys=order))
    first = np.zeros(rows.num_rows, dtype=bool)
    first[0] = True
    for key in keys:
        column = rows.column(key)
        first[1:] |= pc.not_equal(column.slice(1), column.slice(0, rows.num_rows - 1)).to_numpy(
            zero_copy_only=False
        )
    return rows.filter(first)


@dataclass(frozen=True)
class Timeliness:
    """How many events are of an earlier UTC date than that of their publication, how many happened after it, and when
    the newest did."""

    late: int
    ahead: int
    newest: datetime | None


def timeliness(rows: pa.Table) -> Timeliness:
    """Of rows with the standard columns."""
    import pyarrow.compute as pc

    happened, published = rows.column("x_event_time"), rows.column("x_published_at")
    late = pc.sum(pc.less(rows.column("event_date"), pc.cast(published, "date32"))).as_py()
    ahead = pc.sum(pc.greater(happened, published)).as_py()
    return Timeliness(late or 0, ahead or 0, pc.max(happened).as_py())


def event_hours(rows: pa.Table) -> list[int]:
    """Hours since 1970 (UTC) in which each event of rows with the standard columns happened."""
    import pyarrow.compute as pc

    microseconds = pc.cast(rows.column("x_event_time"), "int64").to_numpy()
    hours: list[int] = (microseconds // 3_600_000_000).tolist()
    return hours


def table_columns(declared: TableSchema, stored: TableSchema | None) -> TableSchema:
    """The columns that events are looked at against: the table's as they are, and declared ones that it lacks.

    What events have widened or relaxed stays so. RejectedError where the table cannot become what is declared.
    """
    if stored is None:
        return declared
    have = TableSchema(tuple(field for field in stored.fields if field.name not in STANDARD_NAMES))
    plan = plan_changes(have, TableSchema(_met(declared.fields, have.fields)))
    plan.require_allowed("the table")
    return apply_plan(have, plan)


def _met(declared: Sequence[Field], stored: Sequence[Field]) -> tuple[Field, ...]:
    have = {field.name.lower(): field for field in stored}
    return tuple(_met_one(field, have.get(field.name.lower())) for field in declared)


def _met_one(declared: Field, stored: Field | None) -> Field:
    optional = declared.mode is Mode.REQUIRED and (stored is None or stored.mode is Mode.NULLABLE)
    wider = stored is not None and stored.type in WIDENINGS.get(declared.type, frozenset())
    return replace(
        declared,
        type=stored.type if stored and wider else declared.type,
        mode=Mode.NULLABLE if optional else declared.mode,
        fields=_met(declared.fields, stored.fields if stored else ()),
    )
