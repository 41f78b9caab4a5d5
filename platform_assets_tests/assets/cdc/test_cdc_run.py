"""A batch of changes through the inbox to points: what is told once, what fails alone, what is tried again."""

import json
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from platform_assets.assets.cdc_run import FAILURE
from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    PartialWriteError,
    PartialWriteRetryableError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.ports import MetricPoint
from platform_assets_tests.assets.cdc.catalogue import statements
from platform_assets_tests.assets.cdc.messages import BINARY_HEADERS, SAMPLE, change, cloud_event, push_body
from platform_assets_tests.assets.cdc.rig import SEED, Rig, data_project
from platform_assets_tests.assets.cdc.test_catalogue import COUNT, completed

TOTAL, RELATIVE = (f"claims/pipeline/filtered_pre/vl_pago/{name}" for name in ("total", "relative"))
PARTITION = "2025-11-05|abertta"


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    data_project(tmp_path, *SEED)
    return Rig(tmp_path)


FORMS: dict[str, tuple[Any, dict[str, str]]] = {
    "bare record": (SAMPLE, {}),
    "push body": (push_body(SAMPLE), {}),
    "structured event": (cloud_event(SAMPLE), {}),
    "structured event around a push body": (cloud_event(push_body(SAMPLE)), {}),
    "binary event": (SAMPLE, BINARY_HEADERS),
}


@pytest.mark.parametrize("form", FORMS)
def test_the_sample_event_is_told_in_every_wrapping(rig: Rig, form: str) -> None:
    sent, attributes = FORMS[form]
    rig.send(sent, attributes=attributes)
    assert rig.run().done == 1
    (total,) = [p for p in rig.sink.points if p.name == TOTAL]
    (relative,) = [p for p in rig.sink.points if p.name == RELATIVE]
    assert (total.value, relative.value) == (1500.0, 0.1875)
    assert total.labels == relative.labels == {"partner": "abertta", "approved": "false"}
    assert total.end.isoformat() == "2025-11-05T18:23:31.393000+00:00"


# --- Once, and in order ---------------------------------------------------------------------------------------------


def test_a_change_counts_once_however_often_it_comes_and_in_whatever_wrapping(rig: Rig) -> None:
    rig.send(SAMPLE, push_body(SAMPLE))
    rig.run()
    rig.send(cloud_event(SAMPLE))
    rig.run()
    assert rig.sink.values(COUNT) == [1]
    assert rig.sink.values(TOTAL) == [1500.0]


def test_counts_are_cumulative_from_midnight(rig: Rig) -> None:
    rig.send(*(change(n, seconds=10 * n, status="RUNNING") for n in range(3)))
    rig.run()
    rig.send(change(3, seconds=40, status="RUNNING"))
    rig.run()
    assert rig.sink.values(COUNT, pipeline_status="RUNNING") == [1, 2, 3, 4]
    points = [p for p in rig.sink.points if p.name == COUNT]
    assert {p.start.isoformat() for p in points if p.start} == {"2025-11-05T00:00:00+00:00"}


def test_of_changes_in_the_same_seconds_the_latest_by_sort_keys_counts(rig: Rig) -> None:
    data_project(rig.folder, "CREATE TABLE tmp_abertta.later AS SELECT 7.0 AS vl_pago")
    earlier, later = change(1), change(2, variables={"refined_unprocessable_claims_output_table": "later"})
    later["sort_keys"] = [earlier["sort_keys"][0], "BD/A0007311"]
    rig.send(later, earlier)
    rig.run()
    assert rig.sink.values(TOTAL) == [7.0]
    assert rig.sink.values(COUNT) == [2]


def test_what_comes_after_a_newer_point_is_done_and_counted(rig: Rig) -> None:
    rig.send(change(1, seconds=60))
    rig.run()
    rig.send(change(2, seconds=0))
    assert rig.run().done == 1
    assert rig.reports[-1].counts["late"] > 0
    assert rig.sink.values(COUNT) == [1, 2]


def test_a_replay_tells_the_same_again(rig: Rig) -> None:
    rig.send(*(change(n, seconds=10 * n) for n in range(3)))
    rig.run()
    before = sorted(rig.sink.points, key=repr)
    rig.sink.points.clear()
    rig.apply(PARTITION, replay=True)
    assert sorted(rig.sink.points, key=repr) == before
    rig.send(change(9, seconds=100))
    rig.run()
    assert rig.sink.values(COUNT)[-1] == 4


# --- What is taken ----------------------------------------------------------------------------------------------------


def deleted(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"source_metadata": {"table": "pipeline_run", "is_deleted": True}}


