"""Kills the inbox everywhere: the real sensor and real runs, in processes that end by SIGKILL, again and again.

    python -m platform_assets_tests.benchmarks.kill_inbox [--kills 200] [--queue sqs|pubsub] [--seed 1]

Messages go into moto's SQS FIFO queue (or Google's pstest Pub/Sub); objects into moto's S3; runs into a Dagster
instance on SQLite. A child process evaluates the sensor and executes the runs that it asks for, until it is killed:
first once at every named step, then at random instants. What is asserted at the end: every message has taken effect
exactly once or is a dead letter exactly once, and the queue and the inbox are empty.

What Dagster's run monitoring does in production, marking the runs of dead processes as failed, the parent does here.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.apply import Step
from platform_assets.assets.inbox.sensor import NOT_ENDED
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import OutboundMessage
from platform_assets.resources.bindings import create
from platform_assets_tests.assets.inbox import location
from platform_assets_tests.servers import moto, pubsub

STEPS = (
    "before pull",
    "after pull",
    "before write",
    "between writes",
    "after write",
    "after ack",
    "before requests",
    "before run",
    "before effects",
    "before an effect",
    "after an effect",
    "after effects",
    "after state",
    "after dead letters",
    "after history",
    "after settling",
    "after pause",
    "before publish",
)
SPEC = InboxSpec(
    batch_messages=20,
    batch_seconds=1.0,
    tick_seconds=3.0,
    lease_seconds=10,
    retry_seconds=0.001,
    max_retry_seconds=0.001,
)
VISIBILITY_SECONDS = 3
PER_LIFE = 12


@dataclass
class Outcome:
    """What the harness counted. ``doubled``: effects or dead letters beyond the first of their message."""

    sent: int = 0
    lives: int = 0
    kills: int = 0
    kills_at_steps: dict[str, int] = field(default_factory=dict)
    effects: int = 0
    dead: int = 0
    lost: int = 0
    doubled: int = 0
    waiting: int = 0
    redelivered: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Place:
    """Where everything is: settings only, since clients must not cross a fork."""

    adapters: Mapping[str, tuple[str, str, Mapping[str, Any]]]
    home: str
    send: Any
    left: Any


# --- A life: one process between two deaths -------------------------------------------------------------------------


def live(place: Place, die_at: str, after: int) -> None:
    """Tick and run until nothing waits. Kills itself at the ``after``-th ``die_at``."""
    warnings.simplefilter("ignore")
    left = [after]

    def step(name: str) -> None:
        if name == die_at:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    defs = location.definitions(place.adapters, SPEC, step, handle=counting_handler)
    with dg.DagsterInstance.from_config(place.home) as instance:
        while requests := location.tick(defs, instance):
            for request in requests:
                step("before run")
                location.run(defs, instance, request)


def counting_handler(store: Any, step: Step) -> Any:
    """The location's handler, and a note of every effect that was made, so that a doubled one would show."""

    class Noting:
        def put(self, key: str, data: bytes, *, if_absent: bool) -> str:
            etag: str = store.put(key, data, if_absent=if_absent)
            store.put(f"made/{key}/{uuid.uuid4().hex}", b"")
            return etag

    return location.handler(Noting(), step)


def fork(place: Place, die_at: str = "", after: int = 1) -> int:
    child = os.fork()
    if child == 0:
        try:
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 2)
            live(place, die_at, after)
            os._exit(0)
        except BaseException as error:
            Path(place.home, "error").write_text(repr(error))
            os._exit(1)
    return child


def wait(child: int, seconds: float | None) -> int:
    """The exit status; killed by us where it lives longer than ``seconds``."""
    deadline = time.monotonic() + (seconds or 120)
    while time.monotonic() < deadline:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            return status
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]


def bury(place: Place) -> None:
    """What Dagster's run monitoring does with runs whose process is gone."""
    with dg.DagsterInstance.from_config(place.home) as instance:
        for record in instance.get_run_records(dg.RunsFilter(statuses=NOT_ENDED)):
            instance.report_run_failed(record.dagster_run)


