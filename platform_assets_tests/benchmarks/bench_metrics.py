"""Metric runs end to end, side by side with pandas doing the same, and with mere decoding and encoding.

    python -m platform_assets_tests.benchmarks.bench_metrics [--sizes 1e5 1e6 1e7] [--cases ratio lag] [--repeat 3]

Each number comes from a process of its own: the best time of ``repeat`` runs after a small warm-up, and its peak
resident memory by the end of the first of them, libraries included. ``ours`` is a whole run: request, manifests,
reading, evaluation, Parquet, sha256, reading back, alias, marker, events. ``pandas`` reads, filters by series,
evaluates and writes Parquet. ``io`` decodes the inputs and encodes the result, and nothing else.

Files are kept in memory (``/dev/shm``) where there is room: ours syncs every write, and the disk is not the subject.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

MINUTE = 60_000_000_000
START = 946_684_800_000_000_000
CODES = "ABCD"
_ROOM_BYTES = 6 * 1024**3


def ref(code: str) -> dict[str, str]:
    return {"series_code": code}


def window(op: str, code: str = "A") -> dict[str, Any]:
    return {"op": op, "series": ref(code), "window": 30}


CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "ratio": ("series_math", {"op": "ratio", "left": ref("A"), "right": ref("B"), "scale": 2}, "AB"),
    "sma30": ("window_op", window("sma"), "A"),
    "ema30": ("window_op", window("ema"), "A"),
    "lag30": ("window_op", window("lag"), "A"),
    "composite4": ("composite", {"op": "sum", "operands": [ref(code) for code in CODES]}, CODES),
    "nested": ("series_math", {"op": "ratio", "left": window("sma"), "right": window("lag", "B")}, "AB"),
    "gaps": ("series_math", {"op": "ratio", "left": ref("A"), "right": ref("B"), "scale": 2}, "AB"),
}
# What the old worker took, as its users measured it: seconds, on a machine of two cores.
OLD_SECONDS = {("ratio", 1_000_000): 18.0, ("lag30", 1_000_000): 5.4}


# --- Data -------------------------------------------------------------------------------------------------


def generate(root: Path, rows: int) -> None:
    """Four series of one row a minute; ``gaps`` has the same with a tenth of the rows missing at random."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    random = np.random.default_rng(0)
    times = np.arange(rows) * MINUTE + START
    for code in CODES:
        values = random.normal(100.0, 5.0, rows)
        for kind, kept in (("full", slice(None)), ("gaps", random.random(rows) > 0.1)):
            if kind == "gaps" and code not in "AB":
                continue
            path = data_file(root, kind, code)
            path.parent.mkdir(parents=True, exist_ok=True)
            chosen = pa.array(times[kept]).cast(pa.timestamp("ns"))
            codes = pa.array([code]).take(pa.array(np.zeros(len(chosen), np.int8)))
            columns = {"obs_time": chosen, "value": values[kept], "internal_series_code": codes}
            pq.write_table(pa.table(columns), path)
    for kind in ("full", "gaps"):
        files = [f"{code}/data.parquet" for code in (CODES if kind == "full" else "AB")]
        manifest_file(root, kind).write_text(json.dumps(_manifest(files)))


def data_file(root: Path, kind: str, code: str) -> Path:
    return root / "store" / "datasets" / kind / code / "data.parquet"


def manifest_file(root: Path, kind: str) -> Path:
    return root / "store" / "datasets" / kind / "manifest.json"


def _manifest(files: list[str]) -> dict[str, Any]:
    now = "2025-11-11T00:00:00Z"
    return {
        "version_id": "v1",
        "dataset_id": "d",
        "created_at": now,
        "collection_date": now,
        "data_points_count": 1,
        "series_count": len(files),
        "series_codes": [file.split("/")[0] for file in files],
        "date_range": {"min_obs_time": None, "max_obs_time": None},
        "parquet_files": files,
        "partitions": [],
        "partition_strategy": "series_year_month",
    }


def kind_of(case: str) -> str:
    return "gaps" if case == "gaps" else "full"


# --- Contenders -------------------------------------------------------------------------------------------


