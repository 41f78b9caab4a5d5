"""The main job, run in this process: every table of both tenants, one range of days."""

from collections.abc import Collection
from datetime import date

import dagster as dg
from rich.console import Console

from platform_assets.assets.keys import SliceKey, table_key
from platform_assets.definitions import configuration, defs, nodes


def materialize_days(first: date, last: date, tables: Collection[str] = ()) -> dg.ExecuteInProcessResult:
    """What a backfill of these days over all tenants does, of all tables or of those named; the run shows up in the
    UI."""
    tenants = sorted(configuration.tenants)
    job = defs.resolve_implicit_global_asset_job_def()
    tags = {
        "dagster/asset_partition_range_start": str(SliceKey(first, tenants[0])),
        "dagster/asset_partition_range_end": str(SliceKey(last, tenants[-1])),
    }
    console = Console()
    with dg.DagsterInstance.get() as instance, console.status(f"{first} to {last}, {len(tenants)} tenants …"):
        return job.execute_in_process(
            instance=instance,
            asset_selection=[
                table_key(node.table) for node in nodes if not tables or str(node.table) in tables
            ],
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "ERROR"}}}},
        )
