"""Pub/Sub subscriptions by synchronous pull: leases extended by ack deadline, partial ack failures, ordering keys.

The subscription, its dead-letter topic and its ordering must exist. Bodies stay as sent. Streaming pull is refused
on purpose: a sensor tick wants one bounded batch, and leases that nobody holds any more to come back.
Sources: Pub/Sub RPC reference; "exactly-once delivery" for the answers to failed acks.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import RetryableError
from platform_assets.ports import Message
from platform_assets.resources.google_errors import translated
from platform_assets.resources.pubsub_client import PubSubSettings, await_connection, call_options, connect

_BATCH = 1000
_LONGEST_LEASE_SECONDS = 600
_ACK_ATTEMPTS = 3
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class PubSubQueueSettings(PubSubSettings):
    """``visibility_seconds``: what a pulled message's ack deadline is set to; None leaves the subscription's own.
    ``shortest_wait_seconds``: a pull given up sooner may take messages along that nobody then has."""

    subscription: str
    visibility_seconds: Annotated[int, Field(ge=10, le=_LONGEST_LEASE_SECONDS)] | None = 300
    shortest_wait_seconds: Annotated[float, Field(ge=0.5, le=60)] = 3.0


class PubSubQueue:
    """See ``ports.MessageQueue``."""

    def __init__(self, settings: PubSubQueueSettings) -> None:
        self.settings = settings
        self._what = f"subscription {settings.subscription!r}"
        self._path = f"projects/{settings.project}/subscriptions/{settings.subscription}"

    @cached_property
    def _client(self) -> Any:
        with translated(self._what):
            return connect("subscriber", self.settings)

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Message]:
        if max_messages < 1:
            return ()
        deadline = time.monotonic() + wait_seconds
        while True:
            found = self._pull(
                min(max_messages, _BATCH), max(wait_seconds, self.settings.shortest_wait_seconds)
            )
            if found or time.monotonic() >= deadline:
                return found

    def extend(self, messages: Sequence[Message], seconds: int) -> None:
        """At most ten minutes from now. Ended leases are left alone."""
        self._in_batches(self._deadline_call(min(seconds, _LONGEST_LEASE_SECONDS)), messages)

    def nack(self, messages: Sequence[Message]) -> None:
        self._in_batches(self._deadline_call(0), messages)

    def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """Only subscriptions with exactly-once delivery say which acks came too late; others take them all, and
        the message may come once more."""
        return self._in_batches(self._ack_call, messages)

    def _pull(self, count: int, seconds: float) -> Sequence[Message]:
        from google.api_core.exceptions import DeadlineExceeded

        await_connection(self._client, self.settings, self._what)
        request = {"subscription": self._path, "max_messages": count}
        options = call_options(self.settings) | {"timeout": seconds}
        with translated(self._what):
            try:
                received = self._client.pull(request=request, **options).received_messages
            except DeadlineExceeded:  # connected, and nothing came
                return ()
        messages = [_message(item) for item in received]
        if self.settings.visibility_seconds is not None:
            self.extend(messages, self.settings.visibility_seconds)
        return messages

    def _ack_call(self, ack_ids: Sequence[str]) -> None:
        request = {"subscription": self._path, "ack_ids": ack_ids}
        self._client.acknowledge(request=request, **call_options(self.settings))

    def _deadline_call(self, seconds: int) -> Callable[[Sequence[str]], None]:
        def call(ack_ids: Sequence[str]) -> None:
            request = {"subscription": self._path, "ack_ids": ack_ids, "ack_deadline_seconds": seconds}
            self._client.modify_ack_deadline(request=request, **call_options(self.settings))

        return call

    def _in_batches(
        self, call: Callable[[Sequence[str]], None], messages: Sequence[Message]
    ) -> list[Message]:
        refused: set[str] = set()
        for start in range(0, len(messages), _BATCH):
            refused |= self._apply(call, [message.receipt for message in messages[start : start + _BATCH]])
        return [message for message in messages if message.receipt in refused]

    def _apply(self, call: Callable[[Sequence[str]], None], ack_ids: Sequence[str]) -> set[str]:
        """Returns the ack ids refused for good; those that failed for a moment are sent again."""
        refused: set[str] = set()
        left = list(ack_ids)
        for attempt in range(_ACK_ATTEMPTS):
            time.sleep(0.2 * attempt)
            failures = self._call(call, left)
            refused |= {id_ for id_, reason in failures.items() if reason.startswith("PERMANENT_FAILURE")}
            left = [id_ for id_ in left if failures and id_ not in refused]
            if not left:
                return refused
        raise RetryableError(f"{self._what}: {len(left)} acks failed for the moment")

    def _call(self, call: Callable[[Sequence[str]], None], ack_ids: Sequence[str]) -> Mapping[str, str]:
        """Ack id → why it failed. An error that names no ack ids is raised."""
        from google.api_core.exceptions import GoogleAPICallError

        with translated(self._what):
            try:
                call(ack_ids)
            except GoogleAPICallError as error:
                if failures := _failures(error):
                    return failures
                raise
        return {}


def _failures(error: Any) -> Mapping[str, str]:
    """``{ack id: PERMANENT_FAILURE_… or TRANSIENT_FAILURE_…}`` from the error's ErrorInfo."""
    metadata = getattr(error, "metadata", None) or {}
    return {id_: reason for id_, reason in metadata.items() if "_FAILURE" in reason}


def _message(item: Any) -> Message:
    message = item.message
    return Message(
        id=message.message_id,
        body=message.data,
        receipt=item.ack_id,
        attributes=dict(message.attributes),
        published_at=_EPOCH + (message.publish_time - _EPOCH) if message.publish_time else None,
        ordering_key=message.ordering_key or None,
        attempts=max(1, item.delivery_attempt),
    )
