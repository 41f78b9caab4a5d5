"""What a run has to say, tenant by tenant."""

from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.run_events import Run, RunRows, ended, started
from platform_assets_tests.assets.notifications.rig import START, TENANT

DAY = date(2026, 11, 27)


def run(status: Any = "FAILURE", error: str = "killed") -> Run:
    return Run("run-1", status, START, "openai_costs", error)


def row(status: str, day: date = DAY, **more: Any) -> dict[str, Any]:
    given = {"pipeline_id": "openai_costs", "run_date": day, "status": status, "error_message": None}
    given["worker_instance"] = "host:1"
    return given | more


def events(found: Any) -> list[Event]:
    return [o.event for o in found]


@pytest.mark.parametrize(
    ("rows", "status", "event"),
    [
        ([row("COMPLETED")], "SUCCESS", Event.PIPELINE_SUCCESS),
        ([row("COMPLETED")], "FAILURE", Event.PIPELINE_SUCCESS),  # another tenant's slice failed
        ([row("FAILED", error_message="no answer")], "FAILURE", Event.PIPELINE_FAILURE),
        ([row("TIMEOUT")], "FAILURE", Event.PIPELINE_FAILURE),
        ([row("BLOCKED")], "SUCCESS", Event.PIPELINE_FAILURE),
        ([row("RUNNING")], "FAILURE", Event.PIPELINE_FAILURE),  # a dead run
        ([row("RUNNING")], "CANCELED", Event.PIPELINE_WARNING),
        ([row("CANCELLED")], "CANCELED", Event.PIPELINE_WARNING),
        ([row("FAILED"), row("CANCELLED")], "CANCELED", Event.PIPELINE_FAILURE),
        ([], "FAILURE", Event.SYSTEM_ERROR),
    ],
)
def test_a_pipeline(rows: list[dict[str, Any]], status: str, event: Event) -> None:
    (found,) = ended(run(status), TENANT, RunRows(rows))
    assert found.event is event
    assert found.tenant == TENANT and found.pipeline_id == "openai_costs" and found.run_id == "run-1"


@pytest.mark.parametrize("written", [False, True], ids=["no row yet", "rows written since"])
@pytest.mark.parametrize(
    ("status", "refused", "event", "title"),
    [
        ("FAILURE", False, Event.SYSTEM_ERROR, "openai_costs died"),
        ("FAILURE", True, Event.PIPELINE_FAILURE, "openai_costs was refused"),
        ("CANCELED", False, Event.PIPELINE_WARNING, "openai_costs was cancelled"),
    ],
)
def test_what_never_began_is_told_the_same_whenever_it_is_looked_at(
    status: Any, refused: bool, event: Event, title: str, written: bool
) -> None:
    rows = [row("PENDING", worker_instance=None), row("BLOCKED", worker_instance=None)] if written else []
    (found,) = ended(replace(run(status, "why"), refused=refused), TENANT, RunRows(rows))
    assert (found.event, found.title) == (event, title) and found.message.endswith(": why")


def test_a_failure_says_which_days_and_why() -> None:
    rows = [row("FAILED", error_message="no answer"), row("COMPLETED", date(2026, 11, 26))]
    (found,) = ended(run(), TENANT, RunRows(rows))
    assert found.message == "1 of 2 day(s) failed (2026-11-27): no answer"


def test_a_dead_runs_reason_is_the_runs_own() -> None:
    (found,) = ended(run(error="the process was killed"), TENANT, RunRows([row("RUNNING")]))
    assert found.message.endswith("the process was killed")


def test_what_only_waited_is_told_with_what_failed() -> None:
    rows = [
        row("FAILED", error_message="no answer"),
        row("FAILED", pipeline_id="cost_reporting", error_message="not run: raw_openai.costs failed"),
        row("BLOCKED", pipeline_id="cost_insights"),
    ]
    (found,) = ended(run(), TENANT, RunRows(rows))
    assert found.subject == "openai_costs" and found.message.endswith("no answer")
    assert found.details == {"Not run because of it": "cost_insights, cost_reporting"}


def test_what_waited_for_another_run_is_told_itself() -> None:
    (found,) = ended(run(), TENANT, RunRows([row("BLOCKED", pipeline_id="cost_reporting")]))
    assert (found.event, found.subject) == (Event.PIPELINE_FAILURE, "cost_reporting")


@pytest.mark.parametrize("completed", [False, True], ids=["left RUNNING", "completed since"])
def test_a_process_that_died_is_one_happening(completed: bool) -> None:
    status, error = ("FAILED", "killed") if completed else ("RUNNING", None)
    rows = [row(status, pipeline_id=p, error_message=error) for p in ("a_costs", "openai_costs", "z_costs")]
    (found,) = ended(run(), TENANT, RunRows(rows))
    assert (found.event, found.subject) == (Event.PIPELINE_FAILURE, "openai_costs")
    assert found.details == {"Pipelines": "a_costs, openai_costs, z_costs"}
    assert "killed" in found.message


def test_each_pipeline_is_told_by_itself() -> None:
    rows = [row("FAILED"), row("COMPLETED", pipeline_id="cost_reporting")]
    assert sorted(events(ended(run(), TENANT, RunRows(rows)))) == [
        Event.PIPELINE_FAILURE,
        Event.PIPELINE_SUCCESS,
    ]


@pytest.mark.parametrize(
    ("kind", "message", "more"),
    [
        ("RetryableError", "HTTP 500", []),
        ("RetryableError", "GET …: HTTP 429 slow down", [Event.RATE_LIMIT_EXCEEDED]),
        ("QuotaError", "too much", [Event.RATE_LIMIT_EXCEEDED]),
        ("CriticalExpectationFailed", "critical", []),
        ("ZeroDivisionError", "division by zero", [Event.SYSTEM_ERROR]),
    ],
)
def test_steps(kind: str, message: str, more: list[Event]) -> None:
    step = row("FAILED", step_name="ingest", error_type=kind, error_message=message)
    found = ended(run(), TENANT, RunRows(steps=[step], runs=[row("FAILED")]))
    assert events(found) == [Event.PIPELINE_FAILURE, Event.STEP_FAILURE, *more]


def test_checks_by_table_and_gravity() -> None:
    def check(name: str, severity: str, error: str | None = None) -> dict[str, Any]:
        return row("", target_table="raw.t", expectation_id=name, severity=severity, error_message=error)

    checks = [
        check("a", "critical"),
        check("b", "warning"),
        check("c", "warning", "crashed"),
        check("d", "critical", "not audited: no answer"),
    ]
    found = ended(run("SUCCESS"), TENANT, RunRows([row("COMPLETED")], checks=checks))
    assert {o.event: o.title for o in found[1:]} == {
        Event.DATA_QUALITY_FAILURE: "2 check(s) of raw.t failed",
        Event.DATA_QUALITY_WARNING: "1 check(s) of raw.t failed",
    }


def test_looking_at_a_run_again_gives_the_same_occurrences() -> None:
    rows = RunRows([row("FAILED")], steps=[row("FAILED", step_name="a", error_type="X", error_message="m")])
    first, second = ([o.id for o in ended(run(), TENANT, rows)] for _ in range(2))
    assert first == second and len(set(first)) == len(first)
    assert started(run("STARTED"), TENANT).id not in first
