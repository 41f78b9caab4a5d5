"""Pulls a source that gives columns (a query elsewhere, files of a manifest, a seed) and publishes its slice."""

from __future__ import annotations

from datetime import date
from typing import Any

from platform_assets.engine.ingestion.pull import PullStats
from platform_assets.engine.ingestion.tabular import Openers, pull_columns
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets_tests.pipelines.bench import Bench, configuration, step


def _closed(*_: Any) -> Any:
    raise AssertionError("this source must not be opened")


def pull_table(
    bench: Bench,
    pipeline: str,
    name: str,
    day: date,
    parameters: dict[str, Any],
    *,
    queries: Any = _closed,
    store: Any = _closed,
    credential: str = "default",
) -> PullStats:
    """``queries()`` gives a QuerySource, ``store(bucket)`` an ObjectStore; seeds come from the pipeline's folder."""
    resolved = step(pipeline, name)
    folder = configuration().pipelines[pipeline].folder

    def seed(file: str) -> str | None:
        path = folder / file
        return path.read_text() if path.is_file() else None

    stats = PullStats()
    batches = pull_columns(
        resolved.spec.source,
        resolved.transform,
        Openers(queries, store, seed),
        slice_variables(day, tenant=bench.tenant.tenant, credential=credential, parameters=parameters),
        resolved.table.schema,
        bench.standard(pipeline, day, credential),
        stats,
    )
    bench.land(pipeline, name, day, batches, credential)
    return stats
