"""What a writer holds after each batch: nothing that grows with the events it has seen."""

import tracemalloc
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pyarrow as pa

from platform_assets.assets.events_apply import EventWriter
from platform_assets.engine.events.generator import MAKERS, Generator
from platform_assets.engine.events.settings import EventSettings
from platform_assets.engine.inbox.model import Done, StoredMessage
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.assets.events_location import TENANT, shipped

EVENTS, BATCHES, BATCH_ROWS = 3_000, 6, 500


def test_memory_depends_on_the_batch_and_not_on_how_many_there_were(tmp_path: Path) -> None:
    store = LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path / "objects")))
    warehouse = DuckDBWarehouse(DuckDBSettings(folder=tmp_path / "warehouse"))
    settings, generator, now = EventSettings(batch_rows=BATCH_ROWS), Generator(Random(1)), datetime.now(UTC)
    writer = EventWriter(warehouse, store, TENANT, shipped(), settings, "run", lambda: now)
    peaks, kept = [], []
    tracemalloc.start()
    try:
        for batch in range(BATCHES):
            bodies = [generator.body(kind, now) for _ in range(EVENTS // 3) for kind in MAKERS]
            messages = [
                StoredMessage(f"{batch}-{n}", body, published_at=now, batch=f"b{batch}")
                for n, body in enumerate(bodies)
            ]
            tracemalloc.reset_peak()
            before, _ = tracemalloc.get_traced_memory()
            outcomes = writer(messages)
            after, peak = tracemalloc.get_traced_memory()
            assert len(outcomes) == EVENTS
            assert all(isinstance(outcome, Done) for outcome in outcomes.values())
            del outcomes
            peaks.append(peak - before)
            kept.append(after)
    finally:
        tracemalloc.stop()
        warehouse.close()
    body_bytes = sum(map(len, bodies))
    assert max(peaks[1:]) < 1.25 * min(peaks[1:])
    # A batch's ids and outcomes, and of its events only the slice in hand.
    assert max(peaks[1:]) < 2 * body_bytes
    assert kept[-1] < 1.25 * kept[1]
    assert pa.total_allocated_bytes() < 1_000_000
