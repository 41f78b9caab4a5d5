"""``platform-assets doctor``: does everything that the configuration names really exist?

Opens each adapter of the deployment and resolves every secret of every active tenant that runs something, and those of
the channels by which it and the platform are told. Values are never shown, not even their length. Nothing is written
anywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from platform_assets.engine.deployment import AdapterSpec
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.spec import SECRET_FIELDS, NotificationsSpec
from platform_assets.engine.notifications.tenant import PLATFORM
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
    for who, names in secret_names(configuration).items():
        yield from (_try(f"secret {who}/{name}", partial(store.get, who, name)) for name in names)


def secret_names(configuration: Configuration) -> dict[str, list[str]]:
    """Tenant → every secret that its runs and notifications need, sorted, each once; ``PLATFORM`` last."""
    told = configuration.notifications
    found = {
        name: _of_credentials(tenant) | _of_channels(told.of(name))
        for name, tenant in configuration.tenants.items()
        if configuration.tenant_pipelines(name)
    }
    return {
        who: sorted(names) for who, names in (found | {PLATFORM: _of_channels(told.of(PLATFORM))}).items()
    }


def _of_credentials(tenant: TenantSpec) -> set[str]:
    return {credential.secret for credential in tenant.credentials if credential.secret}


def _of_channels(spec: NotificationsSpec) -> set[str]:
    used = [channel for channel in spec.channels if spec.enabled and channel.enabled]
    named = (getattr(channel, name, None) for channel in used for name in SECRET_FIELDS.values())
    return {name for name in named if name}
