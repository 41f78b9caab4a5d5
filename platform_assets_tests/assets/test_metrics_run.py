from __future__ import annotations

import io
import json
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.assets.metrics_run import (
    MetricOutcome,
    MetricTopics,
    handle_message,
    run_metric,
)
from platform_assets.engine.errors import AuthError, RetryableError
from platform_assets.engine.metrics.ahead import ahead
from platform_assets.engine.metrics.exposition import parse_record
from platform_assets.engine.metrics.failures import ErrorCode
from platform_assets.engine.metrics.request import parse_request
from platform_assets.engine.metrics.settings import ErrorForm, MetricSettings, OutputFormat
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets_tests.engine.metrics.datasets import (
    RATIO,
    T0,
    daily,
    parquet,
    put_dataset,
    put_series,
    request,
    rows_parquet,
)
from platform_assets_tests.engine.metrics.malformed import ALL, GOOD, RUN_ID, Malformed
from platform_assets_tests.engine.metrics.stores import MemoryStore, MemoryTopic

PREFIX = "metrics/ratio.a_to_b"
CURRENT = f"{PREFIX}/current/manifest.json"
MARKER = f"{PREFIX}/runs/{RUN_ID}.ok"


class Clock:
    """Every look at it is a millisecond later."""

    def __init__(self, now: datetime = T0) -> None:
        self._now = now
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        with self._lock:
            self._now += timedelta(milliseconds=1)
            return self._now


class World:
    """Ports in memory and what came out of them."""

    def __init__(self, **settings: Any) -> None:
        self.store = MemoryStore()
        self.topics = MetricTopics(MemoryTopic(), MemoryTopic(), MemoryTopic())
        self.clock = Clock()
        self.settings = MetricSettings(**settings)
        put_series(self.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))

    def send(self, body: bytes = GOOD, *, at: datetime | None = T0, final: bool = True) -> MetricOutcome:
        return handle_message(
            body, {}, at, self.store, self.topics, self.clock, self.settings, final_attempt=final
        )

    def events(self, kind: str) -> list[dict[str, Any]]:
        topic = getattr(self.topics, kind)
        assert isinstance(topic, MemoryTopic)
        return [json.loads(message.body) for message in topic.messages]

    def json(self, key: str) -> Any:
        return json.loads(self.store.get(key))

    def table(self, outcome: MetricOutcome) -> pa.Table:
        assert outcome.manifest is not None
        outputs = outcome.manifest.outputs
        return pq.read_table(io.BytesIO(self.store.get(f"{outputs.data_prefix}/{outputs.files[0]}")))


@pytest.fixture
def world() -> World:
    return World()


def body(run_id: str, **changes: Any) -> bytes:
    return json.dumps(request(RATIO, runId=run_id, **changes)).encode()


# --- What it costs --------------------------------------------------------------------------------------------

_ALONE = """
import sys
from datetime import UTC, datetime
from platform_assets.assets.metrics_run import MetricTopics, handle_message
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings

store = LocalObjectStore(LocalObjectStoreSettings(root=sys.argv[1]))
topic = LocalTopic(LocalTopicSettings(root=sys.argv[1] + "-topic"))
topics, body = MetricTopics(topic, topic, topic), sys.stdin.buffer.read()
outcome = handle_message(body, {}, None, store, topics, lambda: datetime.now(UTC), MetricSettings())
print(outcome.status, [name for name in ("pandas", "polars", "dagster") if name in sys.modules])
"""


def test_a_run_loads_neither_pandas_nor_what_its_operations_do_not_need(tmp_path: Path) -> None:
    """Arrow imports pandas for many a conversion; that takes longer than a small run, and 35 MB."""
    put_series(
        LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path / "objects"))),
        A=daily(1, 2, None, 4),
        B=daily(2, 0, 1, 8),
    )
    command = [sys.executable, "-c", _ALONE, str(tmp_path / "objects")]
    done = subprocess.run(command, input=body("alone"), capture_output=True, check=True)
    assert done.stdout.decode().strip() == "SUCCESS []"


