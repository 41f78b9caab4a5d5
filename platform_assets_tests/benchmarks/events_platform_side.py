"""The platform's side of ``bench_events``: a queue in memory, the sensor's ticks, the runs."""

from __future__ import annotations

import multiprocessing
import time
from collections import deque
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from platform_assets.assets.events import router
from platform_assets.assets.events_apply import EventWriter
from platform_assets.assets.inbox.apply import Application
from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import offers, run_tick
from platform_assets.engine.events.settings import EventSettings
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.sql.binding import bind_query
from platform_assets.ports import Message
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.assets.events_location import TENANT, shipped
from platform_assets_tests.benchmarks.bench_events import cpu_seconds, peak_mb


class WaitingQueue:
    """A queue that holds everything already: what comes after it is what is measured."""

    def __init__(self, bodies: Iterator[bytes]) -> None:
        self._bodies = bodies
        self._leased: deque[str] = deque()
        self._number = 0

    def pull(self, max_messages: int, *, wait_seconds: float = 0.0) -> Sequence[Any]:
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


class Platform:
    """The sensor's and the run's side of events, on local adapters, without Dagster."""

    def __init__(self, path: Path, folder: Path, batch: int) -> None:
        self.path, self.folder, self.tenant, self.types = path, folder, TENANT, shipped()
        self.store = LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))
        self.settings = EventSettings(tenant=TENANT)
        self.spec = InboxSpec(batch_messages=batch, tick_seconds=5)
        first = datetime.now(UTC).date() - timedelta(days=30)
        self.route = router(frozenset(self.types), self.settings, frozenset({TENANT}), first)
        self.inbox = Inbox(self.store, "events")
        self.peaks: list[int] = []

    def ticks(self) -> Iterator[float]:
        """Ticks until the queue is empty; the seconds that each took."""
        with self.path.open("rb") as file:
            queue = WaitingQueue(line.rstrip(b"\n") for line in file)
            received = 1
            while received:
                began = time.perf_counter()
                received = run_tick(self.inbox, queue, self.route, self.spec, now=_now).received
                yield time.perf_counter() - began

    def apply(self, warehouse: Any) -> bool:
        """Whether something waited."""
        waiting = offers(self.inbox, _now())
        for offer in waiting:
            writer = EventWriter(warehouse, self.store, self.tenant, self.types, self.settings, "bench", _now)
            Application(self.inbox, writer, self.spec, "bench", _now).apply(offer.partition)
            self.peaks.append(peak_mb())
        return bool(waiting)


def _now() -> datetime:
    return datetime.now(UTC)


def ours(path: Path, few: Path, folder: Path, batch: int, *, apart: bool) -> dict[str, Any]:
    """``apart``: ticks in a process of their own, as the daemon has them; else ticks and runs take turns in one.
    ``few``: what is taken first, unmeasured."""
    platform = Platform(path, folder / "bench", batch)
    fork = multiprocessing.get_context("fork")
    go = fork.Event()
    sensor = fork.Process(target=_sensor, args=(platform, go))
    if apart:  # before anything has threads
        sensor.start()
    warm_up, tables = Platform(few, folder / "warm_up", batch), folder / "warm_up" / "warehouse"
    for _ in warm_up.ticks():
        warm_up.apply(DuckDBWarehouse(DuckDBSettings(folder=tables)))
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder / "warehouse"))
    began, used, in_ticks = time.perf_counter(), cpu_seconds(), 0.0
    if apart:
        go.set()
        while sensor.is_alive():
            if not platform.apply(warehouse):
                time.sleep(0.005)
        platform.apply(warehouse)
        sensor.join()
    else:
        for seconds in platform.ticks():
            in_ticks += seconds
            platform.apply(warehouse)
    seconds, cpu = time.perf_counter() - began, cpu_seconds() - used
    rows = sum(_rows(warehouse, platform.tenant, table) for table in ("orders", "inventory", "user_activity"))
    warehouse.close()
    found = {"seconds": seconds, "cpu": cpu, "rows": rows, "peak_mb": peak_mb(), "peaks": platform.peaks}
    return found if apart else found | {"spent": {"ticks": in_ticks, "runs": seconds - in_ticks}}


def _sensor(platform: Platform, go: Any) -> None:
    go.wait()
    for _ in platform.ticks():
        pass


def _rows(warehouse: Any, tenant: str, table: str) -> int:
    sql = f"SELECT COUNT(*) AS n FROM raw_events.{table} WHERE event_date > '2000-01-01'"
    return int(warehouse.query(tenant, bind_query(sql, tenant)).to_pylist()[0]["n"])
