"""How this deployment takes events: whose they are, what becomes of types that nobody declared, where they are kept."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import TenantId


class EventSettings(Spec):
    """``tenant`` owns the events that name none; without it they are dead letters. ``undeclared``: an event type
    without a file in ``configs/events`` gets a table of what its events hold, or its events are dead letters.
    ``archive_prefix``: archived objects are ``<archive_prefix>/<tenant>/output/<event_type>/YYYY/MM/DD/HH/…``.
    ``batch_rows``: how many events are in memory as rows at once."""

    tenant: TenantId | None = None
    undeclared: Literal["infer", "dead_letter"] = "dead_letter"
    archive_prefix: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]*[A-Za-z0-9]$|^[A-Za-z0-9]$")
    ] = "events"
    batch_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 50_000
