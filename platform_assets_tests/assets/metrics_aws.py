"""What a metrics deployment has on AWS: a bucket, request topic and queue, and the three topics of a run."""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from platform_assets.assets.metrics_run import MetricOutcome, MetricTopics, handle_message
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.ports import Message
from platform_assets.resources.object_store.s3 import S3ObjectStore, S3ObjectStoreSettings
from platform_assets.resources.queue.sqs import SqsQueue, SqsQueueSettings
from platform_assets.resources.topic.sns import SnsTopic, SnsTopicSettings

FIFO = {"FifoQueue": "true"}


class Aws:
    """A bucket, the three topics of a run with a queue behind each, and the request topic with its queue."""

    def __init__(self, url: str) -> None:
        import boto3

        common: dict[str, Any] = {"region_name": "us-east-1", "endpoint_url": url}
        self._s3, self._sns, self._sqs = (boto3.client(name, **common) for name in ("s3", "sns", "sqs"))
        self._settings = {"region": "us-east-1", "endpoint_url": url}
        self._id = uuid.uuid4().hex[:8]
        self._s3.create_bucket(Bucket=f"data-{self._id}")
        self.store = S3ObjectStore(S3ObjectStoreSettings(bucket=f"data-{self._id}", **self._settings))
        self.request_arn, self.requests = self._topic("metrics-run-request", raw=False)
        self.requests_url = self.requests.settings.queue_url
        made = {
            kind: self._topic(f"metric-run-{kind}", raw=True)
            for kind in ("started", "heartbeat", "completed")
        }
        self.queues = {kind: queue for kind, (_, queue) in made.items()}
        self.arns = {kind: arn for kind, (arn, _) in made.items()}
        self.topics = MetricTopics(
            **{
                kind: SnsTopic(SnsTopicSettings(topic_arn=arn, **self._settings))
                for kind, arn in self.arns.items()
            }
        )

    def ports(self) -> dict[str, Any]:
        """The same adapters as a deployment file names them."""

        def adapter(kind: str, **settings: str) -> dict[str, Any]:
            return {"kind": kind, "settings": {**settings, **self._settings}}

        return {
            "object_store": adapter("s3", bucket=f"data-{self._id}"),
            "queues": {"metric_requests": adapter("sqs", queue_url=self.requests_url)},
            "topics": {f"metric_{kind}": adapter("sns", topic_arn=arn) for kind, arn in self.arns.items()},
        }

    def _topic(self, name: str, *, raw: bool) -> tuple[str, SqsQueue]:
        fifo = {"FifoTopic": "true", "ContentBasedDeduplication": "false"}
        arn = self._sns.create_topic(Name=f"{name}-{self._id}.fifo", Attributes=fifo)["TopicArn"]
        url = self._sqs.create_queue(QueueName=f"{name}-{self._id}.fifo", Attributes=FIFO)["QueueUrl"]
        attributes = self._sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
        self._sns.subscribe(
            TopicArn=arn,
            Protocol="sqs",
            Endpoint=attributes["Attributes"]["QueueArn"],
            Attributes={"RawMessageDelivery": str(raw).lower()},
        )
        return arn, SqsQueue(SqsQueueSettings(queue_url=url, **self._settings))

    def ask(self, body: Mapping[str, Any]) -> None:
        """As the control plane publishes: no attributes, group = metric code, id = run id."""
        self._sns.publish(
            TopicArn=self.request_arn,
            Message=json.dumps(body),
            MessageGroupId=body["metricCode"],
            MessageDeduplicationId=body["runId"],
        )

    def handle(self, message: Message, **settings: Any) -> MetricOutcome:
        return handle_message(
            message.body,
            message.attributes,
            message.published_at,
            self.store,
            self.topics,
            lambda: datetime.now(UTC),
            MetricSettings(**settings),
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = []
        while messages := self.queues[kind].pull(10):
            self.queues[kind].ack(messages)
            found += [json.loads(message.body) for message in messages]
        return found
