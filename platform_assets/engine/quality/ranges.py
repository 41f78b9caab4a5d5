"""Ranges as arguments: at least one end, both of the column's type, and not reversed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from platform_assets.engine.quality.expectation import Complaint
from platform_assets.engine.quality.values import Value, coerce
from platform_assets.engine.schema.model import FieldType


def range_complaints(low: Value | None, high: Value | None, kind: FieldType | None) -> Iterator[Complaint]:
    """Complaints about ``min_value``/``max_value`` for a subject of type ``kind`` (``None``: not known)."""
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
