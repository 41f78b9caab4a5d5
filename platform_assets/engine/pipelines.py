"""Pipelines after reading: every reference followed, every table known, every SQL text parsed.

``platform_assets.config`` builds these; assets and the command line read them. Nothing here opens a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.events.spec import EventSpec
from platform_assets.engine.ingestion.spec import PipelineSpec, ProviderSpec, Step
from platform_assets.engine.metrics.spec import MetricSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.tenant import NOBODY_TOLD, Notifications
from platform_assets.engine.procedures import Migration, Procedure
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.tenancy import TenantSpec, runs_pipeline

if TYPE_CHECKING:
    from platform_assets.engine.cdc.monitor import Monitor
    from platform_assets.engine.notifications.alerts.alert import Alert
    from platform_assets.engine.quality.expectation import Expectation
    from platform_assets.engine.sql.checked import Transform


@dataclass(frozen=True)
class ResolvedStep:
    """One step with everything it refers to.

    ``table``: the table its rows end in, standard columns included; for a contribution, the union's table.
    ``transform``: its SQL; of a ``sql`` source, the query that the other system runs.
    ``upstream``: the tables its SQL reads, sorted; of a union step, all that its contributors read.
    ``inputs``: of a computation, the queries whose results it gets, by name.
    ``suite``: the expectations on ``table``, at the step that owns the table only.
    """

    pipeline_id: str
    provider: str
    spec: Step
    table: TableSpec
    transform: Transform | None = None
    suite: tuple[Expectation, ...] = ()
    upstream: tuple[TableName, ...] = ()
    inputs: Mapping[str, Transform] = field(default_factory=dict)


@dataclass(frozen=True)
class Pipeline:
    """A pipeline folder. ``tenant`` is set where the pipeline is one tenant's own.

    ``credentials_needed``: the providers for which a tenant must have a credential, so that everything which the
    pipeline reads is there.
    """

    spec: PipelineSpec
    folder: Path
    steps: tuple[ResolvedStep, ...]
    tenant: str | None = None
    credentials_needed: frozenset[str] = frozenset()

    @property
    def pipeline_id(self) -> str:
        return self.spec.pipeline_id


@dataclass(frozen=True)
class Configuration:
    """Everything under ``configs/``, checked. Mappings are sorted by name.

    ``version``: the git commit the files came from, or a hash of their content.
    ``metadata_tables``: table name (``pipeline_runs``) → spec of ``metadata.pipeline_runs``.
    ``metrics``: the declared metrics, by metric code. ``alerts``: by id. ``notifications``: who is told what.
    ``monitors``: the CDC monitors, by name.
    ``events``: the declared event types, by name.
    ``procedures`` by name, ``migrations`` by number.
    """

    root: Path
    version: str
    deployment: DeploymentSpec
    tenants: Mapping[str, TenantSpec]
    providers: Mapping[str, ProviderSpec]
    pipelines: Mapping[str, Pipeline]
    metadata_tables: Mapping[str, TableSpec]
    metrics: Mapping[str, MetricSpec] = field(default_factory=dict)
    alerts: Mapping[str, Alert] = field(default_factory=dict)
    notifications: Notifications = field(default_factory=lambda: NOBODY_TOLD)
    monitors: Mapping[str, Monitor] = field(default_factory=dict)
    events: Mapping[str, EventSpec] = field(default_factory=dict)
    procedures: Mapping[str, Procedure] = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()

    @cached_property
    def tables(self) -> Mapping[TableName, TableSpec]:
        """Every table that a pipeline fills or a run writes, by name."""
        filled = [step.table for pipeline in self.pipelines.values() for step in pipeline.steps]
        return {spec.name: spec for spec in (*filled, *self.metadata_tables.values())}

    def table(self, name: TableName) -> TableSpec:
        """ConfigError where nothing fills it."""
        if name not in self.tables:
            raise ConfigError(f"there is no table {name}")
        return self.tables[name]

    def tenant_pipelines(self, tenant: str) -> tuple[Pipeline, ...]:
        """The pipelines that run for a tenant, by id."""
        spec = self.tenants[tenant]
        return tuple(p for p in self.pipelines.values() if runs_pipeline(spec, p))
