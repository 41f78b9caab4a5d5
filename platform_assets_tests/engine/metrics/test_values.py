"""Layout, events, manifests, records: the small pure values of a run."""

from __future__ import annotations

import io
import json
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.engine.errors import ConfigError, DataError, RetryableError
from platform_assets.engine.expressions.faults import ExpressionError, Fault
from platform_assets.engine.expressions.series import Chunk
from platform_assets.engine.metrics.events import RunEvents
from platform_assets.engine.metrics.exposition import Exposition, RunRecord, parse_record, render
from platform_assets.engine.metrics.failures import (
    ErrorCode,
    InputReadError,
    ManifestError,
    OutputWriteError,
    RequestConfigError,
    code_of,
    failing_as,
)
from platform_assets.engine.metrics.layout import output_layout, version_ts
from platform_assets.engine.metrics.manifest import (
    Marker,
    OutputManifest,
    Outputs,
    ReadBack,
    Written,
    check_size,
    iso,
    parse_marker,
    parse_output_manifest,
)
from platform_assets.engine.metrics.output import ROW_GROUP_ROWS, Tally, encode, measured
from platform_assets.engine.metrics.settings import Compression, ErrorForm, OutputFormat
from platform_assets_tests.engine.metrics.datasets import T0

# --- Layout ---------------------------------------------------------------------------------------------------

PREFIXES = [
    ("s3://bucket/metrics/x/", False, "metrics/x"),
    ("s3://bucket/metrics/x/", True, "bucket/metrics/x"),
    ("gs://bucket/metrics/x", False, "metrics/x"),
    ("/metrics/x/", True, "metrics/x"),
    ("metrics/x", False, "metrics/x"),
]


@pytest.mark.parametrize(("base_path", "legacy", "prefix"), PREFIXES)
def test_prefixes(base_path: str, legacy: bool, prefix: str) -> None:
    layout = output_layout(base_path, legacy_bucket_prefix=legacy, roots=("metrics",))
    assert layout.prefix == prefix
    assert layout.current == f"{prefix}/current/manifest.json"


def test_any_root_where_none_is_named() -> None:
    assert output_layout("s3://b/x", legacy_bucket_prefix=False).prefix == "x"
    with pytest.raises(RequestConfigError, match="not below metrics or gold"):
        output_layout("s3://b/x", legacy_bucket_prefix=False, roots=("metrics", "gold"))


def test_versions_sort_in_the_order_of_time_also_with_the_old_form() -> None:
    old = "2025-01-15T10-30-00"
    one = version_ts(T0.astimezone(timezone(timedelta(hours=-3))))
    later = version_ts(T0 + timedelta(seconds=1))
    assert one == "2025-01-15T10-30-00-000000"
    assert sorted([later, one, old]) == [old, one, later]


# --- Events ---------------------------------------------------------------------------------------------------


def test_ids_of_events() -> None:
    events = RunEvents("run", "code", T0)
    first, second = events.heartbeat(1, 0.5, T0), events.heartbeat(2, 0.6, T0)
    assert (first.group, second.group) == ("run", "run")
    assert first.deduplication_id != second.deduplication_id
    assert events.started() == events.started()
    again = RunEvents("run", "code", T0 + timedelta(microseconds=1))
    assert again.started().deduplication_id != events.started().deduplication_id
    assert events.started().attributes == {"type": "metric_run_started", "metricCode": "code"}


def test_ids_that_no_fifo_topic_takes_are_hashed() -> None:
    event = RunEvents("run 1", "", T0).started()
    assert len(event.group) == len(event.deduplication_id) == 64
    assert event.attributes == {"type": "metric_run_started"}  # SNS takes no empty attribute
    long = RunEvents("x" * 120, "code", T0).started()
    assert long.group == "x" * 120
    assert len(long.deduplication_id) == 64


def test_progress_stays_between_zero_and_one() -> None:
    events = RunEvents("run", "code", T0)
    shown = [json.loads(events.heartbeat(1, p, T0).body)["progress"] for p in (-1, 0.123456, 7)]
    assert shown == [0.0, 0.1235, 1.0]


def test_error_forms() -> None:
    as_text = RunEvents("run", "code", T0, ErrorForm.TEXT).failed(ErrorCode.CONFIG_ERROR, "no")
    assert json.loads(as_text.body)["error"] == "CONFIG_ERROR: no"
    as_object = RunEvents("run", "code", T0).failed(ErrorCode.CONFIG_ERROR, "no")
    assert json.loads(as_object.body)["error"] == {"code": "CONFIG_ERROR", "message": "no"}


def test_times_are_utc_with_microseconds() -> None:
    assert iso(T0.astimezone(timezone(timedelta(hours=-3)))) == "2025-01-15T10:30:00.000000Z"
    assert iso(T0.replace(tzinfo=None)) == "2025-01-15T10:30:00.000000Z"


