"""Declared event types: each file by itself, then that no two of them fill one table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

from platform_assets.config.document import Document
from platform_assets.config.reading import nearest, one_of
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import Problem
from platform_assets.engine.events.spec import EventSpec, check

Events = Mapping[str, tuple[Document, EventSpec]]


def event_problems(document: Document, spec: EventSpec) -> list[Problem]:
    """What is wrong with one event type that its model accepts: columns, and what refers to them."""
    return [document.problem(found.location, found.reason, found.nearest) for found in check(spec)]


def shared_tables(events: Events) -> Iterator[Problem]:
    """Two event types in one table would take each other's columns and keys for their own."""
    tables: dict[str, str] = {}
    for event_type, (document, spec) in sorted(events.items()):
        if (other := tables.setdefault(spec.table.lower(), event_type)) != event_type:
            yield document.problem(("table",), f"{spec.table!r} is the table of event type {other!r}")


def owner_problems(document: Document, deployment: DeploymentSpec, tenants: Set[str]) -> Iterator[Problem]:
    """``events.tenant`` of a deployment must be a tenant."""
    tenant = deployment.events.tenant
    if tenant is not None and tenant not in tenants:
        reason = f"there is no tenant {tenant!r}; known: {one_of(tenants)}"
        yield document.problem(("events", "tenant"), reason, nearest(tenant, tenants))
