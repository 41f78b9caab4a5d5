"""Metrics through Dagster: queue → sensor → inbox → run → object store → topics, on local folders."""

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.inbox.sensor import inbox_of
from platform_assets.engine.metrics.spec import MetricSpec
from platform_assets.ports import OutboundMessage
from platform_assets_tests.assets.metrics_location import MetricLocation, deployment, metric
from platform_assets_tests.engine.metrics.datasets import DATASET, RATIO, daily, put_series, request
from platform_assets_tests.engine.metrics.malformed import ALL
from platform_assets_tests.servers.process import IN_BACKGROUND

CONFIGS = Path(__file__).parents[2] / "configs"
CODE = "ratio.a_to_b"
CURRENT = f"metrics/{CODE}/current/manifest.json"


def _ports(root: Path, *topics: str) -> dict[str, Any]:
    def local(name: str) -> dict[str, Any]:
        return {"kind": "local", "settings": {"root": str(root / name)}}

    return {
        "object_store": local("objects"),
        "queues": {"metric_requests": local("queue")},
        "topics": {name: local(name) for name in topics},
    }


def _location(root: Path, instance: dg.DagsterInstance, *specs: MetricSpec) -> MetricLocation:
    found = deployment(_ports(root, "metric_events", "metric_completed"))
    return MetricLocation(found, {spec.metric_code: spec for spec in specs}, instance)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as made:
        yield made


