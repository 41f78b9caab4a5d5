"""What notifications cost: an idle tick, a message from happening to history, and a run's look at its tenants.

    python -m platform_assets_tests.benchmarks.bench_notifications [--tenants 100] [--messages 200]

The channel is a function that returns, so that what is measured is ours: outbox, claim, outcome, history in DuckDB. The
same messages by the adapter alone are what it is compared with. Files are in memory; a disk's fsync is not ours.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platform_assets_tests.assets.notifications.rig import Rig, make_rig, occurrence, spec

MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
CHANNEL = {"type": "slack", "channel_id": "slack", "webhook_secret": "none"}
GOALS = {"idle tick": "under 50 ms", "message": "under 100 ms, without the history under 10 ms"}


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
    made = make_rig(folder, spec({**CHANNEL, "webhook_secret": None, "webhook_url": "x"}))
    made.notifiers["slack"] = Quiet()
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tenants", type=int, default=100)
    parser.add_argument("--messages", type=int, default=200)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        made = rig(Path(folder))
        messages = [occurrence(f"run-{n}", subject=f"pipeline_{n}") for n in range(asked.messages)]
        first = timed(lambda: made.happens(*messages))
        deliverer = made.process()
        told = timed(deliverer.deliver)
        again = [occurrence(f"again-{n}", subject=f"other_{n}") for n in range(asked.messages)]
        made.happens(*again)
        silent = made.process()
        object.__setattr__(silent, "log", NoHistory())
        quiet = timed(silent.deliver)
        for n in range(asked.tenants):  # what earlier deliveries leave behind
            made.store.put(
                f"notifications/channels/tenant{n}/slack.json",
                made.store.get("notifications/channels/acme1281/slack.json"),
            )
        idle = min(timed(made.process().deliver) for _ in range(5))
        made.warehouse.close()
    count = asked.messages
    results = {
        "put into the outbox, ms a message": first / count * 1000,
        "delivered and recorded, ms a message": told / count * 1000,
        "delivered, history left out, ms a message": quiet / count * 1000,
        f"idle tick, {asked.tenants} tenants, ms": idle * 1000,
    }
    for name, value in results.items():
        print(f"{name:<45} {value:8.2f}")
    print(json.dumps({"goals": GOALS}))


if __name__ == "__main__":
    main()
