"""The order of reading: deployment, providers, tenants, metadata tables, metrics, monitors, events, procedures,
migrations, pipelines; then all against all."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import MappingProxyType
from typing import TypeVar

from platform_assets.config import checks, needs, suites
from platform_assets.config.alerts import AlertCheck
from platform_assets.config.cdc import dataset_problems, read_monitor, shared_cdc_problems
from platform_assets.config.document import Document, read_document
from platform_assets.config.draft import Draft, raw_tables
from platform_assets.config.events import event_problems, owner_problems, shared_tables
from platform_assets.config.metadata import metadata_tables
from platform_assets.config.metrics import metric_problems, shared_problems
from platform_assets.config.notifications import NotificationReader
from platform_assets.config.pipeline_folder import read_pipeline_folder
from platform_assets.config.placeholders import fill, unfilled
from platform_assets.config.procedures import read_migrations, read_procedures, unknown_tables
from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.config.resolving import resolve
from platform_assets.config.safety import find_unsafe, find_unsafe_urls
from platform_assets.config.tenant_checks import TenantCheck, access_problems
from platform_assets.config.tree import RESERVED, pipeline_folders, relative, yaml_files
from platform_assets.config.version import configuration_version
from platform_assets.engine.cdc.monitor import Monitor
from platform_assets.engine.cdc.spec import MonitorSpec
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.events.spec import EventSpec
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.metrics.spec import MetricSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.alert import Alert
from platform_assets.engine.notifications.alerts.spec import AlertSpec
from platform_assets.engine.notifications.tenant import NOBODY_TOLD, PLATFORM, Notifications
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.procedures import Migration, Procedure
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import TenantSpec

S = TypeVar("S", bound=Spec)


@contextmanager
def _uncollected() -> Iterator[None]:
    """Without garbage collection: reading makes many objects that stay, and looking through them again and again
    is a third of its time (measured with 400 pipelines)."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


@_uncollected()
def load(
    root: Path, *, deployment: str, environment: Mapping[str, str], today: date, cache: Path | None = None
) -> Configuration:
    """Read and check everything below ``root`` (the ``configs`` folder) for one deployment.

    ``environment`` fills ``${VAR}`` in the deployment file. Raises one ConfigError with every Problem found, by file
    and line; files are named relative to ``root``. ``cache``: a folder in which to remember checked SQL.
    """
    if not root.is_dir():
        raise ConfigError(f"there is no configuration folder {root}")
    reading = _Reading(root, QueryCache(cache))
    chosen = reading.deployment(deployment, environment, today)
    reading.all()
    reading.read_notifications(chosen, environment)
    reading.problems += dataset_problems(chosen.cdc, reading.tenants) if chosen else ()
    reading.queries.save()
    if reading.problems or chosen is None:
        found = tuple(sorted(set(reading.problems), key=_order))
        raise ConfigError(f"the configuration has {len(found)} problem(s)", found)
    return reading.configuration(chosen)


def _order(problem: Problem) -> tuple[str, int, str, str]:
    return problem.file, problem.line, problem.field, problem.reason


