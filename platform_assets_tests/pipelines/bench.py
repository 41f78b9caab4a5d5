"""A bench for pipeline folders: the reviewed configuration, a real DuckDB warehouse, one writer of one slice at a time.

Rows go the way they go in a run (filled, audited with the table's own suite, published), by the same code. What a run
adds around it (partitions, outcomes, history) is not here. Sources are real too: an HTTP server, a DuckDB file in place
of another BigQuery, a folder in place of a bucket.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

from platform_assets.assets.filling import Doors, Job, fill
from platform_assets.assets.graph import Node, Part, build_nodes
from platform_assets.assets.staging import Stage, staging_token
from platform_assets.assets.surroundings import Surroundings
from platform_assets.config import load
from platform_assets.engine.ingestion.pull import PullStats
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration, ResolvedStep
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import FieldType, Scalar
from platform_assets.engine.sql.binding import bind_query
from platform_assets.engine.tenancy import Credential, TenantSpec
from platform_assets.resources.http.live import LiveHttp, Settings
from platform_assets.resources.query_sources.duckdb import DuckDBSources, DuckDBSourcesSettings
from platform_assets.resources.secrets.environment import EnvironmentSecretsSettings, EnvironmentSecretStore
from platform_assets.resources.source_stores.local import LocalSourceStores, LocalSourceStoresSettings
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse

CONFIGS = Path(__file__).parents[2] / "configs"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = "11111111-2222-3333-4444-555555555555"
SECRET = "not-a-real-secret"
TENANT = TenantSpec(tenant="acme1281", display_name="Acme", fiscal_year_start_month=4)


@cache
def configuration(root: Path = CONFIGS) -> Configuration:
    """The reviewed configuration (or another folder's), read once."""
    return load(root, deployment="local", environment={}, today=NOW.date())


@cache
def nodes(root: Path = CONFIGS) -> dict[TableName, Node]:
    return {node.table: node for node in build_nodes(configuration(root).pipelines)}


def step(pipeline: str, name: str, root: Path = CONFIGS) -> ResolvedStep:
    return next(s for s in configuration(root).pipelines[pipeline].steps if s.spec.step_id == name)


class Bench:
    """One tenant's warehouse below a folder. ``provider_url`` is where every provider's API answers."""

    def __init__(self, folder: Path, tenant: TenantSpec = TENANT, root: Path = CONFIGS) -> None:
        self.folder, self.tenant, self.root = folder, tenant, root
        self.provider_url = ""
        self.warehouse = DuckDBWarehouse(DuckDBSettings(folder=folder / "warehouse"), clock=lambda: NOW)
        self.providers = configuration(root).providers
        self.stats: PullStats | None = None

    # --- Writing ---

    def run(
        self, pipeline: str, name: str, day: date, credential: str = "default", **parameters: Any
    ) -> list[CheckOutcome]:
        """Fill, audit and publish a step's slice as a run would; returns its checks. A month's slice is named by its
        first day. ``parameters`` are the credential's; ``stats`` are the pull's."""
        resolved = step(pipeline, name, self.root)
        job = self._job(resolved, day, credential if resolved.spec.type == "ingest" else None, parameters)
        provider = self.providers.get(resolved.provider)

        def filled(staging: TableName) -> None:
            self.stats = fill(job, staging, provider, lambda text: None)

        return self._publish(job, filled)

    def land(
        self, pipeline: str, name: str, day: date, rows: Sequence[dict[str, Any]], credential: str = "default"
    ) -> list[CheckOutcome]:
        """Publish an ingest step's slice from rows (column → value) instead of its source."""
        job = self._job(step(pipeline, name, self.root), day, credential, {})
        schema = arrow_schema(job.node.spec.schema)
        full = [{**row, **job.standard.columns()} for row in rows]
        batch = pa.RecordBatch.from_pylist(full, schema=schema)
        return self._publish(job, lambda staging: self.warehouse.load(self.tenant.tenant, staging, [batch]))

    def _job(self, resolved: ResolvedStep, day: date, credential: str | None, parameters: Any) -> Job:
        who = credential and Credential(
            id=credential, provider=resolved.provider, secret="key", parameters=parameters
        )
        node, part = nodes(self.root)[resolved.table.name], Part(resolved, who or None)
        return Job(self._doors(), node, part, self.tenant, day, RUN, NOW)

    def _doors(self) -> Doors:
        urls = dict.fromkeys(self.providers, self.provider_url) if self.provider_url else {}
        environment = {f"PLATFORM_SECRET__{self.tenant.tenant.upper()}__KEY": SECRET}
        return Doors(
            self.warehouse,
            EnvironmentSecretStore(EnvironmentSecretsSettings(), environment),
            LiveHttp(Settings(base_urls=urls, allow_loopback=True)),
            DuckDBSources(DuckDBSourcesSettings(folder=str(self.folder))),
            LocalSourceStores(LocalSourceStoresSettings(root=str(self.folder / "buckets"))),
        )

    def _publish(self, job: Job, filled: Any) -> list[CheckOutcome]:
        tenant, spec = self.tenant.tenant, job.node.spec
        for name in (spec.name, *job.node.compared):
            self.warehouse.ensure_table(tenant, nodes(self.root)[name].spec)
        staging = self.warehouse.create_staging(tenant, spec, staging_token(RUN, job.part, job.day))
        try:
            filled(staging)
            stage = Stage(job, staging, Surroundings(nodes(self.root)))
            checks = stage.audit().checks
            stage.publish(checks)
        finally:
            self.warehouse.drop(tenant, staging)
        return list(checks)

    # --- Reading ---

    def rows(self, sql: str, **parameters: tuple[FieldType, Scalar]) -> list[dict[str, Any]]:
        """A BigQuery query over logical tables."""
        query = bind_query(sql, self.tenant.tenant, parameters)
        result: list[dict[str, Any]] = self.warehouse.query(self.tenant.tenant, query).to_pylist()
        return result

    def value(self, sql: str) -> Any:
        """The one value of a query's one row."""
        [row] = self.rows(sql)
        [value] = row.values()
        return value


def failed(checks: Sequence[CheckOutcome], severity: str = "critical") -> list[str]:
    """The types of failed checks of one severity, with their columns."""
    return [f"{c.type}:{c.column}" for c in checks if not c.success and c.severity == severity]
