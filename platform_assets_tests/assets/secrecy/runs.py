"""One process of a code location: runs in which all goes well and in which nothing does, and what they notify.

Reads what every process of the platform reads: its environment. ``python -m … <day> <day> …``.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import dagster as dg
from dagster._core.events import PIPELINE_RUN_STATUS_TO_EVENT_TYPE as STATUS_EVENTS

from platform_assets_tests.assets.secrecy.world import CLOUD, GONE, REFUSED, REST, TENANTS, THOROUGH


def run(
    defs: dg.Definitions, instance: dg.DagsterInstance, kinds: Sequence[str], first: str, last: str
) -> None:
    """``first`` and ``last`` are partitions, ``2026-03-01|acme1281``."""
    ends = {"start": first, "end": last}
    result = defs.resolve_implicit_global_asset_job_def().execute_in_process(
        instance=instance,
        asset_selection=[dg.AssetKey([f"raw_{kind}", "rows"]) for kind in kinds],
        tags={f"dagster/asset_partition_range_{end}": key for end, key in ends.items()},
        raise_on_error=False,
    )
    status = dg.DagsterRunStatus.SUCCESS if result.success else dg.DagsterRunStatus.FAILURE
    print("run", result.run_id, status.value, flush=True)
    look(defs, instance, result.dagster_run, status)
    while not deliver(defs, instance).startswith("0 sent, 0 failed"):
        pass


def look(
    defs: dg.Definitions, instance: dg.DagsterInstance, run: dg.DagsterRun, status: dg.DagsterRunStatus
) -> None:
    sensor: Any = defs.resolve_sensor_def(f"notify_{status.value.lower()}_runs")
    [told] = instance.get_records_for_run(run.run_id, of_type=STATUS_EVENTS[status]).records
    event = told.event_log_entry.dagster_event
    assert event is not None
    sensor(
        dg.build_run_status_sensor_context(
            sensor_name=sensor.name,
            dagster_instance=instance,
            dagster_run=run,
            dagster_event=event,
            resources=defs.resources,
        )
    )


def deliver(defs: dg.Definitions, instance: dg.DagsterInstance) -> str:
    """One tick; what it says."""
    name = "deliver_notifications"
    with dg.build_sensor_context(
        instance, definitions=defs, sensor_name=name, resources=defs.resources
    ) as context:
        said = str(defs.resolve_sensor_def(name).evaluate_tick(context).skip_message)
    print(name, said, flush=True)
    return said


def main(days: Sequence[str]) -> None:
    """On the first day all goes well, on the second every source refuses, and some refuse in each other way."""
    one, other = TENANTS
    first, second, *more = days
    logging.basicConfig(level=logging.INFO)
    defs: dg.Definitions = import_module("platform_assets.definitions").defs
    with dg.DagsterInstance.get() as instance:
        run(defs, instance, REST, f"{first}|{one}", f"{first}|{other}")
        run(defs, instance, REST, f"{second}|{one}", f"{second}|{one}")
        run(defs, instance, [*GONE, *REFUSED, *CLOUD], f"{first}|{one}", f"{first}|{other}")
        if more:
            run(defs, instance, THOROUGH, f"{more[0]}|{one}", f"{more[-1]}|{one}")


if __name__ == "__main__":
    main(sys.argv[1:])
