"""A topic of each kind on its server, with a queue that gets what it publishes."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from platform_assets.ports import MessageQueue, Topic
from platform_assets.resources import pubsub_client
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
from platform_assets.resources.queue.pubsub import PubSubQueue, PubSubQueueSettings
from platform_assets.resources.queue.sqs import SqsQueue, SqsQueueSettings
from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings
from platform_assets.resources.topic.pubsub import PubSubTopic, PubSubTopicSettings
from platform_assets.resources.topic.sns import SnsTopic, SnsTopicSettings


@dataclass(frozen=True)
class TopicRig:
    """``keeps_order`` is what the server can do; ``largest`` the bytes of the largest message it takes."""

    topic: Topic
    queue: MessageQueue
    keeps_order: bool
    largest: int


def _local(request: pytest.FixtureRequest, folder: Path) -> TopicRig:
    queue = str(folder / "queue")
    topic = LocalTopic(LocalTopicSettings(root=str(folder / "topic"), subscriptions=(queue,)))
    return TopicRig(topic, LocalQueue(LocalQueueSettings(root=queue)), True, 10**6)


def _sns(request: pytest.FixtureRequest, folder: Path, suffix: str = "", raw: bool = True) -> TopicRig:
    aws = AwsSettings(endpoint_url=request.getfixturevalue("moto_url"))
    sns, sqs = connect("sns", aws), connect("sqs", aws)
    name, fifo = f"t-{uuid.uuid4().hex}{suffix}", {"FifoQueue": "true"} if suffix else {}
    topic = sns.create_topic(Name=name, Attributes={"FifoTopic": "true"} if suffix else {})["TopicArn"]
    url = sqs.create_queue(QueueName=name, Attributes=fifo)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": str(raw).lower()}
    )
    return TopicRig(
        SnsTopic(SnsTopicSettings(endpoint_url=aws.endpoint_url, topic_arn=topic)),
        SqsQueue(SqsQueueSettings(endpoint_url=aws.endpoint_url, queue_url=url)),
        bool(suffix),
        256 * 1024,
    )


def _sns_fifo(request: pytest.FixtureRequest, folder: Path) -> TopicRig:
    return _sns(request, folder, ".fifo")


def _sns_wrapped(request: pytest.FixtureRequest, folder: Path) -> TopicRig:
    return _sns(request, folder, ".fifo", raw=False)


def _pubsub(request: pytest.FixtureRequest, folder: Path) -> TopicRig:
    project, name = "tests", f"t-{uuid.uuid4().hex}"
    place = {"project": project, "endpoint": request.getfixturevalue("pubsub_address")}
    plain = pubsub_client.PubSubSettings(**place)
    topic, subscription = f"projects/{project}/topics/{name}", f"projects/{project}/subscriptions/{name}"
    pubsub_client.connect("publisher", plain).create_topic(request={"name": topic})
    pubsub_client.connect("subscriber", plain).create_subscription(
        request={"name": subscription, "topic": topic, "ack_deadline_seconds": 60}
    )
    return TopicRig(
        PubSubTopic(PubSubTopicSettings(**place, topic=name)),
        PubSubQueue(PubSubQueueSettings(**place, subscription=name, shortest_wait_seconds=1)),
        False,
        9_000_000,
    )


TOPICS: Mapping[str, Callable[[pytest.FixtureRequest, Path], TopicRig]] = {
    "local": _local,
    "sns": _sns,
    "sns-fifo": _sns_fifo,
    "sns-fifo-wrapped": _sns_wrapped,
    "pubsub": _pubsub,
}
