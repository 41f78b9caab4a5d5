"""The fast path: events that fit the known columns, from JSON to Arrow without a Python object per value.

Each event is decoded once against the types of its table, which says for each one alone whether it fits. Those that
do are written back as canonical JSON (no duplicate keys, decimals exact, times with microseconds), which Arrow reads
as columns. Everything else is ``fitting``'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time
from decimal import Decimal
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from platform_assets.engine.events.spec import STANDARD_NAMES
from platform_assets.engine.events.values import INT64_MAX, INT64_MIN, UNREADABLE
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

_TYPES: Mapping[FieldType, Any] = {
    FieldType.STRING: str,
    FieldType.INT64: Annotated[int, msgspec.Meta(ge=INT64_MIN, le=INT64_MAX)],
    FieldType.FLOAT64: float,
    FieldType.NUMERIC: Decimal,
    FieldType.BIGNUMERIC: Decimal,
    FieldType.BOOL: bool,
    FieldType.DATE: date,
    FieldType.DATETIME: Annotated[datetime, msgspec.Meta(tz=False)],
    FieldType.TIME: Annotated[time, msgspec.Meta(tz=False)],
    FieldType.TIMESTAMP: datetime,
}
_encode_lines = msgspec.json.Encoder().encode_lines
_AT_ONCE = 250  # so that a block's objects stay in the processor's cache
_READ_BYTES = 1 << 23  # smaller blocks cost Arrow more than its threads save


@dataclass(frozen=True)
class Block:
    """Some events' indexes and their canonical JSON, a line each."""

    indexes: Sequence[int]
    lines: bytes


@dataclass
class Sorted:
    """``fitting``: the events that fit as they are; ``others`` need a closer look."""

    fitting: list[Block] = field(default_factory=list)
    others: list[int] = field(default_factory=list)


def sort_out(
    columns: TableSchema,
    bodies: Mapping[int, bytes],
    *,
    ignore_unknown: bool = False,
    nulls: frozenset[str] = frozenset(),
) -> Sorted:
    """Which events fit ``columns`` (without the standard ones). ``nulls``: further fields that may be null."""
    model = _model(columns, ignore_unknown, nulls)
    found, rest = Sorted(), iter(bodies.items())
    if model is None:
        return Sorted(others=list(bodies))
    decoder = msgspec.json.Decoder(model)
    while some := dict(islice(rest, _AT_ONCE)):
        _sort_out(decoder, some, found)
    return found


def _sort_out(decoder: msgspec.json.Decoder[Any], bodies: Mapping[int, bytes], found: Sorted) -> None:
    """All at once, where none of them keeps the others from it. Each is one JSON document, as whoever looked for its
    type knows, so that as many events as bodies are the same events."""
    together = b"\n".join(bodies.values())
    if together.count(b"\n") == len(bodies) - 1:
        try:
            events = decoder.decode_lines(together)
        except UNREADABLE:
            pass
        else:
            if len(events) == len(bodies):
                found.fitting.append(Block(list(bodies), _encode_lines(events)))
                return
    fitting: dict[int, Any] = {}
    for index, body in bodies.items():
        try:
            fitting[index] = decoder.decode(body)
        except UNREADABLE:
            found.others.append(index)
    if fitting:
        found.fitting.append(Block(list(fitting), _encode_lines(fitting.values())))


def read_columns(columns: TableSchema, fitting: Sequence[Block]) -> tuple[pa.Table, list[int], list[int]]:
    """(rows, their indexes, indexes of what Arrow refuses) of events that ``sort_out`` found fitting."""
    import pyarrow as pa

    schema = arrow_schema(columns)
    tables, kept, refused = [schema.empty_table()], list[int](), list[int]()
    waiting = [list(fitting)] if fitting else []
    while waiting:
        blocks = waiting.pop()
        try:
            tables.append(_table(b"".join([block.lines for block in blocks]), schema))
            kept += [index for block in blocks for index in block.indexes]
        except pa.ArrowInvalid:  # a decimal with too many digits: halves, until the culprit is alone
            halves = _halves(blocks)
            refused += [] if halves else blocks[0].indexes
            waiting += halves
    return pa.concat_tables(tables), kept, refused


def _halves(blocks: Sequence[Block]) -> list[list[Block]]:
    """The second half, then the first; nothing where there is one event only."""
    if len(blocks) == 1:
        (block,) = blocks
        if len(block.indexes) == 1:
            return []
        lines = block.lines.splitlines(keepends=True)
        blocks = [Block([index], line) for index, line in zip(block.indexes, lines, strict=True)]
    middle = len(blocks) // 2
    return [list(blocks[middle:]), list(blocks[:middle])]


def _table(lines: bytes, schema: pa.Schema) -> pa.Table:
    import pyarrow as pa
    from pyarrow import json

    parse = json.ParseOptions(explicit_schema=_readable(schema), unexpected_field_behavior="ignore")
    longest = len(lines) if lines.count(b"\n") == 1 else 0
    block = json.ReadOptions(block_size=max(_READ_BYTES, longest))
    read = json.read_json(pa.BufferReader(lines), read_options=block, parse_options=parse)
    return read.select(schema.names).cast(schema)


def _readable(schema: pa.Schema) -> pa.Schema:
    import pyarrow as pa

    return pa.schema([pa.field(f.name, _readable_type(f.type)) for f in schema])


def _readable_type(kind: Any) -> Any:
    """Arrow reads dates and times of day from JSON as text only; the text is canonical by then."""
    import pyarrow as pa

    if pa.types.is_date32(kind) or pa.types.is_time64(kind):
        return pa.string()
    if pa.types.is_struct(kind):
        return pa.struct([pa.field(f.name, _readable_type(f.type)) for f in kind])
    return pa.list_(_readable_type(kind.value_type)) if pa.types.is_list(kind) else kind


@lru_cache(maxsize=64)
def _model(columns: TableSchema, ignore_unknown: bool, nulls: frozenset[str]) -> type[msgspec.Struct] | None:
    """A struct that takes exactly what fits; None where a column's JSON has to be looked at value by value."""
    names = {f.name for f in columns.fields}
    # What a sender says under the platform's own names is not taken over.
    more: list[Any] = [(n, Any, None) for n in sorted(STANDARD_NAMES)]
    more += [(n, None, None) for n in sorted(nulls - names - STANDARD_NAMES)]
    return _struct("Event", columns.fields, ignore_unknown, more)


def _struct(
    name: str, fields: Sequence[Field], ignore_unknown: bool, more: Sequence[Any] = ()
) -> type[msgspec.Struct] | None:
    members: list[Any] = []
    for column in sorted(fields, key=lambda f: f.mode is not Mode.REQUIRED):  # those without default first
        kind = _type(column, ignore_unknown)
        if kind is None:
            return None
        required = column.mode is Mode.REQUIRED
        members.append((column.name, kind) if required else (column.name, kind | None, None))
    renamed = {column: f"c{n}" for n, (column, *_) in enumerate([*members, *more])}
    return msgspec.defstruct(
        name,
        [(renamed[column], *rest) for column, *rest in [*members, *more]],
        forbid_unknown_fields=not ignore_unknown,
        omit_defaults=True,
        rename={python: column for column, python in renamed.items()},
    )


def _type(column: Field, ignore_unknown: bool) -> Any:
    one: Any = _TYPES.get(column.type)
    if column.type is FieldType.STRUCT:
        one = _struct(column.name, column.fields, ignore_unknown)
    # To a type checker this is a variable; to Python it is the type itself.
    return list.__class_getitem__(one) if one is not None and column.mode is Mode.REPEATED else one
