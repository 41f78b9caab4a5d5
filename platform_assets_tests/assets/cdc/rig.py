"""The CDC handler over a DuckDB data project, an inbox in memory and a sink that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from platform_assets.assets.cdc import partners_of, router, scope_of_tenant
from platform_assets.assets.cdc_run import CdcHandler, Report
from platform_assets.assets.inbox.apply import Application, Applied
from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import offers, run_tick
from platform_assets.config import load
from platform_assets.engine.cdc.monitor import Monitor
from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import MetricPoint, QuerySource
from platform_assets.resources.query_sources.duckdb import DuckDBSources, DuckDBSourcesSettings
from platform_assets_tests.assets.cdc.messages import DAY, body
from platform_assets_tests.assets.inbox.rig import MemoryQueue
from platform_assets_tests.engine.metrics.stores import MemoryStore

ROOT = Path(__file__).parents[3]
PROJECT = "test-project"
TENANTS = {
    name: TenantSpec(tenant=name, display_name=name, cdc={"partners": aliases})
    for name, aliases in {"abertta": [], "athena": ["Athena S.A."], "cemig": []}.items()
}


@cache
def monitors() -> Mapping[str, Monitor]:
    """The repository's own."""
    found = load(
        ROOT / "configs", deployment="local", environment={"PLATFORM_HOME": "/none"}, today=date(2026, 1, 1)
    )
    return found.monitors


@dataclass
class Sink:
    """Remembers what it was told; ``before`` may raise."""

    points: list[MetricPoint] = field(default_factory=list)
    calls: int = 0
    before: Callable[[Sequence[MetricPoint]], None] = lambda points: None

    def write(self, points: Sequence[MetricPoint]) -> None:
        self.before(points)
        self.calls += 1
        self.points += points

    def values(self, name: str, **labels: str) -> list[float]:
        """The values of a metric in time order, of the series whose labels include these."""
        found = [p for p in self.points if p.name == name and labels.items() <= p.labels.items()]
        return [p.value for p in sorted(found, key=lambda p: p.end)]

    def told(self) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        """(name, labels) → the newest value."""
        ordered = sorted(self.points, key=lambda p: p.end)
        return {(p.name, tuple(sorted(p.labels.items()))): p.value for p in ordered}


@dataclass
class CountingSource:
    """A query source that counts what is asked of it, and may raise first."""

    inner: QuerySource
    queries: list[str] = field(default_factory=list)
    look_ups: int = 0
    before: Callable[[str], None] = lambda sql: None
    before_look_up: Callable[[str], None] = lambda dataset: None

    def query(self, query: Any, *, maximum_bytes_billed: int) -> Any:
        self.before(query.sql)
        self.queries.append(query.sql)
        yield from self.inner.query(query, maximum_bytes_billed=maximum_bytes_billed)

    def present(self, project: str, dataset: str, tables: Sequence[str]) -> frozenset[str]:
        self.before_look_up(dataset)
        self.look_ups += 1
        return self.inner.present(project, dataset, tables)

    def estimate(self, query: Any) -> int:
        return self.inner.estimate(query)


def data_project(folder: Path, *statements: str, project: str = PROJECT) -> None:
    """Run DDL in the file that stands for the project."""
    folder.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(folder / f"{project}.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for statement in statements:
            connection.execute(statement)


SEED = (
    "CREATE SCHEMA tmp_abertta",
    "CREATE TABLE tmp_abertta.unprocessable_claims_abertta_20251105_171427 AS"
    " SELECT unnest([500.0, 600.0, 400.0]) AS vl_pago",
    "CREATE TABLE tmp_abertta.processable_claims_abertta_20251105_171427 AS"
    " SELECT unnest([2000.0, 3000.0, 3000.0]) AS vl_pago",
)


@dataclass
class Rig:
    folder: Path
    monitors: Mapping[str, Monitor] = field(default_factory=monitors)
    settings: CdcSettings = field(default_factory=CdcSettings)
    spec: InboxSpec = field(default_factory=lambda: InboxSpec(max_attempts=3))
    store: MemoryStore = field(default_factory=MemoryStore)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    sink: Sink = field(default_factory=Sink)
    time: datetime = datetime(2025, 11, 5, 20, tzinfo=UTC)
    reports: list[Report] = field(default_factory=list)
    tables: QuerySource | None = None

    def __post_init__(self) -> None:
        here = DuckDBSources(DuckDBSourcesSettings(folder=str(self.folder))).open({}, None)
        self.source = CountingSource(self.tables or here)
        self.inbox = Inbox(self.store, "cdc")

    def send(self, *records: Any, attributes: Mapping[str, str] | None = None) -> None:
        """Records as bare bodies, bytes as they are; ids are the queue's own."""
        for record in records:
            sent = record if isinstance(record, bytes) else body(record)
            number = len(self.queue.ready)
            self.queue.send(f"m{number}-{hash(sent)}", sent, day=DAY)
            if attributes:
                from msgspec.structs import replace

                self.queue.ready[-1] = replace(self.queue.ready[-1], attributes=dict(attributes))

    def handler(self, partition: str, *, replay: bool = False) -> CdcHandler:
        tenant = partition.partition("|")[2]
        scope = scope_of_tenant(TENANTS[tenant], self.settings) if tenant in TENANTS else None
        self.reports.append(Report())
        return CdcHandler(
            partition,
            tenant,
            tuple(self.monitors.values()),
            scope,
            lambda: self.source,
            self.sink,
            self.inbox,
            self.settings,
            lambda: self.time,
            self.reports[-1],
            replay,
        )

    def apply(self, partition: str, *, replay: bool = False) -> Applied:
        return Application(
            self.inbox,
            self.handler(partition, replay=replay),
            self.spec,
            f"run{len(self.reports)}",
            lambda: self.time,
            replay=replay,
            ended=lambda owner: True,
        ).apply(partition)

    def tick(self) -> None:
        route = router(partners_of(TENANTS), self.settings)
        run_tick(self.inbox, self.queue, route, self.spec, now=lambda: self.time)

    def run(self) -> Applied:
        """A tick, and the runs it asks for."""
        self.tick()
        found = [self.apply(offer.partition) for offer in offers(self.inbox, self.time)]
        return sum(found, Applied())

    def dead(self) -> list[str]:
        """Why messages were given up."""
        return [letter.reason for _, letter in self.inbox.dead_letters()]
