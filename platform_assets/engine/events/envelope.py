"""What a message says before anybody looks at its fields: which event type, whose, and the day it came.

The partition is the UTC day on which the message was published, not the event's own date: there is always such a
day, so an event that is years late, or ahead of our clock, is taken like any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from platform_assets.engine.errors import DataError
from platform_assets.engine.events.spec import EVENT_TYPE_PATTERN
from platform_assets.engine.events.values import UNREADABLE


class _Head(msgspec.Struct):
    event_type: str
    tenant: Any = None


_decoder = msgspec.json.Decoder(_Head)


@dataclass(frozen=True)
class Envelope:
    event_type: str
    tenant: str | None


def read_envelope(body: bytes, attributes: Mapping[str, str]) -> Envelope:
    """The attribute ``tenant`` comes before the field ``tenant``. DataError says why a body is no event."""
    try:
        head = _decoder.decode(body)
    except UNREADABLE as error:
        raise DataError(f"not a JSON object with an event_type: {error}") from None
    if not _is_name(head.event_type):
        raise DataError(f"event_type {head.event_type[:100]!r} is not a name in a-z 0-9 _")
    said = attributes.get("tenant") or (head.tenant if isinstance(head.tenant, str) else None)
    return Envelope(head.event_type, said)


@lru_cache(maxsize=1024)
def _is_name(event_type: str) -> bool:
    return EVENT_TYPE_PATTERN.fullmatch(event_type) is not None


def arrival_day(published_at: datetime | None, now: datetime, first: date) -> date:
    """The UTC day of publication, within the days that have a partition: ``first`` to today."""
    published = (published_at or now).astimezone(UTC).date()
    return max(first, min(published, now.astimezone(UTC).date()))
