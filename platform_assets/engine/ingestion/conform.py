"""Columnar data of another system (query results, CSV, Parquet) in the columns of a table.

Owns matching by name (case does not matter, order does not matter), exact conversion, and what becomes of columns
nobody declared. A column that the source lacks is null, and an error where it is REQUIRED.

A binary float becomes the shortest decimal that means the same float. Money with more digits after the point than its
column keeps is rounded, and that is told (``rounding``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion.convert import json_text, to_arrow
from platform_assets.engine.ingestion.rounding import SCALES, Roundings
from platform_assets.engine.schema.arrow import arrow_schema, arrow_type
from platform_assets.engine.schema.model import Field, FieldType, Mode, Scalar, TableSchema

_WIDE = pa.decimal256(75, 38)  # one digit less than there are: differences need it


@dataclass(frozen=True)
class Conformer:
    """The mapping of one table. ``columns`` names a column's source column where it differs; ``constants`` fill
    the standard columns; ``roundings`` is told of money that had too many digits."""

    schema: TableSchema
    constants: Mapping[str, Scalar]
    columns: Mapping[str, str] = field(default_factory=dict)
    ignore: frozenset[str] = frozenset()
    roundings: Roundings = field(default_factory=Roundings)

    def unknown(self, names: Sequence[str]) -> list[str]:
        """Source columns that nobody takes, in the source's order."""
        taken = {self._source_name(f).lower() for f in self.schema.fields} | {i.lower() for i in self.ignore}
        return [name for name in names if name.lower() not in taken]

    def batch(self, batch: pa.RecordBatch, where: str) -> pa.RecordBatch:
        places = {name.lower(): i for i, name in enumerate(batch.schema.names)}
        arrays = []
        for column in self.schema.fields:
            place = places.get(self._source_name(column).lower())
            if column.name in self.constants and column.name not in self.columns:
                value = self.constants[column.name]
                arrays.append(pa.repeat(pa.scalar(value, arrow_type(column)), batch.num_rows))
            elif place is None:
                arrays.append(_absent(column, batch.num_rows, where))
            else:
                arrays.append(self._convert(column, batch.column(place), where))
        return pa.RecordBatch.from_arrays(arrays, schema=arrow_schema(self.schema))

    def _source_name(self, column: Field) -> str:
        return self.columns.get(column.name, column.name)

    def _convert(self, column: Field, array: pa.Array, where: str) -> pa.Array:
        try:
            converted = _array(column, array, self.roundings)
        except (pa.ArrowException, ValueError, ArithmeticError, DataError) as error:
            raise DataError(f"{where}, {column.name}: {error}") from None
        if column.mode is Mode.REQUIRED and converted.null_count:
            bad = converted.is_null().index(True).as_py()
            raise DataError(f"{where} + {bad}, {column.name}: missing or null, but REQUIRED")
        return converted


def _absent(column: Field, count: int, where: str) -> pa.Array:
    if column.mode is Mode.REQUIRED and count:
        raise DataError(f"{where}: the source has no column {column.name!r}, which is REQUIRED")
    if column.mode is Mode.REPEATED:
        return pa.array([[]] * count, arrow_type(column))
    return pa.nulls(count, arrow_type(column))


# --- Arrays ------------------------------------------------------------------------------------------------------


def _array(column: Field, array: pa.Array, roundings: Roundings) -> pa.Array:
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    if pa.types.is_dictionary(array.type):
        array = array.dictionary_decode()
    if column.mode is Mode.REPEATED:
        return _list(column, array, roundings)
    if column.type is FieldType.STRUCT:
        return _struct(column, array, roundings)
    target = arrow_type(column)
    if pa.types.is_null(array.type):
        return pa.nulls(len(array), target)
    if column.type is FieldType.JSON:
        return _json(array)
    if array.type == target:
        return array
    if column.type in SCALES:
        return _money(column, array, roundings)
    if _is_text(array.type):
        return _from_text(column, array, roundings)
    return _CONVERTERS.get(column.type, _plain)(array, target)


