"""The only list of adapters: port → kind → class. Adding one is a file and a line here.

A class takes its settings model as ``settings`` and, by parameter name, what else it needs. Modules are imported
only when an adapter of theirs is asked for.
"""

from __future__ import annotations

import difflib
import inspect
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from typing import Any

from pydantic import BaseModel, ValidationError

from platform_assets.engine.deployment import AdapterSpec, DeploymentSpec
from platform_assets.engine.errors import ConfigError

_HERE = "platform_assets.resources"

ADAPTERS: Mapping[str, Mapping[str, str]] = {
    "warehouse": {
        "duckdb": f"{_HERE}.warehouse.duckdb:DuckDBWarehouse",
        "bigquery": f"{_HERE}.warehouse.bigquery:BigQueryWarehouse",
    },
    "object_store": {
        "local": f"{_HERE}.object_store.local:LocalObjectStore",
        "s3": f"{_HERE}.object_store.s3:S3ObjectStore",
        "gcs": f"{_HERE}.object_store.gcs:GcsObjectStore",
    },
    "secrets": {
        "environment": f"{_HERE}.secrets.environment:EnvironmentSecretStore",
        "google": f"{_HERE}.secrets.google:GoogleSecretStore",
        "aws": f"{_HERE}.secrets.aws:AwsSecretStore",
    },
    "http": {
        "live": f"{_HERE}.http.live:LiveHttp",
        "recorded": f"{_HERE}.http.recorded:RecordedHttp",
        "recording": f"{_HERE}.http.recorded:RecordingHttp",
    },
    "query_sources": {
        "bigquery": f"{_HERE}.query_sources.bigquery:BigQuerySources",
        "duckdb": f"{_HERE}.query_sources.duckdb:DuckDBSources",
    },
    "source_stores": {
        "local": f"{_HERE}.source_stores.local:LocalSourceStores",
        "s3": f"{_HERE}.source_stores.s3:S3SourceStores",
    },
    "metric_sink": {
        "log": f"{_HERE}.metric_sink.log:LogMetricSink",
        "cloud_monitoring": f"{_HERE}.metric_sink.cloud_monitoring:CloudMonitoringSink",
    },
    "notifier": {
        "log": f"{_HERE}.notifier.log:LogNotifier",
        "slack": f"{_HERE}.notifier.slack:SlackNotifier",
        "smtp": f"{_HERE}.notifier.smtp:SmtpNotifier",
        "apprise": f"{_HERE}.notifier.services:AppriseNotifier",
    },
    "queue": {
        "local": f"{_HERE}.queue.local:LocalQueue",
        "sqs": f"{_HERE}.queue.sqs:SqsQueue",
        "pubsub": f"{_HERE}.queue.pubsub:PubSubQueue",
    },
    "topic": {
        "local": f"{_HERE}.topic.local:LocalTopic",
        "sns": f"{_HERE}.topic.sns:SnsTopic",
        "pubsub": f"{_HERE}.topic.pubsub:PubSubTopic",
    },
}

# Kind → the package that it is of no use without. Adapters load it late, so that a run process pays for none that it
# does not use; whether it is there is seen at the start.
SDKS: Mapping[str, str] = {
    "apprise": "apprise",
    "aws": "boto3",
    "bigquery": "dagster-gcp",
    "cloud_monitoring": "google-cloud-monitoring",
    "duckdb": "duckdb",
    "gcs": "google-cloud-storage",
    "google": "google-cloud-secret-manager",
    "pubsub": "google-cloud-pubsub",
    "s3": "boto3",
    "sns": "boto3",
    "sqs": "boto3",
}


@dataclass(frozen=True)
class BindingProblem:
    """What is wrong with one adapter of a deployment: ``field`` like ``ports.warehouse.settings.folder``."""

    field: tuple[str | int, ...]
    reason: str
    nearest: str | None = None


def create(port: str, kind: str, settings: Mapping[str, Any], **others: Any) -> Any:
    """Open the adapter. ``others`` are offered by parameter name; ``environment`` is always on offer.

    ConfigError lists the known kinds, or every setting that is wrong, or says what to install.
    """
    adapter = adapter_class(port, kind)
    try:
        checked = settings_model(adapter)(**settings)
    except ValidationError as error:
        reasons = "; ".join(f"{p.field[-1]} {p.reason}" for p in _setting_problems((), adapter, error))
        raise ConfigError(f"{port} {kind}: {reasons}") from None
    return adapter(checked, **_wanted(adapter, others))


