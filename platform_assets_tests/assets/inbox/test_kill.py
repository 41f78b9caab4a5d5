"""A few deaths by SIGKILL of the real sensor and real runs; ``make bench-kill`` has the many."""

from __future__ import annotations

import json
import subprocess
import sys

STEPS = ("between writes", "after write", "after an effect", "after state")


def test_nothing_is_lost_or_doubled_by_sigkill() -> None:
    command = [
        sys.executable,
        "-m",
        "platform_assets_tests.benchmarks.kill_inbox",
        "--kills",
        "1",
        "--steps",
        *STEPS,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=280)
    counts = json.loads(done.stdout)
    assert set(counts["kills_at_steps"]) == set(STEPS)
    assert (counts["lost"], counts["doubled"], counts["waiting"]) == (0, 0, 0)
    assert counts["effects"] + counts["dead"] == counts["sent"] > 40
