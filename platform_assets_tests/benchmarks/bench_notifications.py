"""What notifications cost: an idle tick, a message from happening to history, and a run's look at its tenants.

    python -m platform_assets_tests.benchmarks.bench_notifications [--tenants 100] [--messages 200]

The channel takes everything at once, so that what is measured is ours: outbox, plan, claim, outcome, history in DuckDB.
Files are in memory; a disk's fsync is not ours.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from platform_assets.assets.notifications.outbox import CHANNELS
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets_tests.assets.notifications.rig import TENANT, Rig, make_rig, occurrence, spec

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None


class Quiet:
    """A channel that takes everything."""

    def send(self, notification: Any) -> str:
        return ""


class NoHistory:
    """A history that keeps nothing."""

    def write(self, tenant: str, facts: Any) -> None: ...


def timed(call: Callable[[], Any]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def rig(folder: Path) -> Rig:
    made = make_rig(folder, spec({"type": "slack", "channel_id": "slack", "webhook_url": "taken by Quiet"}))
    made.notifiers["slack"] = Quiet()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--messages", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        made = rig(Path(folder))
        added = timed(lambda: made.happens(*many("first", asked.messages)))
        told = timed(made.process().deliver)
        made.happens(*many("second", asked.messages))
        unwritten = timed(replace(made.process(), log=NoHistory()).deliver)  # type: ignore[arg-type]
        left = made.store.get(f"{CHANNELS}/{TENANT}/slack.json")
        for number in range(asked.tenants):  # what earlier deliveries leave behind
            made.store.put(f"{CHANNELS}/tenant{number}/slack.json", left)
        idle = min(timed(made.process().deliver) for _ in range(5))
        made.warehouse.close()
    each = 1000 / asked.messages
    for what, milliseconds, goal in (
        ("put into the outbox, a message", added * each, ""),
        ("delivered and recorded, a message", told * each, "<= 100"),
        ("the same without the history", unwritten * each, ""),
        (f"idle tick, {asked.tenants} tenants", idle * 1000, "<= 50"),
    ):
        print(f"{what:<38} {milliseconds:8.2f} ms  {goal}")


def many(name: str, count: int) -> list[Occurrence]:
    """So many happenings, each of a pipeline of its own."""
    return [occurrence(f"{name}-{n}", subject=f"{name}_{n}") for n in range(count)]


if __name__ == "__main__":
    main()