def _wanted(adapter: type, others: Mapping[str, Any]) -> dict[str, Any]:
    """Those of ``others`` that the adapter's constructor names."""
    names = inspect.signature(adapter).parameters
    offered = dict(others)
    if "environment" in names and "environment" not in offered:
        from platform_assets.settings import read_settings

        offered["environment"] = read_settings().environment
    return {name: value for name, value in offered.items() if name in names}


def adapter_class(port: str, kind: str) -> type:
    """The adapter's class. ConfigError names the known ports or kinds, or the package to install."""
    kinds = ADAPTERS.get(port)
    if kinds is None:
        raise ConfigError(f"there is no port {port!r}; known: {', '.join(sorted(ADAPTERS))}")
    if kind not in kinds:
        raise ConfigError(f"there is no {port} adapter {kind!r}; known: {', '.join(sorted(kinds))}")
    module, _, name = kinds[kind].partition(":")
    try:
        found: type = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the {port} adapter {kind!r} needs the package {error.name!r}: install it"
        ) from None
    if missing := _missing(port, kind):
        raise ConfigError(missing)
    return found


def require_packages(deployment: DeploymentSpec) -> None:
    """ConfigError with every package that the deployment's adapters need and that is not there. Loads nothing."""
    missing = [text for port, spec in deployment.adapters().values() if (text := _missing(port, spec.kind))]
    if missing:
        raise ConfigError(f"deployment {deployment.deployment}: {'; '.join(missing)}")


def _missing(port: str, kind: str) -> str:
    package = SDKS.get(kind)
    if package is None or _installed(package):
        return ""
    return f"the {port} adapter {kind!r} needs {package}; install it with: pip install {package}"


@cache
def _installed(package: str) -> bool:
    """Looked up, not imported."""
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def settings_model(adapter: type) -> type[BaseModel]:
    """The model of the constructor's ``settings``."""
    constructor: Any = next(vars(c)["__init__"] for c in adapter.__mro__ if "__init__" in vars(c))
    hint = typing.get_type_hints(constructor)["settings"]
    members = [m for m in typing.get_args(hint) or (hint,) if m is not type(None)]
    model: type[BaseModel] = members[0]
    return model


def check(deployment: DeploymentSpec) -> tuple[BindingProblem, ...]:
    """Everything wrong with the adapters a deployment names. Opens none of them."""
    ports = deployment.ports
    found: list[BindingProblem] = []
    for name, spec in deployment.resources().items():
        found += _check(("ports", name), name, spec)
    for several, port in (("notifiers", "notifier"), ("queues", "queue"), ("topics", "topic")):
        for name, spec in sorted(getattr(ports, several).items()):
            found += _check(("ports", several, name), port, spec)
    return tuple(found)


def _check(place: tuple[str, ...], port: str, spec: AdapterSpec) -> Iterator[BindingProblem]:
    try:
        adapter = adapter_class(port, spec.kind)
    except ConfigError as error:
        close = difflib.get_close_matches(spec.kind, sorted(ADAPTERS.get(port, ())), n=1)
        yield BindingProblem((*place, "kind"), str(error), close[0] if close else None)
        return
    try:
        settings_model(adapter)(**spec.settings)
    except ValidationError as error:
        yield from _setting_problems((*place, "settings"), adapter, error)


def _setting_problems(
    place: tuple[str | int, ...], adapter: type, error: ValidationError
) -> Iterator[BindingProblem]:
    known = sorted(settings_model(adapter).model_fields)
    for detail in error.errors(include_url=False):
        name = str(detail["loc"][0]) if detail["loc"] else ""
        if detail["type"] == "extra_forbidden":
            close = difflib.get_close_matches(name, known, n=1)
            reason = f"is not a setting; known: {', '.join(known) or 'none'}"
            yield BindingProblem((*place, *detail["loc"]), reason, close[0] if close else None)
        else:
            reason = "is missing" if detail["type"] == "missing" else detail["msg"]
            yield BindingProblem((*place, *detail["loc"]), reason)
