"""Arguments of expectations as values of a column's type.

Refuses a value that the column could never hold (``"abc"`` for INT64): such a comparison means nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import TypeAlias

from platform_assets.engine.schema.model import FieldType, Scalar

Value: TypeAlias = bool | int | float | Decimal | datetime | date | str

NUMBERS = frozenset({FieldType.INT64, FieldType.FLOAT64, FieldType.NUMERIC, FieldType.BIGNUMERIC})
TIMES = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP})
ORDERED = NUMBERS | TIMES | {FieldType.STRING, FieldType.TIME, FieldType.BYTES}
EQUATABLE = ORDERED | {FieldType.BOOL}
# Whole digits that the narrower warehouse (DECIMAL(38, 9) and DECIMAL(38, 18)) can still compare with.
_WHOLE_DIGITS = {FieldType.NUMERIC: 29, FieldType.BIGNUMERIC: 20}


def _number(value: Value) -> int | float | Decimal:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError("is not a number")
    return value


def _integer(value: Value) -> Scalar:
    number = _number(value)
    if isinstance(number, int):
        return number
    if not math.isfinite(number):
        raise ValueError("is not a finite number")
    return int(number) if number == int(number) else float(number)


def _decimal(digits: int) -> Callable[[Value], Scalar]:
    def read(value: Value) -> Scalar:
        try:
            number = Decimal(value) if isinstance(value, str) else Decimal(str(_number(value)))
        except InvalidOperation:
            raise ValueError("is not a decimal number") from None
        if not number.is_finite() or abs(number) >= Decimal(10) ** digits:
            raise ValueError(f"has more than {digits} digits before the point")
        return number

    return read


def _float(value: Value) -> Scalar:
    return float(_number(value))


def _text(value: Value) -> Scalar:
    if not isinstance(value, str):
        raise ValueError("is not text")
    return value


def _bool(value: Value) -> Scalar:
    if not isinstance(value, bool):
        raise ValueError("is not true or false")
    return value


def _date(value: Value) -> Scalar:
    if isinstance(value, datetime):
        if value.time() != datetime.min.time():
            raise ValueError("is a moment, not a day")
        return value.date()
    return value if isinstance(value, date) else date.fromisoformat(_as_text(value))


def _moment(value: Value) -> datetime:
    if isinstance(value, datetime):
        return value
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)
    return datetime.fromisoformat(_as_text(value))


def _as_text(value: Value) -> str:
    if not isinstance(value, str):
        raise ValueError("is not a date or time")
    return value


def _timestamp(value: Value) -> Scalar:
    moment = _moment(value)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


def _datetime(value: Value) -> Scalar:
    moment = _moment(value)
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_READERS: dict[FieldType, Callable[[Value], Scalar]] = {
    FieldType.STRING: _text,
    FieldType.INT64: _integer,
    FieldType.FLOAT64: _float,
    FieldType.NUMERIC: _decimal(_WHOLE_DIGITS[FieldType.NUMERIC]),
    FieldType.BIGNUMERIC: _decimal(_WHOLE_DIGITS[FieldType.BIGNUMERIC]),
    FieldType.BOOL: _bool,
    FieldType.DATE: _date,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.DATETIME: _datetime,
}


def coerce(value: Value, kind: FieldType) -> Scalar:
    """``value`` as a column of type ``kind`` would hold it. ValueError says what it is not."""
    reader = _READERS.get(kind)
    if reader is None:
        raise ValueError(f"cannot be compared with a {kind} column")
    try:
        return reader(value)
    except ValueError as error:
        raise ValueError(f"{value!r} {_plain(error)}; the column is {kind}") from None


def _plain(error: ValueError) -> str:
    text = str(error)
    return "is not an ISO date or time" if "isoformat" in text else text


def bound_type(value: Scalar, kind: FieldType) -> FieldType:
    """The parameter type of a coerced value: an INT64 column may meet a fraction."""
    return FieldType.FLOAT64 if kind is FieldType.INT64 and isinstance(value, float) else kind