@pytest.fixture
def location(tmp_path: Path, instance: dg.DagsterInstance) -> MetricLocation:
    made = _location(tmp_path, instance)
    put_series(made.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    return made


def ask(location: MetricLocation, *bodies: bytes) -> None:
    location.adapter("queue_metric_requests").send([OutboundMessage(body) for body in bodies])


def body(run_id: str, **changes: Any) -> bytes:
    return json.dumps(request(RATIO, runId=run_id, **changes)).encode()


def versions(location: MetricLocation) -> list[str]:
    found = location.keys(f"metrics/{CODE}/")
    return [key for key in found if key.endswith("/manifest.json") and key != CURRENT]


# --- Requests -------------------------------------------------------------------------------------------------------


def test_a_request_becomes_a_run_of_its_metric(location: MetricLocation) -> None:
    ask(location, body("run-1", tenant="acme1281"))
    (run,) = location.answer_all()
    assert run.success
    (found,) = location.materializations(["metric_run"])
    assert found.partition == CODE
    assert found.metadata["dagster/partition_row_count"].value == 4
    assert found.metadata["manifest"].value == versions(location)[0]
    lineage = found.metadata["dagster/column_lineage"].value.deps_by_column
    dataset = dg.AssetKey(["dataset", DATASET])
    assert [(dep.asset_key, dep.column_name) for dep in lineage["obs_time"]] == [
        (dataset, "A.obs_time"),
        (dataset, "B.obs_time"),
    ]
    assert {dep.column_name for dep in lineage["value"]} == {
        f"{s}.{c}" for s in "AB" for c in ("obs_time", "value")
    }
    (record,) = location.instance.get_run_records()
    tags = record.dagster_run.tags
    assert (tags["runId"], tags["metricCode"], tags["tenant"]) == ("run-1", CODE, "acme1281")
    assert [e["type"] for e in location.published("metric_events")] == ["metric_run_started"]
    assert [e["status"] for e in location.published("metric_completed")] == ["SUCCESS"]
    assert location.json(CURRENT)["run_id"] == "run-1"
    assert not location.tick().run_requests


def test_a_redelivered_run_says_success_again_and_computes_nothing(location: MetricLocation) -> None:
    ask(location, body("run-1"))
    location.answer_all()
    ask(location, body("run-1"))
    (again,) = location.answer_all()
    assert again.success
    assert [e["status"] for e in location.published("metric_completed")] == ["SUCCESS", "SUCCESS"]
    assert [e["type"] for e in location.published("metric_events")] == ["metric_run_started"]
    assert len(versions(location)) == 1
    newest = location.materializations(["metric_run"])[0].metadata["runs"].value
    assert newest[0]["computed"] is False  # type: ignore[index,call-overload]


def test_of_two_requests_of_a_metric_one_run_answers_both_and_the_newest_wins(
    location: MetricLocation,
) -> None:
    ask(location, body("run-1"), body("run-2"))
    (run,) = location.answer_all()
    assert run.success
    assert {e["runId"]: e["status"] for e in location.published("metric_completed")} == {
        "run-1": "SUCCESS",
        "run-2": "SUCCESS",
    }
    assert location.json(CURRENT)["run_id"] == "run-2"
    (record,) = location.instance.get_run_records()
    assert record.dagster_run.tags["runId"] == "run-1,run-2"


def test_a_broken_request_is_answered_and_stops_no_other(location: MetricLocation) -> None:
    bad = body("bad", expressionJson={"op": "ratio"})
    nameless = body("nameless", metricCode="a...b", output={"basePath": "metrics/other"})
    ask(location, b"not json", bad, body("good"), nameless, b'{"runId": "cut", "metricCode": "rat')
    runs = location.answer_all()
    assert all(run.success for run in runs)
    found = {e["runId"]: e for e in location.published("metric_completed")}
    assert {run_id: event["status"] for run_id, event in found.items()} == {
        "bad": "FAILURE",
        "good": "SUCCESS",
        "nameless": "SUCCESS",  # a good request, whose code cannot be a partition
        "cut": "FAILURE",
    }
    assert found["bad"]["error"]["code"] == "EXPRESSION_EVAL_ERROR"
    assert found["cut"]["error"]["code"] == "CONFIG_ERROR"
    letters = {
        letter.message.body[:8] for _, letter in inbox_of(location.store, "metric_requests").dead_letters()
    }
    assert letters == {b"not json", bad[:8], b'{"runId"'}
    assert location.json(CURRENT)["run_id"] == "good"
    assert not location.tick().run_requests


def test_whatever_comes_in_is_answered_where_it_tells_its_run(location: MetricLocation) -> None:
    ask(location, *(case.body for case in ALL))
    runs = location.answer_all()
    assert all(run.success for run in runs)
    answered = [e["status"] for e in location.published("metric_completed")]
    assert answered == ["FAILURE"] * sum(case.event for case in ALL)
    assert not [key for key in location.keys("") if "/current/" in key and not key.startswith("datasets/")]
    assert not inbox_of(location.store, "metric_requests").pending()


def test_a_failed_request_is_told_by_the_check(location: MetricLocation) -> None:
    ask(location, body("gone", expressionJson={**RATIO, "left": {"seriesCode": "GONE"}}))
    (run,) = location.answer_all()
    assert run.success
    (check,) = run.get_asset_check_evaluations()
    assert not check.passed
    assert not location.materializations(["metric_run"])
    assert location.published("metric_completed")[0]["error"]["code"] == "INPUT_READ_ERROR"


def test_what_cannot_be_told_just_now_is_told_later(location: MetricLocation, tmp_path: Path) -> None:
    blocked = tmp_path / "metric_completed"
    blocked.write_text("in the way of the topic's folder")
    ask(location, body("run-1"))
    (first,) = location.answer_all()
    assert first.success  # the request waits
    assert not location.materializations(["metric_run"])
    blocked.unlink()
    (second,) = location.answer_all()
    assert second.success
    assert [e["status"] for e in location.published("metric_completed")] == ["SUCCESS"]
    assert len(versions(location)) == 1
    assert not list(inbox_of(location.store, "metric_requests").dead_letter_keys())


def test_a_request_that_cannot_be_answered_ends_in_the_dead_letters(
    location: MetricLocation, tmp_path: Path
) -> None:
    (tmp_path / "metric_completed").write_text("in the way of the topic's folder")
    ask(location, body("run-1"))
    for _ in range(location.deployment.inbox.max_attempts):
        (run,) = location.answer_all()
        assert run.success
    assert not location.tick().run_requests
    (letter,) = [letter for _, letter in inbox_of(location.store, "metric_requests").dead_letters()]
    assert letter.attempts == location.deployment.inbox.max_attempts
    assert "not published" in letter.reason


def test_without_topics_nothing_runs_and_nothing_is_lost(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    silent = MetricLocation(deployment(_ports(tmp_path)), {}, instance)
    ask(silent, body("run-1"))
    (run,) = silent.answer_all()
    assert not run.success
    assert inbox_of(silent.store, "metric_requests").pending()


# --- Declared metrics -----------------------------------------------------------------------------------------------


def _refresh(location: MetricLocation, cursor: str | None = None) -> Any:
    return location.tick("dataset_refresh", cursor)


def test_a_new_version_refreshes_the_metrics_that_read_it_once(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    asked = metric("on.request", refresh="on_request")
    location = _location(tmp_path, instance, metric(), metric("other:one"), asked)
    assert not _refresh(location).run_requests  # there is no data set yet
    location.put_dataset("v1", A=[1.0, 2.0], B=[2.0, 2.0])
    first = _refresh(location)
    (wanted,) = first.run_requests
    assert sorted(key.to_user_string() for key in wanted.asset_selection) == [
        "metric/other_one",
        "metric/ratio.declared",
    ]
    assert location.run(wanted).success
    (observed,) = first.asset_events
    assert observed.asset_key == dg.AssetKey(["dataset", "bcra"])
    assert observed.tags["dagster/data_version"] == "v1"

    for cursor in (first.cursor, None):  # a lost cursor refreshes nothing twice
        assert not _refresh(location, cursor).run_requests
    assert not _refresh(location, first.cursor).asset_events

    location.put_dataset("v2", A=[1.0, 4.0], B=[2.0, 2.0])
    second = _refresh(location, first.cursor)
    assert location.run(*second.run_requests).success
    assert not _refresh(location, second.cursor).run_requests

    location.put_dataset("v1", A=[1.0, 2.0], B=[2.0, 2.0])  # somebody takes the new version back
    third = _refresh(location, second.cursor)
    assert location.run(*third.run_requests).success
    assert not _refresh(location, third.cursor).run_requests
    assert [
        len(location.materializations(["metric", code])) for code in ("ratio.declared", "on.request")
    ] == [3, 0]


def test_a_metric_that_is_new_or_changed_is_refreshed(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    location = _location(tmp_path, instance, metric())
    location.put_dataset("v1", A=[1.0], B=[2.0])
    assert location.run(*_refresh(location).run_requests).success
    another = _location(tmp_path, instance, metric(), metric("new"))
    assert another.run(*_refresh(another).run_requests).success
    assert not _refresh(another).run_requests
    assert len(another.materializations(["metric", "new"])) == 1


def test_a_declared_metric_shows_rows_lineage_and_version(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    location = _location(tmp_path, instance, metric())
    location.put_dataset("v1", A=[1.0, 2.0, None], B=[2.0, 0.0, 1.0])
    (wanted,) = _refresh(location).run_requests
    assert location.run(wanted).success
    (found,) = location.materializations(["metric", "ratio.declared"])
    assert {name: found.metadata[name].value for name in ("dagster/row_count", "nulls", "infinities")} == {
        "dagster/row_count": 3,
        "nulls": 2,
        "infinities": 1,
    }
    lineage = found.metadata["dagster/column_lineage"].value
    assert isinstance(lineage, dg.TableColumnLineage)
    sources = {(d.asset_key.to_user_string(), d.column_name) for d in lineage.deps_by_column["value"]}
    assert sources == {("dataset/bcra", f"{s}.{c}") for s in "AB" for c in ("obs_time", "value")}
    assert (
        found.tags
        and found.tags["dagster/data_version"]
        == location.json("metrics/ratio.declared/current/manifest.json")["sha256"]
    )
    graph = location.defs.resolve_asset_graph()
    assert graph.get(dg.AssetKey(["metric", "ratio.declared"])).parent_keys == {
        dg.AssetKey(["dataset", "bcra"])
    }


@pytest.mark.parametrize(
    ("expression", "shown"), [(RATIO, 1), ({**RATIO, "scale": 3}, 0)], ids=["same", "another"]
)
def test_a_declared_metric_asked_for_by_message_shows_that(
    tmp_path: Path, instance: dg.DagsterInstance, expression: dict[str, Any], shown: int
) -> None:
    location = _location(tmp_path, instance, metric(CODE, expression=RATIO))
    put_series(location.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    for _ in range(2):  # the second is a redelivery, which refreshes nothing
        ask(location, json.dumps(request(expression)).encode())
        (run,) = location.answer_all()
        assert run.success
    found = location.materializations(["metric", CODE])
    assert len(found) == shown
    assert [one.tags["dagster/data_version"] for one in found if one.tags] == [
        location.json(CURRENT)["sha256"]
    ] * shown


def test_a_failing_metric_fails_alone_and_is_not_tried_for_ever(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    lost = {"op": "ratio", "left": {"series_code": "GONE"}, "right": {"series_code": "B"}}
    location = _location(tmp_path, instance, metric("bad", expression=lost), metric())
    location.put_dataset("v1", A=[1.0], B=[2.0])
    (wanted,) = _refresh(location).run_requests
    assert not location.run(wanted).success
    assert [len(location.materializations(["metric", code])) for code in ("bad", "ratio.declared")] == [0, 1]
    statuses = {e["metricCode"]: e["status"] for e in location.published("metric_completed")}
    assert statuses == {"bad": "FAILURE", "ratio.declared": "SUCCESS"}
    assert not _refresh(location).run_requests


def test_a_refresh_that_died_is_asked_for_again_but_not_for_ever(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    location = _location(tmp_path, instance, metric())
    location.put_dataset("v1", A=[1.0], B=[2.0])
    keys = set()
    for _ in range(location.deployment.inbox.max_attempts):
        (wanted,) = _refresh(location).run_requests
        keys.add(wanted.run_key)
        job = location.defs.resolve_implicit_global_asset_job_def()
        run = instance.create_run_for_job(job, tags=wanted.tags)
        instance.report_run_failed(run, "killed")
    assert len(keys) == location.deployment.inbox.max_attempts  # a run key that failed is blocked for ever
    assert not _refresh(location).run_requests


def test_a_manifest_that_cannot_be_read_keeps_no_other_back(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    location = _location(tmp_path, instance, metric(), metric("broken", dataset="broken"))
    location.put_dataset("v1", A=[1.0], B=[2.0])
    location.store.put("datasets/broken/current/manifest.json", b"{")
    found = _refresh(location)
    assert [key.to_user_string() for r in found.run_requests for key in r.asset_selection] == [
        "metric/ratio.declared"
    ]


def test_data_sets_can_be_observed_by_hand(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    location = _location(tmp_path, instance, metric())
    location.put_dataset("v1", A=[1.0], B=[2.0])
    assert location.run(dg.RunRequest(asset_selection=[dg.AssetKey(["dataset", "bcra"])])).success
    (record,) = instance.fetch_observations(dg.AssetKey(["dataset", "bcra"]), limit=5).records
    assert record.asset_observation is not None
    assert record.asset_observation.tags["dagster/data_version"] == "v1"


# --- Prometheus -----------------------------------------------------------------------------------------------------


def test_the_exporter_counts_runs_of_other_processes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    environment = {**os.environ, "PLATFORM_HOME": str(tmp_path), "PLATFORM_DEPLOYMENT": "local"}
    command = [sys.executable, "-m", "platform_assets.cli", "metrics-exporter", "--port", "0"]
    command += ["--config-root", str(CONFIGS)]
    location = _location(tmp_path, instance, metric())
    location.put_dataset("v1", A=[1.0], B=[2.0])
    (wanted,) = _refresh(location).run_requests
    assert location.run(wanted).success
    command = [*IN_BACKGROUND, *command]  # and can be stopped all the same
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            with urllib.request.urlopen(url, timeout=30) as answer:
                text = answer.read().decode()
        finally:
            process.terminate()
    assert "metric_runs_started_total 1" in text
    assert "metric_runs_succeeded_total 1" in text
