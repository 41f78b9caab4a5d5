"""SQS queues, FIFO and standard: long poll, leases by visibility timeout, batches of ten with partial failures.

Bodies stay as sent; ``engine.messages.unwrap`` takes SNS notifications off them. The queue, its dead-letter queue
and ``maxReceiveCount`` must exist. Source: SQS API reference, quotas.
"""

from __future__ import annotations

import base64
import math
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from platform_assets.engine.errors import PlatformError, RetryableError
from platform_assets.ports import Message
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.aws_errors import translated

_BATCH = 10
_AT_ONCE = 8  # requests in flight: a batch of ten is all that one of them moves
_LONGEST_POLL_SECONDS = 20
_LONGEST_LEASE_SECONDS = 43_200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
Entry = Mapping[str, Any]


class SqsQueueSettings(AwsSettings):
    """A ``queue_url`` ending in ``.fifo`` is a FIFO queue. Reads must outlast a long poll of 20 seconds."""

    queue_url: str
    visibility_seconds: Annotated[int, Field(ge=1, le=_LONGEST_LEASE_SECONDS)] = 300
    read_timeout_seconds: Annotated[float, Field(gt=_LONGEST_POLL_SECONDS, le=300)] = 60.0


class SqsQueue:
    """See ``ports.MessageQueue``."""

    def __init__(self, settings: SqsQueueSettings) -> None:
        self.settings = settings
        self._what = f"queue {settings.queue_url.rpartition('/')[2]!r}"

    @cached_property
    def _client(self) -> Any:
        return connect("sqs", self.settings)

    @cached_property
    def _pool(self) -> ThreadPoolExecutor:
        return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="sqs")

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Message]:
        """Waits for the first message only. What is there already is taken by more and more requests at once, so that
        a short queue costs few of them."""
        found = self._poll(min(_BATCH, max_messages), math.ceil(wait_seconds)) if max_messages > 0 else []
        more, at_once = bool(found), 2
        while more and len(found) < max_messages:
            wanted = _shares(max_messages - len(found))[:at_once]
            batches = list(self._pool.map(self._receive_more, wanted))
            found += [message for batch in batches for message in batch]
            more, at_once = all(batches), min(2 * at_once, _AT_ONCE)
        return found

    def extend(self, messages: Sequence[Message], seconds: int) -> None:
        """At most twelve hours after a message was received. Ended leases are left alone: ``ack`` reports them."""
        self._change_visibility(messages, min(seconds, _LONGEST_LEASE_SECONDS))

    def nack(self, messages: Sequence[Message]) -> None:
        self._change_visibility(messages, 0)

    def ack(self, messages: Sequence[Message]) -> Sequence[Message]:
        """A standard queue, unlike a FIFO one, takes acks of ended leases; their messages may come once more."""
        return self._in_batches("delete_message_batch", messages, {})

    def _poll(self, count: int, wait: int) -> list[Message]:
        """The first messages, within ``wait`` seconds."""
        while True:
            poll = min(wait, _LONGEST_POLL_SECONDS)
            found = self._receive(count, poll)
            wait -= poll
            if found or wait <= 0:
                return found

    def _receive_more(self, count: int) -> list[Message]:
        """Nothing where SQS fails: what other requests got counts, and the next pull meets the error again."""
        with suppress(PlatformError):
            return self._receive(count, 0)
        return []

    def _receive(self, count: int, wait: int) -> list[Message]:
        request: dict[str, Any] = {
            "QueueUrl": self.settings.queue_url,
            "MaxNumberOfMessages": count,
            "WaitTimeSeconds": wait,
            "VisibilityTimeout": self.settings.visibility_seconds,
            "MessageAttributeNames": ["All"],
            "MessageSystemAttributeNames": ["ApproximateReceiveCount", "SentTimestamp", "MessageGroupId"],
        }
        if self.settings.queue_url.endswith(".fifo"):
            # A request that botocore repeats after a lost answer gets the same messages, not the next ones.
            request["ReceiveRequestAttemptId"] = uuid.uuid4().hex
        with translated(self._what):
            return [_message(item) for item in self._client.receive_message(**request).get("Messages", [])]

    def _change_visibility(self, messages: Sequence[Message], seconds: int) -> None:
        self._in_batches("change_message_visibility_batch", messages, {"VisibilityTimeout": seconds})

    def _in_batches(self, operation: str, messages: Sequence[Message], extra: Entry) -> list[Message]:
        """Apply a batch operation to all messages; returns those whose receipts SQS refused as ended."""
        requests = [
            {
                str(number): {"Id": str(number), "ReceiptHandle": messages[number].receipt, **extra}
                for number in range(start, min(start + _BATCH, len(messages)))
            }
            for start in range(0, len(messages), _BATCH)
        ]
        refused = self._pool.map(lambda entries: list(self._apply(operation, entries)), requests)
        return [messages[int(number)] for numbers in refused for number in numbers]

    def _apply(self, operation: str, entries: Mapping[str, Entry]) -> Iterator[str]:
        """SQS answers 200 also where some entries failed; those that failed on its side are sent again."""
        left = dict(entries)
        for _ in range(self.settings.max_attempts):
            failed = self._send(operation, list(left.values()))
            yield from (entry["Id"] for entry in failed if entry["SenderFault"])
            left = {entry["Id"]: left[entry["Id"]] for entry in failed if not entry["SenderFault"]}
            if not left:
                return
        codes = ", ".join(sorted({entry["Code"] for entry in failed}))
        raise RetryableError(f"{self._what}: {operation} failed for {len(left)} messages: {codes}")

    def _send(self, operation: str, entries: Sequence[Entry]) -> Sequence[Entry]:
        call: Callable[..., Mapping[str, Any]] = getattr(self._client, operation)
        with translated(self._what):
            failed: Sequence[Entry] = call(QueueUrl=self.settings.queue_url, Entries=entries).get(
                "Failed", []
            )
        return failed


def _shares(count: int) -> list[int]:
    """How many messages each of the next requests asks for."""
    return [min(_BATCH, count - start) for start in range(0, count, _BATCH)]


def _message(item: Mapping[str, Any]) -> Message:
    system = item.get("Attributes", {})
    sent = system.get("SentTimestamp")
    return Message(
        id=item["MessageId"],
        body=item["Body"].encode(),
        receipt=item["ReceiptHandle"],
        attributes={name: _text(value) for name, value in item.get("MessageAttributes", {}).items()},
        published_at=_EPOCH + timedelta(milliseconds=int(sent)) if sent else None,
        ordering_key=system.get("MessageGroupId"),
        attempts=int(system.get("ApproximateReceiveCount", 1)),
    )


def _text(value: Mapping[str, Any]) -> str:
    """Strings and numbers as written; binary attributes as base64."""
    if "StringValue" in value:
        return str(value["StringValue"])
    return base64.b64encode(value.get("BinaryValue", b"")).decode()
