"""JSON values of one column to an Arrow array of its declared type.

Owns what each type accepts. Whole columns go to Arrow at once when their Python types are right; only a column with
something unusual in it is looked at cell by cell, to convert it exactly or to name the cell.
Refuses what would change a value: overflow, a fraction for INT64, NaN, text that is not a number. Only money may be
rounded, and that is told (``rounding``).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from typing import Any, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion.rounding import SCALES, Roundings
from platform_assets.engine.schema.arrow import arrow_type
from platform_assets.engine.schema.model import Field, FieldType, Mode

Locate = Callable[[int], str]
T = TypeVar("T")

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z; anything larger was sent in milliseconds
_MICROS = 1_000_000
_NONE = type(None)
_MAX_EXPONENT = 400  # a number like 1e999999999 must not become a gigabyte of digits

json_text = msgspec.json.Encoder(decimal_format="number", order="deterministic").encode


def to_arrow(field: Field, values: Sequence[Any], locate: Locate, roundings: Roundings) -> pa.Array:
    """One column. ``locate(i)`` says in words where value ``i`` stands. Money with too many digits after the point is
    rounded into ``roundings``.

    DataError: another value that the type cannot hold exactly, or null where the field is REQUIRED.
    """
    if field.mode is Mode.REPEATED:
        return _repeated(field, values, locate, roundings)
    convert = _struct if field.type is FieldType.STRUCT else _leaf
    array = convert(field, values, locate, roundings)
    if field.mode is Mode.REQUIRED and array.null_count:
        raise DataError(f"{locate(array.is_null().index(True).as_py())}: missing or null, but REQUIRED")
    return array


def _leaf(field: Field, values: Sequence[Any], locate: Locate, roundings: Roundings) -> pa.Array:
    kind, target = _KINDS[field.type], arrow_type(field)
    types = set(map(type, values))
    types.discard(_NONE)
    if not types:
        return pa.nulls(len(values), target)
    if types <= kind.plain:
        try:
            return kind.whole(values, target)
        except (pa.ArrowException, OverflowError, ValueError):
            pass  # the cells say which one it is
    scale = SCALES.get(field.type)
    cell = kind.cell if scale is None else _money(field.name, scale, roundings)
    return pa.array(_cells(field, cell, values, locate), target)


def _cells(field: Field, cell: Callable[[Any], Any], values: Sequence[Any], locate: Locate) -> list[Any]:
    cells = []
    for i, value in enumerate(values):
        try:
            cells.append(None if value is None else cell(value))
        except (ValueError, ArithmeticError, OverflowError) as error:
            reason = str(error) if type(error) is ValueError else f"not a {field.type}"
            raise DataError(f"{locate(i)}: {_show(field, value)} {reason}") from None
    return cells


def _show(field: Field, value: Any) -> str:
    if field.pii:
        return f"a {type(value).__name__}"
    text = json_text(value).decode()
    return text if len(text) <= 60 else f"{text[:60]}…"


# --- Nested -------------------------------------------------------------------------------------------


def _struct(field: Field, values: Sequence[Any], locate: Locate, roundings: Roundings) -> pa.Array:
    _demand(dict, "an object", field, values, locate)
    children = [
        to_arrow(f, [v.get(f.name) if v else None for v in values], _below(locate, f.name), roundings)
        if f.mode is not Mode.REQUIRED
        else _required_child(f, values, locate, roundings)
        for f in field.fields
    ]
    mask = pa.array([v is None for v in values], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(arrow_type(field)), mask=mask)


def _required_child(field: Field, values: Sequence[Any], locate: Locate, roundings: Roundings) -> pa.Array:
    """REQUIRED inside a struct binds only where the struct itself is there."""
    present = [i for i, v in enumerate(values) if v is not None]
    there = [values[i].get(field.name) for i in present]
    child = to_arrow(field, there, lambda i: f"{locate(present[i])}.{field.name}", roundings)
    places = {i: n for n, i in enumerate(present)}
    return child.take(pa.array([places.get(i) for i in range(len(values))], pa.int64()))


def _repeated(field: Field, values: Sequence[Any], locate: Locate, roundings: Roundings) -> pa.Array:
    _demand(list, "a list", field, values, locate)
    flat = [item for value in values if value for item in value]
    owners = [(i, k) for i, value in enumerate(values) if value for k in range(len(value))]
    one = Field(field.name, field.type, Mode.REQUIRED, field.description, field.fields, field.pii)
    items = to_arrow(one, flat, lambda n: f"{locate(owners[n][0])}[{owners[n][1]}]", roundings)
    offsets = [0]
    for value in values:
        offsets.append(offsets[-1] + len(value or ()))
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), items, type=arrow_type(field))


def _demand(kind: type, name: str, field: Field, values: Sequence[Any], locate: Locate) -> None:
    bad = next((i for i, v in enumerate(values) if v is not None and type(v) is not kind), None)
    if bad is not None:
        raise DataError(f"{locate(bad)}: {_show(field, values[bad])} is not {name}")


def _below(locate: Locate, name: str) -> Locate:
    return lambda i: f"{locate(i)}.{name}"


# --- Whole columns ------------------------------------------------------------------------------------


def _direct(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    return pa.array(values, target)


def _decimals(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """As ``_direct``; what Arrow made zero must have been zero: it silently drops numbers below its own scales."""
    made = pa.array(values, target)
    zeros = pc.indices_nonzero(pc.fill_null(pc.equal(made, pa.scalar(Decimal(0), target)), False)).to_pylist()
    if any(values[i] for i in zeros):
        raise ValueError("a number is too small for its scale")
    return made


def _via_text(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    return pa.array(values, pa.string()).cast(target)


def _moments(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    """All unix seconds, or all text with a zone; a mixture is left to the cells."""
    seconds = pa.array(values, pa.int64()) if type(_first(values)) is int else None
    if seconds is None:
        return _via_text(values, target)
    if pc.max(pc.abs_checked(seconds)).as_py() > _LAST_SECOND:
        raise ValueError("not in seconds")
    return pc.multiply_checked(seconds, _MICROS).cast(target)


def _first(values: Sequence[Any]) -> Any:
    return next(v for v in values if v is not None)


def _texts(values: Sequence[Any], target: pa.DataType) -> pa.Array:
    return pa.array([None if v is None else json_text(v).decode() for v in values], target)


# --- Single cells -------------------------------------------------------------------------------------


def _string(value: Any) -> str:
    if isinstance(value, dict | list):
        raise ValueError("is not a text")
    return value if isinstance(value, str) else json_text(value).decode()


def _integer(value: Any) -> int:
    number = _number(value)
    if abs(number.adjusted()) > _MAX_EXPONENT or number != number.to_integral_value():
        raise ValueError("is not a whole number")
    if not -(2**63) <= number < 2**63:
        raise ValueError("does not fit INT64")
    return int(number)


def _number(value: Any) -> Decimal:
    if isinstance(value, bool) or not isinstance(value, str | int | Decimal):
        raise ValueError("is not a number")
    try:
        number = Decimal(value)
    except InvalidOperation:
        raise ValueError("is not a number") from None
    if not number.is_finite() or (isinstance(value, str) and ("_" in value or value != value.strip())):
        raise ValueError("is not a number")
    return number


def _money(column: str, scale: int, roundings: Roundings) -> Callable[[Any], Decimal]:
    def cell(value: Any) -> Decimal:
        number = _number(value)
        # Looked at first: 1E+999999999 must not become a gigabyte of digits.
        kept = number if number.adjusted() >= 38 - scale else roundings.decimal(column, number, scale)
        if kept and kept.adjusted() >= 38 - scale:
            raise ValueError(f"has more than {38 - scale} digits before the point")
        return kept or Decimal(0)

    return cell


def _float(value: Any) -> float:
    number = float(_number(value))
    if number in {float("inf"), float("-inf")}:
        raise ValueError("does not fit FLOAT64")
    return number


def _bool(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    raise ValueError("is not true or false")


def _timestamp(value: Any) -> int:
    """Microseconds since 1970. Digits beyond microseconds are cut; a time without zone is UTC."""
    if isinstance(value, str):
        moment = _parsed(datetime.fromisoformat, value, "is not a date or an RFC 3339 time")
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return (moment - _EPOCH) // timedelta(microseconds=1)
    seconds = _number(value)
    if abs(seconds) > _LAST_SECOND:
        raise ValueError("is not a time in unix seconds (milliseconds?)")
    return int(seconds * _MICROS)


def _date(value: Any) -> date:
    """The UTC day of a date text, RFC 3339 text or unix seconds."""
    if isinstance(value, str) and len(value) == 10:
        return _parsed(date.fromisoformat, value, "is not a date")
    return (_EPOCH + timedelta(microseconds=_timestamp(value))).date()


def _datetime(value: Any) -> datetime:
    moment = _parsed(datetime.fromisoformat, value, "is not a date and time")
    if moment.tzinfo:
        raise ValueError("has a zone; DATETIME has none")
    return moment


def _time(value: Any) -> time:
    moment = _parsed(time.fromisoformat, value, "is not a time of day")
    if moment.tzinfo:
        raise ValueError("has a zone; TIME has none")
    return moment


def _bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_plain(value), validate=True)
    except binascii.Error:
        raise ValueError("is not base64") from None


def _parsed(parse: Callable[[str], T], value: Any, otherwise: str) -> T:
    """``parse`` with words of our own: the library's would repeat the value, which may be personal."""
    try:
        return parse(_plain(value))
    except ValueError:
        raise ValueError(otherwise) from None


