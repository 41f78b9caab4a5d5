"""From message in a queue to its effect: the inbox, one run per message, and a plain loop without Dagster.

    python -m platform_assets_tests.benchmarks.bench_inbox [--messages 3000] [--singles 8] [--latencies 3]

All take from standard SQS queues on moto and make the same effects: one object per message, created once, in a
folder store. ``plain``: a boto3 loop that receives ten, makes the effects, deletes ten. ``inbox``: the real sensor and
the runs that it asks for, in this process, until the last effect. ``live`` and ``single``: a daemon and a code server
with one process per run, as in production; ``single`` asks for one run per message, and what is counted is the time
from its first run's start to its last run's end; ``live`` counts everything from sending on.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from statistics import median
from typing import Any

import boto3
import dagster as dg

from platform_assets.engine.errors import ConflictError
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets_tests.assets.daemon_rig import Daemon, daemon
from platform_assets_tests.assets.inbox import location
from platform_assets_tests.servers import moto

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None  # a disk's fsync would be all that is measured
MODULE = "platform_assets_tests.benchmarks.inbox_location"
SETTINGS = "BENCH_INBOX"  # what that module reads


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
        """Counted as files, which disturbs least while others work."""
        folder = self.folder / "objects" / "effects"
        return sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0

    @property
    def queue(self) -> tuple[str, str, Mapping[str, Any]]:
        return ("queue", "sqs", {"endpoint_url": self.url, "queue_url": self.queue_url})

    @property
    def adapters(self) -> dict[str, tuple[str, str, Mapping[str, Any]]]:
        return {
            "object_store": ("object_store", "local", {"root": str(self.folder / "objects")}),
            "queue": self.queue,
        }


# --- In this process ----------------------------------------------------------------------------------------------


def through_inbox(contest: Contest, count: int) -> float:
    defs = location.definitions(contest.adapters, InboxSpec())
    with dg.DagsterInstance.from_config(str(contest.folder)) as instance:
        contest.send(2)
        _ticks_and_runs(defs, instance, contest, 2)  # databases made, modules imported
        contest.send(count)
        began = time.perf_counter()
        _ticks_and_runs(defs, instance, contest, count + 2)
        seconds = time.perf_counter() - began
    return count / seconds


def _ticks_and_runs(
    defs: dg.Definitions, instance: dg.DagsterInstance, contest: Contest, effects: int
) -> None:
    while contest.effects() < effects:
        for request in location.tick(defs, instance):
            assert location.run(defs, instance, request).success
    assert contest.effects() == effects


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


# --- With a live daemon -------------------------------------------------------------------------------------------


@contextmanager
def served(inbox: Contest, single: Contest, folder: Path) -> Iterator[Daemon]:
    adapters = {**inbox.adapters, "single_queue": single.queue}
    with daemon(
        folder,
        sensors=["orders_sensor", "one_by_one"],
        module=MODULE,
        env={**moto.CREDENTIALS, SETTINGS: json.dumps(adapters)},
    ) as rig:
        yield rig


def _until_effects(rig: Daemon, contest: Contest, count: int) -> float:
    """Seconds since now."""
    began = time.perf_counter()
    rig.wait_for(lambda: contest.effects() >= count, f"{count} effects")
    seconds = time.perf_counter() - began
    rig.wait_for(lambda: all(run.is_finished for run in rig.runs()), "the end of all runs")
    return seconds


def live(rig: Daemon, contest: Contest, count: int) -> float:
    before = contest.effects()
    contest.send(count)
    return count / _until_effects(rig, contest, before + count)


def latency(rig: Daemon, contest: Contest, tries: int) -> tuple[float, float]:
    """(median seconds from send to the start of the run, and to the effect) of one message in a quiet system."""
    starts, effects = [], []
    for _ in range(tries):
        before = contest.effects()
        sent = time.time()
        contest.send(1)
        effects.append(_until_effects(rig, contest, before + 1))
        with rig.instance() as instance:
            (record,) = instance.get_run_records(limit=1)
        assert record.start_time is not None, "the run has ended"
        starts.append(record.start_time - sent)
    return median(starts), median(effects)


def one_by_one(rig: Daemon, inbox: Contest, single: Contest, count: int) -> float:
    """``single`` keeps its effects where the inbox does."""
    before = inbox.effects()
    single.send(count)
    _until_effects(rig, inbox, before + count)
    with rig.instance() as instance:
        records = instance.get_run_records(limit=count)
    starts = [record.start_time for record in records if record.start_time]
    ends = [record.end_time for record in records if record.end_time]
    assert len(starts) == len(ends) == count
    return count / (max(ends) - min(starts))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=3000)
    parser.add_argument("--singles", type=int, default=8)
    parser.add_argument("--latencies", type=int, default=3)
    options = parser.parse_args()
    os.environ |= moto.CREDENTIALS
    warnings.simplefilter("ignore")
    count = options.messages
    with moto.serving() as url, tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        root = Path(folder)
        plain = _told("plain loop", plainly(Contest(url, root / "plain"), count))
        inbox = _told("inbox", through_inbox(Contest(url, root / "inbox"), count))
        again = _told("plain loop again", plainly(Contest(url, root / "plain again"), count))
        contest, other = Contest(url, root / "live"), Contest(url, root / "single")
        with served(contest, other, root / "daemon") as rig:
            start, effect = latency(rig, contest, options.latencies)
            served_rate = _told("inbox, live daemon", live(rig, contest, count))
            single = _told("one run per message", one_by_one(rig, contest, other, options.singles))
    print(f"inbox / plain loop                    {inbox / max(plain, again):8.2f}   goal 0.7 or more")
    print(f"live daemon / one run per message     {served_rate / single:8.0f}   goal 50 or more")
    print(f"seconds from send to start of the run {start:8.1f}")
    print(f"seconds from send to effect           {effect:8.1f}")


def _told(what: str, rate: float) -> float:
    print(f"{what:<37} {rate:8.2f} messages/s", flush=True)
    return rate


if __name__ == "__main__":
    main()
