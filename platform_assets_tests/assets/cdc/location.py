"""A code location with the CDC assets over real adapters, and hands to tick its sensor and run what it asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

import dagster as dg

from platform_assets.assets.cdc import build_cdc, monitor_key
from platform_assets.assets.inbox.sensor import queue_sensor
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.resources.adapter import AdapterResource, adapter_resources
from platform_assets_tests.assets.cdc.rig import TENANTS, monitors


@dataclass(frozen=True)
class CdcLocation:
    ports: Mapping[str, Any]
    settings: Mapping[str, Any]
    instance: dg.DagsterInstance
    start: date = date(2025, 11, 1)

    @cached_property
    def deployment(self) -> DeploymentSpec:
        return DeploymentSpec.model_validate(
            {
                "deployment": "test",
                "partitions": {"start_date": self.start},
                "ports": {
                    "warehouse": {"kind": "duckdb", "settings": {"folder": "unused"}},
                    "secrets": {"kind": "environment"},
                    **self.ports,
                },
                "cdc": self.settings,
            }
        )

    @cached_property
    def defs(self) -> dg.Definitions:
        built = build_cdc(monitors(), TENANTS, self.start, self.deployment)
        return dg.Definitions(
            assets=built.assets,
            sensors=[queue_sensor(s, self.deployment.inbox, enabled=True) for s in built.sources],
            resources=adapter_resources(self.deployment),
            executor=dg.in_process_executor,
        )

    def adapter(self, key: str) -> Any:
        resource = (self.defs.resources or {})[key]
        assert isinstance(resource, AdapterResource)
        return resource.adapter()

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for, evaluated as the code server does it."""
        with dg.build_sensor_context(
            self.instance, definitions=self.defs, sensor_name="cdc_sensor", resources=self.defs.resources
        ) as context:
            return list(self.defs.resolve_sensor_def("cdc_sensor").evaluate_tick(context).run_requests or ())

    def run(
        self, partition: str | None, *monitors: str, tags: Mapping[str, str] | None = None
    ) -> dg.ExecuteInProcessResult:
        """A run of these monitors, or of all."""
        job = self.defs.resolve_implicit_global_asset_job_def()
        result = job.execute_in_process(
            instance=self.instance,
            asset_selection=[monitor_key(name) for name in monitors] or None,
            partition_key=partition,
            tags=dict(tags or {}),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in result.get_step_failure_events():
            print(event.step_failure_data.error_display_string)  # shown where the test fails
        return result

    def answer_all(self) -> list[dg.ExecuteInProcessResult]:
        return [self.run(r.partition_key, tags=r.tags) for r in self.tick()]