# --- What a good run leaves -----------------------------------------------------------------------------------


def test_success_leaves_data_manifest_marker_alias_and_events(world: World) -> None:
    outcome = world.send()
    version = outcome.version_ts
    assert outcome.status == "SUCCESS"
    assert outcome.alias_moved
    assert world.store.names("metrics/") == [
        f"{PREFIX}/{version}/data/metrics.parquet",
        f"{PREFIX}/{version}/manifest.json",
        CURRENT,
        MARKER,
    ]
    table = world.table(outcome)
    assert table.schema.field("obs_time").type == pa.timestamp("ns")
    assert table.column("value").to_pylist() == [1.0, None, None, 1.0]
    assert world.events("started") == [
        {
            "type": "metric_run_started",
            "runId": RUN_ID,
            "metricCode": "ratio.a_to_b",
            "startedAt": "2025-01-15T10:30:00.001000Z",
        }
    ]
    assert world.events("completed") == [
        {
            "type": "metric_run_completed",
            "runId": RUN_ID,
            "metricCode": "ratio.a_to_b",
            "status": "SUCCESS",
            "versionTs": version,
            "outputManifest": f"{PREFIX}/{version}/manifest.json",
            "rowCount": 4,
        }
    ]


def test_the_manifest_tells_what_was_written(world: World) -> None:
    import hashlib

    outcome = world.send()
    found = world.json(outcome.output_manifest)
    data = world.store.get(f"{PREFIX}/{outcome.version_ts}/data/metrics.parquet")
    assert world.store.get(CURRENT) == world.store.get(outcome.output_manifest)
    assert found["run_id"] == RUN_ID
    assert found["metric_code"] == "ratio.a_to_b"
    assert found["version_ts"] == outcome.version_ts
    assert found["row_count"] == 4
    assert found["byte_count"] == len(data)
    assert found["sha256"] == hashlib.sha256(data).hexdigest()
    assert found["null_count"] == 2
    assert found["inf_count"] == 1
    assert found["duplicate_count"] == 0
    assert found["outputs"] == {
        "data_prefix": f"{PREFIX}/{outcome.version_ts}/data",
        "files": ["metrics.parquet"],
    }
    assert found["requested_at"] == "2025-01-15T10:30:00.000000Z"
    assert found["created_at"].endswith("Z")
    assert [i["series_code"] for i in found["inputs"]] == ["A", "B"]


def test_duplicates_are_counted(world: World) -> None:
    put_series(world.store, A=[*daily(1.0, 2.0), *daily(8.0)], B=daily(2.0, 4.0))
    outcome = world.send()
    assert world.table(outcome).column("value").to_pylist() == [8.0, 1.0]
    assert outcome.manifest is not None
    assert outcome.manifest.duplicate_count == 1


def test_json_lines_are_valid_json_without_infinity() -> None:
    world = World(output_format=OutputFormat.JSONL)
    outcome = world.send()
    data = world.store.get(f"{PREFIX}/{outcome.version_ts}/data/metrics.jsonl")
    assert data.decode().splitlines()[0] == '{"obs_time": "2024-01-01T00:00:00", "value": 1.0}'
    rows = [json.loads(line, parse_constant=pytest.fail) for line in data.decode().splitlines()]
    assert [row["value"] for row in rows] == [1.0, None, None, 1.0]
    assert outcome.manifest is not None
    assert outcome.manifest.inf_count == 1


def test_legacy_prefix_keeps_the_bucket_in_the_key() -> None:
    world = World(legacy_bucket_prefix=True)
    outcome = world.send()
    assert outcome.output_manifest == f"bucket/{PREFIX}/{outcome.version_ts}/manifest.json"
    assert world.send().computed is False  # the marker is looked for where it was written


def test_plain_base_path_and_snake_case(world: World) -> None:
    outcome = world.send(body("r", output={"base_path": "/metrics/x/"}))
    assert outcome.output_manifest.startswith("metrics/x/")


