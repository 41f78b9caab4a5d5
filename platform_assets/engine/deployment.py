"""What a deployment file may say: which adapter serves each port, what may be scheduled, within which limits.

Asset keys never depend on it; only where things are does.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.events.settings import EventSettings
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.engine.spec import Spec


class AdapterSpec(Spec):
    """``kind`` picks the adapter; ``settings`` are the adapter's own and checked by it."""

    kind: Identifier
    settings: dict[str, Any] = {}


class Ports(Spec):
    """One adapter per port. Queues and topics are several, under the names that sensors and publishers use; notifiers
    one per kind of channel, of which ``log`` sends nothing."""

    warehouse: AdapterSpec
    object_store: AdapterSpec
    secrets: AdapterSpec
    http: AdapterSpec = AdapterSpec(kind="live")
    metric_sink: AdapterSpec = AdapterSpec(kind="log")
    query_sources: AdapterSpec = AdapterSpec(kind="bigquery")
    source_stores: AdapterSpec = AdapterSpec(kind="s3")
    notifiers: dict[Literal["email", "service", "slack"], AdapterSpec] = {}
    queues: dict[Identifier, AdapterSpec] = {}
    topics: dict[Identifier, AdapterSpec] = {}


class Partitions(Spec):
    """The first day of the date dimension: a fixed day, or so many days before today."""

    start_date: date | None = None
    start_days_ago: Annotated[int, Field(ge=1, le=3660)] | None = None

    @model_validator(mode="after")
    def _exactly_one(self) -> Partitions:
        if (self.start_date is None) == (self.start_days_ago is None):
            raise ValueError("needs exactly one of start_date and start_days_ago")
        return self

    def first_day(self, today: date) -> date:
        """The first day there is a partition for, as of ``today``."""
        return self.start_date or today - timedelta(days=self.start_days_ago or 0)


class Limits(Spec):
    """How much one run does at once. How many runs go at once is the Dagster instance's to say (``dagster.yaml``),
    how many bytes a query may read the warehouse's (``maximum_bytes_billed`` in its settings)."""

    slices_in_flight: Annotated[int, Field(ge=1, le=256)] = 4


class DeploymentSpec(Spec):
    """``configs/deployments/<deployment>.yml``. Text may hold ``${VAR}`` or ``${VAR:-default}``."""

    deployment: Identifier
    description: str = ""
    partitions: Partitions
    ports: Ports
    schedules_enabled: bool = False
    limits: Limits = Limits()
    inbox: InboxSpec = InboxSpec()
    metrics: MetricSettings = MetricSettings()
    cdc: CdcSettings = CdcSettings()
    events: EventSettings = EventSettings()

    def resources(self) -> dict[str, AdapterSpec]:
        """The ports that have exactly one adapter, by port name."""
        return {
            name: getattr(self.ports, name)
            for name in (
                "http",
                "metric_sink",
                "object_store",
                "query_sources",
                "secrets",
                "source_stores",
                "warehouse",
            )
        }

    def adapters(self) -> dict[str, tuple[str, AdapterSpec]]:
        """Every adapter, by the name under which assets ask for it: (port, adapter). ``warehouse``, …,
        ``notifier_<kind of channel>``, ``queue_<name>``, ``topic_<name>``."""
        return {
            **{port: (port, spec) for port, spec in self.resources().items()},
            **{f"notifier_{kind}": ("notifier", spec) for kind, spec in sorted(self.ports.notifiers.items())},
            **{f"queue_{name}": ("queue", spec) for name, spec in sorted(self.ports.queues.items())},
            **{f"topic_{name}": ("topic", spec) for name, spec in sorted(self.ports.topics.items())},
        }
