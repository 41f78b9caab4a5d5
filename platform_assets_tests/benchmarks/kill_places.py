"""Where the kill harness plays: a queue on moto or pstest, a bucket on moto, a Dagster home in a folder."""

from __future__ import annotations

import os
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import OutboundMessage
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.bindings import create

SENDING_TRIES = 10
SPEC = InboxSpec(
    batch_messages=20,
    lease_seconds=10,
    max_attempts=20,  # of runs that were killed, none counts against a message; of messages, poison is known at once
    retry_seconds=0.001,
    max_retry_seconds=0.001,
)


@dataclass(frozen=True)
class Place:
    """Settings, not clients: these must not cross a fork. ``left``: how many messages the queue still has."""

    folder: Path
    adapters: Mapping[str, tuple[str, str, Mapping[str, Any]]]
    send: Callable[[Sequence[str]], None]
    left: Callable[[], int]
    lease_seconds: int

    @property
    def home(self) -> Path:
        return self.folder / "home"


def sqs_place(url: str, folder: Path) -> Place:
    """A FIFO queue of four groups. Its clients speak plain HTTP, so the parent may have them."""
    name, client = uuid.uuid4().hex, _boto3("sqs", url)
    queue_url = client.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]

    def send(bodies: Sequence[str]) -> None:
        entries = [
            {
                "Id": str(number),
                "MessageBody": body,
                "MessageGroupId": str(number % 4),
                "MessageDeduplicationId": uuid.uuid4().hex,
            }
            for number, body in enumerate(bodies)
        ]
        for start in range(0, len(entries), 10):
            client.send_message_batch(QueueUrl=queue_url, Entries=entries[start : start + 10])

    def left() -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        found = client.get_queue_attributes(QueueUrl=queue_url, AttributeNames=names)
        return sum(int(value) for value in found["Attributes"].values())

    lease = 3
    queue = {"endpoint_url": url, "queue_url": queue_url, "visibility_seconds": lease}
    return Place(_home(folder), _adapters(url, ("queue", "sqs", queue)), send, left, lease)


def pubsub_place(url: str, address: str, folder: Path) -> Place:
    """A subscription on pstest. Clients are made in children only: gRPC does not survive a fork."""
    name = f"k{uuid.uuid4().hex}"
    where = {"project": "tests", "endpoint": address}
    if _in_child(lambda: _make_subscription(where, name)):
        raise RuntimeError("the subscription could not be made")

    def send(bodies: Sequence[str]) -> None:
        outbound = [OutboundMessage(body.encode()) for body in bodies]
        for _ in range(SENDING_TRIES):  # what was sent twice must count once anyhow
            if _in_child(lambda: _publish({**where, "topic": name}, outbound)) == 0:
                return
        raise RuntimeError(f"{len(bodies)} messages could not be sent")

    lease = 10  # Pub/Sub's shortest
    queue = {**where, "subscription": name, "visibility_seconds": lease, "shortest_wait_seconds": 0.5}

    def left() -> int:
        """Pub/Sub tells no count: whether anything comes within a lease's time. It is given back at once."""

        def pull() -> None:
            subscription = create("queue", "pubsub", queue)
            if found := subscription.pull(1, wait_seconds=lease + 2):
                subscription.nack(found)
                os._exit(1)

        return 0 if _in_child(pull) == 0 else 1  # an error does not tell that nothing is left

    return Place(_home(folder), _adapters(url, ("queue", "pubsub", queue)), send, left, lease)


def _home(folder: Path) -> Path:
    (folder / "home").mkdir()
    (folder / "home" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    return folder


def _adapters(url: str, queue: tuple[str, str, Mapping[str, Any]]) -> Mapping[str, Any]:
    bucket = uuid.uuid4().hex
    _boto3("s3", url).create_bucket(Bucket=bucket)
    return {"object_store": ("object_store", "s3", {"endpoint_url": url, "bucket": bucket}), "queue": queue}


def _boto3(service: str, url: str) -> Any:
    """The parent's own client. The one that adapters share is made here too, but nothing is sent by it: children
    inherit it, which saves each the making, and no connection crosses a fork."""
    import boto3

    connect(service, AwsSettings(endpoint_url=url))
    return boto3.client(service, endpoint_url=url, region_name="us-east-1")


def _make_subscription(where: Mapping[str, str], name: str) -> None:
    from platform_assets.resources import pubsub_client

    settings = pubsub_client.PubSubSettings(**where)
    topic = f"projects/tests/topics/{name}"
    pubsub_client.connect("publisher", settings).create_topic(request={"name": topic})
    pubsub_client.connect("subscriber", settings).create_subscription(
        request={"name": f"projects/tests/subscriptions/{name}", "topic": topic, "ack_deadline_seconds": 10}
    )


def _publish(topic: Mapping[str, str], messages: Sequence[OutboundMessage]) -> None:
    create("topic", "pubsub", topic).publish(messages)


def _in_child(act: Callable[[], None]) -> int:
    """A child's exit code: 0 where ``act`` came to its end. Its error shows on standard error."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            act()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
