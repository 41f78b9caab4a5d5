"""From message in a queue to its effect: the inbox, one run per message, and a plain loop without Dagster.

    python -m platform_assets_tests.benchmarks.bench_inbox [--messages 2000] [--single-runs 10]

All three take from a standard SQS queue on moto and make the same effects: one object per message, created once, in a
folder store. ``inbox`` is the real sensor and the runs it asks for; ``single`` the same with one message at a time.
Both execute runs within this process, on a SQLite instance; in production each run is a process of its own (about
2.8 s more), which favours ``single`` here. ``plain`` pulls ten, makes the effects, deletes ten.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import dagster as dg

from platform_assets.engine.errors import ConflictError
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets_tests.assets.inbox import location
from platform_assets_tests.servers import moto

SPEC = InboxSpec()
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk's fsync would be all that is measured


class Contest:
    """A queue and a folder of its own for each contender."""

    def __init__(self, url: str, folder: Path) -> None:
        self.url, self.folder = url, folder
        self.client = boto3.client("sqs", endpoint_url=url, region_name="us-east-1")
        self.queue_url = self.client.create_queue(QueueName=uuid.uuid4().hex)["QueueUrl"]
        self.store = LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))
        folder.mkdir()
        (folder / "dagster.yaml").write_text("telemetry: {enabled: false}\n")

    def send(self, count: int) -> None:
        bodies = [
            json.dumps(
                {"id": uuid.uuid4().hex, "tenant": location.TENANTS[n % 2], "date": location.DAYS[n // 2 % 2]}
            )
            for n in range(count)
        ]
        for start in range(0, count, 10):
            entries = [{"Id": str(n), "MessageBody": b} for n, b in enumerate(bodies[start : start + 10])]
            self.client.send_message_batch(QueueUrl=self.queue_url, Entries=entries)

    def effects(self) -> int:
        return sum(1 for _ in self.store.list("effects/"))

    def definitions(self, started: Callable[[], None] = lambda: None) -> dg.Definitions:
        adapters: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
            "object_store": ("object_store", "local", {"root": str(self.folder / "objects")}),
            "queue": ("queue", "sqs", {"endpoint_url": self.url, "queue_url": self.queue_url}),
        }

        def step(name: str) -> None:
            if name == "before effects":
                started()

        return location.definitions(adapters, SPEC, step)


def through_inbox(contest: Contest, count: int) -> float:
    defs = contest.definitions()
    with dg.DagsterInstance.from_config(str(contest.folder)) as instance:
        _drain(defs, instance)
        contest.send(count)
        began = time.perf_counter()
        _drain(defs, instance)
        seconds = time.perf_counter() - began
    assert contest.effects() == count
    return count / seconds


def _drain(defs: dg.Definitions, instance: dg.DagsterInstance) -> None:
    while requests := location.tick(defs, instance):
        for request in requests:
            assert location.run(defs, instance, request).success


def one_by_one(contest: Contest, count: int) -> tuple[float, float]:
    """(messages a second, median seconds from send to the run's first work)."""
    waits: list[float] = []
    sent = [0.0]
    defs = contest.definitions(lambda: waits.append(time.perf_counter() - sent[0]))
    with dg.DagsterInstance.from_config(str(contest.folder)) as instance:
        _drain(defs, instance)
        spent = 0.0
        for _ in range(count):
            contest.send(1)
            sent[0] = time.perf_counter()
            (request,) = location.tick(defs, instance)
            ticked = time.perf_counter()
            assert location.run(defs, instance, request).success
            spent += time.perf_counter() - ticked
    assert contest.effects() == count
    return count / spent, median(waits)


def plainly(contest: Contest, count: int) -> float:
    contest.send(count)
    began, done = time.perf_counter(), 0
    while done < count:
        done += _ten(contest)
    seconds = time.perf_counter() - began
    assert contest.effects() == count
    return count / seconds


def _ten(contest: Contest) -> int:
    found: Sequence[Any] = contest.client.receive_message(
        QueueUrl=contest.queue_url, MaxNumberOfMessages=10
    ).get("Messages", [])
    for message in found:
        with suppress(ConflictError):
            contest.store.put(f"effects/{json.loads(message['Body'])['id']}", b"1", if_absent=True)
    if found:
        entries = [{"Id": str(n), "ReceiptHandle": m["ReceiptHandle"]} for n, m in enumerate(found)]
        contest.client.delete_message_batch(QueueUrl=contest.queue_url, Entries=entries)
    return len(found)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--single-runs", type=int, default=10)
    options = parser.parse_args()
    os.environ |= moto.CREDENTIALS
    warnings.simplefilter("ignore")
    with moto.serving() as url, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder)
        plain = plainly(Contest(url, root / "plain"), options.messages)
        inbox = through_inbox(Contest(url, root / "inbox"), options.messages)
        again = plainly(Contest(url, root / "plain again"), options.messages)
        single, latency = one_by_one(Contest(url, root / "single"), options.single_runs)
    plain = max(plain, again)
    result = {
        "messages": options.messages,
        "inbox_per_s": round(inbox),
        "plain_per_s": round(plain),
        "single_runs_per_s": round(single, 2),
        "inbox_over_single": round(inbox / single, 1),
        "inbox_over_plain": round(inbox / plain, 2),
        "send_to_work_s": round(latency, 2),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
