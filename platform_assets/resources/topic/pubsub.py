"""Pub/Sub topics: batches within the service's limits, in order, with ordering keys.

Pub/Sub knows no de-duplication ids: a publish repeated after a lost answer is a second message, which consumers
must take for the same. The topic must exist. Source: Pub/Sub quotas, "resource limits".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import Any

from platform_assets.engine.errors import DataError
from platform_assets.ports import OutboundMessage
from platform_assets.resources.google_errors import translated
from platform_assets.resources.pubsub_client import PubSubSettings, call_options, connect

_BATCH = 1000
_BATCH_BYTES = 9_000_000  # of 10 MB a request may have; the rest is room for its framing
_MAX_ATTRIBUTES = 100
_MAX_NAME_BYTES, _MAX_VALUE_BYTES, _MAX_ORDERING_KEY_BYTES = 256, 1024, 1024


class PubSubTopicSettings(PubSubSettings):
    """``topic``: its short name within ``project``."""

    topic: str


class PubSubTopic:
    """See ``ports.Topic``."""

    def __init__(self, settings: PubSubTopicSettings) -> None:
        self.settings = settings
        self._what = f"topic {settings.topic!r}"
        self._path = f"projects/{settings.project}/topics/{settings.topic}"

    @cached_property
    def _client(self) -> Any:
        with translated(self._what):
            return connect("publisher", self.settings)

    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        """Order holds within an ordering key: each request waits for the one before it."""
        for number, message in enumerate(messages):
            _check(message, f"{self._what}: message {number}")
        return [id_ for batch in _batches(messages) for id_ in self._send(batch)]

    def _send(self, batch: Sequence[OutboundMessage]) -> Sequence[str]:
        request = {
            "topic": self._path,
            "messages": [
                {"data": m.body, "attributes": dict(m.attributes), "ordering_key": m.group or ""}
                for m in batch
            ],
        }
        with translated(self._what):
            return list(self._client.publish(request=request, **call_options(self.settings)).message_ids)


def _batches(messages: Sequence[OutboundMessage]) -> Iterator[list[OutboundMessage]]:
    batch: list[OutboundMessage] = []
    size = 0
    for message in messages:
        if batch and (len(batch) == _BATCH or size + _size(message) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(message)
        size += _size(message)
    if batch:
        yield batch


def _size(message: OutboundMessage) -> int:
    attributes = sum(len(name.encode()) + len(value.encode()) for name, value in message.attributes.items())
    return len(message.body) + attributes + len((message.group or "").encode()) + 20


def _check(message: OutboundMessage, place: str) -> None:
    """What the service would refuse, refused before anything of the batch is sent."""
    if not message.body and not message.attributes:
        raise DataError(f"{place} has neither body nor attributes")
    if _size(message) > _BATCH_BYTES:
        raise DataError(f"{place} has {_size(message)} bytes; Pub/Sub takes {_BATCH_BYTES}")
    if len((message.group or "").encode()) > _MAX_ORDERING_KEY_BYTES:
        raise DataError(f"{place} has an ordering key of more than {_MAX_ORDERING_KEY_BYTES} bytes")
    if len(message.attributes) > _MAX_ATTRIBUTES:
        raise DataError(f"{place} has {len(message.attributes)} attributes; Pub/Sub takes {_MAX_ATTRIBUTES}")
    for name, value in message.attributes.items():
        if not 0 < len(name.encode()) <= _MAX_NAME_BYTES or len(value.encode()) > _MAX_VALUE_BYTES:
            raise DataError(
                f"{place}: attribute {name[:80]!r} is longer than {_MAX_NAME_BYTES} bytes, or its value than "
                f"{_MAX_VALUE_BYTES}"
            )
