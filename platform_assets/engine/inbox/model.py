"""What the inbox speaks of: stored messages, their batches, and what becomes of each message.

A batch is one immutable object of JSON lines in which each partition's messages stand together, so that a run reads
only its own bytes. Pure: values in, values and bytes out.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import TypeAlias
from urllib.parse import quote, unquote

import msgspec

from platform_assets.engine.errors import DataError

# What there is one of per message is a msgspec struct: made several times as fast as a frozen dataclass, and nothing
# that the garbage collector has to walk through again and again.


class StoredMessage(msgspec.Struct, frozen=True, gc=False):
    """One message as it was received. ``id`` is the idempotency key of its effect; ``order`` sorts messages of one
    partition where the consumer needs an order. ``delivery`` tells a replayed dead letter from its first life.
    ``batch``: the stored batch it was read from; a message stays in the batch it first came with."""

    id: str
    body: bytes
    attributes: Mapping[str, str] = {}
    published_at: datetime | None = None
    ordering_key: str | None = None
    order: str = ""
    delivery: str = ""
    batch: str = ""

    @property
    def key(self) -> str:
        """What a partition remembers the message by."""
        return f"{self.id}~{self.delivery}" if self.delivery else self.id


class Routed(msgspec.Struct, frozen=True, gc=False):
    """A message that belongs to a partition (a Dagster partition key)."""

    partition: str
    message: StoredMessage


class Quarantined(msgspec.Struct, frozen=True, gc=False):
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


class _Line(msgspec.Struct, omit_defaults=True, gc=False):
    """One stored line. ``text`` where the body is UTF-8, so that people can read and grep it; else ``base64``."""

    id: str
    text: str | None = None
    base64: str | None = None
    attributes: dict[str, str] = {}
    published_at: datetime | None = None
    ordering_key: str | None = None
    order: str = ""
    delivery: str = ""


# So few at once that the lines' objects stay in the processor's cache.
_AT_ONCE, _BLOCK_BYTES = 250, 1 << 16
_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Line)


def encode_batch(batch_id: str, routed: Iterable[Routed]) -> Batch:
    """Messages by partition, partitions by name, messages of a partition as received."""
    groups: dict[str, list[StoredMessage]] = {}
    for item in routed:
        groups.setdefault(item.partition, []).append(item.message)
    blocks, parts, start = list[bytes](), dict[str, Part](), 0
    for partition in sorted(groups):
        own = list(_blocks(groups[partition]))
        parts[partition] = Part(batch_id, start, sum(map(len, own)), len(groups[partition]))
        blocks += own
        start += parts[partition].length
    return Batch(batch_id, b"".join(blocks), parts)


def _blocks(messages: Sequence[StoredMessage]) -> Iterator[bytes]:
    for start in range(0, len(messages), _AT_ONCE):
        yield _encoder.encode_lines([_line(message) for message in messages[start : start + _AT_ONCE]])


def _line(message: StoredMessage) -> _Line:
    try:
        text, encoded = message.body.decode(), None
    except UnicodeDecodeError:
        text, encoded = None, base64.b64encode(message.body).decode()
    return _Line(
        message.id,
        text,
        encoded,
        dict(message.attributes),
        message.published_at,
        message.ordering_key,
        message.order,
        message.delivery,
    )


def decode_part(data: bytes, where: str, batch: str = "") -> list[StoredMessage]:
    """The messages of one part. DataError names the object and line where the bytes are not what was written."""
    found: list[StoredMessage] = []
    start = 0
    try:
        while start < len(data):
            end = data.find(b"\n", start + _BLOCK_BYTES) + 1 or len(data)
            found += [_message(line, batch) for line in _decoder.decode_lines(data[start:end])]
            start = end
    except msgspec.MsgspecError:
        raise _damaged(data, where) from None
    return found


def _damaged(data: bytes, where: str) -> DataError:
    for number, line in enumerate(data.splitlines(), 1):
        try:
            _decoder.decode(line)
        except msgspec.MsgspecError as error:
            return DataError(f"{where} line {number}: not a stored message: {error}")
    return DataError(f"{where}: no lines of stored messages")


def _message(found: _Line, batch: str = "") -> StoredMessage:
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


@lru_cache(maxsize=1024)
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
    """Not tried, since an earlier message of its ordering key waits or too much failed. No attempt counts."""


DONE = Done()
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
    line = _line(letter.message)
    return _encoder.encode(
        _DeadLine(letter.source, letter.reason, letter.attempts, letter.at, line, letter.partition)
    )


def decode_dead_letter(data: bytes) -> DeadLetter:
    found = _dead_decoder.decode(data)
    message = _message(found.message)
    return DeadLetter(found.source, message, found.reason, found.attempts, found.at, found.partition)


# --- Order and duplicates --------------------------------------------------------------------------------------------


def distinct(messages: Sequence[StoredMessage]) -> list[StoredMessage]:
    """The first delivery of each, in consumer order: by ``order``, those of one order as received."""
    seen: dict[str, StoredMessage] = {}
    for message in messages:
        seen.setdefault(message.key, message)
    return sorted(seen.values(), key=lambda message: message.order)