@pytest.mark.parametrize("run_id", ["a/b/../c", "..", "ñandú 7", "x" * 400, "a\nb", "100%"])
def test_any_text_may_be_a_run_id(world: World, run_id: str) -> None:
    assert world.send(body(run_id)).computed
    assert world.send(body(run_id)).computed is False
    for topic in (world.topics.started, world.topics.completed):
        assert isinstance(topic, MemoryTopic)
        for message in topic.messages:
            assert message.group and len(message.group) <= 128 and message.group.isascii()
            assert message.deduplication_id and len(message.deduplication_id) <= 128


def test_records_are_left_for_the_exporter(world: World) -> None:
    world.send()
    world.send(body("r2", metricCode="a/b"))  # refused before it starts
    world.send(body("r3", inputs=[], catalog={"datasets": {}}))
    records = [parse_record(world.store.get(key)) for key in world.store.names("metric_runs/")]
    assert Counter(r.phase for r in records) == {"started": 2, "succeeded": 1, "failed": 1}
    done = next(r for r in records if r.phase == "succeeded")
    assert done.read_bytes > 0
    assert done.written_bytes > 0
    assert done.duration_seconds > 0
    assert next(r for r in records if r.phase == "failed").error_code is ErrorCode.INPUT_READ_ERROR


def test_no_records_where_none_are_wanted() -> None:
    world = World(records_prefix="")
    world.send()
    assert world.store.names("metric_runs/") == []


# --- Again, and at the same time ------------------------------------------------------------------------------


def test_a_redelivered_run_says_success_again_and_computes_nothing(world: World) -> None:
    first = world.send()
    reads = world.store.bytes_read
    keys = world.store.names("metrics/")
    second = world.send()
    assert (second.status, second.computed, second.version_ts) == ("SUCCESS", False, first.version_ts)
    assert world.store.names("metrics/") == keys
    assert world.store.bytes_read - reads < 5000
    assert len(world.events("started")) == 1
    completed = world.events("completed")
    assert completed[0] == completed[1]
    assert isinstance(world.topics.completed, MemoryTopic)
    ids = [message.deduplication_id for message in world.topics.completed.messages]
    assert ids[0] != ids[1]  # within five minutes a FIFO topic would drop it otherwise


def test_a_marker_of_the_old_worker_counts_if_its_version_is_known(world: World) -> None:
    first = world.send()
    world.store.put(MARKER, json.dumps({"run_id": RUN_ID}).encode())
    assert world.send().version_ts == first.version_ts
    world.send(body("later"), at=T0 + timedelta(1))
    world.store.put(MARKER, json.dumps({"run_id": RUN_ID}).encode())
    again = world.send()
    assert again.computed
    assert again.alias_moved is False
    assert world.send().version_ts == again.version_ts


def test_a_run_whose_alias_was_not_moved_gets_it_on_redelivery(world: World) -> None:
    first = world.send()
    world.store.delete([CURRENT])
    second = world.send()
    assert second.computed is False
    assert second.alias_moved
    assert world.json(CURRENT)["version_ts"] == first.version_ts


def test_the_alias_never_goes_back_to_an_older_request(world: World) -> None:
    newer = world.send(body("newer"), at=T0 + timedelta(minutes=5))
    older = world.send(body("older"), at=T0)
    assert older.status == "SUCCESS"
    assert older.alias_moved is False
    assert world.json(CURRENT)["version_ts"] == newer.version_ts
    assert world.events("completed")[1]["versionTs"] == older.version_ts


def test_an_alias_of_the_old_worker_is_replaced(world: World) -> None:
    old = {
        "run_id": "old",
        "metric_code": "ratio.a_to_b",
        "version_ts": "2024-12-31T23-59-59",
        "created_at": "2024-12-31T23:59:59.123456Z",
        "row_count": 1,
        "outputs": {"data_prefix": "x", "files": ["metrics.jsonl"]},
    }
    world.store.put(CURRENT, json.dumps(old).encode())
    assert world.send().alias_moved


