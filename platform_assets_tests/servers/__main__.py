"""The emulators of ``PLATFORM_DEPLOYMENT=emulated``, all on loopback, for one command or until Ctrl-C.

    python -m platform_assets_tests.servers -- make demo
    python -m platform_assets_tests.servers                  # prints what to export, and serves

What configs/deployments/emulated.yml names is made first: bucket, queue, topics, subscriptions. Data lives below
``.servers/data`` for as long as the servers run (BigQuery's longer: it is found again at the next start).
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from platform_assets_tests.servers import bigquery, moto, pubsub
from platform_assets_tests.servers.process import SERVERS

DATA = SERVERS / "data"


@contextmanager
def emulated(data: Path = DATA) -> Iterator[dict[str, str]]:
    """Yields the environment in which ``PLATFORM_DEPLOYMENT=emulated`` works. One process at a time per ``data``."""
    with ExitStack() as stack:
        environment = {
            "PLATFORM_DEPLOYMENT": "emulated",
            "BIGQUERY_ENDPOINT": stack.enter_context(bigquery.serving(data / "bigquery")),
            "AWS_EMULATOR_ENDPOINT": stack.enter_context(moto.serving()),
            "PUBSUB_ENDPOINT": stack.enter_context(pubsub.serving()),
            **moto.CREDENTIALS,
        }
        _fill_aws(environment["AWS_EMULATOR_ENDPOINT"])
        _fill_pubsub(environment["PUBSUB_ENDPOINT"])
        yield environment


def _fill_aws(url: str) -> None:
    import boto3

    def client(service: str) -> object:
        return boto3.client(  # type: ignore[call-overload]
            service,
            region_name="us-east-1",
            endpoint_url=url,
            aws_access_key_id=moto.CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=moto.CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    client("s3").create_bucket(Bucket="platform")  # type: ignore[attr-defined]
    fifo = {"FifoQueue": "true"}
    client("sqs").create_queue(QueueName="metric-requests.fifo", Attributes=fifo)  # type: ignore[attr-defined]
    client("sns").create_topic(Name="metric-events.fifo", Attributes={"FifoTopic": "true"})  # type: ignore[attr-defined]


def _fill_pubsub(address: str) -> None:
    from platform_assets.resources.pubsub_client import PubSubSettings, connect

    settings = PubSubSettings(project="local", endpoint=address)
    publisher, subscriber = connect("publisher", settings), connect("subscriber", settings)
    for name in ("cdc", "events"):
        topic = f"projects/local/topics/{name}"
        publisher.create_topic(name=topic)
        subscription = f"projects/local/subscriptions/{name}"
        subscriber.create_subscription(
            request={"name": subscription, "topic": topic, "ack_deadline_seconds": 60}
        )
    for opened in (publisher, subscriber):
        opened.transport.close()


def main(arguments: list[str]) -> int:
    """Runs what follows ``--``; without it, serves until it is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the servers are stopped too
    command = arguments[arguments.index("--") + 1 :] if "--" in arguments else []
    with emulated() as environment:
        if command:
            return subprocess.run(command, env=os.environ | environment, check=False).returncode
        _serve(environment)
    return 0


def _serve(environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        print(f"export {name}={shlex.quote(value)}")
    print("# ready; Ctrl-C stops the servers", flush=True)
    try:
        signal.pause()
    except KeyboardInterrupt:
        print()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
