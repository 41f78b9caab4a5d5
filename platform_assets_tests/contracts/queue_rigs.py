"""A queue of each kind on its server, with a way to fill it and what its server is known to do."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_assets.ports import MessageQueue, OutboundMessage
from platform_assets.resources import pubsub_client
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
from platform_assets.resources.queue.pubsub import PubSubQueue, PubSubQueueSettings
from platform_assets.resources.queue.sqs import SqsQueue, SqsQueueSettings
from platform_assets.resources.topic.pubsub import PubSubTopic, PubSubTopicSettings


@dataclass(frozen=True)
class QueueRig:
    """``keeps_order``, ``counts_attempts``, ``knows_receipts``: what the server (not the adapter) can do."""

    queue: MessageQueue
    send: Callable[[Sequence[OutboundMessage]], object]
    dead_letters: Callable[[], list[bytes]] | None = None
    keeps_order: bool = True
    counts_attempts: bool = True
    knows_receipts: bool = True


MAX_ATTEMPTS = 3


def _local(request: pytest.FixtureRequest, folder: Path, lease_seconds: int) -> QueueRig:
    settings = LocalQueueSettings(
        root=str(folder / "queue"), visibility_seconds=lease_seconds, max_attempts=MAX_ATTEMPTS
    )
    queue = LocalQueue(settings)
    return QueueRig(queue, queue.send, lambda: [message.body for message in queue.dead_letters()])


def _sqs(request: pytest.FixtureRequest, folder: Path, lease_seconds: int, suffix: str = "") -> QueueRig:
    aws = AwsSettings(endpoint_url=request.getfixturevalue("moto_url"))
    client = connect("sqs", aws)
    attributes = {"FifoQueue": "true"} if suffix else {}
    dead = client.create_queue(QueueName=f"dead-{uuid.uuid4().hex}{suffix}", Attributes=attributes)[
        "QueueUrl"
    ]
    arn = client.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": {MAX_ATTEMPTS}}}'
    url = client.create_queue(
        QueueName=f"queue-{uuid.uuid4().hex}{suffix}", Attributes=attributes | {"RedrivePolicy": policy}
    )["QueueUrl"]

    def send(messages: Sequence[OutboundMessage]) -> None:
        for message in messages:
            fifo = {
                "MessageGroupId": message.group or uuid.uuid4().hex,
                "MessageDeduplicationId": uuid.uuid4().hex,
            }
            client.send_message(
                QueueUrl=url,
                MessageBody=message.body.decode(),
                MessageAttributes={
                    name: {"DataType": "String", "StringValue": value}
                    for name, value in message.attributes.items()
                },
                **(fifo if suffix else {}),
            )

    def dead_letters() -> list[bytes]:
        answer: dict[str, Any] = client.receive_message(QueueUrl=dead, MaxNumberOfMessages=10)
        return [message["Body"].encode() for message in answer.get("Messages", [])]

    settings = SqsQueueSettings(
        endpoint_url=aws.endpoint_url, queue_url=url, visibility_seconds=lease_seconds
    )
    return QueueRig(SqsQueue(settings), send, dead_letters, keeps_order=bool(suffix))


def _sqs_fifo(request: pytest.FixtureRequest, folder: Path, lease_seconds: int) -> QueueRig:
    return _sqs(request, folder, lease_seconds, ".fifo")


def _pubsub(request: pytest.FixtureRequest, folder: Path, lease_seconds: int) -> QueueRig:
    project, name = "tests", f"q-{uuid.uuid4().hex}"
    place = {"project": project, "endpoint": request.getfixturevalue("pubsub_address")}
    plain = pubsub_client.PubSubSettings(**place)
    topic, subscription = f"projects/{project}/topics/{name}", f"projects/{project}/subscriptions/{name}"
    pubsub_client.connect("publisher", plain).create_topic(request={"name": topic})
    pubsub_client.connect("subscriber", plain).create_subscription(
        request={"name": subscription, "topic": topic, "ack_deadline_seconds": lease_seconds}
    )
    settings = PubSubQueueSettings(
        **place, subscription=name, visibility_seconds=None, shortest_wait_seconds=1
    )
    return QueueRig(
        PubSubQueue(settings),
        PubSubTopic(PubSubTopicSettings(**place, topic=name)).publish,
        keeps_order=False,
        counts_attempts=False,
        knows_receipts=False,
    )


QUEUES: Mapping[str, Callable[[pytest.FixtureRequest, Path, int], QueueRig]] = {
    "local": _local,
    "sqs": _sqs,
    "sqs-fifo": _sqs_fifo,
    "pubsub": _pubsub,
}