def test_an_alias_that_is_no_manifest_is_replaced(world: World) -> None:
    world.store.put(CURRENT, b"<html>")
    assert world.send().alias_moved


def test_overlapping_runs_leave_the_newest_request_at_the_alias(world: World) -> None:
    barrier = threading.Barrier(8)

    def go(number: int) -> MetricOutcome:
        barrier.wait()
        return world.send(body(f"run-{number}"), at=T0 + timedelta(seconds=number))

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(go, range(8)))
    assert {outcome.status for outcome in outcomes} == {"SUCCESS"}
    assert len({outcome.version_ts for outcome in outcomes}) == 8
    assert world.json(CURRENT)["run_id"] == "run-7"


def test_the_same_run_twice_at_once_has_one_version_in_the_end(world: World) -> None:
    barrier = threading.Barrier(4)

    def go(_: int) -> MetricOutcome:
        barrier.wait()
        return world.send()

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(go, range(4)))
    marked = world.json(MARKER)["version_ts"]
    assert {outcome.version_ts for outcome in outcomes} == {marked}
    assert world.json(CURRENT)["version_ts"] == marked


def test_versions_of_one_instant_differ(world: World) -> None:
    frozen = lambda: T0  # noqa: E731
    outcomes = [
        run_metric(parse_request(body(f"r{i}")), world.store, world.topics, frozen, world.settings)
        for i in range(3)
    ]
    assert [outcome.version_ts for outcome in outcomes] == [
        "2025-01-15T10-30-00-000000",
        "2025-01-15T10-30-00-000001",
        "2025-01-15T10-30-00-000002",
    ]


# --- Heartbeats -----------------------------------------------------------------------------------------------


def waiting_for(reached: Callable[[], bool]) -> Callable[[str, str], None]:
    """Reading data files takes until ``reached``; a minute at most."""

    def before(operation: str, key: str) -> None:
        if key.endswith("B/year=2024/month=01/data.parquet"):
            for _ in range(6000):
                if reached():
                    return
                threading.Event().wait(0.01)

    return before


def test_heartbeats_go_out_while_a_read_hangs() -> None:
    world = World(heartbeat_seconds=0.02)
    world.store.before = waiting_for(lambda: len(world.events("heartbeat")) >= 3)
    outcome = world.send()
    assert outcome.status == "SUCCESS"
    beats = world.events("heartbeat")
    assert len(beats) >= 3
    assert all(set(beat) == {"type", "runId", "progress", "ts"} for beat in beats)
    assert all(0.0 <= beat["progress"] <= 1.0 for beat in beats)
    assert isinstance(world.topics.heartbeat, MemoryTopic)
    ids = [message.deduplication_id for message in world.topics.heartbeat.messages]
    assert len(set(ids)) == len(ids)
    assert threading.active_count() < 20


def test_a_lost_heartbeat_does_not_stop_the_run() -> None:
    world = World(heartbeat_seconds=0.02)
    tries: list[int] = []

    def fail() -> None:
        tries.append(1)
        raise RetryableError("no connection")

    object.__setattr__(world.topics, "heartbeat", MemoryTopic(fail))
    world.store.before = waiting_for(lambda: len(tries) >= 2)
    assert world.send().status == "SUCCESS"


def test_progress_is_reported(world: World) -> None:
    seen: list[float] = []
    run_metric(parse_request(GOOD), world.store, world.topics, world.clock, world.settings, seen.append)
    assert seen[-1] == 1.0


# --- Failures -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALL, ids=str)
def test_malformed_requests_fail_with_their_code_and_leave_nothing(case: Malformed) -> None:
    world = World()
    before = world.store.names()
    outcome = world.send(case.body)
    assert outcome.status == "FAILURE"
    assert outcome.error_code is case.code
    assert outcome.dead_letter == (outcome.record is None)
    completed = world.events("completed")
    assert len(completed) == int(case.event)
    for event in completed:
        assert event["runId"] == RUN_ID
        assert event["status"] == "FAILURE"
        assert event["error"]["code"] == case.code
        assert event["error"]["message"]
    assert [key for key in world.store.names() if not key.startswith("metric_runs/")] == before


