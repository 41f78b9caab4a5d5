"""Archived events: JSON lines under their type and the hour in which they happened.

An object holds the events that one inbox batch had of one type and hour, and is named after the batch and these
events. A message stays in the batch it first came with, so a run that was killed, or a replay, makes the same names
again: an object that exists is left alone. Lines keep the event as it was sent, and add what the table adds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode


class ArchivedEvent(msgspec.Struct, frozen=True, gc=False):
    """``hour``: in which it happened, in hours since 1970 (UTC); where that is not known, in which it was published."""

    batch: str
    message_id: str
    hour: int
    body: bytes


@dataclass(frozen=True)
class ArchiveObject:
    """``hour``: as of its events."""

    key: str
    body: bytes
    events: int
    hour: int


@dataclass
class ArchivedHour:
    """What the archive has of some messages for one hour, in ``folders``; ``bytes`` of ``objects``."""

    folders: set[str] = field(default_factory=set)
    events: int = 0
    objects: int = 0
    bytes: int = 0

    def add(self, found: ArchiveObject) -> None:
        self.folders.add(found.key.rpartition("/")[0])
        self.events += found.events
        self.objects += 1
        self.bytes += len(found.body)

    def __add__(self, other: ArchivedHour) -> ArchivedHour:
        return ArchivedHour(
            self.folders | other.folders,
            self.events + other.events,
            self.objects + other.objects,
            self.bytes + other.bytes,
        )


def archive_objects(
    prefix: str, event_type: str, events: Iterable[ArchivedEvent], now: datetime
) -> list[ArchiveObject]:
    """``<prefix>/<event_type>/YYYY/MM/DD/HH/<event_type>_<batch>_<digest>.jsonl``, by key."""
    groups: dict[tuple[int, str], list[ArchivedEvent]] = {}
    for event in events:
        groups.setdefault((event.hour, event.batch), []).append(event)
    made = [_object(f"{prefix}/{event_type}", hour, group, now) for (hour, _), group in groups.items()]
    return sorted(made, key=lambda found: found.key)


def hour_of(moment: datetime) -> int:
    """Hours since 1970, UTC."""
    return (moment.astimezone(UTC) - _EPOCH) // timedelta(hours=1)


def start_of(hour: int) -> datetime:
    """Of an hour since 1970; UTC."""
    return _EPOCH + timedelta(hours=hour)


def _object(folder: str, hours: int, events: Sequence[ArchivedEvent], now: datetime) -> ArchiveObject:
    event_type = folder.rpartition("/")[2]
    hour = start_of(hours).strftime("%Y/%m/%d/%H")
    ids = sorted(event.message_id for event in events)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    added: dict[str, Any] = {"event_date": hour[:10].replace("/", "-"), "processed_timestamp": _moment(now)}
    ending = b"," + _encode(added)[1:-1] + b',"message_id":'
    body = _lines(events, added, ending)
    key = f"{folder}/{hour}/{event_type}_{events[0].batch or 'single'}_{digest}.jsonl"
    return ArchiveObject(key, body, len(events), hours)


def _moment(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _lines(events: Sequence[ArchivedEvent], added: dict[str, Any], ending: bytes) -> bytes:
    """Appended as bytes, so that every digit stays as it was; where a sender has said these things himself, his
    values give way."""
    # One look at all of them is enough where nobody has.
    if _is_to_be_read(b" ".join([event.body for event in events])):
        return b"".join([_line(event, added, ending) for event in events])
    return b"".join([_appended(event, ending) for event in events])


def _line(event: ArchivedEvent, added: dict[str, Any], ending: bytes) -> bytes:
    if not _is_to_be_read(event.body):
        return _appended(event, ending)
    said: dict[str, Any] = _decode(event.body)
    return _encode(said | added | {"message_id": event.message_id}).replace(b"\n", b" ") + b"\n"


def _is_to_be_read(body: bytes) -> bool:
    return any(text in body for text in (b"event_date", b"processed_timestamp", b"message_id", b"\n"))


def _appended(event: ArchivedEvent, ending: bytes) -> bytes:
    return b"%b%b%b}\n" % (event.body.strip()[:-1], ending, _encode(event.message_id))
