"""Small data sets as the ingestor writes them, and requests over them, for tests."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from platform_assets.ports import ObjectStore

T0 = datetime(2025, 1, 15, 10, 30, tzinfo=UTC)
DATASET = "bcra"
MANIFEST = f"datasets/{DATASET}/versions/v1/manifest.json"
PROJECTIONS = f"datasets/{DATASET}/projections/"


def day(number: int) -> datetime:
    """Days of January 2024, from 1."""
    return datetime(2024, 1, number)


def daily(*values: float | None) -> list[tuple[datetime, float | None]]:
    return [(day(i), value) for i, value in enumerate(values, 1)]


def parquet(
    code: str | Sequence[str],
    times: pa.Array,
    values: pa.Array,
    *,
    extra: bool = True,
    **options: Any,
) -> bytes:
    """One projection file. Column order and further columns are up to the ingestor."""
    codes = [code] * len(times) if isinstance(code, str) else list(code)
    columns = {"internal_series_code": pa.array(codes, pa.string()), "value": values, "obs_time": times}
    if extra:
        columns["source"] = pa.array(["x"] * len(times))
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, **options)
    return sink.getvalue()


def rows_parquet(code: str, rows: Iterable[tuple[datetime, float | None]], **options: Any) -> bytes:
    rows = list(rows)
    times = pa.array([t for t, _ in rows], pa.timestamp("us"))
    return parquet(code, times, pa.array([v for _, v in rows], pa.float64()), **options)


def manifest(files: Sequence[str], codes: Sequence[str], **changes: Any) -> dict[str, Any]:
    return {
        "version_id": "v20251111_014138_730866",
        "dataset_id": DATASET,
        "created_at": "2025-11-11T01:41:38.730866Z",
        "collection_date": "2025-11-11T00:00:00Z",
        "data_points_count": 10,
        "series_count": len(codes),
        "series_codes": list(codes),
        "date_range": {"min_obs_time": "2024-01-01T00:00:00Z", "max_obs_time": "2024-02-01T00:00:00Z"},
        "parquet_files": list(files),
        "partitions": [f.rpartition("/")[0] + "/" for f in files],
        "partition_strategy": "series_year_month",
        "extra": True,
    } | changes


def put_dataset(store: ObjectStore, files: Mapping[str, bytes], codes: Sequence[str], **changes: Any) -> None:
    for path, data in files.items():
        store.put(PROJECTIONS + path, data)
    store.put(MANIFEST, json.dumps(manifest(list(files), codes, **changes)).encode())


def put_series(store: ObjectStore, **series: Iterable[tuple[datetime, float | None]]) -> None:
    """One file per series."""
    files = {
        f"{code}/year=2024/month=01/data.parquet": rows_parquet(code, rows) for code, rows in series.items()
    }
    put_dataset(store, files, sorted(series))


def request(
    expression: Any, kind: str = "series_math", codes: Sequence[str] = ("A", "B"), **changes: Any
) -> dict[str, Any]:
    """A request as the control plane sends it."""
    return {
        "schema": "metrics.run.v1",
        "type": "metric_run_requested",
        "runId": "550e8400-e29b-41d4-a716-446655440000",
        "metricCode": "ratio.a_to_b",
        "expressionType": kind,
        "expressionJson": expression,
        "inputs": [{"datasetId": DATASET, "seriesCode": code} for code in codes],
        "catalog": {"datasets": {DATASET: {"manifestPath": MANIFEST, "projectionsPath": PROJECTIONS}}},
        "output": {"basePath": "s3://bucket/metrics/ratio.a_to_b/"},
        "messageGroupId": "ratio.a_to_b",
    } | changes


RATIO = {"op": "ratio", "left": {"seriesCode": "A"}, "right": {"seriesCode": "B"}, "scale": 2}