# --- The whole -----------------------------------------------------------------------------------------------------


def harness(place: Place, kills: int, steps: Sequence[str], seed: int = 1) -> Outcome:
    """Kill at every one of ``steps``, then ``kills`` times at random; drain; count."""
    chance, outcome, bodies = random.Random(seed), Outcome(), dict[str, str]()
    began = time.monotonic()
    deaths: list[str] = [*steps, *[""] * kills]
    for death in deaths:
        place.send(messages(chance, bodies))
        child = fork(place, death, chance.randint(1, 3)) if death else fork(place)
        status = wait(child, None if death else chance.uniform(0.05, 3.0))
        outcome.lives += 1
        if os.WIFSIGNALED(status):
            outcome.kills += 1
            if death:
                outcome.kills_at_steps[death] = outcome.kills_at_steps.get(death, 0) + 1
        bury_in_child(place)
    drain(place, outcome)
    count(place, bodies, outcome)
    outcome.seconds = round(time.monotonic() - began, 1)
    return outcome


def bury_in_child(place: Place) -> None:
    """In a process of its own: the parent opens neither database nor client, since it forks."""
    child = os.fork()
    if child == 0:
        warnings.simplefilter("ignore")
        bury(place)
        os._exit(0)
    os.waitpid(child, 0)


def messages(chance: random.Random, bodies: dict[str, str]) -> list[str]:
    """New ones, of which some are malformed or poisonous, and some that were sent before."""
    found = []
    for _ in range(PER_LIFE):
        id_ = f"m{len(bodies):06d}"
        kind = chance.choices(("good", "malformed", "poison", "again"), (80, 7, 3, 10))[0]
        if kind == "again" and (good := [key for key, text in bodies.items() if '"good"' in text]):
            found.append(bodies[chance.choice(good)])
            continue
        where = {"tenant": chance.choice(location.TENANTS), "date": chance.choice(location.DAYS)}
        bodies[id_] = f"{{{id_}" if kind == "malformed" else json.dumps({"id": id_, "kind": "good", **where})
        if kind == "poison":
            bodies[id_] = json.dumps({"id": id_, "kind": "poison", **where})
        found.append(bodies[id_])
    return found


def drain(place: Place, outcome: Outcome) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        status = wait(fork(place), None)
        assert status == 0, Path(place.home, "error").read_text()
        outcome.lives += 1
        outcome.waiting = place.left()
        if outcome.waiting == 0:
            return
        time.sleep(VISIBILITY_SECONDS / 3)


def count(place: Place, bodies: Mapping[str, str], outcome: Outcome) -> None:
    """In a child, which may open clients; it answers through a file."""
    answer = Path(place.home, "counts.json")
    child = os.fork()
    if child == 0:
        answer.write_text(json.dumps(_counts(place, bodies)))
        os._exit(0)
    os.waitpid(child, 0)
    for name, value in json.loads(answer.read_text()).items():
        setattr(outcome, name, value)


def _counts(place: Place, bodies: Mapping[str, str]) -> dict[str, int]:
    from platform_assets.assets.inbox.store import Inbox

    _, kind, settings = place.adapters["object_store"]
    store = create("object_store", kind, settings)
    inbox = Inbox(store, "orders")
    good = {id_ for id_, body in bodies.items() if '"good"' in body}
    bad = sorted(body for id_, body in bodies.items() if id_ not in good)
    made = [info.key.split("/")[2] for info in store.list("made/effects/")]
    effects = {info.key.split("/")[1] for info in store.list("effects/")}
    letters = sorted(letter.message.body.decode() for _, letter in inbox.dead_letters())
    return {
        "sent": len(bodies),
        "effects": len(effects),
        "dead": len(letters),
        "lost": len(good - effects) + len(set(bad) - set(letters)),
        "doubled": len(made) - len(set(made)) + len(letters) - len(set(letters)) + len(effects - good),
        "waiting": inbox.sizes()["messages_waiting"] + place.left(),
    }


