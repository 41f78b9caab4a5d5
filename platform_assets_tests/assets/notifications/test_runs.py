"""From a run to what people are told: the repository's own location, its history, its sensors."""

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.assets.notifications.runs import tenants_of
from platform_assets.demo.provider_api import Fault
from platform_assets.engine.notifications.tenant import PLATFORM
from platform_assets_tests.assets.conftest import Location

STATUS_EVENTS = {
    "FAILURE": dg.DagsterEventType.PIPELINE_FAILURE,
    "SUCCESS": dg.DagsterEventType.PIPELINE_SUCCESS,
    "CANCELED": dg.DagsterEventType.PIPELINE_CANCELED,
}


def look(location: Location, status: str, run: dg.DagsterRun, message: str = "") -> None:
    """One evaluation of the status sensor for one run, as the daemon does it."""
    sensor: Any = location.module.defs.resolve_sensor_def(f"notify_{status.lower()}_runs")
    event = dg.DagsterEvent(STATUS_EVENTS[status].value, run.job_name, message=message)
    context = dg.build_run_status_sensor_context(
        sensor_name=sensor.name,
        dagster_instance=location.instance,
        dagster_run=run,
        dagster_event=event,
        resources=location.module.defs.resources,
    )
    sensor(context)


def told(location: Location, run_id: str) -> set[tuple[str, str, str]]:
    """(tenant, event, subject) of what waits in the outbox for one run."""
    outbox = Outbox(location.module.defs.resources["object_store"].adapter())
    jobs = outbox.jobs([key for keys in outbox.waiting().values() for key in keys])
    found = [job.occurrence for job in jobs if job.occurrence.run_id == run_id]
    return {(o.tenant, str(o.event), o.subject) for o in found}


def failing_for_one(location: Location, day: date) -> dg.DagsterRun:
    location.api.fail(*[Fault(status=403, path="/costs", tenant="globex")] * 3)
    result = location.run("key:raw_openai/costs", SliceKey(day, "acme1281"), SliceKey(day, "globex"))
    assert not result.success
    return result.dagster_run


def test_a_run_that_fails_for_one_tenant_notifies_that_tenant_only(location: Location, day: date) -> None:
    run = failing_for_one(location, day)
    look(location, "FAILURE", run)
    assert told(location, run.run_id) == {
        ("globex", "pipeline_failure", "openai_costs"),
    }


def test_looking_twice_tells_once(location: Location, day: date) -> None:
    run = failing_for_one(location, day)
    outbox = Outbox(location.module.defs.resources["object_store"].adapter())
    look(location, "FAILURE", run)
    once = outbox.waiting()
    look(location, "FAILURE", run)
    assert outbox.waiting() == once


def test_failed_checks_of_a_run_that_succeeded_are_told(location: Location, day: date) -> None:
    def without_amount(body: dict[str, Any]) -> dict[str, Any]:
        for bucket in body["data"]:
            for result in bucket["results"]:
                result["amount"]["value"] = None
        return body

    location.api.fail(*[Fault(edit=without_amount, path="/costs", tenant="acme1281")] * 50)
    run = location.run("key:raw_openai/costs", SliceKey(day, "acme1281")).dagster_run
    look(location, "FAILURE", run)
    assert ("acme1281", "data_quality_failure", "openai_costs") in told(location, run.run_id)


def test_a_run_that_died_before_it_wrote_anything_is_told(location: Location, day: date) -> None:
    run = location.instance.create_run_for_job(
        location.module.defs.resolve_implicit_global_asset_job_def(), tags={"tenant": "globex"}
    )
    look(location, "FAILURE", run, "the process was killed")
    assert told(location, run.run_id) == {("globex", "system_error", "__ASSET_JOB")}


def test_a_run_of_no_tenant_is_the_platforms(location: Location, day: date) -> None:
    run = location.instance.create_run_for_job(location.module.defs.resolve_implicit_global_asset_job_def())
    look(location, "FAILURE", run, "out of memory")
    assert told(location, run.run_id) == {(PLATFORM, "system_error", "__ASSET_JOB")}


KNOWN = ["acme1281", "globex", "initech"]


@pytest.mark.parametrize(
    ("tags", "tenants"),
    [
        ({"tenant": "globex"}, ["globex"]),
        ({"dagster/partition/tenant": "globex"}, ["globex"]),
        ({"tenant": "gone"}, [PLATFORM]),
        ({}, [PLATFORM]),
        (
            {
                "dagster/asset_partition_range_start": "2026-01-01|acme1281",
                "dagster/asset_partition_range_end": "2026-01-31|globex",
            },
            ["acme1281", "globex"],
        ),
        (
            {
                "dagster/asset_partition_range_start": "metric.a",
                "dagster/asset_partition_range_end": "metric.b",
            },
            [PLATFORM],
        ),
    ],
)
def test_tenants_of_a_run(tags: dict[str, str], tenants: list[str]) -> None:
    assert tenants_of(tags, KNOWN) == tenants


def test_only_statuses_that_somebody_wants_to_hear_of_are_watched(
    own_location: Callable[[], Location], tmp_path: Any
) -> None:
    config = tmp_path / "configs" / "notifications" / "config.json"

    def sensors(text: str) -> dict[str, dg.SensorDefinition]:
        config.write_text(text)
        found = own_location().module.defs.sensors or []
        return {s.name: s for s in found if "notif" in s.name}

    channels = '"channels": [{"type": "slack", "channel_id": "s", "webhook_secret": "hook"}]'
    started = f'{{{channels}, "event_triggers": [{{"event": "pipeline_started"}}]}}'
    found = sensors(started)
    assert set(found) == {"notify_started_runs", "deliver_notifications"}
    adapters = {k for k in found["deliver_notifications"].required_resource_keys if k.startswith("notifier_")}
    assert adapters == {"notifier_slack"}, "what nobody uses need not be installed"
    assert sensors('{"enabled": false}') == {}


def test_days_of_a_range_are_one_occurrence_per_pipeline(location: Location, day: date) -> None:
    location.api.fail(*[Fault(status=403, path="/costs", tenant="globex")] * 9)
    last = SliceKey(day + timedelta(days=2), "globex")
    run = location.run("key:raw_openai/costs", SliceKey(day, "globex"), last).dagster_run
    look(location, "FAILURE", run)
    assert told(location, run.run_id) == {("globex", "pipeline_failure", "openai_costs")}