@pytest.mark.parametrize(
    "record",
    [
        deleted(change()),
        change() | {"object": "public_users"},
        change() | {"payload": None},
        change() | {"payload": {}},
        change(status=None),
        change(pipeline_uuid=None),
    ],
    ids=["delete", "other table", "no row", "empty row", "no status", "no pipeline"],
)
def test_what_no_monitor_asks_for_is_done_and_counted_as_ignored(rig: Rig, record: dict[str, Any]) -> None:
    rig.send(record)
    assert rig.run().done == 1
    assert rig.sink.points == []
    assert rig.reports[-1].counts["ignored"] == 1


def test_a_monitor_may_ask_for_deletes_of_other_tables(rig: Rig) -> None:
    monitor = rig.monitors["pipeline_run"]
    match = {"objects": ["public_users"], "change_types": ["DELETE"]}
    spec = type(monitor.spec).model_validate(
        {"monitor": "gone", "match": match, "handlers": {"any": {}}, "counters": [{"name": "users/gone"}]}
    )
    rig.monitors = {**rig.monitors, "gone": replace(monitor, spec=spec)}
    rig.send(deleted(change()) | {"object": "public_users"})
    rig.run()
    assert rig.sink.told() == {("users/gone", ()): 1}


def test_status_is_compared_exactly(rig: Rig) -> None:
    rig.send(change(status="completed"))
    rig.run()
    assert {p.name for p in rig.sink.points} == {COUNT}


def test_variables_that_are_null_are_none(rig: Rig) -> None:
    record = change(status="RUNNING")
    record["payload"]["variables"] = None
    rig.send(record)
    assert rig.run().done == 1
    assert rig.sink.told() == {
        (COUNT, (("pipeline_status", "RUNNING"), ("pipeline_uuid", "pipesv2_wrangling"))): 1
    }


# --- Partners ---------------------------------------------------------------------------------------------------------


def test_an_unknown_partner_is_a_dead_letter(rig: Rig) -> None:
    rig.send(change(variables={"partner": "stranger"}))
    rig.run()
    assert rig.dead() == ["partner 'stranger' is no tenant; see cdc.partners of a tenant"]


def test_an_unknown_partner_may_be_counted_but_reads_nothing(rig: Rig) -> None:
    rig.settings = CdcSettings(unknown_partner="count")
    rig.send(
        change(1, variables={"partner": "stranger"}, status="RUNNING"),
        change(2, variables={"partner": "stranger"}),
    )
    rig.run()
    assert rig.sink.values(COUNT, partner="stranger") == [1, 1]
    assert rig.source.queries == []
    (reason,) = rig.dead()
    assert "pre_filter.wrangling: the change names no partner that is a tenant" in reason


def test_a_tenant_has_other_names(rig: Rig) -> None:
    rig.send(change(variables={"partner": "Athena S.A."}, status="RUNNING"))
    rig.tick()
    assert list(rig.inbox.pending()) == ["2025-11-05|athena"]
    rig.run()
    assert rig.sink.values(COUNT, partner="Athena S.A.") == [1]


def test_days_are_utc(rig: Rig) -> None:
    late = change() | {"source_timestamp": "2025-11-05T22:30:00-03:00"}
    rig.send(late, change(1) | {"source_timestamp": "2025-11-05T23:59:59"})
    rig.tick()
    assert sorted(rig.inbox.pending()) == ["2025-11-05|abertta", "2025-11-06|abertta"]


