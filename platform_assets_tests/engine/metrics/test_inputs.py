from __future__ import annotations

import datetime as dt
import json
import math
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import RetryableError
from platform_assets.engine.expressions.series import Chunk
from platform_assets.engine.metrics import parquet_file
from platform_assets.engine.metrics.dataset import DatasetManifest, file_key, object_key
from platform_assets.engine.metrics.failures import InputReadError, ManifestError
from platform_assets.engine.metrics.inputs import Inputs, SeriesFiles, locate
from platform_assets.engine.metrics.parquet_file import SharedTimes
from platform_assets.engine.metrics.request import DatasetSource, SeriesInput
from platform_assets_tests.engine.metrics.datasets import (
    DATASET,
    MANIFEST,
    PROJECTIONS,
    daily,
    day,
    manifest,
    parquet,
    put_dataset,
    put_series,
    rows_parquet,
)
from platform_assets_tests.engine.metrics.stores import MemoryStore

SOURCE = {DATASET: DatasetSource(MANIFEST, PROJECTIONS)}
HOUR = 3_600_000_000_000


@pytest.fixture
def executor() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def read(store: MemoryStore, pool: ThreadPoolExecutor, *codes: str) -> tuple[dict[str, list[Chunk]], Inputs]:
    files = locate(codes, [SeriesInput(DATASET, code) for code in codes], SOURCE, store, pool)
    inputs = Inputs(files, store, pool)
    return {code: list(chunks) for code, chunks in inputs.sources.items()}, inputs


def rows(chunks: Sequence[Chunk]) -> list[tuple[int, float | None]]:
    return [
        (time, None if math.isnan(value) else value)
        for chunk in chunks
        for time, value in zip(chunk.times.tolist(), chunk.values.tolist(), strict=True)
    ]


def expected(*values: tuple[dt.datetime, float | None]) -> list[tuple[int, float | None]]:
    return [(int(t.replace(tzinfo=dt.UTC).timestamp()) * 10**9, v) for t, v in values]


# --- Which files ----------------------------------------------------------------------------------------------


FILES = [
    ("E_PRE", ["E_PRE/year=2024/data.parquet", "E_PRE_LONG/year=2024/data.parquet"], [0]),
    ("E", ["E_PRE/data.parquet", "X/E/data.parquet"], [1]),
    ("E", ["series=E/data.parquet", "series=F/data.parquet"], [0]),
    ("E", ["E.parquet", "F.parquet"], [0]),
    ("E", ["year=2024/part-0.parquet", "F/part-0.parquet"], [0]),  # files that name no series hold the rest
    ("E", ["F/year=2024/data.parquet"], []),
]


@pytest.mark.parametrize(("code", "files", "chosen"), FILES)
def test_files_are_chosen_by_exact_code(code: str, files: list[str], chosen: list[int]) -> None:
    found = DatasetManifest.model_validate(manifest(files, ["E", "F", "E_PRE", "E_PRE_LONG"]))
    assert found.files_of(code) == tuple(files[i] for i in chosen)


def test_a_series_that_the_manifest_does_not_list_has_no_unnamed_files() -> None:
    found = DatasetManifest.model_validate(manifest(["part-0.parquet"], ["E"]))
    assert found.files_of("E") == ("part-0.parquet",)
    assert found.files_of("OTHER") == ()


def test_keys_as_requests_write_them() -> None:
    assert object_key("s3://bucket/a/b.json", "x") == "a/b.json"
    assert object_key("/a/b.json", "x") == "a/b.json"
    assert file_key("/p/q/", "/E/data.parquet") == "p/q/E/data.parquet"
    with pytest.raises(InputReadError, match="manifestPath is empty"):
        object_key("//", "manifestPath")


@pytest.mark.parametrize("field", sorted(manifest([], []).keys() - {"extra"}))
def test_a_manifest_without_a_field_is_refused(
    store: MemoryStore, executor: ThreadPoolExecutor, field: str
) -> None:
    document = manifest(["A/data.parquet"], ["A"])
    del document[field]
    store.put(MANIFEST, json.dumps(document).encode())
    with pytest.raises(ManifestError, match=f"{MANIFEST}.*{field}"):
        locate(["A"], [SeriesInput(DATASET, "A")], SOURCE, store, executor)


