"""Every emulator at once, on loopback, with the bucket, queues and topics that the ``emulated`` deployment names.

    python -m platform_assets_tests.servers              until interrupted; prints what to export
    python -m platform_assets_tests.servers -- COMMAND   runs COMMAND with it exported, then stops

State is in memory, except BigQuery's, which lies in ``$PLATFORM_HOME/emulators``.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from platform_assets.resources.aws_client import AwsSettings
from platform_assets.resources.aws_client import connect as aws
from platform_assets.resources.pubsub_client import PubSubSettings
from platform_assets.resources.pubsub_client import connect as google
from platform_assets_tests.servers import bigquery, gcs, moto, pubsub

PROJECT = bigquery.PROJECT
BUCKET = "platform"
METRIC_REQUESTS, METRIC_EVENTS = "metric-requests.fifo", "metric-events.fifo"
PUBSUB_TOPICS = ("cdc", "events")  # each with a subscription of its own name
LONGEST_LEASE_SECONDS = 600


def start(stack: ExitStack, home: Path) -> dict[str, str]:
    """Start everything; returns the environment in which the ``emulated`` deployment finds it."""
    os.environ |= moto.CREDENTIALS
    servers = {
        "AWS_ENDPOINT_URL": stack.enter_context(moto.serving()),
        "PUBSUB_EMULATOR_HOST": stack.enter_context(pubsub.serving()),
        "STORAGE_EMULATOR_HOST": stack.enter_context(gcs.serving()),
        "BIGQUERY_EMULATOR_HOST": stack.enter_context(bigquery.serving(home / "bigquery")),
    }
    names = {
        "PLATFORM_DEPLOYMENT": "emulated",
        "GCP_PROJECT": PROJECT,
        "PLATFORM_BUCKET": BUCKET,
        "CDC_SUBSCRIPTION": "cdc",
        "EVENTS_SUBSCRIPTION": "events",
        "EVENTS_TOPIC": "events",
    }
    _pubsub_topics(servers["PUBSUB_EMULATOR_HOST"])
    return {**moto.CREDENTIALS, **servers, **names, **_aws_resources(servers["AWS_ENDPOINT_URL"])}


def _aws_resources(url: str) -> dict[str, str]:
    """The bucket, the queue of requests, and the topic of events with a queue that gets them."""
    settings = AwsSettings(endpoint_url=url)
    sqs, sns = aws("sqs", settings), aws("sns", settings)
    aws("s3", settings).create_bucket(Bucket=BUCKET)
    fifo = {"FifoQueue": "true"}
    requests = sqs.create_queue(QueueName=METRIC_REQUESTS, Attributes=fifo)["QueueUrl"]
    events = sqs.create_queue(QueueName=METRIC_EVENTS, Attributes=fifo)["QueueUrl"]
    topic = sns.create_topic(Name=METRIC_EVENTS, Attributes={"FifoTopic": "true"})["TopicArn"]
    arn = sqs.get_queue_attributes(QueueUrl=events, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return {
        "METRIC_REQUESTS_QUEUE_URL": requests,
        "METRIC_EVENTS_QUEUE_URL": events,
        "METRIC_EVENTS_TOPIC_ARN": topic,
    }


def _pubsub_topics(address: str) -> None:
    settings = PubSubSettings(project=PROJECT, endpoint=address)
    publisher, subscriber = google("publisher", settings), google("subscriber", settings)
    for name in PUBSUB_TOPICS:
        topic = f"projects/{PROJECT}/topics/{name}"
        publisher.create_topic(request={"name": topic})
        subscriber.create_subscription(
            request={
                "name": f"projects/{PROJECT}/subscriptions/{name}",
                "topic": topic,
                "ack_deadline_seconds": LONGEST_LEASE_SECONDS,
            }
        )


def _exports(environment: Mapping[str, str]) -> str:
    return "".join(f"export {name}={shlex.quote(value)}\n" for name, value in sorted(environment.items()))


def main(arguments: list[str]) -> int:
    if arguments and arguments[0] != "--":
        sys.exit(__doc__)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the servers are stopped too
    home = Path(os.environ.get("PLATFORM_HOME", ".platform")).absolute() / "emulators"
    with ExitStack() as stack:
        environment = start(stack, home)
        if arguments[1:]:
            return subprocess.run(arguments[1:], env=os.environ | environment, check=False).returncode
        print(_exports(environment), flush=True)
        try:
            signal.pause()
        except KeyboardInterrupt:
            return 0
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
