"""A queue as a folder: durable, with leases, redelivery, attempt counts and dead letters.

One file per message whose content never changes; its state is its name, so each step is one atomic rename::

    ready/<order>.<group>.<attempts>.json                      may be delivered
    leased/<order>.<group>.<attempts>.<until_ns>.<token>.json  delivered, not yet acked
    dead/<order>.<group>.<attempts>.json                       delivered ``max_attempts`` times without an ack

Several processes may pull at once. Messages with one ordering key come in order: while one is leased, later ones
of its key wait, as in an SQS FIFO queue. De-duplication ids are not kept: consumers are idempotent anyhow.
"""

from __future__ import annotations

import hashlib
import heapq
import os
import re
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
from pydantic import Field

from platform_assets.engine.spec import Spec
from platform_assets.ports import Message, OutboundMessage
from platform_assets.resources.local_files import (
    locked,
    make_folder,
    sync_folder,
    translated,
    write_temporary,
)

_POLL_SECONDS = 0.05
_NO_GROUP = "0"
_NAME = re.compile(r"(\d{20}-[0-9a-f]{8})\.([0-9a-f]+)\.(\d+)(?:\.(\d+)\.([0-9a-f]+))?\.json")


class LocalQueueSettings(Spec):
    """``root``: the queue's folder. After ``max_attempts`` deliveries without an ack a message is dead."""

    root: str
    visibility_seconds: Annotated[float, Field(gt=0, le=43_200)] = 300.0
    max_attempts: Annotated[int, Field(ge=1, le=1000)] = 5


@dataclass(frozen=True)
class _Name:
    """A message file's name, parsed. ``until_ns`` and ``token`` belong to leases."""

    order: str
    group: str
    attempts: int
    until_ns: int = 0
    token: str = ""

    @classmethod
    def parse(cls, text: str) -> _Name | None:
        match = _NAME.fullmatch(text)
        if match is None:
            return None
        order, group, attempts, until, token = match.groups()
        return cls(order, group, int(attempts), int(until or 0), token or "")

    def __str__(self) -> str:
        lease = f".{self.until_ns}.{self.token}" if self.token else ""
        return f"{self.order}.{self.group}.{self.attempts}{lease}.json"

    @property
    def receipt(self) -> str:
        return f"{self.order}.{self.token}"

    def released(self) -> _Name:
        return replace(self, until_ns=0, token="")