# --- Places --------------------------------------------------------------------------------------------------------


@contextmanager
def sqs_place(url: str) -> Iterator[Place]:
    """A FIFO queue and a bucket on moto, a Dagster home in a temporary folder."""
    import boto3

    keys = {
        "endpoint_url": url,
        "region_name": "us-east-1",
        "aws_access_key_id": "testing",
        "aws_secret_access_key": "testing",
    }
    name = uuid.uuid4().hex
    client = boto3.client("sqs", **keys)  # plain HTTP: children make their own
    queue_url = client.create_queue(QueueName=f"{name}.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    boto3.client("s3", **keys).create_bucket(Bucket=name)

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

    queue = {"endpoint_url": url, "queue_url": queue_url, "visibility_seconds": VISIBILITY_SECONDS}
    with tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        yield Place(_adapters(url, name, ("queue", "sqs", queue)), home, send, left)


def _adapters(url: str, bucket: str, queue: tuple[str, str, Mapping[str, Any]]) -> Mapping[str, Any]:
    return {"object_store": ("object_store", "s3", {"endpoint_url": url, "bucket": bucket}), "queue": queue}


@contextmanager
def pubsub_place(url: str, address: str) -> Iterator[Place]:
    """A subscription on pstest. Clients are made in children only: gRPC does not survive a fork."""
    import boto3

    name = f"k{uuid.uuid4().hex}"
    boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="testing",
        aws_secret_access_key="testing",
    ).create_bucket(Bucket=name)
    where = {"project": "tests", "endpoint": address}
    _in_child(lambda: _make_subscription(where, name))

    def send(bodies: Sequence[str]) -> None:
        outbound = [OutboundMessage(body.encode()) for body in bodies]
        _in_child(lambda: create("topic", "pubsub", {**where, "topic": name}).publish(outbound))

    queue = {**where, "subscription": name, "visibility_seconds": 10, "shortest_wait_seconds": 0.5}

    def left() -> int:
        def pull() -> None:
            found = create("queue", "pubsub", queue).pull(1, wait_seconds=12.0)
            if found:
                os._exit(7)

        return 1 if _in_child(pull) == 7 else 0

    with tempfile.TemporaryDirectory() as home:
        Path(home, "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        yield Place(_adapters(url, name, ("queue", "pubsub", queue)), home, send, left)


def _make_subscription(where: Mapping[str, str], name: str) -> None:
    from platform_assets.resources import pubsub_client

    settings = pubsub_client.PubSubSettings(**where)
    topic = f"projects/tests/topics/{name}"
    pubsub_client.connect("publisher", settings).create_topic(request={"name": topic})
    pubsub_client.connect("subscriber", settings).create_subscription(
        request={"name": f"projects/tests/subscriptions/{name}", "topic": topic, "ack_deadline_seconds": 10}
    )


def _in_child(act: Any) -> int:
    child = os.fork()
    if child == 0:
        try:
            act()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def passed(outcome: Outcome) -> bool:
    return outcome.lost == outcome.doubled == outcome.waiting == 0


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--queue", choices=("sqs", "pubsub"), default="sqs")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--steps", nargs="*", choices=STEPS, default=STEPS)
    options = parser.parse_args()
    os.environ |= moto.CREDENTIALS
    with ExitStack() as stack:
        url = stack.enter_context(moto.serving())
        if options.queue == "pubsub":
            place = stack.enter_context(pubsub_place(url, stack.enter_context(pubsub.serving())))
        else:
            place = stack.enter_context(sqs_place(url))
        outcome = harness(place, options.kills, options.steps, options.seed)
    print(json.dumps(outcome.__dict__, indent=1))
    if not passed(outcome):
        raise SystemExit("messages were lost or doubled")


if __name__ == "__main__":
    main()
