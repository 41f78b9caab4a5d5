"""Events from a topic to a committed table and an archive, beside dlt and Apache Beam on the same events.

    python -m platform_assets_tests.benchmarks.bench_events [--events 100000] [--batches 2000 …] [--rounds 2]

``ours``: messages that wait in a queue in memory → inbox in a folder → schema check, merge by key into DuckDB, archive
by type and hour; what the sensor and its runs do, without Dagster's own time, in turns in one process; ``ours apart``:
the sensor's part in a process of its own, as in production, so that both go on at once. ``dlt``: the same JSON from a
file, appended to DuckDB by Parquet (it neither removes duplicates nor writes an archive). ``beam``: the direct runner,
JSON from a file → Parquet by type and text by type (no database, no duplicates removed). Each in a process of its own,
all files in memory; seconds and processor time exclude imports. Beam lives in an environment of its own, made from a
lock on first use.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

HERE = Path(__file__).parent
BEAM = HERE.parents[1] / ".venvs" / "beam"
BEAM_LOCK = HERE / "requirements-beam.lock"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
KINDS = ("inventory", "order", "user_activity")
FEW = 30
OURS = ("ours", "ours apart")
GOALS = {"dlt": 5, "beam": 10}


# --- Events ---------------------------------------------------------------------------------------------------------


def write_events(path: Path, count: int) -> int:
    """The number of rows they come to by key: of a million events some share their random key with another."""
    from platform_assets.engine.events.generator import Generator

    generator, now = Generator(Random(1)), datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
    keys: set[tuple[str, Any]] = set()
    with path.open("wb") as file:
        for number in range(count):
            body = generator.body(KINDS[number % 3], now)
            event = json.loads(body)
            keys.add((event["event_type"], event.get("order_id") or event.get("inventory_id") or number))
            file.write(body + b"\n")
    return len(keys)


def cpu_seconds() -> float:
    """Seconds of processor time, those of processes that have ended included."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def peak_mb() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


# --- dlt ------------------------------------------------------------------------------------------------------------


def with_dlt(path: Path, folder: Path, batch: int) -> dict[str, Any]:
    os.environ |= {"RUNTIME__DLTHUB_TELEMETRY": "false", "DLT_DATA_DIR": str(folder / "dlt")}
    import dlt
    import orjson

    @dlt.resource(table_name=lambda event: event["event_type"], write_disposition="append", name="events")
    def events() -> Iterator[list[Any]]:
        page: list[Any] = []
        with path.open("rb") as file:
            for line in file:
                page.append(orjson.loads(line))
                if len(page) == batch:
                    yield page
                    page = []
        yield page

    folder.mkdir(exist_ok=True)
    pipeline = dlt.pipeline(
        folder.name,
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="events",
        pipelines_dir=str(folder / "pipelines"),
    )
    began, used = time.perf_counter(), cpu_seconds()
    pipeline.run(events, loader_file_format="parquet")
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - used
    with pipeline.sql_client() as client:
        counts = [client.execute_sql(f'SELECT count(*) FROM "{kind}"') for kind in KINDS]
    found = sum(rows[0][0] for rows in counts)
    return {"seconds": seconds, "cpu": cpu, "rows": found, "peak_mb": peak_mb()}


# --- Beam -----------------------------------------------------------------------------------------------------------


def install_beam() -> Path:
    python, stamp = BEAM / "bin" / "python", BEAM / "installed"
    wanted = hashlib.sha256(BEAM_LOCK.read_bytes()).hexdigest()
    if stamp.exists() and stamp.read_text() == wanted:
        return python
    shutil.rmtree(BEAM, ignore_errors=True)
    uv = str(Path(sys.executable).parent / "uv")
    environment = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"}
    for command in (
        ["venv", "--quiet", "--python", sys.executable, str(BEAM)],
        ["pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "--require-hashes", "--python", str(python),
         "-r", str(BEAM_LOCK)],
    ):  # fmt: skip
        subprocess.run([uv, *command], check=True, env=environment)
    stamp.write_text(wanted)
    return python


# --- Side by side ---------------------------------------------------------------------------------------------------