def test_errors_as_one_string() -> None:
    world = World(error_form=ErrorForm.TEXT)
    world.send(body("r", metricCode="a/b"))
    assert world.events("completed")[0]["error"].startswith("CONFIG_ERROR: metricCode 'a/b' must be")


def test_long_messages_are_cut(world: World) -> None:
    operands = [{"seriesCode": "x" * 299, "n": i} for i in range(100)]
    bad = {"op": "sum", "operands": [*operands, None]}
    world.send(body("r", expressionJson=bad | {"op": "y" * 9000}, expressionType="composite"))
    assert len(world.events("completed")[0]["error"]["message"]) <= 4000


def fails_at(operation: str, part: str, error: Exception) -> Callable[[str, str], None]:
    def before(called: str, key: str) -> None:
        if called == operation and part in key:
            raise error

    return before


FAULTS = [
    ("get", "versions/v1/manifest.json", ErrorCode.INPUT_READ_ERROR),
    ("get_range", "A/year=2024", ErrorCode.INPUT_READ_ERROR),
    ("put", "metrics.parquet", ErrorCode.OUTPUT_WRITE_ERROR),
    ("get_range", "metrics.parquet", ErrorCode.MANIFEST_VALIDATION_ERROR),
    ("stat", "metrics.parquet", ErrorCode.MANIFEST_VALIDATION_ERROR),
    ("put", "/manifest.json", ErrorCode.OUTPUT_WRITE_ERROR),
    ("put", ".ok", ErrorCode.OUTPUT_WRITE_ERROR),
    ("get", ".ok", ErrorCode.OUTPUT_WRITE_ERROR),
    ("put", "current/", ErrorCode.OUTPUT_WRITE_ERROR),
]


@pytest.mark.parametrize(("operation", "part", "code"), FAULTS)
def test_lasting_faults_fail_the_run_with_their_code(
    world: World, operation: str, part: str, code: ErrorCode
) -> None:
    world.store.before = fails_at(operation, part, AuthError("access denied"))
    outcome = world.send(final=False)
    assert outcome.error_code is code
    assert "access denied" in outcome.error_message
    assert [event["error"]["code"] for event in world.events("completed")] == [code]
    assert CURRENT not in world.store.objects
    world.store.before = lambda operation, key: None
    assert world.send().status == "SUCCESS"
    assert CURRENT in world.store.objects


@pytest.mark.parametrize(("operation", "part", "code"), FAULTS)
def test_passing_faults_are_tried_again_and_fail_only_in_the_end(
    world: World, operation: str, part: str, code: ErrorCode
) -> None:
    world.store.before = fails_at(operation, part, RetryableError("slow down"))
    with pytest.raises(RetryableError, match="slow down"):
        world.send(final=False)
    assert world.events("completed") == []
    assert world.send(final=True).error_code is code
    world.store.before = lambda operation, key: None
    assert world.send().status == "SUCCESS"


def test_a_bug_is_an_internal_error(world: World) -> None:
    world.store.before = fails_at("put", "metrics.parquet", ZeroDivisionError("oops"))
    outcome = world.send()
    assert outcome.error_code is ErrorCode.INTERNAL_ERROR
    assert outcome.error_message == "ZeroDivisionError: oops"


def test_a_store_that_dresses_up_what_its_iterator_raised_hides_nothing(world: World) -> None:
    """A damaged input shows itself only while the output is being uploaded."""
    real = world.store.put

    def put(key: str, data: Any, **conditions: Any) -> str:
        try:
            return real(key, data, **conditions)
        except Exception as error:
            raise RetryableError("upload failed") from error

    texts = parquet("A", pa.array([1, 2], pa.timestamp("us")), pa.array(["x", "y"]))
    good = rows_parquet("B", daily(1.0))
    put_dataset(world.store, {"A/data.parquet": texts, "B/data.parquet": good}, ["A", "B"])
    world.store.put = put  # type: ignore[method-assign]
    outcome = world.send(final=False)
    assert outcome.error_code is ErrorCode.INPUT_READ_ERROR
    assert "which is no number" in outcome.error_message


