"""JSON values as column values: what fits which column type, and which type a value asks for by itself.

Nothing is rounded and no text becomes a number, except that exact decimals may come as text. JSON numbers with a
fraction arrive as Decimal, so that NUMERIC columns keep every digit.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from platform_assets.engine.schema.model import FieldType

INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
_NUMERIC_SCALE, _BIGNUMERIC_SCALE, _DIGITS = 9, 18, 38  # as in engine.schema.arrow

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
decode = msgspec.json.Decoder(float_hook=Decimal).decode
_encode = msgspec.json.Encoder(decimal_format="number").encode


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _int(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not INT64_MIN <= value <= INT64_MAX:
        raise ValueError
    return value


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise ValueError
    found = float(value)
    if not math.isfinite(found):
        raise ValueError
    return found


def _decimal(scale: int) -> Callable[[Any], Decimal]:
    def read(value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, int | Decimal | str):
            raise ValueError
        try:
            found = Decimal(value)
        except InvalidOperation:
            raise ValueError from None
        if not found.is_finite() or not _keeps(found, scale):
            raise ValueError
        return found

    return read


def _keeps(value: Decimal, scale: int) -> bool:
    """Whether no digit is lost at ``scale`` digits after the point and 38 in all."""
    _, digits, exponent = value.normalize().as_tuple()
    assert isinstance(exponent, int), "finite numbers have an exponent"
    return -exponent <= scale and len(digits) + exponent <= _DIGITS - scale


def _timestamp(value: Any) -> datetime:
    found = datetime.fromisoformat(_string(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def _datetime(value: Any) -> datetime:
    found = datetime.fromisoformat(_string(value))
    if found.tzinfo is not None:
        raise ValueError
    return found


def _date(value: Any) -> date:
    return date.fromisoformat(_string(value))


def _time(value: Any) -> time:
    found = time.fromisoformat(_string(value))
    if found.tzinfo is not None:
        raise ValueError
    return found


def _bytes(value: Any) -> bytes:
    return base64.b64decode(_string(value), validate=True)


def _json(value: Any) -> str:
    return _encode(value).decode()


# Each raises ValueError (or OverflowError) where the JSON value is none of its type.
READERS: Mapping[FieldType, Callable[[Any], Any]] = {
    FieldType.STRING: _string,
    FieldType.BYTES: _bytes,
    FieldType.INT64: _int,
    FieldType.FLOAT64: _float,
    FieldType.NUMERIC: _decimal(_NUMERIC_SCALE),
    FieldType.BIGNUMERIC: _decimal(_BIGNUMERIC_SCALE),
    FieldType.BOOL: _bool,
    FieldType.DATE: _date,
    FieldType.DATETIME: _datetime,
    FieldType.TIME: _time,
    FieldType.TIMESTAMP: _timestamp,
    FieldType.JSON: _json,
}


def fits(value: Any, kind: FieldType) -> bool:
    """Whether a JSON value (no object, no array, no null) is a value of a column type."""
    try:
        READERS[kind](value)
    except (ValueError, OverflowError):
        return False
    return True


def natural_type(value: Any) -> FieldType | None:
    """The column type that a scalar asks for by itself; None where there is none (a number beyond all of them).

    Text is a TIMESTAMP or DATE only in full ISO form. A number with a fraction is FLOAT64, as JSON means it: money
    is to be declared NUMERIC.
    """
    if isinstance(value, bool):
        return FieldType.BOOL
    if isinstance(value, str):
        return _natural_text(value)
    numbers = (FieldType.INT64, FieldType.NUMERIC) if isinstance(value, int) else ()
    return next((kind for kind in (*numbers, FieldType.FLOAT64) if fits(value, kind)), None)


def _natural_text(text: str) -> FieldType:
    if len(text) == 10 and text[4:5] == "-" == text[7:8] and fits(text, FieldType.DATE):
        return FieldType.DATE
    if len(text) >= 19 and text[10:11] == "T" and text[4:5] == "-" and fits(text, FieldType.TIMESTAMP):
        return FieldType.TIMESTAMP
    return FieldType.STRING
