"""``platform-assets doctor``: does everything that the configuration names really exist?

Opens each adapter of the deployment and resolves every secret of every active tenant that runs something. Values are
never shown, not even their length. Nothing is written anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from platform_assets.engine.deployment import AdapterSpec
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.resources.bindings import create

Look = Callable[[Any, Configuration], None]


@dataclass(frozen=True)
class Finding:
    """One thing that was tried: ``error`` empty means that it is there."""

    what: str
    error: str = ""

    @property
    def ok(self) -> bool:
        return not self.error


def examine(configuration: Configuration) -> Iterator[Finding]:
    """Adapters first, then secrets; one finding for each, whatever the others say."""
    ports = configuration.deployment.ports
    for name, spec in configuration.deployment.resources().items():
        yield _try(f"{name} ({spec.kind})", partial(_open, name, spec, configuration))
    for port, named in (
        ("notifier", ports.notifiers),
        ("queue", ports.queues),
        ("topic", ports.topics),
    ):
        for name, spec in sorted(named.items()):
            yield _try(f"{port} {name} ({spec.kind})", partial(_open, port, spec, configuration))
    yield from _secrets(configuration)


def _try(what: str, attempt: Callable[[], object]) -> Finding:
    try:
        attempt()
    except PlatformError as error:
        return Finding(what, str(error) or type(error).__name__)
    return Finding(what)


def _open(port: str, spec: AdapterSpec, configuration: Configuration) -> None:
    adapter = create(port, spec.kind, spec.settings)
    try:
        _LOOKS.get(port, _nothing)(adapter, configuration)
    finally:
        close = getattr(adapter, "close", None)
        if close:
            close()


def _nothing(adapter: Any, configuration: Configuration) -> None:
    """Opening is all that can be done without sending something."""


def _describe(warehouse: Any, configuration: Configuration) -> None:
    for tenant in list(configuration.tenants)[:1]:
        warehouse.describe(tenant, TableName("metadata", "pipeline_runs"))


def _list(store: Any, configuration: Configuration) -> None:
    next(iter(store.list("doctor/")), None)


def _base_urls(http: Any, configuration: Configuration) -> None:
    """Refused addresses come out here; no request is made."""
    from platform_assets.engine.ingestion.spec import NoAuth

    for provider in configuration.providers.values():
        if isinstance(provider.auth, NoAuth):
            http.open(provider, None)


_LOOKS: dict[str, Look] = {"warehouse": _describe, "object_store": _list, "http": _base_urls}


def _secrets(configuration: Configuration) -> Iterator[Finding]:
    spec = configuration.deployment.ports.secrets
    try:
        store = create("secrets", spec.kind, spec.settings)
    except PlatformError:
        return  # told already, where the port was opened
    for tenant in configuration.tenants.values():
        if configuration.tenant_pipelines(tenant.tenant):
            yield from (_secret(store, tenant, name) for name in secret_names(tenant))


def _secret(store: Any, tenant: TenantSpec, name: str) -> Finding:
    return _try(f"secret {tenant.tenant}/{name}", partial(store.get, tenant.tenant, name))


def secret_names(tenant: TenantSpec) -> list[str]:
    """Every secret that a tenant file names, sorted, each once."""
    names = {c.secret for c in tenant.credentials} | {tenant.notifications.slack_webhook_secret}
    return sorted(name for name in names if name)
