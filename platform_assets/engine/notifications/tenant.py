"""Which notification configuration a tenant has: its own file instead of the root's, then what its tenant file says.

A disabled file means that nobody is told. It never falls back to the root's recipients.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from platform_assets.engine.notifications.message import NO_TEMPLATES, Template
from platform_assets.engine.notifications.spec import (
    EmailChannel,
    NotificationsSpec,
    ServiceChannel,
    SlackChannel,
)
from platform_assets.engine.tenancy import NotificationOverride

PLATFORM = "platform"  # in whose name runs are told that belong to no tenant
OFF = NotificationsSpec(enabled=False)


@dataclass(frozen=True)
class Notifications:
    """Everything read about notifications. ``tenants``: configuration by tenant, ``PLATFORM`` included.

    ``notes``: what was translated from an older shape, by file, for people to read.
    """

    tenants: Mapping[str, NotificationsSpec]
    templates: Mapping[str, Template] = field(default_factory=lambda: NO_TEMPLATES)
    notes: tuple[str, ...] = ()

    def of(self, tenant: str) -> NotificationsSpec:
        """The tenant's configuration; disabled for one that nobody knows."""
        return self.tenants.get(tenant, OFF)


NOBODY_TOLD = Notifications(MappingProxyType({}))


def for_tenant(
    root: NotificationsSpec | None, own: NotificationsSpec | None, override: NotificationOverride
) -> NotificationsSpec:
    """``own`` replaces ``root`` whole, also where it is disabled; ``override`` then replaces recipients."""
    chosen = own or root or OFF
    if not override.enabled:
        return chosen.model_copy(update={"enabled": False})
    return chosen.model_copy(update={"channels": [_overridden(c, override) for c in chosen.channels]})


def _overridden(
    channel: SlackChannel | EmailChannel | ServiceChannel, override: NotificationOverride
) -> SlackChannel | EmailChannel | ServiceChannel:
    if isinstance(channel, EmailChannel) and override.email_recipients:
        return channel.model_copy(update={"to_emails": list(override.email_recipients), "cc_emails": []})
    if isinstance(channel, SlackChannel):
        changes: dict[str, str | None] = {}
        if override.slack_webhook_secret:
            changes = {"webhook_url": None, "webhook_secret": override.slack_webhook_secret}
        if override.slack_channel:
            changes["channel"] = override.slack_channel
        return channel.model_copy(update=changes)
    return channel