# --- Error codes ----------------------------------------------------------------------------------------------

CODES = [
    (InputReadError("x"), ErrorCode.INPUT_READ_ERROR),
    (ExpressionError((Fault((), "x"),)), ErrorCode.EXPRESSION_EVAL_ERROR),
    (ConfigError("Series not found"), ErrorCode.CONFIG_ERROR),
    (RetryableError("S3 write Manifest Expression"), ErrorCode.INTERNAL_ERROR),
    (ValueError("Invalid"), ErrorCode.INTERNAL_ERROR),
]


@pytest.mark.parametrize(("error", "code"), CODES)
def test_codes_come_from_classes(error: Exception, code: ErrorCode) -> None:
    assert code_of(error) is code


def test_steps_give_untyped_errors_their_class() -> None:
    with (
        pytest.raises(OutputWriteError, match="writing: slow") as caught,
        failing_as(OutputWriteError, "writing"),
    ):
        raise RetryableError("slow")
    assert caught.value.retryable
    with pytest.raises(InputReadError), failing_as(OutputWriteError, "writing"):
        raise InputReadError("typed already")


# --- Output ---------------------------------------------------------------------------------------------------


def rows(count: int, start: int = 0) -> Chunk:
    times = np.arange(start, start + count, dtype=np.int64)
    return Chunk(times, times.astype(float))


def written(chunks: list[Chunk], tally: Tally, form: OutputFormat, compression: Compression) -> bytes:
    return b"".join(measured(encode(chunks, tally, form, compression), tally))


@pytest.mark.parametrize("compression", list(Compression))
def test_parquet_of_many_chunks(compression: Compression) -> None:
    chunks = [rows(100_000, start) for start in range(0, 1_600_000, 100_000)]
    tally = Tally()
    data = written(chunks, tally, OutputFormat.PARQUET, compression)
    file = pq.ParquetFile(io.BytesIO(data))
    assert file.schema_arrow == pa.schema(
        [pa.field("obs_time", pa.timestamp("ns"), nullable=False), ("value", pa.float64())]
    )
    sizes = [file.metadata.row_group(i).num_rows for i in range(file.num_row_groups)]
    assert sum(sizes) == tally.row_count == 1_600_000
    assert max(sizes) <= ROW_GROUP_ROWS
    assert len(sizes) == 4
    assert tally.byte_count == len(data)


def test_nulls_and_infinities_are_counted() -> None:
    chunk = Chunk(np.arange(5, dtype=np.int64), np.array([1.0, np.nan, np.inf, -np.inf, 0.0]))
    tally = Tally()
    data = written([chunk], tally, OutputFormat.PARQUET, Compression.SNAPPY)
    assert pq.read_table(io.BytesIO(data)).column("value").to_pylist() == [1.0, None, None, None, 0.0]
    assert (tally.row_count, tally.null_count, tally.inf_count) == (5, 3, 2)


@pytest.mark.parametrize("count", [1, 7, 8, 9, 1000])
def test_nulls_are_where_they_were(count: int) -> None:
    values = np.arange(count, dtype=float)
    values[::3] = np.nan
    values[1::5] = -np.inf
    chunk = Chunk(np.arange(count, dtype=np.int64), values)
    data = written([chunk], Tally(), OutputFormat.PARQUET, Compression.SNAPPY)
    expected = [float(i) if i % 3 and i % 5 != 1 else None for i in range(count)]
    assert pq.read_table(io.BytesIO(data)).column("value").to_pylist() == expected


def test_json_lines_of_odd_values() -> None:
    values = [1e20, 1e-7, -0.0, 5e-324, 1.7976931348623157e308, 0.1, np.nan]
    nanoseconds = np.array([0, 1, 1500, 1_500_000_000, 2**62, 2**62 + 1, 2**62 + 2], np.int64)
    data = b"".join(
        encode([Chunk(nanoseconds, np.array(values))], Tally(), OutputFormat.JSONL, Compression.NONE)
    )
    found = [json.loads(line, parse_constant=pytest.fail) for line in data.splitlines()]
    assert [row["value"] for row in found] == [*values[:-1], None]
    times = [np.datetime64(row["obs_time"], "ns").astype(np.int64) for row in found]
    assert times == nanoseconds.tolist()


# --- Manifests ------------------------------------------------------------------------------------------------


def manifest(**changes: object) -> OutputManifest:
    fields = {
        "run_id": "r",
        "metric_code": "m",
        "version_ts": "2025-01-15T10-30-00-000000",
        "created_at": T0,
        "row_count": 3,
        "outputs": Outputs(data_prefix="p", files=("f",)),
    }
    return OutputManifest.model_validate(fields | changes)


