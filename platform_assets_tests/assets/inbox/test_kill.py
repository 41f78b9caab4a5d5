"""The kill harness in small: every named step once, ten random instants, on SQS; some of both on Pub/Sub.

`make bench-kill` is the same with more deaths. It forks, so it has a process of its own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_assets_tests.benchmarks.kill_inbox import RUN_STEPS, STEPS, TICK_STEPS

ROOT = Path(__file__).parents[3]
SOME = (*TICK_STEPS[1:], RUN_STEPS[6])


def harness(queue: str, kills: int, steps: tuple[str, ...]) -> dict[str, Any]:
    command = [sys.executable, "-m", "platform_assets_tests.benchmarks.kill_inbox", "--queue", queue]
    done = subprocess.run(
        [*command, "--kills", str(kills), "--seed", "1", "--steps", *steps],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr[-4000:]}"
    outcome: dict[str, Any] = json.loads(done.stdout)
    return outcome


@pytest.mark.parametrize(("queue", "kills", "steps"), [("sqs", 10, STEPS), ("pubsub", 3, SOME)])
def test_killed_everywhere_nothing_is_lost_or_doubled(queue: str, kills: int, steps: tuple[str, ...]) -> None:
    outcome = harness(queue, kills, steps)
    assert set(outcome["kills_at_steps"]) == set(steps)
    assert sum(outcome["random_kills"].values()) >= kills
    assert (outcome["lost"], outcome["doubled"], outcome["waiting"]) == (0, 0, 0)
    assert outcome["effects"] + outcome["dead"] == outcome["sent"] + 1  # and the rehearsal's
    assert outcome["dead"] > 0
