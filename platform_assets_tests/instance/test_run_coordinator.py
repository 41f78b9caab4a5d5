"""Admission on a real Dagster instance: SQLite storage, a configured coordinator, runs as the daemon makes them."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    RegisteredCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.test_utils import create_run_for_test, environ

from platform_assets.instance.run_coordinator import REFUSED_TAG, TenantQueuedRunCoordinator
from platform_assets_tests.config.tree import GOOD, write_tree


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    tenants = {
        "tenants/acme1281.yml": GOOD["tenants/acme1281.yml"] + "limits: {daily: 2, concurrent: 3}\n",
        "tenants/broken.yml": "tenant: [",
    }
    configs = write_tree(tmp_path / "configs", {**GOOD, **tenants})
    home = tmp_path / "dagster"
    home.mkdir()
    (home / "dagster.yaml").write_text(
        "telemetry: {enabled: false}\n"
        "run_coordinator:\n"
        "  module: platform_assets.instance.run_coordinator\n"
        "  class: TenantQueuedRunCoordinator\n"
        "  config:\n"
        "    max_concurrent_runs: 4\n"
        "    tag_concurrency_limits: [{key: tenant, value: several, limit: 1}]\n"
        "run_retries: {enabled: true, max_retries: 3}\n"
    )
    with environ({"PLATFORM_CONFIG_ROOT": str(configs)}), dg.DagsterInstance.from_config(str(home)) as made:
        yield made


def ask(
    instance: dg.DagsterInstance, job: str, day: str = "2026-11-20", tenant: str = "acme1281"
) -> dg.DagsterRun:
    """A run as a schedule's tick creates it, handed to the coordinator."""
    ends = dict.fromkeys(("start", "end"), f"{day}|{tenant}")
    tags = {f"dagster/asset_partition_range_{end}": key for end, key in ends.items()}
    return submit(instance, job, tags)


def submit(instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> dg.DagsterRun:
    return hand(instance, create(instance, job, tags))


def create(instance: dg.DagsterInstance, job: str, tags: dict[str, str]) -> dg.DagsterRun:
    repository = RemoteRepositoryOrigin(RegisteredCodeLocationOrigin("here"), "repository")
    return create_run_for_test(
        instance,
        job_name=job,
        tags=tags,
        status=dg.DagsterRunStatus.NOT_STARTED,
        remote_job_origin=RemoteJobOrigin(repository, job),
    )


def hand(instance: dg.DagsterInstance, created: dg.DagsterRun) -> dg.DagsterRun:
    workspace: Any = None
    return instance.run_coordinator.submit_run(SubmitRunContext(created, workspace=workspace))


def finish(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    instance.report_run_failed(run, "killed")


def test_a_run_within_its_limits_is_queued_and_tagged(instance: dg.DagsterInstance) -> None:
    run = ask(instance, "a")
    assert run.status is dg.DagsterRunStatus.QUEUED
    assert run.tags["tenant"] == "acme1281"


def test_over_quota_fails_at_once_with_its_code_and_is_not_retried(instance: dg.DagsterInstance) -> None:
    for job in ("a", "b"):
        ask(instance, job)
    run = ask(instance, "c")
    assert run.status is dg.DagsterRunStatus.FAILURE
    assert run.tags[REFUSED_TAG] == "QUOTA_EXCEEDED"
    assert run.tags["dagster/will_retry"] == "false"
    events = [e.message for e in instance.all_logs(run.run_id)]
    assert any("QUOTA_EXCEEDED: acme1281 has had its 2 runs of this day" in message for message in events)
    # What was refused takes nothing: nobody else's, and not its own tomorrow.
    assert ask(instance, "a", tenant="globex").status is dg.DagsterRunStatus.QUEUED


def test_dead_runs_give_back_their_slices_and_keep_nothing_reserved(instance: dg.DagsterInstance) -> None:
    first = ask(instance, "a")
    second = ask(instance, "a")
    assert second.tags[REFUSED_TAG] == "RUN_IN_PROGRESS"
    assert f"run {first.run_id} of the same slices is going on" in str(
        [e.message for e in instance.all_logs(second.run_id)]
    )
    finish(instance, first)
    assert ask(instance, "a").status is dg.DagsterRunStatus.QUEUED


@pytest.mark.parametrize("first", [0, 1])
def test_of_two_that_ask_at_once_the_same_one_begins_whoever_comes_first(
    instance: dg.DagsterInstance, first: int
) -> None:
    """The old queue selected and then updated: two workers started the same item."""
    ends = dict.fromkeys(("start", "end"), "2026-11-20|acme1281")
    tags = {f"dagster/asset_partition_range_{end}": key for end, key in ends.items()}
    runs = [create(instance, "a", {**tags, "tenant": "acme1281"}) for _ in range(2)]
    for run in (runs[first], runs[1 - first]):
        hand(instance, run)
    found = [instance.get_run_by_id(run.run_id) for run in runs]
    assert [run and run.status.value for run in found] == ["QUEUED", "FAILURE"]


def test_other_days_and_other_pipelines_are_no_duplicates(instance: dg.DagsterInstance) -> None:
    assert ask(instance, "a").status is dg.DagsterRunStatus.QUEUED
    assert ask(instance, "a", day="2026-11-21").status is dg.DagsterRunStatus.QUEUED


def test_every_tenants_plan_limits_what_goes_on_at_once(instance: dg.DagsterInstance) -> None:
    limits = instance.get_concurrency_config().run_queue_config.tag_concurrency_limits
    assert [(limit["value"], limit["limit"]) for limit in limits] == [
        ("several", 1),
        ("acme1281", 3),
        ("globex", 20),
    ]


def test_without_quotas_duplicates_are_refused_still(instance: dg.DagsterInstance) -> None:
    coordinator = instance.run_coordinator
    assert isinstance(coordinator, TenantQueuedRunCoordinator)
    coordinator._enforce_quotas = False
    assert [ask(instance, job).status.value for job in "abca"] == ["QUEUED", "QUEUED", "QUEUED", "FAILURE"]


def test_a_queue_without_configuration_goes_on(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", "/nowhere")
    assert [ask(instance, job).status.value for job in "abcd"] == ["QUEUED"] * 4


def test_a_run_without_slices_is_nobodys(instance: dg.DagsterInstance) -> None:
    assert submit(instance, "inbox", {}).status is dg.DagsterRunStatus.QUEUED