def ours(root: Path, case: str) -> Callable[[], Path]:
    from platform_assets.assets.metrics_run import MetricTopics, handle_message
    from platform_assets.engine.metrics.settings import MetricSettings
    from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
    from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings

    store = LocalObjectStore(LocalObjectStoreSettings(root=str(root / "store")))
    topics = MetricTopics(*(LocalTopic(LocalTopicSettings(root=str(root / "topics" / t))) for t in "shc"))
    numbers = iter(range(10**9))

    def run() -> Path:
        body = json.dumps(request(case, f"{time.time_ns()}-{next(numbers)}")).encode()
        now = lambda: datetime.now(UTC)  # noqa: E731
        outcome = handle_message(body, {}, None, store, topics, now, MetricSettings())
        assert outcome.manifest is not None, outcome.error_message
        return root / "store" / outcome.manifest.outputs.data_prefix / outcome.manifest.outputs.files[0]

    return run


def request(case: str, run_id: str) -> dict[str, Any]:
    kind, expression, codes = CASES[case]
    folder = f"datasets/{kind_of(case)}"
    return {
        "type": "metric_run_requested",
        "runId": run_id,
        "metricCode": case,
        "expressionType": kind,
        "expressionJson": expression,
        "inputs": [{"datasetId": "d", "seriesCode": code} for code in codes],
        "catalog": {
            "datasets": {"d": {"manifestPath": f"{folder}/manifest.json", "projectionsPath": folder}}
        },
        "output": {"basePath": f"s3://bucket/metrics/{case}/"},
    }


def with_pandas(root: Path, case: str) -> Callable[[], Path]:
    import pandas as pd

    def read(code: str) -> Any:
        path = data_file(root, kind_of(case), code)
        only = [("internal_series_code", "==", code)]
        frame = pd.read_parquet(path, columns=["obs_time", "value"], filters=only)
        times = frame["obs_time"]
        return frame if times.is_monotonic_increasing else frame.sort_values("obs_time")

    def lag(frame: Any) -> Any:
        wanted = pd.DataFrame(
            {"obs_time": frame["obs_time"], "at": frame["obs_time"] - pd.Timedelta(days=30)}
        )
        found = pd.merge_asof(wanted, frame.rename(columns={"obs_time": "at"}), on="at")
        return found[["obs_time", "value"]]

    def divided(left: Any, right: Any, scale: float) -> Any:
        both = left.merge(right, on="obs_time", how="outer", suffixes=("_l", "_r"))
        return pd.DataFrame(
            {"obs_time": both["obs_time"], "value": both["value_l"] / both["value_r"] * scale}
        )

    def over(frame: Any, values: Any) -> Any:
        return pd.DataFrame({"obs_time": frame["obs_time"], "value": values})

    def composite() -> Any:
        series = [read(code).set_index("obs_time")["value"] for code in CODES]
        return pd.concat(series, axis=1).sum(axis=1).rename("value").reset_index()

    def smoothed() -> Any:
        frame = read("A")
        return over(frame, frame["value"].rolling(30).mean())

    def exponential() -> Any:
        frame = read("A")
        return over(frame, frame["value"].ewm(span=30, adjust=False).mean())

    work: dict[str, Callable[[], Any]] = {
        "ratio": lambda: divided(read("A"), read("B"), 2),
        "gaps": lambda: divided(read("A"), read("B"), 2),
        "sma30": smoothed,
        "ema30": exponential,
        "lag30": lambda: lag(read("A")),
        "composite4": composite,
        "nested": lambda: divided(smoothed(), lag(read("B")), 1),
    }

    def run() -> Path:
        path = root / f"pandas-{case}.parquet"
        work[case]().to_parquet(path, index=False)
        return path

    return run