def test_a_large_upload_that_breaks_off_leaves_no_thread(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ahead, "__defaults__", (1,))  # it waits for room, however slowly we take
    count = 600_000
    times = pa.array(np.arange(count) * 60_000_000).cast(pa.timestamp("us"))
    values = pa.array(np.random.default_rng(0).normal(size=count))
    files = {f"{code}/data.parquet": parquet(code, times, values, extra=False) for code in "AB"}
    put_dataset(world.store, files, ["A", "B"])
    real = world.store.put
    seen: list[str] = []

    def put(key: str, data: Any, **conditions: Any) -> str:
        if key.endswith(".parquet"):
            next(iter(data))
            seen.extend(t.name for t in threading.enumerate() if t.name == "metric-ahead")
            raise RetryableError("broken pipe")
        return real(key, data, **conditions)

    world.store.put = put  # type: ignore[method-assign]
    with pytest.raises(RetryableError, match="broken pipe"):
        world.send(final=False)
    assert seen == ["metric-ahead"]
    assert "metric-ahead" not in {thread.name for thread in threading.enumerate()}
    world.store.put = real  # type: ignore[method-assign]
    outcome = world.send()
    assert world.table(outcome).column("value").to_pylist()[:3] == [2.0, 2.0, 2.0]


def test_lost_bytes_are_noticed_before_success(world: World) -> None:
    real = world.store.put

    def put(key: str, data: Any, **conditions: Any) -> str:
        etag = real(key, data, **conditions)
        if key.endswith(".parquet"):
            whole = bytearray(world.store.objects[key][0])
            whole[10] ^= 1
            world.store.objects[key] = (bytes(whole), etag)
        return etag

    world.store.put = put  # type: ignore[method-assign]
    outcome = world.send()
    assert outcome.error_code is ErrorCode.MANIFEST_VALIDATION_ERROR
    assert CURRENT not in world.store.objects
    assert MARKER not in world.store.objects


def test_above_the_limit_only_the_length_is_checked() -> None:
    world = World(verify_bytes=0)
    world.send()
    assert not any(op == "get_range" and "metrics/" in key for op, key in world.store.calls)


@pytest.mark.parametrize("kind", ["started", "completed"])
def test_an_event_that_cannot_be_published_brings_the_message_back(world: World, kind: str) -> None:
    topic = getattr(world.topics, kind)
    error: list[Exception] = [AuthError("no right")]

    def before() -> None:
        if error:
            raise error[0]

    topic.before = before
    with pytest.raises(RetryableError, match=f"metric_run_{kind} of run"):
        world.send(final=True)
    error.clear()
    outcome = world.send()
    assert outcome.status == "SUCCESS"
    assert outcome.computed == (kind == "started")
    assert len(world.events("completed")) == 1


def test_a_failure_that_cannot_be_told_comes_back(world: World) -> None:
    def fail() -> None:
        raise RetryableError("no connection")

    object.__setattr__(world.topics, "completed", MemoryTopic(fail))
    with pytest.raises(RetryableError):
        world.send(body("r", metricCode="a/b"))


def test_a_record_that_cannot_be_kept_does_not_fail_the_run(world: World) -> None:
    world.store.before = fails_at("put", "metric_runs/", AuthError("no"))
    assert world.send().status == "SUCCESS"


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    left = [t.name for t in threading.enumerate() if t.name.startswith("metric-")]
    assert left == []


def test_times_with_any_zone_order_requests(world: World) -> None:
    from datetime import timezone

    west = timezone(timedelta(hours=-5))
    newer = world.send(body("newer"), at=datetime(2025, 1, 15, 9, 0, tzinfo=west))
    world.send(body("older"), at=datetime(2025, 1, 15, 13, 0, tzinfo=UTC))
    assert world.json(CURRENT)["version_ts"] == newer.version_ts
