"""The whole way in Dagster's own processes: a run is killed, its monitoring notices, somebody is told."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg

from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets_tests.assets.daemon_rig import Daemon, daemon

TENANT = "globex"


def worker(rig: Daemon) -> int | None:
    """The process of the one run, once it says that it has begun."""
    with rig.instance() as instance:
        for run in instance.get_runs(dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTED])):
            for event in instance.all_logs(run.run_id):
                found = re.search(r"Started process for run \(pid: (\d+)\)", event.message)
                if found or (found := re.search(r"\(pid: (\d+)\)", event.user_message)):
                    return int(found[1])
    return None


def told(rig: Daemon) -> list[dict[str, object]]:
    """What the log notifier of the local deployment wrote, in whichever process delivers."""
    lines = (line for line in rig.logs().splitlines() if line.startswith("NOTIFICATION: "))
    return [json.loads(line.removeprefix("NOTIFICATION: ")) for line in lines]


def test_a_killed_run_is_told(tmp_path: Path) -> None:
    day = str(datetime.now(UTC).date() - timedelta(days=2))
    secrets = tmp_path / "platform" / "secrets" / TENANT
    secrets.mkdir(parents=True)
    (secrets / "openai_admin_key").write_text("not-a-key")
    with socket.create_server(("127.0.0.1", 0)) as silent:  # an API that takes the request and never answers
        env = {"PLATFORM_PROVIDER_API": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        with daemon(tmp_path, sensors=[], env=env) as rig:
            rig.launch("openai_costs", {"dagster/partition": f"{day}|{TENANT}", "tenant": TENANT})
            with silent.accept()[0]:  # the run is in the middle of its work
                pid = rig.wait_for(lambda: worker(rig), "the run's process")
                os.kill(pid, signal.SIGKILL)
                rig.wait_for(lambda: len(told(rig)) >= 2, "a notification by each channel")
            outbox = Outbox(
                LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path / "platform" / "objects")))
            )
            rig.wait_for(lambda: not outbox.waiting(), "an empty outbox")
            messages = told(rig)
    assert [message["subject"] for message in messages] == ["openai_costs failed"] * 2
    assert all(message["fields"]["Tenant"] == TENANT for message in messages)  # type: ignore[index]
