"""A live daemon between SNS/SQS and S3: a metric is asked for over AWS and answered over AWS, on moto's server."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import dagster as dg
import yaml

from platform_assets_tests.assets.daemon_rig import ROOT, daemon
from platform_assets_tests.assets.metrics_aws import Aws
from platform_assets_tests.engine.metrics.datasets import RATIO, daily, put_series, request

CURRENT = "metrics/ratio.a_to_b/current/manifest.json"


def _configs(folder: Path, aws: Aws) -> Path:
    """The repository's configuration with one deployment more: local, but for what metrics use."""
    configs = folder / "configs"
    shutil.copytree(ROOT / "configs", configs)
    local = yaml.safe_load((configs / "deployments" / "local.yml").read_text())
    ports = local["ports"] | aws.ports()
    deployment = local | {"deployment": "aws", "ports": ports}
    (configs / "deployments" / "aws.yml").write_text(yaml.safe_dump(deployment))
    return configs


def test_a_request_over_sqs_is_answered_by_the_daemon(tmp_path: Path, moto_url: str) -> None:
    aws = Aws(moto_url)
    put_series(aws.store, A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
    aws.ask(request(RATIO, runId="good", tenant="acme1281"))
    aws.ask(request({"op": "ratio"}, runId="broken"))
    env = {"PLATFORM_CONFIG_ROOT": str(_configs(tmp_path, aws)), "PLATFORM_DEPLOYMENT": "aws"}
    with daemon(tmp_path, sensors=["metric_requests_sensor"], env=env) as rig:
        completed: list[dict[str, object]] = []

        def both() -> bool:
            completed.extend(aws.events("completed"))
            return len(completed) >= 2

        rig.wait_for(both, "both completed events")
        rig.wait_for(lambda: all(run.is_finished for run in rig.runs()), "the end of the runs")
        runs = rig.runs()
    assert {run.status for run in runs} == {dg.DagsterRunStatus.SUCCESS}
    assert {code for run in runs for code in run.tags["metricCode"].split(",")} == {"ratio.a_to_b"}
    assert "good" in ",".join(run.tags["runId"] for run in runs)
    assert {event["runId"]: event["status"] for event in completed} == {
        "good": "SUCCESS",
        "broken": "FAILURE",
    }
    (started,) = aws.events("started")
    assert started["runId"] == "good"
    assert json.loads(aws.store.get(CURRENT))["run_id"] == "good"
    assert not aws.requests.pull(1)
