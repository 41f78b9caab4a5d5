from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest

from platform_assets.commands.metrics_exporter import Collector, server
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.metrics.exposition import RunRecord
from platform_assets_tests.engine.metrics.datasets import T0
from platform_assets_tests.engine.metrics.stores import MemoryStore


def keep(store: MemoryStore, run_id: str, at: datetime = T0) -> None:
    record = RunRecord(run_id=run_id, metric_code="m", started_at=at, recorded_at=at, phase="started")
    store.put(record.key("metric_runs"), record.encode())


def started(text: str) -> int:
    return int(
        next(line for line in text.splitlines() if line.startswith("metric_runs_started_total ")).split()[1]
    )


def test_each_record_counts_once_also_late_ones() -> None:
    store = MemoryStore()
    collector = Collector(store, "metric_runs")
    assert started(collector.scrape(T0)) == 0
    keep(store, "a")
    keep(store, "b", T0 + timedelta(minutes=1))
    assert started(collector.scrape(T0 + timedelta(minutes=2))) == 2
    keep(store, "late", T0 - timedelta(minutes=30))
    assert started(collector.scrape(T0 + timedelta(minutes=3))) == 3
    assert started(collector.scrape(T0 + timedelta(days=1))) == 3
    keep(store, "next day", T0 + timedelta(days=1))
    assert started(collector.scrape(T0 + timedelta(days=1))) == 4
    assert started(Collector(store, "metric_runs").scrape(T0)) == 4


def test_a_scrape_reads_only_what_is_new() -> None:
    store = MemoryStore()
    collector = Collector(store, "metric_runs")
    for number in range(50):
        keep(store, str(number), T0 + timedelta(seconds=number))
    collector.scrape(T0)
    reads = sum(count for (operation, _), count in store.calls.items() if operation == "get")
    keep(store, "new", T0 + timedelta(minutes=5))
    collector.scrape(T0 + timedelta(minutes=6))
    assert sum(count for (operation, _), count in store.calls.items() if operation == "get") == reads + 1


def test_foreign_objects_are_passed_over() -> None:
    store = MemoryStore()
    store.put("metric_runs/readme.txt", b"hello")
    keep(store, "a")
    assert started(Collector(store, "metric_runs").scrape(T0)) == 1


@contextmanager
def serving(collector: Collector) -> Iterator[str]:
    with server(collector, "127.0.0.1", 0) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{http.server_port}"
        finally:
            http.shutdown()
            thread.join()


def test_metrics_are_served() -> None:
    store = MemoryStore()
    keep(store, "a")
    with serving(Collector(store, "metric_runs")) as url:
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert answer.headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
            assert started(answer.read().decode()) == 1
        with urllib.request.urlopen(f"{url}/health") as answer:
            assert answer.status == 200


def test_a_store_that_fails_is_a_503_and_is_caught_up_with() -> None:
    store = MemoryStore()
    keep(store, "a")
    broken = True

    def before(operation: str, key: str) -> None:
        if broken and operation == "get":
            raise RetryableError("no connection")

    store.before = before
    with serving(Collector(store, "metric_runs")) as url:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(f"{url}/metrics")
        assert caught.value.code == 503
        caught.value.close()
        broken = False
        with urllib.request.urlopen(f"{url}/metrics") as answer:
            assert started(answer.read().decode()) == 1
