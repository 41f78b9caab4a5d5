"""What the inbox speaks of: stored messages, their batches, and what becomes of each message.

A batch is one immutable object of JSON lines in which each partition's messages stand together, so that a run reads
only its own bytes. Pure: values in, values and bytes out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeAlias
from urllib.parse import quote, unquote

import msgspec

from platform_assets.engine.errors import DataError


@dataclass(frozen=True)
class StoredMessage:
    """One message as it was received. ``id`` is the idempotency key of its effect; ``order`` sorts messages of one
    partition where the consumer needs an order. ``delivery`` tells a replayed dead letter from its first life.
    ``batch``: the stored batch it was read from; a message stays in the batch it first came with."""

    id: str
    body: bytes
    attributes: Mapping[str, str] = field(default_factory=dict)
    published_at: datetime | None = None
    ordering_key: str | None = None
    order: str = ""
    delivery: str = ""
    batch: str = field(default="", compare=False)

    @property
    def key(self) -> str:
        """What a partition remembers the message by."""
        return f"{self.id}~{self.delivery}" if self.delivery else self.id


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


@dataclass(frozen=True, order=True)
class Part:
    """One partition's share of a batch object: which batch, and where in it. Sorts as batches were received."""

    batch: str
    offset: int
    length: int
    count: int

    def __str__(self) -> str:
        return f"{self.batch}.{self.offset}.{self.length}.{self.count}"

    @classmethod
    def parse(cls, text: str) -> Part:
        """The inverse of ``str``. DataError where it is none."""
        batch, *numbers = text.split(".")
        try:
            offset, length, count = map(int, numbers)
        except ValueError:
            raise DataError(f"{text!r} names no part of a batch") from None
        return cls(batch, offset, length, count)


@dataclass(frozen=True)
class Batch:
    """``body`` is the object; ``parts`` says which bytes are which partition's."""

    id: str
    body: bytes
    parts: Mapping[str, Part]


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
    delivery: str = ""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def encode_batch(batch_id: str, routed: Iterable[Routed]) -> Batch:
    """Messages by partition, partitions by name, messages of a partition as received."""
    groups: dict[str, list[bytes]] = {}
    for item in routed:
        groups.setdefault(item.partition, []).append(_encode(item.message))
    body, parts = bytearray(), {}
    for partition in sorted(groups):
        part = b"".join(groups[partition])
        parts[partition] = Part(batch_id, len(body), len(part), len(groups[partition]))
        body += part
    return Batch(batch_id, bytes(body), parts)


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
        message.delivery,
    )
    return _encoder.encode(line) + b"\n"


def decode_part(data: bytes, where: str, batch: str = "") -> list[StoredMessage]:
    """The messages of one part. DataError names the object and line where the bytes are not what was written."""
    return [_decode(line, f"{where} line {n}", batch) for n, line in enumerate(data.splitlines(), 1)]


def _decode(line: bytes, where: str, batch: str = "") -> StoredMessage:
    try:
        found = _decoder.decode(line)
    except msgspec.MsgspecError as error:
        raise DataError(f"{where}: not a stored message: {error}") from None
    body = found.text.encode() if found.text is not None else base64.b64decode(found.base64 or "")
    return StoredMessage(
        found.id,
        body,
        found.attributes,
        found.published_at,
        found.ordering_key,
        found.order,
        found.delivery,
        batch,
    )


LONGEST_NAME = 200


def safe(name: str) -> str:
    """Any id or partition as one part of an object key. A long one keeps its beginning and gets a hash."""
    quoted = quote(name, safe="|@=+,: -_")
    if not quoted.strip("."):
        quoted = quoted.replace(".", "%2E") or "%"
    if len(quoted) <= LONGEST_NAME:
        return quoted
    return f"{quoted[:100]}~{hashlib.sha256(name.encode()).hexdigest()}"


def unsafe(part: str) -> str:
    """The inverse of ``safe`` for names that are not too long."""
    return "" if part == "%" else unquote(part)


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


@dataclass(frozen=True)
class Held:
    """Not tried, since an earlier message of its ordering key waits. No attempt counts."""


Outcome: TypeAlias = Done | Retry | Dead | Held


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
    """The first delivery of each, in consumer order: by ``order``, those of one order as received."""
    seen: dict[str, StoredMessage] = {}
    for message in messages:
        seen.setdefault(message.key, message)
    return sorted(seen.values(), key=lambda message: message.order)
