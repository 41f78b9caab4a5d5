"""Events from a topic to a committed table and an archive, beside dlt and Apache Beam on the same events.

    python -m platform_assets_tests.benchmarks.bench_events [--events 100000] [--batches 2000 …] [--rounds 2]

``ours``: messages that wait in a queue in memory → inbox in a folder → schema check, merge by key into DuckDB, archive
by type and hour; what the sensor and its runs do, without Dagster's own time. ``dlt``: the same JSON from a file,
appended to DuckDB by Parquet (it neither removes duplicates nor writes an archive). ``beam``: the direct runner, JSON
from a file → Parquet by type and text by type (no database, no duplicates removed). Each in a process of its own, all
files in memory; seconds exclude imports. Beam lives in an environment of its own, made from a lock on first use.
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
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from importlib import import_module
from pathlib import Path
from random import Random
from statistics import median
from typing import Any

HERE = Path(__file__).parent
BEAM = HERE.parents[1] / ".venvs" / "beam"
BEAM_LOCK = HERE / "requirements-beam.lock"
MEMORY = "/dev/shm" if Path("/dev/shm").is_dir() else None
KINDS = ("inventory", "order", "user_activity")
GOALS = {"dlt": 5, "beam": 10}


# --- Events ---------------------------------------------------------------------------------------------------------


def write_events(path: Path, count: int) -> None:
    from platform_assets.engine.events.generator import Generator

    generator, now = Generator(Random(1)), datetime(2026, 11, 27, 12, 30, tzinfo=UTC)
    with path.open("wb") as file:
        for number in range(count):
            file.write(generator.body(KINDS[number % 3], now) + b"\n")


# --- Ours -----------------------------------------------------------------------------------------------------------


class WaitingQueue:
    """A queue that holds everything already: what comes after it is what is measured."""

    def __init__(self, bodies: Iterator[bytes]) -> None:
        self._bodies = bodies
        self._leased: deque[str] = deque()
        self._number = 0

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Any]:
        from platform_assets.ports import Message

        found = []
        now = datetime.now(UTC)
        for body in self._bodies:
            self._number += 1
            found.append(Message(f"{self._number:020d}", body, str(self._number), {}, now))
            if len(found) == min(max_messages, 1000):
                break
        return found

    def extend(self, messages: Sequence[Any], seconds: int) -> None: ...

    def ack(self, messages: Sequence[Any]) -> Sequence[Any]:
        return ()

    def nack(self, messages: Sequence[Any]) -> None: ...


def ours(path: Path, folder: Path, batch: int) -> dict[str, Any]:
    from platform_assets.assets.events import router
    from platform_assets.assets.events_apply import EventWriter
    from platform_assets.assets.inbox.apply import Application
    from platform_assets.assets.inbox.store import Inbox
    from platform_assets.assets.inbox.tick import run_tick
    from platform_assets.engine.events.settings import EventSettings
    from platform_assets.engine.inbox.spec import InboxSpec
    from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
    from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
    from platform_assets_tests.assets.events_location import TENANT, shipped

    for module in ("duckdb", "numpy", "pyarrow.compute", "pyarrow.json"):  # what is loaded where it is used
        import_module(module)
    store = LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder / "warehouse"))
    specs, settings = shipped(), EventSettings(tenant=TENANT)
    spec = InboxSpec(batch_messages=batch, tick_seconds=5)
    first = datetime.now(UTC).date() - timedelta(days=30)
    route = router(frozenset(specs), settings, frozenset({TENANT}), first)
    inbox, spent = Inbox(store, "events"), {"tick": 0.0, "run": 0.0}
    peaks = []

    def now() -> datetime:
        return datetime.now(UTC)

    with path.open("rb") as file:
        queue = WaitingQueue(line.rstrip(b"\n") for line in file)
        began = time.perf_counter()
        while True:
            start = time.perf_counter()
            tick = run_tick(inbox, queue, route, spec, now=now)
            spent["tick"] += time.perf_counter() - start
            if not tick.offers:
                break
            start = time.perf_counter()
            for offer in tick.offers:
                writer = EventWriter(warehouse, store, TENANT, specs, settings, "bench", now)
                Application(inbox, writer, spec, "bench", now).apply(offer.partition)
            spent["run"] += time.perf_counter() - start
            peaks.append(_peak_mb())
        seconds = time.perf_counter() - began
    rows = sum(_rows(warehouse, TENANT, table) for table in ("orders", "inventory", "user_activity"))
    warehouse.close()
    return {"seconds": seconds, "rows": rows, "peak_mb": _peak_mb(), "spent": spent, "peaks": peaks}


def _rows(warehouse: Any, tenant: str, table: str) -> int:
    from platform_assets.engine.sql.binding import bind_query

    sql = f"SELECT COUNT(*) AS n FROM raw_events.{table} WHERE event_date > '2000-01-01'"
    return int(warehouse.query(tenant, bind_query(sql, tenant)).to_pylist()[0]["n"])


def _peak_mb() -> int:
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

    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(str(folder / "dlt.duckdb")),
        dataset_name="events",
        pipelines_dir=str(folder / "pipelines"),
    )
    began = time.perf_counter()
    pipeline.run(events, loader_file_format="parquet")
    seconds = time.perf_counter() - began
    with pipeline.sql_client() as client:
        counts = [client.execute_sql(f'SELECT count(*) FROM "{kind}"') for kind in KINDS]
    return {"seconds": seconds, "rows": sum(rows[0][0] for rows in counts), "peak_mb": _peak_mb()}


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
        if side == "beam":
            command = [str(install_beam()), str(HERE / "events_beam_side.py"), str(path), folder]
        else:
            module = "platform_assets_tests.benchmarks.bench_events"
            command = [sys.executable, "-m", module, "--side", side, "--file", str(path), "--folder", folder]
            command += ["--batches", str(batch)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{side} failed:\n{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


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


def compare(path: Path, count: int, batches: Sequence[int], rounds: int) -> None:
    sides = [("ours", batch) for batch in batches] + [("dlt", 1000), ("beam", 0)]
    found: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for side, batch in sides:
            found.setdefault((side, batch), []).append(measure(side, path, batch))
    best = {key: min(results, key=lambda r: r["seconds"]) for key, results in found.items()}
    for key, result in best.items():
        assert result["rows"] == count, (key, result)
        name = f"{key[0]}, batches of {key[1]}" if key[0] == "ours" else key[0]
        split = " ".join(f"{k} {v:.2f} s" for k, v in result.get("spent", {}).items())
        rate, peak = count / result["seconds"], result["peak_mb"]
        print(f"{count:>9} events  {name:<26}{rate:>10.0f}/s  peak {peak:>5} MB  {split}")
    fastest = min(result["seconds"] for (side, _), result in best.items() if side == "ours")
    for side, goal in GOALS.items():
        ratio = next(r["seconds"] for (name, _), r in best.items() if name == side) / fastest
        print(f"{count:>9} events  ours over {side}: {ratio:.1f}× (goal ≥ {goal}×)", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, action="append")
    parser.add_argument("--batches", type=int, nargs="+", default=[2_000, 10_000, 50_000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--side", choices=["ours", "dlt"])
    parser.add_argument("--file", type=Path)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    if options.side:
        side = ours if options.side == "ours" else with_dlt
        print(json.dumps(side(options.file, options.folder, options.batches[0])))
        return
    print(f"planning: {planning_ms()['plan_1000_columns_ms']} ms for a table of 1,000 columns (goal < 50 ms)")
    with tempfile.TemporaryDirectory(dir=MEMORY) as folder:
        for count in options.events or [1_000, 100_000]:
            path = Path(folder) / f"{count}.jsonl"
            write_events(path, count)
            compare(path, count, options.batches, options.rounds)


if __name__ == "__main__":
    main()
