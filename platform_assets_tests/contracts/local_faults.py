"""The adapters that keep their things in files: one act of each in a folder, and how a killed writer leaves it.

``spoil`` is None where a half-written file cannot be (writes are a rename, or whole lines), which the adapter's own
tests prove by killing writers.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import MetricPoint, OutboundMessage
from platform_assets.resources.bindings import create
from platform_assets.resources.http.recorded import Recorder, Replay
from platform_assets_tests.contracts.fault_rigs import NOW, note

PROVIDER = ProviderSpec.model_validate(
    {
        "provider": "example",
        "display_name": "E",
        "base_url": "https://api.example.com",
        "auth": {"type": "none"},
    }
)
REQUEST = HttpRequest("GET", "https://api.example.com/costs")


@dataclass(frozen=True)
class LocalFault:
    act: Callable[[Path], object]
    spoil: Callable[[Path], None] | None = None


def _halve(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def _describe(folder: Path) -> object:
    warehouse = create("warehouse", "duckdb", {"folder": str(folder), "lock_timeout_seconds": 1})
    try:
        return warehouse.describe("acme1281", TableName("raw_any", "t"))
    finally:
        warehouse.close()


def _half_a_warehouse(folder: Path) -> None:
    _describe(folder)
    _halve(folder / "acme1281.duckdb")


def _query(folder: Path) -> object:
    source = create("query_sources", "duckdb", {"folder": str(folder)}).open({}, None)
    return list(source.query(BoundSql("SELECT x FROM `billing`.`d`.`t`"), maximum_bytes_billed=10**9))


def _half_a_source(folder: Path) -> None:
    import duckdb

    with duckdb.connect(str(folder / "billing.duckdb")) as connection:
        connection.execute("CREATE SCHEMA d; CREATE TABLE d.t AS SELECT range AS x FROM range(100000)")
    _halve(folder / "billing.duckdb")


def _replay(folder: Path) -> object:
    return create("http", "recorded", {"folder": str(folder)}).open(PROVIDER, None).send(REQUEST)


def _half_a_recording(folder: Path) -> None:
    from platform_assets.engine.ingestion.http import HttpResponse

    class Source:
        def send(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(200, {}, b"{}", request.url)

    place = folder / "example" / "public"
    Recorder(Source(), place).send(REQUEST)
    assert Replay(place).send(REQUEST).body == b"{}"
    _halve(next(place.glob("*.json")))


LOCAL: Mapping[tuple[str, str], LocalFault] = {
    ("warehouse", "duckdb"): LocalFault(_describe, _half_a_warehouse),
    ("query_sources", "duckdb"): LocalFault(_query, _half_a_source),
    ("http", "recorded"): LocalFault(_replay, _half_a_recording),
    ("object_store", "local"): LocalFault(
        lambda p: create("object_store", "local", {"root": str(p)}).put("k", b"x")
    ),
    ("source_stores", "local"): LocalFault(
        lambda p: create("source_stores", "local", {"root": str(p)}).open("bucket", {}, None).get("k")
    ),
    ("secrets", "environment"): LocalFault(
        lambda p: create("secrets", "environment", {"folder": str(p)}).get("acme1281", "key")
    ),
    ("queue", "local"): LocalFault(lambda p: create("queue", "local", {"root": str(p)}).pull(1)),
    ("topic", "local"): LocalFault(
        lambda p: create("topic", "local", {"root": str(p)}).publish([OutboundMessage(b"x")])
    ),
    ("metric_sink", "log"): LocalFault(
        lambda p: create("metric_sink", "log", {"path": str(p)}).write([MetricPoint("n", 1, {}, NOW)])
    ),
    ("notifier", "log"): LocalFault(lambda p: create("notifier", "log", {"path": str(p)}).send(note())),
}