def _list(column: Field, array: pa.Array, roundings: Roundings) -> pa.Array:
    if not (pa.types.is_list(array.type) or pa.types.is_large_list(array.type)):
        raise ValueError(f"is {array.type}, not a list")
    one = Field(column.name, column.type, Mode.NULLABLE, column.description, column.fields)
    lists = pc.fill_null(array, pa.scalar([], array.type)) if array.null_count else array
    items = _array(one, lists.flatten(), roundings)
    ends = pc.cumulative_sum(pc.list_value_length(lists).cast(pa.int32()))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends])
    return pa.ListArray.from_arrays(offsets, items, type=arrow_type(column))


def _struct(column: Field, array: pa.Array, roundings: Roundings) -> pa.Array:
    if not pa.types.is_struct(array.type):
        raise ValueError(f"is {array.type}, not a record")
    places = {array.type.field(i).name.lower(): i for i in range(array.type.num_fields)}
    flat = array.flatten()
    children = []
    for child in column.fields:
        loose = Field(child.name, child.type, _loosened(child.mode), child.description, child.fields)
        place = places.get(child.name.lower())
        absent = place is None
        children.append(_absent(loose, len(array), "") if absent else _array(loose, flat[place], roundings))
    return pa.StructArray.from_arrays(children, fields=list(arrow_type(column)), mask=array.is_null())


def _loosened(mode: Mode) -> Mode:
    return Mode.NULLABLE if mode is Mode.REQUIRED else mode


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _json(array: pa.Array) -> pa.Array:
    if _is_text(array.type):
        return pc.if_else(pc.equal(array, ""), None, array.cast(pa.string()))
    return pa.array([_json_text(v) for v in array.to_pylist(maps_as_pydicts="strict")], pa.string())


def _json_text(value: Any) -> str | None:
    return None if value is None else json_text(_plain_json(value)).decode()


def _plain_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain_json(item) for item in value]
    return value.isoformat() if isinstance(value, date | datetime) else value


def _from_text(column: Field, array: pa.Array, roundings: Roundings) -> pa.Array:
    """Texts: an empty one is null for every type but STRING; what Arrow cannot read exactly is read one by one."""
    target = arrow_type(column)
    if column.type is FieldType.STRING:
        return array.cast(target)
    texts = pc.if_else(pc.equal(array, ""), None, array.cast(pa.string()))
    try:
        return texts.cast(target)
    except pa.ArrowException:
        return _one_by_one(column, texts, roundings)


def _one_by_one(column: Field, texts: pa.Array, roundings: Roundings) -> pa.Array:
    loose = Field(column.name, column.type, Mode.NULLABLE, pii=column.pii)
    return to_arrow(loose, texts.to_pylist(), lambda i: f"value {i}", roundings)


def _money(column: Field, array: pa.Array, roundings: Roundings) -> pa.Array:
    """Exactly where all digits fit, else rounded at once, else (more than 38 digits after the point) one by one."""
    target = arrow_type(column)
    texts = _is_text(array.type) or pa.types.is_floating(array.type)
    given = array.cast(pa.string()) if texts else array
    given = pc.if_else(pc.equal(given, ""), None, given) if texts else given
    try:
        return given.cast(target)
    except pa.ArrowException:
        pass
    try:
        wide = given.cast(_WIDE)
    except pa.ArrowException:
        return _one_by_one(column, given.cast(pa.string()), roundings)
    return roundings.array(column.name, wide, target)


def _moment(array: pa.Array, target: pa.DataType) -> pa.Array:
    """Times without a zone are UTC; nanoseconds are cut, as BigQuery does."""
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("us"))
    if not pa.types.is_timestamp(array.type):
        raise ValueError(f"is {array.type}, not a time")
    if array.type.unit == "ns":
        array = pc.floor_temporal(array, unit="microsecond")
    micros = array.cast(pa.timestamp("us", tz=array.type.tz))
    return micros.cast(target) if micros.type.tz else pc.assume_timezone(micros, "UTC").cast(target)


def _plain(array: pa.Array, target: pa.DataType) -> pa.Array:
    return array.cast(target)


_CONVERTERS: Mapping[FieldType, Callable[[pa.Array, pa.DataType], pa.Array]] = {
    FieldType.TIMESTAMP: _moment,
}
