"""Killing the process at each step of a run: nothing half-written shows, and the request handed in again ends well."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

from platform_assets.engine.metrics.manifest import parse_output_manifest
from platform_assets.resources.object_store.local import LocalObjectStore
from platform_assets_tests.assets import metrics_crash
from platform_assets_tests.assets.metrics_crash import KilledStore, Killer
from platform_assets_tests.engine.metrics.malformed import RUN_ID

PREFIX = "metrics/ratio.a_to_b"


def test_every_point_of_a_run_can_be_the_last(tmp_path: Path) -> None:
    command = [sys.executable, "-m", metrics_crash.__name__, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    points = done.stdout.split()
    assert (
        len(points) >= 16
    )  # before and after: two events, two records, data (and within), manifest, marker, alias
    seen = [_state(KilledStore(tmp_path / point, Killer(0))) for point in points]
    assert seen == sorted(seen)  # a later death has more done
    assert set(seen) >= {(0, 0, 0), (1, 0, 0), (1, 1, 0), (1, 1, 1)}
    for point in points:
        _recovers(tmp_path / point)


def _state(store: LocalObjectStore) -> tuple[int, int, int]:
    """(version manifests, marker, alias); whatever is there is whole."""
    keys = [info.key for info in store.list(f"{PREFIX}/")]
    manifests = [key for key in keys if key.endswith("/manifest.json")]
    for key in manifests:
        _whole(store, key)
    alias = f"{PREFIX}/current/manifest.json"
    return len([k for k in manifests if k != alias]), int(_marker() in keys), int(alias in keys)


def _marker() -> str:
    return f"{PREFIX}/runs/{RUN_ID}.ok"


def _whole(store: LocalObjectStore, key: str) -> None:
    manifest = parse_output_manifest(store.get(key), key)
    data = store.get(f"{manifest.outputs.data_prefix}/{manifest.outputs.files[0]}")
    assert hashlib.sha256(data).hexdigest() == manifest.sha256


def _recovers(root: Path) -> None:
    store = KilledStore(root, Killer(0))
    before = _state(store)
    outcome = metrics_crash.run(root, 0)
    assert outcome.status == "SUCCESS"
    assert outcome.computed == (before[1] == 0)
    assert _state(store)[1:] == (1, 1)
    marker = json.loads(store.get(_marker()))
    current = json.loads(store.get(f"{PREFIX}/current/manifest.json"))
    assert marker["version_ts"] == current["version_ts"] == outcome.version_ts
    completed = [json.loads(json.loads(line)["body"]) for line in _published(root)]
    assert {(event["status"], event["versionTs"]) for event in completed} == {("SUCCESS", outcome.version_ts)}


def _published(root: Path) -> list[bytes]:
    topic = metrics_crash.topics(root, Killer(0)).completed
    assert isinstance(topic, metrics_crash.KilledTopic)
    return list(topic.published())
