"""SNS topics, FIFO and standard: batches of at most ten messages and 256 KiB, in order.

Refuses before sending what SNS would refuse or subscribers would not get whole. The topic must exist.
Sources: SNS API reference, PublishBatch; "message attributes" (ten for raw delivery to SQS).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from platform_assets.engine.errors import DataError, RejectedError, RetryableError
from platform_assets.ports import OutboundMessage
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.aws_errors import translated

_BATCH = 10
_BATCH_BYTES = 256 * 1024
_MAX_ATTRIBUTES = 10
_FIFO_ID = re.compile(r"[!-~]{1,128}")  # visible ASCII
_ATTRIBUTE = re.compile(r"(?!AWS\.|Amazon\.)[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*", re.IGNORECASE)
Entry = Mapping[str, Any]


class SnsTopicSettings(AwsSettings):
    """A ``topic_arn`` ending in ``.fifo`` is a FIFO topic: messages then need group and de-duplication id."""

    topic_arn: str


class SnsTopic:
    """See ``ports.Topic``."""

    def __init__(self, settings: SnsTopicSettings) -> None:
        self.settings = settings
        self._what = f"topic {settings.topic_arn.rpartition(':')[2]!r}"
        self._fifo = settings.topic_arn.endswith(".fifo")

    @cached_property
    def _client(self) -> Any:
        return connect("sns", self.settings)

    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        """A FIFO topic drops repeats of a de-duplication id for five minutes, so publishing again is safe there."""
        entries = [self._entry(number, message) for number, message in enumerate(messages)]
        ids: dict[str, str] = {}
        for batch in _batches(entries):
            ids |= self._send(batch)
        return [ids[entry["Id"]] for entry in entries]

    def _entry(self, number: int, message: OutboundMessage) -> Entry:
        place = f"{self._what}: message {number}"
        attributes = {
            name: {"DataType": "String", "StringValue": value} for name, value in message.attributes.items()
        }
        entry: dict[str, Any] = {
            "Id": str(number),
            "Message": _text(message.body, place),
            **self._order(message, place),
        }
        if attributes:
            _check_attributes(message.attributes, place)
            entry["MessageAttributes"] = attributes
        if _size(entry) > _BATCH_BYTES:
            raise DataError(f"{place} has {_size(entry)} bytes; SNS takes {_BATCH_BYTES}")
        return entry

    def _order(self, message: OutboundMessage, place: str) -> dict[str, str]:
        if not self._fifo:
            return {}
        if not message.group or not message.deduplication_id:
            raise DataError(f"{place}: a FIFO topic needs a group and a deduplication_id")
        return {
            "MessageGroupId": _fifo_id(message.group),
            "MessageDeduplicationId": _fifo_id(message.deduplication_id),
        }

    def _send(self, batch: Sequence[Entry]) -> dict[str, str]:
        """SNS answers 200 also where some entries failed; those that failed on its side are sent again."""
        ids: dict[str, str] = {}
        left = {entry["Id"]: entry for entry in batch}
        for _ in range(self.settings.max_attempts):
            answer = self._publish(list(left.values()))
            ids |= {done["Id"]: done["MessageId"] for done in answer.get("Successful", [])}
            left = {id_: entry for id_, entry in left.items() if id_ not in ids}
            if not left:
                return ids
            self._raise_refused(answer.get("Failed", []))
        raise RetryableError(f"{self._what}: {len(left)} messages were not accepted", effect_unknown=True)

    def _publish(self, entries: Sequence[Entry]) -> Mapping[str, Any]:
        with translated(self._what):
            answer: Mapping[str, Any] = self._client.publish_batch(
                TopicArn=self.settings.topic_arn, PublishBatchRequestEntries=entries
            )
        return answer

    def _raise_refused(self, failed: Sequence[Entry]) -> None:
        for entry in failed:
            if entry.get("SenderFault"):
                raise RejectedError(
                    f"{self._what}: message {entry['Id']}: {entry['Code']}: {entry.get('Message', '')}"
                )


def _batches(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    batch: list[Entry] = []
    size = 0
    for entry in entries:
        if batch and (len(batch) == _BATCH or size + _size(entry) > _BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(entry)
        size += _size(entry)
    if batch:
        yield batch


def _size(entry: Entry) -> int:
    """Body and attributes, each with name, type and value, as SNS counts them."""
    attributes = entry.get("MessageAttributes", {}).items()
    parts = [entry["Message"], *(text for name, value in attributes for text in (name, *value.values()))]
    return sum(len(part.encode()) for part in parts)


def _fifo_id(text: str) -> str:
    """The text itself where SNS takes it as an id, otherwise its hash, which is as good for grouping."""
    return text if _FIFO_ID.fullmatch(text) else hashlib.sha256(text.encode()).hexdigest()


def _text(body: bytes, place: str) -> str:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"{place} is not UTF-8 text, which is all that SNS carries") from error
    if not text:
        raise DataError(f"{place} is empty, which SNS does not take")
    return text


def _check_attributes(attributes: Mapping[str, str], place: str) -> None:
    if len(attributes) > _MAX_ATTRIBUTES:
        raise DataError(
            f"{place} has {len(attributes)} attributes; at most {_MAX_ATTRIBUTES} reach an SQS queue"
        )
    for name, value in attributes.items():
        if not _ATTRIBUTE.fullmatch(name) or len(name) > 256:
            raise DataError(f"{place}: {name[:80]!r} is not an attribute name")
        if not value:
            raise DataError(f"{place}: attribute {name!r} is empty, which SNS does not take")
