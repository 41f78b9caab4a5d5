"""Alerts over a real warehouse: as checks of the tables a run fills, and by the clock."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.assets.notifications.alerts import DAYS_LOOKED_AT, evaluate_alert
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.assets.notifications.scheduled import JOB
from platform_assets.demo.provider_api import Fault
from platform_assets.engine.notifications.alerts.alert import AlertResult, alert_occurrence
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets_tests.assets.conftest import Location

CHAIN = "key:raw_openai/costs+"
LOW = """\
alert_id: any_spend
name: Something was spent
tenants: [acme1281, globex]
rule: {type: absolute_threshold, threshold_amount: 0.000001, currency: USD}
notification: {severity: critical}
"""
RUPEES = """\
alert_id: in_rupees
name: More than a rupee was spent
rule: {type: absolute_threshold, threshold_amount: 1, currency: INR}
"""
FAILURES = """\
alert_id: openai_fails
name: OpenAI fails
rule: {type: pipeline_failure, pipeline_patterns: ["openai_costs"]}
schedule: {cron: "0 * * * *"}
"""


@pytest.fixture
def alerting(own_location: Callable[[], Location], tmp_path: Any) -> Location:
    folder = tmp_path / "configs" / "alerts"
    for path in folder.glob("*.yml"):
        path.unlink()
    for name, text in (("any_spend", LOW), ("in_rupees", RUPEES), ("openai_fails", FAILURES)):
        (folder / f"{name}.yml").write_text(text)
    return own_location()


def told(location: Location) -> list[Occurrence]:
    outbox = Outbox(location.module.defs.resources["object_store"].adapter())
    jobs = outbox.jobs([key for keys in outbox.waiting().values() for key in keys])
    unique = {job.occurrence.id: job.occurrence for job in jobs}
    return sorted(unique.values(), key=lambda o: (o.tenant, o.subject))


def yesterday(back: int = 0) -> date:
    return datetime.now(UTC).date() - timedelta(days=1 + back)


def alert_checks(result: dg.ExecuteInProcessResult) -> dict[tuple[str, str], dg.AssetCheckEvaluation]:
    found = [e for e in result.get_asset_check_evaluations() if e.check_name.startswith("alert_")]
    return {(e.check_name, str(e.partition)): e for e in found}


def test_gold_is_looked_at_by_the_run_that_fills_it(alerting: Location) -> None:
    """Per tenant and day, also where another tenant's slice fails; and in no other currency."""
    alerting.api.fail(*[Fault(status=403, path="/costs", tenant="globex")] * 9)
    first, last = SliceKey(yesterday(4), "acme1281"), SliceKey(yesterday(), "globex")
    checks = alert_checks(alerting.run(CHAIN, first, last))
    days = [str(SliceKey(yesterday(back), "acme1281")) for back in range(DAYS_LOOKED_AT)]
    assert {key for name, key in checks if name == "alert_any_spend"} == set(days)
    for day in days:
        assert not checks["alert_any_spend", day].passed
        assert checks["alert_any_spend", day].severity is dg.AssetCheckSeverity.ERROR
        rupees = checks["alert_in_rupees", day]
        assert rupees.passed and "no rate to INR" in str(rupees.description)
    (occurrence,) = told(alerting)
    assert (occurrence.tenant, occurrence.rule_id, occurrence.event) == (
        "acme1281",
        "any_spend",
        "cost_threshold",
    )
    assert occurrence.details["Day"] == str(yesterday()), "of several days the newest is told"
    assert occurrence.cooldown_seconds == 86400


def test_a_day_that_was_told_is_not_told_again_the_next_day(alerting: Location) -> None:
    result = AlertResult(
        alerting.module.configuration.alerts["any_spend"], "acme1281", yesterday(), "triggered"
    )
    config = alerting.module.configuration.notifications.of("acme1281")
    now = datetime.now(UTC)
    first, next_day = (alert_occurrence(result, now + timedelta(days=n), config).id for n in range(2))
    assert first == next_day


def test_old_days_are_shown_and_nobody_is_told(alerting: Location) -> None:
    key = SliceKey(yesterday(30), "acme1281")
    checks = alert_checks(alerting.run(CHAIN, key))
    assert not checks["alert_any_spend", str(key)].passed
    assert told(alerting) == []


def run_on_time(location: Location, **asked: Any) -> dg.ExecuteInProcessResult:
    config = {"alert": None, "summary": None, "tenants": ["acme1281", "globex"]} | asked
    job = location.module.defs.resolve_job_def(JOB)
    config["tick"] = datetime.now(UTC).isoformat()
    return job.execute_in_process(
        instance=location.instance,
        run_config={"ops": {"tell_on_time": {"config": config}}},
        raise_on_error=False,
    )


def test_failing_runs_are_told_by_the_clock_to_their_tenant_only(alerting: Location) -> None:
    alerting.api.fail(*[Fault(status=403, path="/costs", tenant="globex")] * 9)
    alerting.run("key:raw_openai/costs", SliceKey(yesterday(), "acme1281"), SliceKey(yesterday(), "globex"))
    assert run_on_time(alerting, alert="openai_fails").success
    (occurrence,) = told(alerting)
    assert (occurrence.tenant, occurrence.rule_id) == ("globex", "openai_fails")
    assert occurrence.message == "openai_costs: the last 1 run(s) failed"


def test_a_summary_is_made_from_gold(alerting: Location) -> None:
    alerting.run(CHAIN, SliceKey(yesterday(2), "acme1281"), SliceKey(yesterday(), "acme1281"))
    assert run_on_time(alerting, summary="weekly_spend", tenants=["acme1281"]).success
    (occurrence,) = [o for o in told(alerting) if o.summary_id]
    sections = dict(occurrence.sections)
    (total,) = sections["Total"]
    (row,) = alerting.rows(
        "acme1281", "gold_reporting.daily_spend", "SELECT SUM(BilledCost) AS total FROM {table}"
    )
    assert total == f"{row['total']:,.2f} USD"
    assert any(line.startswith("openai: ") for line in sections["Providers"])
    assert sections["Budgets"] and sections["Services"]


def test_a_table_that_cannot_be_read_is_an_error_and_no_silence(alerting: Location) -> None:
    class Down:
        def describe(self, *_: Any) -> Any:
            return object()

        def query(self, *_: Any) -> Any:
            raise RuntimeError("broken")

    alert = alerting.module.configuration.alerts["any_spend"]
    result = evaluate_alert(Down(), alert, "acme1281", yesterday(), datetime.now(UTC))  # type: ignore[arg-type]
    assert result.status == "error"


def test_a_time_table_asks_for_one_run_per_tick(alerting: Location) -> None:
    schedule = alerting.module.defs.resolve_schedule_def("alert_openai_fails_schedule")
    tick = datetime(2026, 11, 28, 9, tzinfo=UTC)
    context = dg.build_schedule_context(alerting.instance, scheduled_execution_time=tick)
    (request,) = schedule.evaluate_tick(context).run_requests
    config = request.run_config["ops"]["tell_on_time"]["config"]
    assert (config["alert"], config["tick"]) == ("openai_fails", tick.isoformat())
    assert config["tenants"] == ["acme1281", "globex"]
    assert json.dumps(request.run_config)
