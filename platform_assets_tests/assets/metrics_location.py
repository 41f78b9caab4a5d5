"""A small code location around the metric assets, with hands to tick its sensors and to run what they ask for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import dagster as dg

from platform_assets.assets.inbox.sensor import queue_sensor
from platform_assets.assets.metrics import build_metrics
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.metrics.spec import MetricSpec
from platform_assets.resources.adapter import AdapterResource, adapter_resources
from platform_assets_tests.engine.metrics.datasets import DATASET, daily, manifest, rows_parquet

EMBEDDED = {"kind": "duckdb", "settings": {"folder": "unused"}}


def metric(code: str = "ratio.declared", **changes: Any) -> MetricSpec:
    """A declared metric over the series A and B of the data set ``bcra``."""
    ratio = {"op": "ratio", "left": {"series_code": "A"}, "right": {"series_code": "B"}}
    given = {"metric_code": code, "dataset": DATASET, "expression_type": "series_math", "expression": ratio}
    return MetricSpec.model_validate(given | changes)


def deployment(ports: Mapping[str, Any], **settings: Any) -> DeploymentSpec:
    """``ports``: object_store, queues, topics."""
    return DeploymentSpec.model_validate(
        {
            "deployment": "test",
            "partitions": {"start_days_ago": 30},
            "ports": {"warehouse": EMBEDDED, "secrets": {"kind": "environment"}, **ports},
            "inbox": {"retry_seconds": 0.001, "max_attempts": 3},
            **settings,
        }
    )


@dataclass(frozen=True)
class MetricLocation:
    """The definitions over real adapters, and an instance to run them on."""

    deployment: DeploymentSpec
    metrics: Mapping[str, MetricSpec]
    instance: dg.DagsterInstance

    @cached_property
    def defs(self) -> dg.Definitions:
        built = build_metrics(self.metrics, self.deployment)
        sensors = [queue_sensor(source, self.deployment.inbox, enabled=True) for source in built.sources]
        return dg.Definitions(
            assets=built.assets,
            sensors=[*built.sensors, *sensors],
            resources=adapter_resources(self.deployment),
            executor=dg.in_process_executor,
        )

    def adapter(self, key: str) -> Any:
        resource = (self.defs.resources or {})[key]
        assert isinstance(resource, AdapterResource)
        return resource.adapter()

    @property
    def store(self) -> Any:
        return self.adapter("object_store")

    def tick(self, sensor: str = "metric_requests_sensor", cursor: str | None = None) -> Any:
        """What a sensor answers, evaluated as the code server does it; the partitions it asks for are added."""
        with dg.build_sensor_context(
            self.instance,
            cursor,
            definitions=self.defs,
            sensor_name=sensor,
            resources=self.defs.resources,
        ) as context:
            # What a code server gives it; for an instance in memory it is missing, and one on disk is ten times slower.
            vars(context)["caching_dynamic_partitions_loader"] = self.instance
            data = self.defs.resolve_sensor_def(sensor).evaluate_tick(context)
        for added in data.dynamic_partitions_requests or ():
            self.instance.add_dynamic_partitions(added.partitions_def_name, list(added.partition_keys))
        return data

    def run(self, request: dg.RunRequest) -> dg.ExecuteInProcessResult:
        """The run a request asks for."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=list(request.asset_selection or [dg.AssetKey("metric_run")]),
            partition_key=request.partition_key,
            tags=dict(request.tags),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in result.get_step_failure_events():
            print(event.step_failure_data.error_display_string)  # shown where the test fails
        return result

    def answer_all(self) -> list[dg.ExecuteInProcessResult]:
        """One tick of the request sensor, and the runs it asks for."""
        return [self.run(request) for request in self.tick().run_requests or ()]

    def materializations(self, key: Sequence[str]) -> list[dg.AssetMaterialization]:
        """Newest first."""
        records = self.instance.fetch_materializations(dg.AssetKey(list(key)), limit=100).records
        return [record.asset_materialization for record in records if record.asset_materialization]

    def put_dataset(self, version: str, **series: Sequence[float | None]) -> None:
        """A data set where declared metrics look for it."""
        root = f"datasets/{DATASET}"
        files = {f"{code}/year=2024/month=01/data.parquet": values for code, values in series.items()}
        for (name, values), code in zip(files.items(), series, strict=True):
            self.store.put(f"{root}/projections/{name}", rows_parquet(code, daily(*values)))
        found = manifest(list(files), sorted(series), version_id=version)
        self.store.put(f"{root}/current/manifest.json", json.dumps(found).encode())

    def json(self, key: str) -> Any:
        return json.loads(self.store.get(key))

    def keys(self, prefix: str) -> list[str]:
        return [info.key for info in self.store.list(prefix)]

    def published(self, topic: str) -> list[dict[str, Any]]:
        """The bodies that a local topic got, oldest first."""
        lines = [json.loads(line) for line in self.adapter(f"topic_{topic}").published()]
        return [json.loads(line["body"]) for line in lines]