def measure(side: str, path: Path, batch: int) -> dict[str, Any]:
    """In a process and a folder of its own."""
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        few = Path(folder) / "few.jsonl"
        with path.open("rb") as file:
            few.write_bytes(b"".join(islice(file, FEW)))
        if side == "beam":
            command = [str(install_beam()), str(HERE / "events_beam_side.py"), str(path), str(few), folder]
        else:
            module = "platform_assets_tests.benchmarks.bench_events"
            command = [sys.executable, "-m", module, "--side", side, "--file", str(path), "--few", str(few)]
            command += ["--folder", folder, "--batches", str(batch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _one(side: str, path: Path, few: Path, folder: Path, batch: int) -> dict[str, Any]:
    """A few events first, so that no import is measured."""
    if side == "dlt":
        with_dlt(few, folder / "warm_up", batch)
        return with_dlt(path, folder / "bench", batch)
    from platform_assets_tests.benchmarks.events_platform_side import ours

    return ours(path, few, folder, batch, apart=side == "ours apart")


def planning_ms() -> dict[str, float]:
    """The table manager on a table of 1,000 columns: an event that adds ten, widens ten, and the plan for the table."""
    from platform_assets.engine.events.fitting import fit
    from platform_assets.engine.events.spec import TYPE_COLUMN, Contract
    from platform_assets.engine.schema.model import Field, FieldType, TableSchema
    from platform_assets.engine.schema.planning import plan_changes

    columns = TableSchema((TYPE_COLUMN, *(Field(f"c{n}", FieldType.INT64) for n in range(999))))
    event: dict[str, Any] = {"event_type": "wide"} | {f"c{n}": n for n in range(1009)}
    event |= {f"c{n}": n + 0.5 for n in range(10)}
    body = json.dumps(event).encode()
    taken = []
    for _ in range(15):
        began = time.perf_counter()
        found = fit(columns, Contract(), {0: body})
        plan = plan_changes(columns, found.columns)
        taken.append((time.perf_counter() - began) * 1e3)
    assert len(plan.changes) == 20
    assert not plan.refusals
    return {"plan_1000_columns_ms": round(median(taken), 1)}


def compare(
    path: Path, count: int, keys: int, batches: Sequence[int], rounds: int, chosen: Sequence[str]
) -> None:
    useful = [batch for batch in batches if batch <= count] or batches[:1]
    sides = [("ours", batch) for batch in useful] + [("ours apart", useful[-1]), ("dlt", 1000), ("beam", 0)]
    sides = [(side, batch) for side, batch in sides if side in chosen]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for side, batch in sides:
            found.setdefault((side, batch), []).append(measure(side, path, batch))
    best = {key: min(results, key=lambda r: r["seconds"]) for key, results in found.items()}
    for key, result in best.items():
        assert result["rows"] == (keys if key[0] in OURS else count), (key, keys, result)
        name = f"{key[0]}, batches of {key[1]}" if key[0] in OURS else key[0]
        split = " ".join(f"{k} {v:.2f} s" for k, v in result.get("spent", {}).items())
        rate, cpu, peak = count / result["seconds"], result["cpu"], result["peak_mb"]
        print(f"{count:>9} events  {name:<26}{rate:>10.0f}/s  CPU {cpu:>7.2f} s  peak {peak:>5} MB  {split}")
        if peaks := result.get("peaks"):
            print(f"{'':>17}peak after each run, MB: {' '.join(map(str, peaks[:: max(1, len(peaks) // 8)]))}")
    ours = min((r for (side, _), r in best.items() if side in OURS), key=lambda r: r["seconds"])
    for side, goal in ((side, goal) for side, goal in GOALS.items() if side in chosen):
        other = next(r for (name, _), r in best.items() if name == side)
        time_, cpu = other["seconds"] / ours["seconds"], other["cpu"] / ours["cpu"]
        print(
            f"{count:>9} events  ours over {side}: {time_:.1f}× in time, {cpu:.1f}× in CPU (goal ≥ {goal}×)"
        )
    sys.stdout.flush()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, action="append")
    parser.add_argument("--batches", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--sides", nargs="+", default=[*OURS, *GOALS], choices=[*OURS, *GOALS])
    parser.add_argument("--side", choices=[*OURS, "dlt"], help=argparse.SUPPRESS)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--few", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        found = _one(options.side, options.file, options.few, options.folder, options.batches[0])
        print(json.dumps(found))
        return
    print(f"planning: {planning_ms()['plan_1000_columns_ms']} ms for a table of 1,000 columns (goal < 50 ms)")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for count in options.events or [1_000, 100_000]:
            path = Path(folder) / f"{count}.jsonl"
            keys = write_events(path, count)
            compare(path, count, keys, options.batches, options.rounds, options.sides)


if __name__ == "__main__":
    main()