class LocalQueue:
    """See ``ports.MessageQueue``. ``send`` is what the local topic and tests use."""

    def __init__(self, settings: LocalQueueSettings) -> None:
        self.settings = settings
        self.root = Path(settings.root).absolute()
        self._ready, self._leased, self._dead = (self.root / name for name in ("ready", "leased", "dead"))

    def send(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        """Add messages in order; returns their ids. They are on disk when it returns."""
        ids = [uuid.uuid4().hex for _ in messages]
        with self._locked() as lock:
            first = _take_numbers(lock, len(messages))
            for number, message, id_ in zip(range(first, first + len(ids)), messages, ids, strict=True):
                name = _Name(f"{number:020d}-{id_[:8]}", _group(message.group), 0)
                write_temporary(self.root / "tmp", [encode(message, id_)]).replace(self._ready / str(name))
            sync_folder(self._ready)
        return ids

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Message]:
        deadline = time.monotonic() + wait_seconds
        while True:
            messages = self._lease(max_messages)
            left = deadline - time.monotonic()
            if messages or left <= 0:
                return messages
            time.sleep(min(_POLL_SECONDS, left))

    def extend(self, messages: Sequence[Message], seconds: int) -> None:
        """Ended leases are left alone: ``ack`` reports them."""
        with self._locked():
            until = time.time_ns() + seconds * 1_000_000_000
            for name in self._held(messages):
                (self._leased / str(name)).replace(self._leased / str(replace(name, until_ns=until)))

    def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        with self._locked():
            held = self._held(messages)
            for name in held:
                (self._leased / str(name)).unlink()
            sync_folder(self._leased)
        acked = {name.receipt for name in held}
        return [message for message in messages if message.receipt not in acked]

    def nack(self, messages: Sequence[Message]) -> None:
        with self._locked():
            for name in self._held(messages):
                self._release(name)

    def dead_letters(self) -> Sequence[Message]:
        """What was given up, oldest first. Moving a file from ``dead/`` to ``ready/`` delivers it again."""
        with self._locked():
            names = sorted(_names(self._dead), key=lambda name: name.order)
            return [message for name in names if (message := _read(self._dead / str(name), name))]

    @contextmanager
    def _locked(self) -> Iterator[int]:
        with translated(f"queue {self.root.name!r}"), locked(self.root / "lock") as descriptor:
            for folder in (self._ready, self._leased, self._dead):
                make_folder(folder)
            yield descriptor

    def _lease(self, max_messages: int) -> list[Message]:
        with self._locked():
            self._release_ended()
            busy = {name.group for name in _names(self._leased)} - {_NO_GROUP}
            waiting = (name for name in _names(self._ready) if name.group not in busy)
            chosen = heapq.nsmallest(max_messages, waiting, key=lambda name: name.order)
            return [message for name in chosen if (message := self._deliver(name))]

    def _deliver(self, name: _Name) -> Message | None:
        until = time.time_ns() + int(self.settings.visibility_seconds * 1e9)
        lease = replace(name, attempts=name.attempts + 1, until_ns=until, token=uuid.uuid4().hex)
        path = self._leased / str(lease)
        (self._ready / str(name)).replace(path)
        message = _read(path, lease)
        if message is None:  # a damaged file must not stand in the way of the others
            path.replace(self._dead / str(lease.released()))
        return message

    def _release_ended(self) -> None:
        now = time.time_ns()
        for name in [name for name in _names(self._leased) if name.until_ns <= now]:
            self._release(name)

    def _release(self, name: _Name) -> None:
        target = self._dead if name.attempts >= self.settings.max_attempts else self._ready
        (self._leased / str(name)).replace(target / str(name.released()))

    def _held(self, messages: Sequence[Message]) -> list[_Name]:
        """The leases of these deliveries that have not ended, in the messages' order."""
        now = time.time_ns()
        leases = {name.receipt: name for name in _names(self._leased) if name.until_ns > now}
        receipts = dict.fromkeys(message.receipt for message in messages)
        return [leases[receipt] for receipt in receipts if receipt in leases]


class _Stored(msgspec.Struct, omit_defaults=True):
    """A message file. Text bodies stay readable; others are base64."""

    id: str
    published_at: datetime
    ordering_key: str | None = None
    attributes: dict[str, str] = {}
    body: str | None = None
    body_base64: bytes = b""


def encode(message: OutboundMessage, id_: str) -> bytes:
    """One message as a line of JSON."""
    stored = _Stored(id_, datetime.now(UTC), message.group, dict(message.attributes))
    try:
        stored.body = message.body.decode()
    except UnicodeDecodeError:
        stored.body_base64 = message.body
    return msgspec.json.encode(stored) + b"\n"


def _read(path: Path, name: _Name) -> Message | None:
    """The message in a file, or None where somebody damaged the file."""
    try:
        stored = msgspec.json.decode(path.read_bytes(), type=_Stored)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return Message(
        id=stored.id,
        body=stored.body_base64 if stored.body is None else stored.body.encode(),
        receipt=name.receipt,
        attributes=stored.attributes,
        published_at=stored.published_at,
        ordering_key=stored.ordering_key,
        attempts=name.attempts,
    )


def _names(folder: Path) -> Iterator[_Name]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if name := _Name.parse(entry.name):
                yield name


def _group(key: str | None) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:16] if key else _NO_GROUP


def _take_numbers(lock: int, count: int) -> int:
    """The first of ``count`` order numbers: the time, never backwards; the lock file keeps the last one."""
    last = int(os.pread(lock, 20, 0) or b"0")
    first = max(time.time_ns(), last + 1)
    os.pwrite(lock, f"{first + count - 1:020d}".encode(), 0)
    return first