def test_a_manifest_survives_its_own_encoding() -> None:
    one = manifest(requested_at=T0, sha256="x", byte_count=1)
    assert parse_output_manifest(one.encode(), "k") == one
    assert one.encode().startswith(b'{\n  "run_id": "r",')


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b"{", manifest().encode().replace(b'"row_count": 3', b'"row_count": -1')]
)
def test_what_is_no_manifest(data: bytes) -> None:
    with pytest.raises(ManifestError, match="'k' is not valid"):
        parse_output_manifest(data, "k")


def test_newer_requests_come_later_whenever_they_were_computed() -> None:
    slow = manifest(requested_at=T0, created_at=T0 + timedelta(hours=1), version_ts="9")
    fast = manifest(requested_at=T0 + timedelta(seconds=1), version_ts="1")
    old = manifest(created_at=(T0 - timedelta(1)).replace(tzinfo=None))
    assert sorted([fast, slow, old], key=lambda m: m.order) == [old, slow, fast]


def test_markers() -> None:
    marker = Marker(run_id="r", version_ts="v", output_manifest="m", row_count=0)
    assert parse_marker(marker.encode()) == marker
    assert parse_marker(b'{"run_id": "r"}') == Marker(run_id="r")
    assert parse_marker(b"") is None


def test_read_back_finds_every_difference() -> None:
    tally = Tally()
    data = written([rows(10)], tally, OutputFormat.PARQUET, Compression.SNAPPY)
    good = Written("k", len(data), tally.sha256, 10, OutputFormat.PARQUET)

    def check(written: Written, content: bytes) -> None:
        back = ReadBack(written)
        for start in range(0, len(content), 100):
            back.add(content[start : start + 100])
        back.check()

    check(good, data)
    with pytest.raises(ManifestError, match="does not hold what was written"):
        check(good, data[:-1])
    with pytest.raises(ManifestError, match="does not hold what was written"):
        check(good, data[:-1] + b"x")
    with pytest.raises(ManifestError, match="10 rows, 11 were written"):
        check(Written("k", len(data), tally.sha256, 11, OutputFormat.PARQUET), data)
    with pytest.raises(ManifestError, match="is not there"):
        check_size(good, None)
    with pytest.raises(ManifestError, match="has 5 bytes"):
        check_size(good, 5)


# --- Records --------------------------------------------------------------------------------------------------


def record(phase: str, **changes: object) -> RunRecord:
    fields = {"run_id": "r", "metric_code": "m", "started_at": T0, "recorded_at": T0, "phase": phase}
    return RunRecord.model_validate(fields | changes)


def test_records_become_prometheus_text() -> None:
    text = render(
        [
            record("started"),
            record("started"),
            record("succeeded", duration_seconds=7.5, read_bytes=3 * 2**20, written_bytes=2**19),
            record("failed", error_code="INPUT_READ_ERROR", duration_seconds=0.5),
        ]
    )
    lines = text.splitlines()
    assert text.endswith("\n")
    for line in (
        "# TYPE metric_runs_started_total counter",
        "metric_runs_started_total 2",
        "metric_runs_succeeded_total 1",
        'metric_runs_failed_total{error_code="INPUT_READ_ERROR"} 1',
        'metric_runs_failed_total{error_code="CONFIG_ERROR"} 0',
        "# TYPE metric_run_duration_seconds histogram",
        'metric_run_duration_seconds_bucket{le="1.0"} 1',
        'metric_run_duration_seconds_bucket{le="10.0"} 2',
        'metric_run_duration_seconds_bucket{le="+Inf"} 2',
        "metric_run_duration_seconds_sum 8.0",
        "metric_run_duration_seconds_count 2",
        's3_read_mb_bucket{le="1.0"} 1',
        's3_read_mb_bucket{le="10.0"} 2',
        "s3_write_mb_count 1",
        's3_write_mb_bucket{le="1.0"} 1',
    ):
        assert line in lines


def test_nothing_recorded_is_zero_everywhere() -> None:
    values = [
        line.rsplit(" ", 1)[1] for line in Exposition().render().splitlines() if not line.startswith("#")
    ]
    assert set(values) <= {"0", "0.0"}


def test_record_keys_are_ordered_and_distinct() -> None:
    keys = [
        record("started").key("p"),
        record("succeeded", recorded_at=T0 + timedelta(seconds=1)).key("p"),
        record("started", recorded_at=T0 + timedelta(days=1)).key("p"),
    ]
    assert keys == sorted(keys)
    assert len({*keys, record("started", run_id="s").key("p"), record("succeeded").key("p")}) == 5
    assert parse_record(record("failed").encode()) == record("failed")
    with pytest.raises(DataError):
        parse_record(b"{}")


def test_times_of_records_are_utc() -> None:
    west = record("started", recorded_at=datetime(2025, 1, 14, 23, tzinfo=timezone(timedelta(hours=-5))))
    assert west.key("p").startswith("p/2025-01-15/040000")
    assert west.recorded_at.astimezone(UTC).hour == 4
