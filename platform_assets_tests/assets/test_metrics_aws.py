"""The whole way with the real AWS adapters: SNS → SQS FIFO → S3 → SNS FIFO → SQS FIFO, on moto's server."""

from __future__ import annotations

import io
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import dagster as dg
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.assets.metrics_run import MetricOutcome
from platform_assets.ports import Message
from platform_assets_tests.assets.metrics_aws import Aws
from platform_assets_tests.assets.metrics_location import MetricLocation, deployment
from platform_assets_tests.engine.metrics.datasets import (
    RATIO,
    T0,
    daily,
    parquet,
    put_dataset,
    put_series,
    request,
)

HOUR = 3_600_000_000_000


@pytest.fixture
def aws(moto_url: str) -> Aws:
    return Aws(moto_url)


def test_a_request_over_sns_ends_in_s3_and_is_told(aws: Aws) -> None:
    put_series(aws.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    aws.ask(request(RATIO))
    (message,) = aws.requests.pull(1, wait_seconds=1)
    first = aws.handle(message)
    again = aws.handle(message)
    assert (first.status, first.computed) == ("SUCCESS", True)
    assert (again.status, again.computed, again.version_ts) == ("SUCCESS", False, first.version_ts)
    started, completed = aws.events("started"), aws.events("completed")
    assert [event["type"] for event in started] == ["metric_run_started"]
    assert [event["status"] for event in completed] == ["SUCCESS", "SUCCESS"]  # neither dropped as a repeat
    assert completed[0]["outputManifest"] == first.output_manifest
    current = json.loads(aws.store.get("metrics/ratio.a_to_b/current/manifest.json"))
    assert current["version_ts"] == first.version_ts


def test_heartbeats_are_not_dropped_as_repeats(aws: Aws) -> None:
    put_series(aws.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    real = aws.store.get_range

    def slow(key: str, start: int, length: int) -> bytes:
        import time

        time.sleep(0.2)
        return real(key, start, length)

    aws.store.get_range = slow  # type: ignore[method-assign]
    aws.ask(request(RATIO))
    (message,) = aws.requests.pull(1, wait_seconds=1)
    aws.handle(message, heartbeat_seconds=0.05)
    beats = aws.events("heartbeat")
    assert len(beats) >= 2
    assert len({beat["ts"] for beat in beats}) == len(beats)


def test_malformed_requests_fail_over_sns(aws: Aws) -> None:
    aws.ask(request({**RATIO, "op": "divide"}))
    (message,) = aws.requests.pull(1, wait_seconds=1)
    assert aws.handle(message).dead_letter
    (event,) = aws.events("completed")
    assert event["error"]["code"] == "EXPRESSION_EVAL_ERROR"
    assert event["error"]["message"].startswith("$.op: 'divide' is no series_math operation")


def test_large_series_are_read_in_ranges_and_written_in_parts(aws: Aws) -> None:
    count = 800_000
    random = np.random.default_rng(7)
    series = {code: random.normal(100.0, 5.0, count) for code in "AB"}
    times = pa.array(np.arange(count) * HOUR // 60).cast(pa.timestamp("ns"))
    files = {
        f"{code}/data.parquet": parquet(code, times, pa.array(values), row_group_size=200_000)
        for code, values in series.items()
    }
    put_dataset(aws.store, files, ["A", "B"])
    body = json.dumps(request(RATIO)).encode()
    outcome = aws.handle(Message("1", body, "r", published_at=T0))
    assert outcome.manifest is not None
    assert outcome.manifest.byte_count is not None
    assert outcome.manifest.byte_count > 5 * 2**20
    outputs = outcome.manifest.outputs
    table = pq.read_table(io.BytesIO(aws.store.get(f"{outputs.data_prefix}/{outputs.files[0]}")))
    np.testing.assert_array_equal(table.column("value").to_numpy(), series["A"] / series["B"] * 2)


def test_overlapping_runs_leave_the_newest_request_at_the_alias(aws: Aws) -> None:
    put_series(aws.store, A=daily(1, 2), B=daily(2, 4))

    def go(number: int) -> MetricOutcome:
        body = json.dumps(request(RATIO, runId=f"run-{number}")).encode()
        return aws.handle(Message(str(number), body, "r", published_at=T0 + timedelta(seconds=number)))

    with ThreadPoolExecutor(4) as pool:
        outcomes = list(pool.map(go, [2, 3, 0, 1]))
    assert {outcome.status for outcome in outcomes} == {"SUCCESS"}
    current = json.loads(aws.store.get("metrics/ratio.a_to_b/current/manifest.json"))
    assert current["run_id"] == "run-3"


def test_through_dagster_with_its_redelivery(aws: Aws) -> None:
    put_series(aws.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    good = request(RATIO)
    aws.ask(good)
    aws.ask(request(RATIO, runId="broken", expressionJson={"op": "ratio"}))
    with dg.DagsterInstance.ephemeral() as instance:
        location = MetricLocation(deployment(aws.ports()), {}, instance)
        (run,) = location.answer_all()
        assert run.success
        (found,) = location.materializations(["metric_run"])
        assert found.metadata["dagster/partition_row_count"].value == 4
        first = {event["runId"]: event for event in aws.events("completed")}
        assert {run_id: event["status"] for run_id, event in first.items()} == {
            good["runId"]: "SUCCESS",
            "broken": "FAILURE",
        }
        aws.ask(good)  # moto has forgotten the first one's de-duplication id
        (again,) = location.answer_all()
        assert again.success
        (repeated,) = aws.events("completed")
        assert repeated == first[good["runId"]]
        assert len(aws.events("started")) == 1
        assert not location.tick().run_requests
