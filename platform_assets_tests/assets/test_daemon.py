"""The whole way in Dagster's own processes: a message in a queue, the daemon's tick, a run process, the effect."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.store import Inbox
from platform_assets.ports import OutboundMessage
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
from platform_assets_tests.assets.daemon_rig import daemon
from platform_assets_tests.engine.metrics.datasets import RATIO, daily, put_series, request

CODE = "ratio.a_to_b"
CURRENT = f"metrics/{CODE}/current/manifest.json"


def _request(run_id: str, **changes: Any) -> OutboundMessage:
    return OutboundMessage(json.dumps(request(RATIO, runId=run_id, **changes)).encode())


def test_a_message_takes_effect_and_a_bad_one_does_not_stop_it(tmp_path: Path) -> None:
    platform = tmp_path / "platform"
    store = LocalObjectStore(LocalObjectStoreSettings(root=str(platform / "objects")))
    queue = LocalQueue(LocalQueueSettings(root=str(platform / "queues" / "metric_requests")))
    inbox = Inbox(store, "metric_requests")
    put_series(store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    queue.send([OutboundMessage(b"no request"), _request("run-1"), _request("run-1")])
    with daemon(tmp_path, sensors=["metric_requests_sensor"]) as rig:
        rig.wait_for(lambda: store.stat(CURRENT), "the metric's manifest")
        rig.wait_for(lambda: all(run.is_finished for run in rig.runs()), "the end of the run")
        rig.wait_for(lambda: not inbox.pending(), "an empty inbox")
        (run,) = rig.runs()
    assert run.status is dg.DagsterRunStatus.SUCCESS
    assert json.loads(store.get(CURRENT))["run_id"] == "run-1"
    assert [letter.message.body for _, letter in inbox.dead_letters()] == [b"no request"]
    assert not queue.pull(1)