def _plain(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a text")
    return value


# --- The table ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Kind:
    """``plain``: Python types that ``whole`` takes for granted; anything else goes through ``cell``."""

    plain: frozenset[type]
    whole: Callable[[Sequence[Any], pa.DataType], pa.Array]
    cell: Callable[[Any], Any]


_ANY_JSON = frozenset({str, int, bool, Decimal, dict, list})

_KINDS: dict[FieldType, _Kind] = {
    FieldType.STRING: _Kind(frozenset({str}), _direct, _string),
    FieldType.INT64: _Kind(frozenset({int}), _direct, _integer),
    FieldType.FLOAT64: _Kind(frozenset(), _direct, _float),
    FieldType.NUMERIC: _Kind(frozenset({Decimal, int}), _decimals, _number),
    FieldType.BIGNUMERIC: _Kind(frozenset({Decimal, int}), _decimals, _number),
    FieldType.BOOL: _Kind(frozenset({bool}), _direct, _bool),
    FieldType.TIMESTAMP: _Kind(frozenset({int, str}), _moments, _timestamp),
    FieldType.DATE: _Kind(frozenset({str}), _via_text, _date),
    FieldType.DATETIME: _Kind(frozenset(), _direct, _datetime),
    FieldType.TIME: _Kind(frozenset(), _direct, _time),
    FieldType.BYTES: _Kind(frozenset(), _direct, _bytes),
    FieldType.JSON: _Kind(_ANY_JSON, _texts, _string),
}