def test_what_is_missing_is_named(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    entry = [SeriesInput(DATASET, "A")]
    with pytest.raises(InputReadError, match=r"'A'.*'bcra' is not in the catalog \(other\)"):
        locate(["A"], entry, {"other": SOURCE[DATASET]}, store, executor)
    with pytest.raises(InputReadError, match=f"manifest '{MANIFEST}'.*does not exist"):
        locate(["A"], entry, SOURCE, store, executor)
    put_series(store, B=daily(1.0))
    with pytest.raises(InputReadError, match="series 'A' has no file in data set bcra"):
        locate(["A"], entry, SOURCE, store, executor)
    key = f"{PROJECTIONS}B/year=2024/month=01/data.parquet"
    store.delete([key])
    with pytest.raises(InputReadError, match=key):
        read(store, executor, "B")


def test_a_series_left_out_of_the_inputs_is_found_in_the_catalog(
    store: MemoryStore, executor: ThreadPoolExecutor
) -> None:
    put_series(store, A=daily(1.0), B=daily(2.0))
    found = locate(["A", "B"], [SeriesInput(DATASET, "A")], SOURCE, store, executor)
    assert [(f.series, f.dataset, len(f.keys)) for f in found] == [("A", DATASET, 1), ("B", DATASET, 1)]
    with pytest.raises(InputReadError, match="series 'C' has no file in data set bcra"):
        locate(["C"], [], SOURCE, store, executor)


def test_the_last_of_several_data_sets_counts(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    put_series(store, A=daily(1.0))
    both = {"old": DatasetSource("gone.json", "gone"), **SOURCE}
    entries = [SeriesInput("old", "A"), SeriesInput(DATASET, "A")]
    assert locate(["A"], entries, both, store, executor)[0].dataset == DATASET


# --- Which rows -----------------------------------------------------------------------------------------------


def test_rows_of_several_files_come_out_sorted(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    files = {
        "A/m=2/data.parquet": rows_parquet("A", [(day(5), 5.0), (day(4), None)]),
        "A/m=1/data.parquet": rows_parquet("A", [(day(1), 1.0), (day(3), 3.0)]),
    }
    put_dataset(store, files, ["A"])
    found, inputs = read(store, executor, "A")
    assert rows(found["A"]) == expected((day(1), 1.0), (day(3), 3.0), (day(4), None), (day(5), 5.0))
    assert inputs.progress == 1.0
    assert inputs.summaries[0].rows == 4
    assert inputs.summaries[0].duplicates == 0


def test_the_last_row_of_a_timestamp_wins_in_the_manifests_order(
    store: MemoryStore, executor: ThreadPoolExecutor
) -> None:
    files = {
        "A/z/data.parquet": rows_parquet("A", [(day(2), 20.0), (day(1), 10.0), (day(2), 21.0)]),
        "A/a/data.parquet": rows_parquet("A", [(day(1), 11.0), (day(3), 30.0)]),
    }
    put_dataset(store, files, ["A"])
    found, inputs = read(store, executor, "A")
    assert rows(found["A"]) == expected((day(1), 11.0), (day(2), 21.0), (day(3), 30.0))
    assert inputs.summaries[0].duplicates == 2


def test_a_file_of_several_series_is_read_once(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    times = pa.array([day(1), day(1), day(2), day(2)], pa.timestamp("us"))
    data = parquet(["A", "B", "A", "C"], times, pa.array([1.0, 2.0, 3.0, 4.0]))
    put_dataset(store, {"all/data.parquet": data}, ["A", "B", "C"])
    found, inputs = read(store, executor, "A", "B")
    assert rows(found["A"]) == expected((day(1), 1.0), (day(2), 3.0))
    assert rows(found["B"]) == expected((day(1), 2.0))
    assert store.calls["get_range", f"{PROJECTIONS}all/data.parquet"] == 1
    assert inputs.meter.bytes == len(data)


def test_a_listed_series_without_rows_is_an_error(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    put_dataset(store, {"A/data.parquet": rows_parquet("B", daily(1.0))}, ["A", "B"])
    with pytest.raises(InputReadError, match=r"series 'A' has no rows in data set 'bcra' version v2025"):
        read(store, executor, "A")
    put_dataset(store, {"A/data.parquet": rows_parquet("A", [])}, ["A"])
    with pytest.raises(InputReadError, match="series 'A' has no rows"):
        read(store, executor, "A")


def test_a_file_that_is_no_parquet_is_named(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    put_dataset(store, {"A/data.parquet": b"not parquet at all"}, ["A"])
    with pytest.raises(InputReadError, match=r"A/data.parquet' is no readable Parquet file"):
        read(store, executor, "A")
    put_dataset(store, {"A/data.parquet": b""}, ["A"])
    with pytest.raises(InputReadError, match=r"A/data.parquet' is no readable Parquet file"):
        read(store, executor, "A")


def test_a_damaged_file_is_named(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    data = bytearray(rows_parquet("A", daily(*map(float, range(1, 29))), compression="snappy"))
    data[4:200] = b"\xff" * 196
    put_dataset(store, {"A/data.parquet": bytes(data)}, ["A"])
    with pytest.raises(InputReadError, match=r"A/data\.parquet"):
        read(store, executor, "A")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"value": [1.0], "internal_series_code": ["A"]}, "no single column obs_time"),
        ({"obs_time": [day(1)], "internal_series_code": ["A"]}, "no single column value"),
        ({"obs_time": [day(1)], "value": [1.0]}, "no single column internal_series_code"),
        ({"obs_time": [1], "value": [1.0], "internal_series_code": ["A"]}, "obs_time has type int64"),
        ({"obs_time": [day(1)], "value": ["x"], "internal_series_code": ["A"]}, "value has type string"),
        ({"obs_time": [day(1)], "value": [[1.0]], "internal_series_code": ["A"]}, "no single column value"),
        ({"obs_time": [None], "value": [1.0], "internal_series_code": ["A"]}, "obs_time"),
        ({"obs_time": [day(1)], "value": [1.0], "internal_series_code": [7]}, "A/data.parquet"),
    ],
)
def test_columns_that_do_not_fit_are_named(
    store: MemoryStore, executor: ThreadPoolExecutor, columns: dict[str, list[object]], message: str
) -> None:
    import io

    import pyarrow.parquet as pq

    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    put_dataset(store, {"A/data.parquet": sink.getvalue()}, ["A"])
    with pytest.raises(InputReadError, match=message):
        read(store, executor, "A")


def test_passing_faults_are_retryable(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    put_series(store, A=daily(1.0))

    def fail(operation: str, key: str) -> None:
        if key.endswith(".parquet"):
            raise RetryableError("connection lost")

    store.before = fail
    with pytest.raises(InputReadError, match="connection lost") as caught:
        read(store, executor, "A")
    assert caught.value.retryable


# --- Large files ----------------------------------------------------------------------------------------------


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every file counts as large, and no gap is worth reading over."""
    monkeypatch.setattr(parquet_file, "WHOLE_BYTES", 64)
    monkeypatch.setattr(parquet_file, "_TAIL_BYTES", 8192)
    monkeypatch.setattr(parquet_file, "_GAP_BYTES", 0)


def hourly(code: str, count: int, start: int = 0, **options: object) -> bytes:
    times = pa.array(np.arange(start, start + count) * HOUR).cast(pa.timestamp("ns"))
    return parquet(code, times, pa.array(np.arange(start, start + count, dtype=float)), **options)


def test_a_file_a_day_for_a_year_is_one_series(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    days = list(range(366))
    files = {f"A/{number:03d}.parquet": hourly("A", 24, 24 * number) for number in reversed(days)}
    put_dataset(store, files, ["A"])
    found, inputs = read(store, executor, "A")
    assert rows(found["A"]) == [(number * HOUR, float(number)) for number in range(24 * len(days))]
    assert inputs.progress == 1.0


@pytest.mark.usefixtures("large")
def test_only_the_needed_columns_of_large_files_are_read(
    store: MemoryStore, executor: ThreadPoolExecutor
) -> None:
    import io

    import pyarrow.parquet as pq

    count = 50_000
    noise = pa.array(np.random.default_rng(0).normal(size=count))
    table = pa.table(
        {
            "obs_time": pa.array(np.arange(count) * HOUR).cast(pa.timestamp("ns")),
            "noise": noise,
            "value": pa.array(np.arange(count, dtype=float)),
            "internal_series_code": ["A"] * count,
        }
    )
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=10_000)
    put_dataset(store, {"A/data.parquet": sink.getvalue()}, ["A"])
    found, inputs = read(store, executor, "A")
    assert sum(map(len, found["A"])) == count
    assert np.concatenate([c.values for c in found["A"]]).tolist() == list(range(count))
    noise_bytes = 8 * count
    assert inputs.meter.bytes < len(sink.getvalue()) - 0.9 * noise_bytes


@pytest.mark.usefixtures("large")
def test_row_groups_of_other_series_are_not_read(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    import io

    import pyarrow.parquet as pq

    tables = [pq.read_table(io.BytesIO(hourly(code, 20_000))) for code in "ABC"]
    sink = io.BytesIO()
    with pq.ParquetWriter(sink, tables[0].schema) as writer:
        for table in tables:
            writer.write_table(table)
    put_dataset(store, {"all.parquet": sink.getvalue()}, ["A", "B", "C"])
    found, inputs = read(store, executor, "B")
    assert sum(map(len, found["B"])) == 20_000
    assert inputs.meter.bytes < 0.5 * len(sink.getvalue())


@pytest.mark.usefixtures("large")
def test_decoding_stays_a_few_row_groups_ahead(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    from platform_assets.engine.metrics import inputs as module

    data = hourly("A", 400_000, row_group_size=20_000, use_dictionary=False, compression="none")
    put_dataset(store, {"A/data.parquet": data}, ["A"])
    files = [SeriesFiles("A", DATASET, "v", (f"{PROJECTIONS}A/data.parquet",))]
    opened = Inputs(files, store, executor)
    before = opened.meter.bytes
    ahead, module._AHEAD_ROWS = module._AHEAD_ROWS, 40_000
    try:
        first = next(opened.sources["A"])
        assert len(first) == 80_000
        assert opened.meter.bytes - before <= 0.4 * len(data)
        assert 0.0 < opened.progress < 0.5
    finally:
        module._AHEAD_ROWS = ahead


@pytest.mark.usefixtures("large")
def test_wrong_statistics_are_noticed(store: MemoryStore, executor: ThreadPoolExecutor) -> None:
    early, late = hourly("A", 70_000), hourly("A", 70_000, start=70_000)
    put_dataset(store, {"A/1.parquet": early, "A/2.parquet": late}, ["A"])
    real = parquet_file._time_bounds
    parquet_file._time_bounds = lambda statistics, factor: (0, 1)  # type: ignore[assignment]
    try:
        found, _ = read(store, executor, "A")  # overlapping: sorted together, still right
        assert sum(map(len, found["A"])) == 140_000
        bounds = iter([(5, 6), (1, 2)])
        parquet_file._time_bounds = lambda statistics, factor: next(bounds)  # type: ignore[assignment]
        with (
            ThreadPoolExecutor(1) as one,
            pytest.raises(InputReadError, match="outside their file's statistics"),
        ):
            read(store, one, "A")
    finally:
        parquet_file._time_bounds = real


def test_equal_time_columns_are_decoded_once_and_almost_equal_ones_are_not_mixed_up(
    store: MemoryStore, executor: ThreadPoolExecutor
) -> None:
    count = 150_000
    hours = np.arange(count) * HOUR
    moved = hours.copy()
    moved[70_000] += 1
    values = pa.array(np.arange(count, dtype=float))
    options = {"row_group_size": 75_000, "use_dictionary": False, "compression": "none"}
    files = {
        f"{code}/data.parquet": parquet(code, pa.array(times).cast(pa.timestamp("ns")), values, **options)
        for code, times in {"A": hours, "B": hours, "C": moved}.items()
    }
    put_dataset(store, files, ["A", "B", "C"])
    found, _ = read(store, executor, "A", "B", "C")
    times = {code: np.concatenate([c.times for c in chunks]) for code, chunks in found.items()}
    assert (times["A"] == hours).all()
    assert (times["B"] == hours).all()
    assert (times["C"] == moved).all()
    assert all(np.shares_memory(a.times, b.times) for a, b in zip(found["A"], found["B"], strict=True))


def test_shared_times_are_decoded_once_and_forgotten_after_the_last() -> None:
    shared, decoded = SharedTimes(), 0

    def decode() -> np.ndarray:
        nonlocal decoded
        decoded += 1
        return np.arange(3)

    first, second = np.zeros(8, np.uint8), np.zeros(8, np.uint8)
    held = weakref.ref(first)
    for _ in range(2):
        shared.expect("kind")
    times, ordered = shared.get("kind", memoryview(first), decode)
    again, _ = shared.get("kind", memoryview(second), decode)
    assert (decoded, ordered) == (1, True)
    assert again is times
    del first
    assert held() is None


# --- Properties -----------------------------------------------------------------------------------------------

ROWS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 99), st.sampled_from("AB")), max_size=40)


@settings(deadline=None, max_examples=40)
@given(st.lists(ROWS, min_size=1, max_size=4), st.integers(1, 10), st.booleans())
def test_any_layout_gives_the_same_rows(
    files: list[list[tuple[int, int, str]]], group: int, statistics: bool
) -> None:
    store = MemoryStore()
    plain: dict[str, dict[int, float]] = {"A": {}, "B": {}}
    data: dict[str, bytes] = {}
    for number, content in enumerate(files):
        times = pa.array([hour * HOUR for hour, _, _ in content], pa.int64()).cast(pa.timestamp("ns"))
        values = pa.array([float(value) for _, value, _ in content], pa.float64())
        codes = [code for _, _, code in content]
        data[f"part-{number}.parquet"] = parquet(
            codes, times, values, row_group_size=group, write_statistics=statistics
        )
        for hour, value, code in content:
            plain[code][hour * HOUR] = float(value)
    put_dataset(store, data, ["A", "B"])
    codes = [code for code in "AB" if plain[code]]
    if not codes:
        return
    with ThreadPoolExecutor(2) as pool:
        found, inputs = read(store, pool, *codes)
    for code in codes:
        assert rows(found[code]) == sorted(plain[code].items())
    total = sum(len(content) for content in files)
    assert sum(s.rows + s.duplicates for s in inputs.summaries) == total