def io_only(root: Path, case: str) -> Callable[[], Path]:
    """Decode what the case reads, then encode a result of the right size as we encode it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from platform_assets.engine.metrics.output import ROW_GROUP_ROWS

    def run() -> Path:
        path = root / f"io-{case}.parquet"
        tables = [
            pq.read_table(
                data_file(root, kind_of(case), code), columns=["obs_time", "value"], partitioning=None
            )
            for code in CASES[case][2]
        ]
        pq.write_table(
            pa.table({"obs_time": tables[0]["obs_time"], "value": tables[0]["value"]}),
            path,
            use_dictionary=False,
            write_statistics=["obs_time"],
            column_encoding={"obs_time": "DELTA_BINARY_PACKED", "value": "BYTE_STREAM_SPLIT"},
            row_group_size=ROW_GROUP_ROWS,
        )
        return path

    return run


CONTENDERS: dict[str, Callable[[Path, str], Callable[[], Path]]] = {
    "ours": ours,
    "pandas": with_pandas,
    "io": io_only,
}


# --- Measuring --------------------------------------------------------------------------------------------


def child(who: str, root: Path, warm_root: Path, case: str, repeat: int) -> None:
    CONTENDERS[who](warm_root, case)()
    run, best, used, peak = CONTENDERS[who](root, case), float("inf"), float("inf"), 0.0
    for _ in range(repeat):
        cpu, began = time.process_time(), time.perf_counter()
        path = run()
        best, used = min(best, time.perf_counter() - began), min(used, time.process_time() - cpu)
        peak = peak or peak_megabytes()
    print(json.dumps({"seconds": best, "cpu": used, "megabytes": peak, "path": str(path)}))


def peak_megabytes() -> float:
    """Peak resident memory of this process since it began; ``ru_maxrss`` would start with the parent's."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(who: str, root: Path, warm_root: Path, case: str, repeat: int) -> dict[str, Any]:
    command = [
        sys.executable,
        "-m",
        __spec__.name,
        "--child",
        who,
        str(root),
        str(warm_root),
        case,
        str(repeat),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def check_equal(ours_path: str, pandas_path: str) -> None:
    """Both computed the same thing."""
    import numpy as np
    import pyarrow.parquet as pq

    ours_table, pandas_table = (pq.read_table(path, partitioning=None) for path in (ours_path, pandas_path))
    assert ours_table["obs_time"].to_pylist()[:1000] == pandas_table["obs_time"].to_pylist()[:1000]
    left, right = (t["value"].to_numpy(zero_copy_only=False) for t in (ours_table, pandas_table))
    np.testing.assert_allclose(left, right, rtol=1e-9)


Measured: TypeAlias = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Column:
    """One column of the table: a number, and what it should be where a goal is set. ``goal`` is told in the head."""

    name: str
    value: Callable[[Measured, str, int], float | None]
    goal: str = ""
    met: Callable[[float], bool] | None = None
    applies: Callable[[str, int], bool] = lambda case, rows: True

    def cell(self, found: Measured, case: str, rows: int) -> str:
        value = self.value(found, case, rows)
        if value is None:
            return ""
        mark = " " if not self.met or not self.applies(case, rows) else "✓" if self.met(value) else "✗"
        return f"{value:.3g} {mark}"


def _goal_of_pandas(case: str, rows: int) -> bool:
    return rows == 10_000_000 and case in {"ratio", "composite4"}


def _against_old(found: Measured, case: str, rows: int) -> float | None:
    old = OLD_SECONDS.get((case, rows))
    return old / found["ours"]["seconds"] if old else None


COLUMNS = [
    Column("ours s", lambda m, *_: m["ours"]["seconds"]),
    Column("pandas s", lambda m, *_: m["pandas"]["seconds"]),
    Column("io s", lambda m, *_: m["io"]["seconds"]),
    Column(
        "pandas/ours",
        lambda m, *_: m["pandas"]["seconds"] / m["ours"]["seconds"],
        "≥5",
        lambda x: x >= 5,
        _goal_of_pandas,
    ),
    Column("ours/io", lambda m, *_: m["ours"]["seconds"] / m["io"]["seconds"], "≤2", lambda x: x <= 2),
    Column("old/ours", _against_old, "≥50", lambda x: x >= 50),
    Column("ours cpu", lambda m, *_: m["ours"]["cpu"]),
    Column("pandas cpu", lambda m, *_: m["pandas"]["cpu"]),
    Column("io cpu", lambda m, *_: m["io"]["cpu"]),
    Column("ours MB", lambda m, *_: m["ours"]["megabytes"]),
    Column("pandas MB", lambda m, *_: m["pandas"]["megabytes"]),
    Column(
        "MB ours/pandas",
        lambda m, *_: m["ours"]["megabytes"] / m["pandas"]["megabytes"],
        "≤0.5",
        lambda x: x <= 0.5,
    ),
]


def compare(root: Path, warm_root: Path, case: str, rows: int, repeat: int) -> str:
    """One line of the table."""
    found = {who: measure(who, root, warm_root, case, repeat) for who in CONTENDERS}
    if rows <= 1_000_000:
        check_equal(found["ours"]["path"], found["pandas"]["path"])
    for path in (root / "store" / "metrics", root / "topics"):
        shutil.rmtree(path, ignore_errors=True)
    return _line([case, f"{rows:,}", *(column.cell(found, case, rows) for column in COLUMNS)])


def _line(cells: list[str]) -> str:
    widths = [10, 10, *(len(column.name) + 1 for column in COLUMNS)]
    return "  ".join(cell.rjust(max(width, 7)) for cell, width in zip(cells, widths, strict=True))


def small_requests(count: int = 400) -> str:
    """Requests a second in one process over small series (four years of days, one file a year) held in memory."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    from platform_assets.assets.metrics_run import MetricTopics, handle_message
    from platform_assets.engine.metrics.settings import MetricSettings
    from platform_assets_tests.engine.metrics.stores import MemoryStore, MemoryTopic

    store, files = MemoryStore(), []
    for code in "AB":
        for year in range(4):
            times = pa.array((np.arange(365) + 365 * year) * 1440 * MINUTE + START).cast(pa.timestamp("ns"))
            columns = {"obs_time": times, "value": np.ones(365), "internal_series_code": [code] * 365}
            sink = io.BytesIO()
            pq.write_table(pa.table(columns), sink)
            files.append(f"{code}/year={2000 + year}/data.parquet")
            store.put(f"datasets/full/{files[-1]}", sink.getvalue())
    manifest = _manifest(files) | {"series_codes": ["A", "B"]}
    store.put("datasets/full/manifest.json", json.dumps(manifest).encode())
    topics = MetricTopics(MemoryTopic(), MemoryTopic(), MemoryTopic())
    now = lambda: datetime.now(UTC)  # noqa: E731
    bodies = [json.dumps(request("nested", str(number))).encode() for number in range(count)]
    with ThreadPoolExecutor(8) as readers:

        def run(body: bytes) -> None:
            done = handle_message(body, {}, None, store, topics, now, MetricSettings(), readers=readers)
            assert done.status == "SUCCESS", done.error_message

        run(json.dumps(request("nested", "warm")).encode())
        cpu, began = time.process_time(), time.perf_counter()
        for body in bodies:
            run(body)
    seconds = time.perf_counter() - began
    per_cpu = count / (time.process_time() - cpu)
    return f"small requests: {count / seconds:.0f} runs a second (goal ≥200), {per_cpu:.0f} a CPU second"


def main() -> None:
    if len(sys.argv) > 1 and sys.argv[1] == "--child":
        who, root, warm_root, case, repeat = sys.argv[2:]
        child(who, Path(root), Path(warm_root), case, int(repeat))
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", nargs="+", type=float, default=[1e5, 1e6, 1e7])
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    print(small_requests())
    print(_line(["case", "rows", *(f"{column.name} " for column in COLUMNS)]))
    print(_line(["", "goal", *(f"{column.goal} " for column in COLUMNS)]), flush=True)
    with tempfile.TemporaryDirectory(dir=_folder()) as folder:
        warm_root = Path(folder) / "warm"
        generate(warm_root, 1000)
        for rows in map(int, options.sizes):
            root = Path(folder) / str(rows)
            generate(root, rows)
            for case in options.cases:
                print(compare(root, warm_root, case, rows, options.repeat), flush=True)
            shutil.rmtree(root)
    print("Goals: pandas/ours at 1e7 for ratio and composite4; all others everywhere. ✗: missed.")


def _folder() -> str | None:
    """In memory where there is room for all files."""
    memory = Path("/dev/shm")
    return str(memory) if memory.is_dir() and shutil.disk_usage(memory).free > _ROOM_BYTES else None


if __name__ == "__main__":
    main()
