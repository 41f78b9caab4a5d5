"""What metrics are called in Dagster, and the topics their events go to."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dagster as dg

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.expressions.lineage import InputColumn

METRIC_RUN = dg.AssetKey("metric_run")
EVENT_TOPIC = "metric_events"  # for what has no topic of its own


def metric_key(code: str) -> dg.AssetKey:
    """``delta.base_30d`` → ``metric/delta.base_30d``. A colon cannot be part of an op's output name."""
    return dg.AssetKey(["metric", code.replace(":", "_")])


def dataset_key(dataset: str) -> dg.AssetKey:
    return dg.AssetKey(["dataset", dataset])


def lineage_metadata(origins: Mapping[str, Sequence[InputColumn]]) -> dict[str, Any]:
    """A metric's columns by the series' columns they are made of, ``<series>.<column>`` of the data set."""
    columns = {
        column: [dg.TableColumnDep(dataset_key(o.dataset), f"{o.series}.{o.column}") for o in found]
        for column, found in origins.items()
    }
    return {"dagster/column_lineage": dg.TableColumnLineage(columns)}


@dataclass(frozen=True)
class EventTopics:
    """Resource keys of the three topics of a metric run; None where the deployment declares no topic for it."""

    started: str | None
    heartbeat: str | None
    completed: str | None

    @classmethod
    def among(cls, declared: Collection[str]) -> "EventTopics":
        """``declared``: the names of the deployment's topics. Those of their own win over ``metric_events``."""

        def resource(name: str) -> str | None:
            found = next((topic for topic in (name, EVENT_TOPIC) if topic in declared), None)
            return found and f"topic_{found}"

        return cls(resource("metric_started"), resource("metric_heartbeat"), resource("metric_completed"))

    @property
    def resource_keys(self) -> set[str]:
        return {key for key in (self.started, self.heartbeat, self.completed) if key}

    def opened(self, resources: Any) -> Any:
        """The topics as ``MetricTopics``. ConfigError where one is missing: nobody would hear of the run."""
        from platform_assets.assets.metrics_run import MetricTopics

        if not (self.started and self.heartbeat and self.completed):
            raise ConfigError(
                f"the deployment declares no topic {EVENT_TOPIC!r} for the events of metric runs"
            )
        return MetricTopics(
            *(getattr(resources, key).adapter() for key in (self.started, self.heartbeat, self.completed))
        )
