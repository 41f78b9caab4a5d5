"""What a message says before anybody looks at its fields: which event type, whose, and the day it came.

The partition is the UTC day on which the message was published, not the event's own date: there is always such a
day, so an event that is years late, or ahead of our clock, is taken like any other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import lru_cache
from typing import Any

import msgspec

from platform_assets.engine.errors import DataError
from platform_assets.engine.events.spec import EVENT_TYPE_PATTERN
from platform_assets.engine.events.values import UNREADABLE


class Envelope(msgspec.Struct, gc=False):
    """``tenant``: None where the event names none."""

    event_type: str
    tenant: Any = None


_decode = msgspec.json.Decoder(Envelope).decode


def read_envelope(body: bytes, attributes: Mapping[str, str]) -> Envelope:
    """The attribute ``tenant`` comes before the field ``tenant``. DataError says why a body is no event."""
    try:
        found = _decode(body)
    except UNREADABLE as error:
        raise DataError(f"not a JSON object with an event_type: {error}") from None
    if not _is_name(found.event_type):
        raise DataError(f"event_type {found.event_type[:100]!r} is not a name in a-z 0-9 _")
    if said := attributes.get("tenant"):
        found.tenant = said
    elif not isinstance(found.tenant, str):
        found.tenant = None
    return found


@lru_cache(maxsize=1024)
def _is_name(event_type: str) -> bool:
    return EVENT_TYPE_PATTERN.fullmatch(event_type) is not None


def event_type_of(body: bytes) -> str:
    """The event type of what was routed as an event before. DataError where it is none."""
    try:
        return _decode(body).event_type
    except UNREADABLE as error:
        raise DataError(f"not a JSON object with an event_type: {error}") from None


def arrival_days(now: Callable[[], datetime], first: date) -> Callable[[datetime | None], date]:
    """A function for the UTC day of publication, within the days that have a partition: ``first`` to today. The clock
    is looked at only where a day has not begun as far as is known."""
    begun = first

    def arrival_day(published_at: datetime | None) -> date:
        nonlocal begun
        if published_at is None:
            return max(first, now().astimezone(UTC).date())
        day = published_at.astimezone(UTC).date()
        if day > begun:
            begun = max(first, now().astimezone(UTC).date())
        return first if day < first else begun if day > begun else day

    return arrival_day
