"""A small code location around the event assets: hands to publish, to tick the sensor, to run what it asks for."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg
import yaml

from platform_assets.assets.events import build_events
from platform_assets.assets.inbox.sensor import REPLAY_TAG, inbox_of, queue_sensor
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.events.spec import EventSpec
from platform_assets.engine.sql.binding import bind_query
from platform_assets.ports import OutboundMessage
from platform_assets.resources.adapter import AdapterResource, adapter_resources

CONFIGS = Path(__file__).parents[2] / "configs" / "events"
TENANT, OTHER = "acme1281", "globex"


def shipped() -> dict[str, EventSpec]:
    """The repository's own event types."""
    found = [yaml.safe_load(path.read_text()) for path in sorted(CONFIGS.glob("*.yml"))]
    return {raw["event_type"]: EventSpec.model_validate(raw) for raw in found}


def ports(folder: Path) -> dict[str, Any]:
    """Every port of the embedded default below ``folder``, with a topic whose messages reach the queue."""
    queue = str(folder / "queue")
    topic = {"root": str(folder / "topic"), "subscriptions": [queue]}
    return {
        "warehouse": {"kind": "duckdb", "settings": {"folder": str(folder / "warehouse")}},
        "object_store": {"kind": "local", "settings": {"root": str(folder / "objects")}},
        "secrets": {"kind": "environment"},
        "queues": {"events": {"kind": "local", "settings": {"root": queue}}},
        "topics": {"events": {"kind": "local", "settings": topic}},
    }


@dataclass(frozen=True)
class EventLocation:
    """The definitions over real adapters, and an instance to run them on."""

    ports: Mapping[str, Any]
    instance: dg.DagsterInstance
    events: Mapping[str, EventSpec] = field(default_factory=shipped)
    settings: Mapping[str, Any] = field(default_factory=lambda: {"tenant": TENANT, "undeclared": "infer"})
    inbox: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def deployment(self) -> DeploymentSpec:
        return DeploymentSpec.model_validate(
            {
                "deployment": "test",
                "partitions": {"start_days_ago": 30},
                "ports": self.ports,
                "inbox": {"retry_seconds": 0.001, **self.inbox},
                "events": self.settings,
            }
        )

    @cached_property
    def defs(self) -> dg.Definitions:
        start = datetime.now(UTC).date() - timedelta(days=30)
        built = build_events(self.events, self.deployment, (TENANT, OTHER), start)
        return dg.Definitions(
            assets=built.assets,
            asset_checks=built.checks,
            schedules=built.schedules,
            sensors=[queue_sensor(source, self.deployment.inbox, enabled=True) for source in built.sources],
            resources=adapter_resources(self.deployment),
            executor=dg.in_process_executor,
        )

    def adapter(self, key: str) -> Any:
        resource = (self.defs.resources or {})[key]
        assert isinstance(resource, AdapterResource)
        return resource.adapter()

    def publish(self, *events: dict[str, Any] | bytes, **attributes: str) -> Sequence[str]:
        bodies = [e if isinstance(e, bytes) else json.dumps(e).encode() for e in events]
        ids: Sequence[str] = self.adapter("topic_events").publish(
            [OutboundMessage(body, attributes) for body in bodies]
        )
        return ids

    def tick(self) -> list[dg.RunRequest]:
        """What the sensor asks for, evaluated as the code server does it."""
        with dg.build_sensor_context(
            self.instance, definitions=self.defs, sensor_name="events_sensor", resources=self.defs.resources
        ) as context:
            return list(
                self.defs.resolve_sensor_def("events_sensor").evaluate_tick(context).run_requests or ()
            )

    def run(self, partition: str | None, tags: Mapping[str, str] | None = None) -> dg.ExecuteInProcessResult:
        """The run a request asks for."""
        result = self.defs.resolve_implicit_global_asset_job_def().execute_in_process(
            instance=self.instance,
            asset_selection=[dg.AssetKey(["events", name]) for name in (*self.events, "undeclared")],
            partition_key=partition,
            tags=dict(tags or {}),
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
        )
        for event in result.get_step_failure_events():
            print(event.step_failure_data.error_display_string)  # shown where the test fails
        return result

    def take_all(self) -> list[dg.ExecuteInProcessResult]:
        """Ticks, and the runs they ask for, until nothing waits."""
        results = []
        for _ in range(10):
            requests = self.tick()
            if not requests:
                return results
            results += [self.run(request.partition_key, request.tags) for request in requests]
        raise AssertionError("events keep waiting")

    def replay(self, tenant: str = TENANT) -> dg.ExecuteInProcessResult:
        return self.run(f"{today()}|{tenant}", {REPLAY_TAG: "true"})

    def rows(self, sql: str, tenant: str = TENANT) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = (
            self.adapter("warehouse").query(tenant, bind_query(sql, tenant)).to_pylist()
        )
        return found

    def count(self, table: str, tenant: str = TENANT) -> int:
        where = "event_date IS NULL OR event_date IS NOT NULL"
        return int(self.rows(f"SELECT COUNT(*) AS n FROM raw_events.{table} WHERE {where}", tenant)[0]["n"])

    def archived(self, tenant: str = TENANT) -> dict[str, list[dict[str, Any]]]:
        """Key below ``output/`` → the events of the object."""
        store, prefix = self.adapter("object_store"), f"events/{tenant}/output/"
        keys = [info.key for info in store.list(prefix)]
        return {k.removeprefix(prefix): [json.loads(x) for x in store.get(k).splitlines()] for k in keys}

    def dead(self) -> dict[bytes, str]:
        """Body → reason of all dead letters."""
        letters = inbox_of(self.adapter("object_store"), "events").dead_letters()
        return {letter.message.body: letter.reason for _, letter in letters}

    def told(self, event_type: str) -> dict[str, Any]:
        """The newest materialization's metadata, as plain values."""
        records = self.instance.fetch_materializations(dg.AssetKey(["events", event_type]), limit=1).records
        assert records, f"events/{event_type} was not materialized"
        found = records[0].asset_materialization
        assert found is not None
        return {name: value.value for name, value in found.metadata.items()}

    def hours(self, event_type: str) -> dict[str, dict[str, Any]]:
        """What the archive's materializations say, by partition."""
        key = dg.AssetKey(["events_archive", event_type])
        found = [
            r.asset_materialization for r in self.instance.fetch_materializations(key, limit=100).records
        ]
        return {str(m.partition): {n: v.value for n, v in m.metadata.items()} for m in found if m is not None}


def today() -> date:
    return datetime.now(UTC).date()
