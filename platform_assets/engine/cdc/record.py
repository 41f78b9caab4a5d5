"""A change of one row as Datastream tells it: what was changed, when, and the row itself.

Takes every wrapping that ``engine.messages`` knows. Refuses (``DataError``, without quoting what was sent, since rows
hold people's data) what is no JSON object, has no usable ``source_timestamp``, or a payload that is no object.
Source: Datastream, "Events and streams: event-specific metadata".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

import msgspec

from platform_assets.engine.errors import DataError
from platform_assets.engine.messages import unwrap

_NOTHING: Mapping[str, Any] = MappingProxyType({})
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class ChangeType(StrEnum):
    INSERT = "INSERT"
    UPDATE = "UPDATE"
    DELETE = "DELETE"


# Some databases tell an update as two records: the row before is gone, the row after is what counts.
_CHANGE_TYPES = {"UPDATE-INSERT": ChangeType.UPDATE, "UPDATE-DELETE": ChangeType.DELETE}


@dataclass(frozen=True)
class ChangeRecord:
    """One change. ``id`` is Datastream's ``uuid``, else the message's own id; ``object`` is ``schema_table``, ``""``
    where the record does not say. ``variables`` is empty where the row has none. ``fields`` is the whole record."""

    id: str
    at: datetime
    object: str
    change: ChangeType
    order: str
    fields: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    payload: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)
    variables: Mapping[str, Any] = field(default_factory=lambda: _NOTHING)

    @property
    def partner(self) -> str:
        """The partner the row is about, as text; ``""`` where it names none."""
        return text_of(self.variables.get("partner"))


def read_record(
    body: bytes,
    attributes: Mapping[str, str] = _NOTHING,
    *,
    id: str = "",
    published_at: datetime | None = None,
) -> ChangeRecord:
    """The record inside a delivery, whatever wraps it; the keyword arguments are what its queue says."""
    envelope = unwrap(body, attributes, id=id, published_at=published_at)
    fields = _object(envelope.body)
    payload = fields.get("payload")
    if payload is not None and not isinstance(payload, dict):
        raise DataError(f"a change record's payload is {_kind(payload)}, not an object")
    at = _time(fields.get("source_timestamp"))
    payload = payload or {}
    variables = _variables(payload.get("variables"))
    if isinstance(payload.get("variables"), str):
        payload = {**payload, "variables": variables}
        fields = {**fields, "payload": payload}
    uuid = fields.get("uuid")
    return ChangeRecord(
        id=uuid if isinstance(uuid, str) and uuid else envelope.id,
        at=at,
        object=_object_name(fields),
        change=_change(fields),
        order=_order(fields.get("sort_keys"), at),
        fields=fields,
        payload=payload,
        variables=variables,
    )


def look_up(fields: Mapping[str, Any], path: str) -> Any:
    """The value at ``a.b.c``; None where the way ends before."""
    found: Any = fields
    for part in path.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def text_of(value: Any) -> str:
    """A scalar as a label or name: numbers as written, truth values as JSON has them, anything else ``""``."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) else ""


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = msgspec.json.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise DataError("a change record is not JSON") from None
    if not isinstance(found, dict):
        raise DataError(f"a change record is {_kind(found)}, not an object")
    return found


def _time(value: Any) -> datetime:
    """ISO 8601; without a zone it is UTC."""
    if not isinstance(value, str) or not value:
        raise DataError(f"a change record's source_timestamp is {_kind(value)}, not a time")
    try:
        time = datetime.fromisoformat(value)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise DataError("a change record's source_timestamp is text that is no time") from None


def _object_name(fields: Mapping[str, Any]) -> str:
    if name := text_of(fields.get("object")):
        return name
    schema, table = (text_of(look_up(fields, f"source_metadata.{part}")) for part in ("schema", "table"))
    return f"{schema}_{table}" if schema and table else table


def _change(fields: Mapping[str, Any]) -> ChangeType:
    if look_up(fields, "source_metadata.is_deleted") is True:
        return ChangeType.DELETE
    said = text_of(look_up(fields, "source_metadata.change_type")).upper()
    if said in _CHANGE_TYPES:
        return _CHANGE_TYPES[said]
    return ChangeType.__members__.get(said, ChangeType.UPDATE)


def _order(sort_keys: Any, at: datetime) -> str:
    """Sorts as ``sort_keys`` [milliseconds, log position] do; position ``BD/A0007310`` is two hexadecimal numbers."""
    keys = sort_keys if isinstance(sort_keys, list) else []
    millis = next((k for k in keys if isinstance(k, int) and not isinstance(k, bool)), None)
    if millis is None or millis < 0:
        millis = (at - _EARLIEST) // _EARLIEST.resolution // 1000
    position = "/".join(part.rjust(8, "0") for k in keys if isinstance(k, str) for part in k.split("/"))
    return f"{millis:020d} {position}"


def _variables(value: Any) -> Mapping[str, Any]:
    """Null and text that is no JSON object are no variables: what needs one says so by its name."""
    if isinstance(value, str):
        try:
            value = msgspec.json.decode(value)
        except (msgspec.MsgspecError, RecursionError):
            return _NOTHING
    return value if isinstance(value, dict) else _NOTHING


def _kind(value: Any) -> str:
    """What a value is, in words, never the value."""
    kinds = {type(None): "missing", str: "text", dict: "an object", list: "a list", bool: "a truth value"}
    return kinds.get(type(value), "a number")