HOSTILE = [
    "tmp_abertta.x; DROP TABLE tmp_abertta.processable_claims_abertta_20251105_171427",
    "tmp_abertta.x UNION ALL SELECT * FROM tmp_cemig.secrets",
    "tmp_cemig.secrets",
    "`tmp_abertta`.`x`",
    "tmp_abertta.*",
    "information_schema.tables",
    "(SELECT 1)",
    "someone@example.com",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_table_name_that_is_more_than_a_name_of_the_partners_asks_nothing(
    rig: Rig, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    data_project(
        rig.folder, "CREATE SCHEMA tmp_cemig", "CREATE TABLE tmp_cemig.secrets AS SELECT 1.0 AS vl_pago"
    )
    caplog.set_level(logging.DEBUG)
    rig.send(change(variables={"refined_unprocessable_claims_output_table": name}))
    rig.run()
    assert rig.source.queries == []
    (reason,) = rig.dead()
    assert "variable 'refined_unprocessable_claims_output_table'" in reason
    assert "someone" not in reason + caplog.text
    assert rig.sink.values(COUNT) == [1]


@pytest.mark.parametrize(
    "run_id", ["' OR '1'='1", "run1'; DROP TABLE tmp_abertta.submitted; --", "@source_timestamp"]
)
def test_a_hostile_run_id_is_a_value_and_nothing_else(tmp_path: Path, run_id: str) -> None:
    data_project(tmp_path, *statements())
    rig = Rig(tmp_path)
    rig.send(completed("pipesv2_submission", submission_run_id=run_id))
    rig.run()
    assert rig.dead() == []
    assert all(run_id not in sql for sql in rig.source.queries)
    # No row has that id: the window is the one of a run without rows.
    success = "SUBMITTED_SUCCESS"
    assert rig.sink.values("claims/pipeline/claims/vl_pago/sent_over_recv_last_2_days", status=success) == [
        pytest.approx(100 / 459)
    ]


# --- Together, and alone ---------------------------------------------------------------------------------------------


def test_equal_questions_are_asked_once_and_alike_ones_together(rig: Rig) -> None:
    rig.send(*(change(n, seconds=10 * n) for n in range(50)))
    rig.run()
    assert rig.reports[-1].counts["questions"] == 2
    assert (len(rig.source.queries), rig.source.look_ups, rig.sink.calls) == (1, 1, 1)
    assert rig.sink.values(TOTAL) == [1500.0] * 50


def test_a_statement_reads_so_many_tables_and_no_more(rig: Rig) -> None:
    rig.settings = CdcSettings(tables_per_query=1)
    rig.send(change())
    rig.run()
    assert len(rig.source.queries) == 2
    assert rig.sink.values(RELATIVE) == [0.1875]


def test_a_question_that_fails_spoils_no_other(rig: Rig) -> None:
    data_project(
        rig.folder,
        "CREATE TABLE tmp_abertta.odd AS SELECT 1.0 AS another_column",
        "CREATE TABLE tmp_abertta.words AS SELECT 'x' AS vl_pago",
    )
    table = "refined_unprocessable_claims_output_table"
    rig.send(
        change(1, seconds=0),
        change(2, seconds=10, variables={table: "odd"}),
        change(3, seconds=20, variables={table: "words"}),
        change(4, seconds=30),
    )
    assert rig.run().done == 2
    assert rig.sink.values(TOTAL) == [1500.0, 1500.0]
    assert len(rig.dead()) == 2
    assert all(
        "pre_filter.wrangling" in reason and "processable.wrangling" in reason for reason in rig.dead()
    )
    failing = [(p.labels["handler_class"], p.value) for p in rig.sink.points if p.name == FAILURE]
    assert failing == [("pre_filter.wrangling", 2.0), ("processable.wrangling", 2.0)]
    assert rig.sink.values(COUNT)[-1] == 4


def test_one_failing_monitor_does_not_stop_the_others(tmp_path: Path) -> None:
    data_project(tmp_path, *statements())
    rig = Rig(tmp_path)
    rig.send(completed("pipesv2_approval", savings_input_table="gone"))
    rig.run()
    (reason,) = rig.dead()
    assert reason.startswith("post_filter.approval:")
    assert ";" not in reason
    assert rig.sink.values(TOTAL) == [1500.0]
    assert rig.sink.values("claims/glosa/approved/vl_glosa_arvo", agent_id="1") == [700.0]


def test_a_dead_letter_that_is_replayed_tells_only_what_was_not_told(rig: Rig) -> None:
    rig.send(change(variables={"refined_processable_claims_output_table": "nowhere.x"}))
    rig.run()
    assert len(rig.dead()) == 1
    for key in list(rig.inbox.dead_letter_keys()):
        rig.inbox.ask_for_replay(key)
    rig.run()
    assert rig.sink.values(COUNT) == [1]


# --- What passes by itself -------------------------------------------------------------------------------------------


def down(*_: Any) -> None:
    raise RetryableError("connection lost")


@pytest.mark.parametrize("way", ["before", "before_look_up"])
def test_while_the_warehouse_is_down_counts_are_told_and_nothing_is_given_up(rig: Rig, way: str) -> None:
    setattr(rig.source, way, down)
    rig.send(change())
    for _ in range(10):
        with pytest.raises(RetryableError, match="connection lost"):
            rig.run()
    assert rig.sink.values(COUNT) == [1]
    setattr(rig.source, way, lambda sql: None)
    assert rig.run().done == 1
    assert rig.sink.values(COUNT) == [1]
    assert rig.sink.values(TOTAL) == [1500.0]


def test_what_may_pass_for_some_is_tried_again_for_these_alone(rig: Rig) -> None:
    data_project(rig.folder, "CREATE TABLE tmp_abertta.busy AS SELECT 5.0 AS vl_pago")

    def before(sql: str) -> None:
        if "busy" in sql:
            raise AuthError("no right to read busy")

    rig.source.before = before
    rig.send(
        change(1), change(2, seconds=10, variables={"refined_unprocessable_claims_output_table": "busy"})
    )
    applied = rig.run()
    assert (applied.done, applied.waiting) == (1, 1)
    assert rig.sink.values(TOTAL) == [1500.0]
    rig.source.before = lambda sql: None
    rig.time += timedelta(hours=1)
    rig.run()
    assert rig.sink.values(TOTAL) == [1500.0, 5.0]
    assert rig.sink.values(COUNT) == [1, 2]


def test_a_dataset_without_a_right_to_look_into_it_fails_for_those_who_read_it(rig: Rig) -> None:
    def before(dataset: str) -> None:
        if dataset == "abertta":
            raise AuthError("no right")

    rig.source.before_look_up = before
    rig.send(
        change(1),
        change(2, seconds=10, variables={"refined_unprocessable_claims_output_table": "abertta.claims"}),
    )
    applied = rig.run()
    assert (applied.done, applied.waiting) == (1, 1)
    assert rig.sink.values(TOTAL) == [1500.0]
    assert rig.sink.values(COUNT) == [1, 2]


def test_while_the_sink_is_down_nothing_is_given_up(rig: Rig) -> None:
    rig.sink.before = down
    rig.send(change())
    for _ in range(10):
        with pytest.raises(RetryableError):
            rig.run()
    rig.sink.before = lambda points: None
    rig.run()
    assert rig.sink.values(COUNT) == [1]


def refusing(name: str, error: PlatformError, partial: Any) -> Any:
    """A sink that takes all series but those of one metric."""

    def before(points: Sequence[MetricPoint]) -> None:
        words = {
            f"{p.name}{{{', '.join(f'{k}={v}' for k, v in sorted(p.labels.items()))}}}"
            for p in points
            if p.name == name
        }
        if words:
            raise partial(dict.fromkeys(words, error))

    return before


def test_a_point_that_has_a_newer_one_in_the_sink_is_done(rig: Rig) -> None:
    rig.sink.before = refusing(TOTAL, ConflictError("in order"), PartialWriteError)
    rig.send(change())
    assert rig.run().done == 1
    assert rig.reports[-1].counts["refused"] == 1


def test_a_metric_that_the_sink_refuses_is_a_dead_letter_of_its_monitor(rig: Rig) -> None:
    rig.sink.before = refusing(TOTAL, RejectedError("exists as CUMULATIVE"), PartialWriteError)
    rig.send(change())
    rig.run()
    assert rig.dead() == ["pre_filter.wrangling: exists as CUMULATIVE"]


def test_a_metric_that_the_sink_does_not_take_now_is_tried_again(rig: Rig) -> None:
    rig.sink.before = refusing(COUNT, RetryableError("quota"), PartialWriteRetryableError)
    rig.send(change())
    assert rig.run().waiting == 1
    rig.sink.before = lambda points: None
    rig.time += timedelta(hours=1)
    assert rig.run().done == 1
    assert rig.sink.values(COUNT) == [1]


def test_losing_the_failure_metric_loses_nothing_else(rig: Rig) -> None:
    rig.sink.before = refusing(FAILURE, RejectedError("no"), PartialWriteError)
    rig.send(change(variables={"refined_processable_claims_output_table": None}))
    rig.run()
    assert len(rig.dead()) == 1
    assert rig.sink.values(COUNT) == [1]


def test_killed_after_the_points_and_before_anything_is_remembered_counts_stay_right(rig: Rig) -> None:
    rig.send(*(change(n, seconds=10 * n) for n in range(3)))
    rig.tick()
    broken = {"ledger": True}

    def before(operation: str, key: str) -> None:
        if operation == "put" and any(broken.get(part) for part in key.split("/")):
            broken.clear()
            raise RetryableError("killed")

    rig.store.before = before
    with pytest.raises(RetryableError):
        rig.apply(PARTITION)
    broken["state"] = True
    with pytest.raises(RetryableError):
        rig.apply(PARTITION)
    assert rig.run().done == 3
    assert rig.sink.values(COUNT)[-1] == 3
    assert {p.value for p in rig.sink.points if p.name == TOTAL} == {1500.0}


def test_nothing_of_a_row_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    rig.send(
        change(1, owner="someone@example.com", variables={"notify": "someone@example.com"}),
        change(2, variables={"refined_processable_claims_output_table": "someone@example.com"}),
        json.dumps({"mail": "someone@example.com"}).encode(),
        b"someone@example.com",
    )
    rig.run()
    assert len(rig.dead()) == 3
    assert "someone" not in caplog.text + "".join(rig.dead())
