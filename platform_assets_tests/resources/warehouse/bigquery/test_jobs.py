"""Running jobs: what is asked again, what is started anew, what each error means. No server needed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from google.api_core.exceptions import Conflict, Forbidden, NotFound, ServiceUnavailable
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    DataError,
    NotFoundError,
    QuotaError,
    RejectedError,
    RetryableError,
)
from platform_assets.resources.warehouse.bigquery import jobs

PATIENCE = jobs.Patience(attempts=3, backoff_seconds=1.0, job_seconds=10.0)
BUSY = {"reason": "backendError", "message": "try again"}


class Service:
    """Jobs by id, as BigQuery keeps them. ``plan``: what happens at each start, in turn: None runs the job, an error is
    raised before it, ``("after", error)`` after it; ``outcomes``: the errorResult of each job that runs."""

    def __init__(self, plan: list[Any] = [], outcomes: list[Any] = []) -> None:  # noqa: B006
        self.plan, self.outcomes = list(plan), list(outcomes)
        self.jobs: dict[str, Any] = {}
        self.slept: list[float] = []
        self.find_errors: list[Exception] = []

    def start(self, job_id: str) -> Any:
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, Exception):
            raise step
        if job_id in self.jobs:
            raise Conflict("Already Exists: Job")
        result = self.outcomes.pop(0) if self.outcomes else None
        self.jobs[job_id] = SimpleNamespace(job_id=job_id, state="DONE", error_result=result)
        if step:
            raise step[1]
        return self.jobs[job_id]

    def find(self, job_id: str) -> Any:
        if self.find_errors:
            raise self.find_errors.pop(0)
        return self.jobs[job_id]

    def run(self) -> Any:
        return jobs.run("publish", "base", self.start, self.find, PATIENCE, self.slept.append)


def test_a_job_runs_once_under_the_chosen_id() -> None:
    service = Service()
    assert service.run().job_id == "base_1"
    assert (list(service.jobs), service.slept) == (["base_1"], [])


def test_a_lost_answer_finds_the_job_that_runs_already() -> None:
    service = Service([("after", ConnectionError("reset"))])
    assert service.run().job_id == "base_1"
    assert list(service.jobs) == ["base_1"]


def test_a_job_that_is_taken_but_does_not_show_yet_is_looked_for_again() -> None:
    service = Service([("after", ConnectionError("reset"))])
    service.find_errors = [NotFound("Not found: Job"), NotFound("Not found: Job")]
    assert service.run().job_id == "base_1"
    assert service.slept == [1.0, 1.0, 2.0]


def test_a_job_that_failed_for_a_while_is_started_anew() -> None:
    service = Service(outcomes=[BUSY, BUSY])
    assert service.run().job_id == "base_3"
    assert service.slept == [1.0, 2.0]


def test_a_new_process_goes_on_behind_the_attempts_of_the_old_one() -> None:
    service = Service(outcomes=[BUSY, None])
    service.run()
    assert service.run().job_id == "base_2"
    assert list(service.jobs) == ["base_1", "base_2"]


def test_patience_ends() -> None:
    service = Service(outcomes=[BUSY] * 9)
    with pytest.raises(RetryableError, match="publish: try again"):
        service.run()
    assert len(service.jobs) == 3


@given(st.lists(st.sampled_from(["ok", "before", "after", "busy"]), max_size=12))
def test_whatever_happens_no_job_takes_effect_twice(story: list[str]) -> None:
    lost = ServiceUnavailable("lost")
    steps = {"before": lost, "after": ("after", lost)}
    service = Service(
        [steps.get(s) for s in story], [BUSY if s == "busy" else None for s in story if s != "before"]
    )
    try:
        done = service.run()
    except RetryableError:
        done = None
    effects = [job for job in service.jobs.values() if job.error_result is None]
    assert len(effects) <= 1
    assert done is None or done.error_result is None


def test_a_refusal_to_start_is_final() -> None:
    denied = Forbidden("no", errors=[{"reason": "accessDenied"}])
    service = Service([denied])
    with pytest.raises(AuthError):
        service.run()
    assert service.slept == []


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("rateLimitExceeded", "Exceeded rate limits", RetryableError),
        ("jobBackendError", "try again", RetryableError),
        ("invalidQuery", "Transaction is aborted due to concurrent update against table t.", RetryableError),
        ("invalidQuery", "Could not serialize access to table t due to concurrent update", RetryableError),
        (
            "resourcesExceeded",
            "Too many DML statements outstanding against table t, limit is 20.",
            RetryableError,
        ),
        ("quotaExceeded", "Your table exceeded quota for imports or query appends per table", QuotaError),
        ("resourcesExceeded", "Resources exceeded during query execution", QuotaError),
        ("bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1.", QuotaError),
        ("invalidQuery", "Query exceeded limit for bytes billed: 1. 2 or higher required.", QuotaError),
        ("accessDenied", "Access Denied", AuthError),
        ("notFound", "Not found: Table p:d.t", NotFoundError),
        ("duplicate", "Already Exists: Table", ConflictError),
        ("invalidQuery", "Required field day cannot be null", DataError),
        ("invalidQuery", "Bad int64 value: apple", DataError),
        ("invalidQuery", "BIGNUMERIC out of range: x", DataError),
        ("invalidQuery", "UPDATE/MERGE must match at most one source row for each target row", DataError),
        ("invalidQuery", "Unrecognized name: x at [1:8]", RejectedError),
        ("stopped", "Job execution was cancelled", RejectedError),
    ],
)
def test_what_each_error_means(reason: str, message: str, kind: type[Exception]) -> None:
    found = jobs.job_error("merge t", {"reason": reason, "message": message})
    assert type(found) is kind
    assert str(found) == f"merge t: {message}"


def test_no_error_is_none() -> None:
    assert jobs.job_error("merge t", None) is None
