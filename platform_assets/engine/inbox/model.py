"""What the inbox speaks of: stored messages, their batches, and what becomes of each message.

A batch is one immutable object of JSON lines in which each partition's messages stand together, so that a run reads
only its own bytes. Pure: values in, values and bytes out.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote, unquote

import msgspec

from platform_assets.engine.errors import DataError


@dataclass(frozen=True)
class StoredMessage:
    """One message as it was received. ``id`` is the idempotency key; ``order`` sorts messages of one partition
    (and of one ``ordering_key``) where the consumer needs an order."""

    id: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    published_at: datetime | None = None
    ordering_key: str | None = None
    order: str = ""


@dataclass(frozen=True)
class Routed:
    """A message that belongs to a partition (a Dagster partition key)."""

    partition: str
    message: StoredMessage


@dataclass(frozen=True)
class Quarantined:
    """A message that no run can take: undecodable, unknown tenant, a day without partition."""

    message: StoredMessage
    reason: str


Route: TypeAlias = Routed | Quarantined


@dataclass(frozen=True)
class Part:
    """One partition's share of a batch object: where it stands and how many messages it has."""

    offset: int
    length: int
    count: int


@dataclass(frozen=True)
class Batch:
    """``body`` is the object; ``index`` says which bytes are whose."""

    id: str
    body: bytes
    index: Mapping[str, Part]


# --- Batches as bytes ---------------------------------------------------------------------------------------------


class _Line(msgspec.Struct, omit_defaults=True):
    """One stored line. ``text`` where the body is UTF-8, so that people can read and grep it; else ``base64``."""

    id: str
    text: str | None = None
    base64: str | None = None
    attributes: dict[str, str] = {}
    published_at: datetime | None = None
    ordering_key: str | None = None
    order: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def encode_batch(batch_id: str, routed: Iterable[Routed]) -> Batch:
    """Messages by partition, partitions by name, messages of a partition as received."""
    groups: dict[str, list[bytes]] = {}
    for item in routed:
        groups.setdefault(item.partition, []).append(_encode(item.message))
    body, index = bytearray(), {}
    for partition in sorted(groups):
        part = b"".join(groups[partition])
        index[partition] = Part(len(body), len(part), len(groups[partition]))
        body += part
    return Batch(batch_id, bytes(body), index)


def _encode(message: StoredMessage) -> bytes:
    try:
        text, encoded = message.body.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(message.body).decode()
    line = _Line(
        message.id,
        text,
        encoded,
        dict(message.attributes),
        message.published_at,
        message.ordering_key,
        message.order,
    )
    return _encoder.encode(line) + b"\n"


def decode_part(data: bytes, where: str) -> list[StoredMessage]:
    """The messages of one part. DataError names the object and line where the bytes are not what was written."""
    return [_decode(line, f"{where} line {number}") for number, line in enumerate(data.splitlines(), 1)]


def _decode(line: bytes, where: str) -> StoredMessage:
    try:
        found = _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a stored message: {error}") from None
    body = found.text.encode() if found.text is not None else base64.b64decode(found.base64 or "")
    return StoredMessage(
        found.id, body, found.attributes, found.published_at, found.ordering_key, found.order
    )


def encode_index(batch: Batch, object_key: str) -> bytes:
    """The pending index: which partitions of the batch wait, and where their bytes are."""
    parts = {name: [part.offset, part.length, part.count] for name, part in batch.index.items()}
    return _encoder.encode({"object": object_key, "parts": parts})


def decode_index(data: bytes) -> tuple[str, dict[str, Part]]:
    """(batch object's key, partition → part)."""
    found = msgspec.json.decode(data)
    return found["object"], {name: Part(*numbers) for name, numbers in found["parts"].items()}


def safe(name: str) -> str:
    """Any id or partition as one part of an object key; ``unsafe`` is its inverse. Long ones stay within limits."""
    return quote(name, safe="|@=+,: -_")[:200] or "%"


def unsafe(part: str) -> str:
    return unquote(part)


# --- What becomes of a message --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Done:
    """Its effect is there (again or for the first time)."""


@dataclass(frozen=True)
class Retry:
    """It may succeed later; the attempt counts."""

    reason: str


@dataclass(frozen=True)
class Dead:
    """It will never succeed."""

    reason: str


Outcome: TypeAlias = Done | Retry | Dead


@dataclass(frozen=True)
class DeadLetter:
    """A message given up, with everything that is needed to understand and to replay it."""

    source: str
    message: StoredMessage
    reason: str
    attempts: int
    at: datetime
    partition: str | None = None


class _DeadLine(msgspec.Struct, omit_defaults=True):
    source: str
    reason: str
    attempts: int
    at: datetime
    message: _Line
    partition: str | None = None


_dead_decoder = msgspec.json.Decoder(_DeadLine)


def encode_dead_letter(letter: DeadLetter) -> bytes:
    line = _decoder.decode(_encode(letter.message))
    return _encoder.encode(
        _DeadLine(letter.source, letter.reason, letter.attempts, letter.at, line, letter.partition)
    )


def decode_dead_letter(data: bytes) -> DeadLetter:
    found = _dead_decoder.decode(data)
    message = _decode(_encoder.encode(found.message), "dead letter")
    return DeadLetter(found.source, message, found.reason, found.attempts, found.at, found.partition)


# --- Order and duplicates --------------------------------------------------------------------------------------------


def distinct(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The first delivery of each id, in consumer order: by ``order`` within an ordering key, else as received."""
    seen: dict[str, StoredMessage] = {}
    for message in messages:
        seen.setdefault(message.id, message)
    return sorted(seen.values(), key=lambda message: message.order)
