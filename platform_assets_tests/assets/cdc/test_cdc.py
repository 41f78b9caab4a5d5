"""The CDC assets in Dagster: queue → sensor → run → log lines, materializations, checks, replays."""

import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest

from platform_assets.ports import OutboundMessage
from platform_assets_tests.assets.cdc.location import CdcLocation
from platform_assets_tests.assets.cdc.messages import body, change, cloud_event
from platform_assets_tests.assets.cdc.rig import SEED, data_project

pytestmark = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")
PARTITION = "2025-11-05|abertta"
PRE_FILTER = dg.AssetKey(["cdc", "pre_filter"])


@pytest.fixture
def location(tmp_path: Path) -> Iterator[CdcLocation]:
    data_project(tmp_path / "sources", *SEED)
    ports = {
        "object_store": {"kind": "local", "settings": {"root": str(tmp_path / "objects")}},
        "metric_sink": {"kind": "log", "settings": {"path": str(tmp_path / "metrics.log")}},
        "query_sources": {"kind": "duckdb", "settings": {"folder": str(tmp_path / "sources")}},
        "queues": {"cdc": {"kind": "local", "settings": {"root": str(tmp_path / "queue")}}},
    }
    with dg.DagsterInstance.ephemeral() as instance:
        yield CdcLocation(ports, {"data_project": "test-project"}, instance)


def send(location: CdcLocation, *records: object) -> None:
    location.adapter("queue_cdc").send([OutboundMessage(body(record)) for record in records])


def lines(tmp_path: Path) -> list[dict[str, object]]:
    found = (tmp_path / "metrics.log").read_text().splitlines()
    assert all(line.startswith("METRIC: {") for line in found)
    return [json.loads(line.removeprefix("METRIC: ")) for line in found]


def test_the_readmes_event_gives_the_readmes_lines(location: CdcLocation, tmp_path: Path) -> None:
    send(location, cloud_event(change()))
    (result,) = location.answer_all()
    assert result.success
    found = {line["name"]: line for line in lines(tmp_path)}
    total = found["claims/pipeline/filtered_pre/vl_pago/total"]
    assert total == {
        "metric_type": "gauge",
        "project_id": "local-project",
        "name": "claims/pipeline/filtered_pre/vl_pago/total",
        "value": 1500.0,
        "labels": {"approved": "false", "partner": "abertta"},
        "timestamp": "2025-11-05T18:23:31.393000+00:00",
    }
    assert found["claims/pipeline/filtered_pre/vl_pago/relative"]["value"] == 0.1875
    assert location.tick() == []


def test_a_materialization_shows_each_gauge(location: CdcLocation) -> None:
    send(location, change())
    location.answer_all()
    (record,) = location.instance.fetch_materializations(PRE_FILTER, limit=5).records
    event = record.asset_materialization
    assert event is not None
    assert event.partition == PARTITION
    assert "filtered_pre/vl_pago/relative | approved=false, partner=abertta | 0.1875" in str(
        event.metadata["newest"].value
    )
    assert event.metadata["points"].value == 2
    assert event.metadata["batch/questions"].value == 2


def check_of(result: dg.ExecuteInProcessResult, monitor: str) -> dg.AssetCheckEvaluation:
    (found,) = [e for e in result.get_asset_check_evaluations() if e.asset_key.path[-1] == monitor]
    return found


def test_a_failed_change_is_told_by_its_monitors_check(location: CdcLocation) -> None:
    send(location, change(variables={"refined_processable_claims_output_table": None}))
    (result,) = location.answer_all()
    assert result.success
    failed = check_of(result, "pre_filter")
    assert not failed.passed
    assert "No variable 'refined_processable_claims_output_table' found in payload." in str(failed.metadata)
    assert check_of(result, "pipeline_run").passed


def test_a_replay_of_one_monitor_tells_it_again_and_no_other(location: CdcLocation, tmp_path: Path) -> None:
    send(location, change())
    location.answer_all()
    before = lines(tmp_path)
    assert location.run(PARTITION, "pre_filter", tags={"inbox/replay": "true"}).success
    again = lines(tmp_path)[len(before) :]
    assert [line["name"] for line in again] == [
        "claims/pipeline/filtered_pre/vl_pago/relative",
        "claims/pipeline/filtered_pre/vl_pago/total",
    ]
    assert all(line in before for line in again)


def test_a_run_of_one_monitor_lets_none_of_the_others_go_without(
    location: CdcLocation, tmp_path: Path
) -> None:
    send(location, change())
    location.tick()
    assert location.run(PARTITION, "processable").success
    assert "mageai/pipeline_run/count" in {line["name"] for line in lines(tmp_path)}


def test_days_without_a_partition_are_dead_letters(location: CdcLocation) -> None:
    send(location, change() | {"source_timestamp": "2024-01-01T00:00:00Z"}, change(1))
    (request,) = location.tick()
    assert request.partition_key == PARTITION
    keys = [info.key for info in location.adapter("object_store").list("inbox/dead_letter/cdc/")]
    assert len(keys) == 1


def test_partners_of_one_batch_run_by_themselves(location: CdcLocation) -> None:
    send(location, change(), change(1, variables={"partner": "athena"}, status="RUNNING"))
    assert sorted((r.partition_key, r.tags["tenant"]) for r in location.tick()) == [
        ("2025-11-05|abertta", "abertta"),
        ("2025-11-05|athena", "athena"),
    ]


def test_without_monitors_or_a_queue_there_is_nothing(location: CdcLocation) -> None:
    without = CdcLocation({**location.ports, "queues": {}}, location.settings, location.instance)
    assert list(without.defs.assets or ()) == []
