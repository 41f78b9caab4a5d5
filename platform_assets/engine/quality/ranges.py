"""Ranges as arguments, and measured values against them.

Refuses a range without an end, with ends of the wrong type, or reversed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

from platform_assets.engine.quality.expectation import Complaint
from platform_assets.engine.quality.values import Value, coerce
from platform_assets.engine.schema.model import FieldType


def range_complaints(low: Value | None, high: Value | None, kind: FieldType | None) -> Iterator[Complaint]:
    """Complaints about ``min_value``/``max_value`` for a subject of type ``kind`` (``None``: any)."""
    if low is None and high is None:
        yield "min_value", "min_value and max_value cannot both be absent", None
    ends: list[Any] = []
    for name, value in (("min_value", low), ("max_value", high)):
        try:
            ends.append(value if value is None or kind is None else coerce(value, kind))
        except ValueError as error:
            yield name, str(error), None
            return
    yield from _reversed(*ends)


def _reversed(low: Any, high: Any) -> Iterator[Complaint]:
    try:
        wrong = low is not None and high is not None and low > high
    except TypeError:
        yield "max_value", f"{low!r} and {high!r} cannot be compared with each other", None
        return
    if wrong:
        yield "max_value", f"min_value {low} is greater than max_value {high}", None


def inside(value: Any, low: Any, high: Any, *, strict_min: bool = False, strict_max: bool = False) -> bool:
    """Is a measured value within the ends? Nothing measured (``None``, NaN) never is."""
    if is_missing(value):
        return False
    above = low is None or _compare(value, low, strict=strict_min, sign=1)
    return above and (high is None or _compare(value, high, strict=strict_max, sign=-1))


def is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float | Decimal) and math.isnan(value))


def _compare(value: Any, end: Any, *, strict: bool, sign: int) -> bool:
    left, right = _comparable(value), _comparable(end)
    if sign < 0:
        left, right = right, left
    return bool(left > right if strict else left >= right)


def _comparable(value: Any) -> Any:
    """Moments are compared in UTC, and a date is its midnight: warehouses differ in what they hand back."""
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day, tzinfo=UTC)
    return value
