"""One condition on one value. What is not there never holds, whichever way it is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from platform_assets.engine.notifications.alerts.spec import Condition
from platform_assets.engine.schema.model import FieldType

_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda actual, wanted: actual > wanted,
    "lt": lambda actual, wanted: actual < wanted,
    "eq": lambda actual, wanted: actual == wanted,
    "gte": lambda actual, wanted: actual >= wanted,
    "lte": lambda actual, wanted: actual <= wanted,
    "ne": lambda actual, wanted: actual != wanted,
    "between": lambda actual, wanted: wanted[0] <= actual <= wanted[1],
    "not_between": lambda actual, wanted: not wanted[0] <= actual <= wanted[1],
    "contains": lambda actual, wanted: wanted in actual,
    "in": lambda actual, wanted: actual in wanted,
}
_NUMBERS = (FieldType.INT64, FieldType.FLOAT64, FieldType.NUMERIC, FieldType.BIGNUMERIC)
_ORDERED = ("gt", "lt", "gte", "lte", "between", "not_between")


def holds(operator: str, actual: Any, wanted: Any) -> bool:
    """False for null and NaN, also of ``ne`` and ``not_between``."""
    if actual is None or (isinstance(actual, float | Decimal) and math.isnan(actual)):
        return False
    return _OPERATORS[operator](_comparable(actual), wanted)


def typed(condition: Condition, kind: FieldType, repeated: bool) -> Any:
    """The condition's value as the column's type has it. ValueError says why it cannot be compared."""
    if condition.operator == "contains" and not repeated and kind is not FieldType.STRING:
        raise ValueError(f"contains is for text and lists, not for {kind}")
    if repeated and condition.operator != "contains":
        raise ValueError(f"{condition.operator} is not for lists; use contains")
    if condition.operator in _ORDERED and kind in (FieldType.BOOL, FieldType.JSON, FieldType.BYTES):
        raise ValueError(f"{condition.operator} is not for {kind}")
    if isinstance(condition.value, list):
        return [_as(kind, item) for item in condition.value]
    return _as(kind, condition.value)


def _as(kind: FieldType, value: Any) -> Any:
    if kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"{value!r} is not a number")
        return Decimal(value)
    if kind is FieldType.BOOL and not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    if kind is FieldType.DATE:
        return date.fromisoformat(str(value))
    if kind is FieldType.TIMESTAMP:
        return datetime.fromisoformat(str(value))
    if kind is FieldType.STRING and not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _comparable(actual: Any) -> Any:
    """Numbers as decimals: 0.1 of a float column is what it prints as."""
    if isinstance(actual, float):
        try:
            return Decimal(repr(actual))
        except InvalidOperation:
            return actual
    return actual