@dataclass
class _Reading:
    """What has been read so far. ``known_…`` also hold the names of files that could not be used."""

    root: Path
    queries: QueryCache
    problems: list[Problem] = field(default_factory=list)
    providers: dict[str, ProviderSpec] = field(default_factory=dict)
    tenants: dict[str, tuple[Document, TenantSpec]] = field(default_factory=dict)
    drafts: list[Draft] = field(default_factory=list)
    metadata: dict[str, TableSpec] = field(default_factory=dict)
    metrics: dict[str, tuple[Document, MetricSpec]] = field(default_factory=dict)
    alerts: dict[str, Alert] = field(default_factory=dict)
    notifications: Notifications = field(default_factory=lambda: NOBODY_TOLD)
    monitors: dict[str, tuple[Document, Monitor]] = field(default_factory=dict)
    events: dict[str, tuple[Document, EventSpec]] = field(default_factory=dict)
    procedures: dict[str, Procedure] = field(default_factory=dict)
    migrations: tuple[Migration, ...] = ()
    owners: dict[TableName, checks.Owner] = field(default_factory=dict)
    suites: suites.Suites = field(default_factory=dict)
    reads: needs.Reads = field(default_factory=dict)
    needed: dict[str, frozenset[str]] = field(default_factory=dict)
    known_providers: set[str] = field(default_factory=set)
    known_tenants: set[str] = field(default_factory=set)
    known_pipelines: set[str] = field(default_factory=set)
    known_tables: set[str] = field(default_factory=set)

    def deployment(self, name: str, environment: Mapping[str, str], today: date) -> DeploymentSpec | None:
        files = {path.stem: path for path in yaml_files(self.root, "deployments", self.problems)}
        if name not in files:
            reason = f"there is no deployment {name!r}; known: {one_of(files)}"
            self.problems.append(Problem("deployments/", 1, "", reason, nearest(name, files)))
            return None
        document = self._filled(files[name], environment)
        if document is None:
            return None
        spec = self._spec(DeploymentSpec, document, files[name], "deployment", strict=False)
        if spec and spec.partitions.first_day(today) >= today:
            reason = "starts today or later: there is no complete day to run"
            self.problems.append(document.problem(("partitions", "start_date"), reason))
        if spec:
            self.problems += owner_problems(
                document, spec, {p.stem for p in (self.root / "tenants").glob("*.yml")}
            )
        return spec

    def all(self) -> None:
        for path in yaml_files(self.root, "providers", self.problems):
            self.known_providers.add(path.stem)
            document = self._plain_document(path)
            provider = document and self._spec(ProviderSpec, document, path, "provider")
            if provider:
                self.providers[path.stem] = provider
        self._read_tenants()
        self.metadata = metadata_tables(self.root, self.problems)
        self.known_tables |= {str(table.name) for table in self.metadata.values()}
        self._read_metrics()
        self._read_monitors()
        self._read_events()
        self.procedures = read_procedures(self.root, self.queries, self.problems)
        self.migrations = read_migrations(self.root, self.queries, self.problems)
        self._read_pipelines()
        self._cross_check()

    def _read_tenants(self) -> None:
        for path in yaml_files(self.root, "tenants", self.problems):
            self.known_tenants.add(path.stem)
            if path.stem in (*RESERVED, PLATFORM):
                file = relative(self.root, path)
                reason = f"{path.stem!r} is a folder of the configuration, or stands for the platform itself"
                self.problems.append(Problem(file, 1, "tenant", reason))
            document = self._plain_document(path)
            spec = document and self._spec(TenantSpec, document, path, "tenant")
            if document and spec:
                self.tenants[path.stem] = (document, spec)

    def _read_metrics(self) -> None:
        for path in yaml_files(self.root, "metrics", self.problems):
            document = self._plain_document(path)
            # JSON has no enumerations: their values are text in the file.
            spec = document and self._spec(MetricSpec, document, path, "metric_code", strict=False)
            if document and spec:
                wrong = metric_problems(document, spec)
                self.problems += wrong
                if not wrong:
                    self.metrics[path.stem] = (document, spec)
        self.problems += shared_problems(self.metrics)

    def read_notifications(self, chosen: DeploymentSpec | None, environment: Mapping[str, str]) -> None:
        notifiers = {str(kind): spec for kind, spec in chosen.ports.notifiers.items()} if chosen else {}
        tenants = {name: spec for name, (_, spec) in self.tenants.items()}
        reader = NotificationReader(self.root, notifiers, environment, self.problems)
        self.notifications = reader.read(tenants, self.known_tenants)
        for path in yaml_files(self.root, "alerts", self.problems):
            document = self._plain_document(path)
            # JSON has no enumerations: their values are text in the file.
            spec = document and self._spec(AlertSpec, document, path, "alert_id", strict=False)
            if document and spec:
                check = AlertCheck(document, spec, self.owners, self.known_tenants, self.notifications)
                self.alerts[path.stem] = check.resolved()
                self.problems += check.problems

    def _read_monitors(self) -> None:
        for path in yaml_files(self.root, "cdc", self.problems):
            document = self._plain_document(path)
            spec = document and self._spec(MonitorSpec, document, path, "monitor", strict=False)
            if document and spec:
                monitor = read_monitor(self.root, path, document, spec, self.queries, self.problems)
                if monitor:
                    self.monitors[path.stem] = (document, monitor)
        self.problems += shared_cdc_problems(self.root, self.monitors, self.tenants)

    def _read_events(self) -> None:
        for path in yaml_files(self.root, "events", self.problems):
            document = self._plain_document(path)
            spec = document and self._spec(EventSpec, document, path, "event_type", strict=False)
            if document and spec:
                wrong = event_problems(document, spec)
                self.problems += wrong
                if not wrong:
                    self.events[path.stem] = (document, spec)
        self.problems += shared_tables(self.events)

    def _read_pipelines(self) -> None:
        for folder in pipeline_folders(self.root, frozenset(self.known_tenants), self.problems):
            self.known_pipelines.add(folder.name)
            draft = read_pipeline_folder(self.root, folder, self.problems, self.queries)
            if draft is None:
                document = read_document(folder.path / "pipeline.yml", "", [])
                self.known_tables |= set(raw_tables(document.value if document else None))
            else:
                self.drafts.append(draft)
                self.known_tables |= set(raw_tables(draft.document.value))

    def _cross_check(self) -> None:
        drafts, problems = self.drafts, self.problems
        self.owners = checks.owners(drafts, problems)
        problems += unknown_tables((*self.procedures.values(), *self.migrations), self.known_tables)
        unowned = self.known_tables - {str(name) for name in self.owners}
        problems += checks.unique_pipelines(drafts)
        problems += checks.providers_of(drafts, self.known_providers)
        problems += checks.contributions(drafts, self.owners, unowned)
        problems += checks.destinations(drafts)
        problems += checks.upstream(drafts, self.owners, unowned)
        self.suites = suites.read_suites(drafts, self.owners, unowned, problems)
        problems += checks.cycles(drafts, self.owners, suites.compared(self.suites))
        self.reads = needs.reads_from(drafts, self.owners)
        self.needed = needs.credentials_needed(drafts, self.reads, self.providers)
        by_id = {draft.spec.pipeline_id: draft for draft in reversed(drafts)}  # of two, the first
        for document, tenant in self.tenants.values():
            problems += TenantCheck(
                document,
                tenant,
                self.providers,
                self.known_providers,
                by_id,
                self.known_pipelines,
                self.needed,
                self.reads,
            ).problems()
            problems += access_problems(document, tenant, self.owners, unowned)

    def configuration(self, deployment: DeploymentSpec) -> Configuration:
        pipelines = resolve(self.drafts, self.owners, self.suites, self.needed)
        files = (p for p in self.root.rglob("*") if p.is_file() and ".schema" not in p.parts)
        return Configuration(
            self.root,
            configuration_version(self.root, files),
            deployment,
            MappingProxyType({name: spec for name, (_, spec) in sorted(self.tenants.items())}),
            MappingProxyType(dict(sorted(self.providers.items()))),
            MappingProxyType({p.pipeline_id: p for p in sorted(pipelines, key=lambda p: p.pipeline_id)}),
            MappingProxyType(self.metadata),
            MappingProxyType({code: spec for code, (_, spec) in sorted(self.metrics.items())}),
            MappingProxyType(self.alerts),
            self.notifications,
            MappingProxyType({name: found for name, (_, found) in sorted(self.monitors.items())}),
            MappingProxyType({name: spec for name, (_, spec) in sorted(self.events.items())}),
            MappingProxyType(self.procedures),
            self.migrations,
        )

    # --- One file -----------------------------------------------------------------------------------------------

    def _filled(self, path: Path, environment: Mapping[str, str]) -> Document | None:
        """A deployment file with its placeholders replaced; None where one cannot be."""
        document = self._document(path)
        if document is None:
            return None
        before = len(self.problems)
        filled = fill(document, environment, self.problems)
        self.problems.extend(find_unsafe_urls(filled))  # what the environment gave
        return filled if len(self.problems) == before else None

    def _plain_document(self, path: Path) -> Document | None:
        """A file in which no placeholder is filled."""
        document = self._document(path)
        if document:
            self.problems.extend(unfilled(document))
        return document

    def _document(self, path: Path) -> Document | None:
        document = read_document(path, relative(self.root, path), self.problems)
        if document:
            self.problems.extend(find_unsafe(document))
        return document

    def _spec(
        self, model: type[S], document: Document, path: Path, name: str, *, strict: bool = True
    ) -> S | None:
        """The spec, whose ``name`` field must repeat the file's name."""
        spec = read_spec(model, document, self.problems, strict=strict)
        given = document.value.get(name) if isinstance(document.value, dict) else None
        if isinstance(given, str) and given != path.stem:
            reason = f"is {given!r}, but the file is named {path.name}"
            self.problems.append(document.problem((name,), reason, path.stem))
        return spec
