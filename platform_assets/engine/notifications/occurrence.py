"""What happened, and the jobs of telling it: one per channel.

The same happening, seen twice by two processes, gives the same job; that is all that keeps it from being told twice
before the cooldown looks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from platform_assets.engine.notifications.events import Event, Severity

if TYPE_CHECKING:
    from pydantic import TypeAdapter


T = TypeVar("T")


@dataclass(frozen=True)
class Occurrence:
    """``key`` names the happening among those of its tenant, event and subject. ``subject`` is the pipeline, or what
    stands in its place (an alert's id): the last part of the cooldown key.

    ``channels`` and ``cooldown_seconds``, where given, are those of the alert or summary that speaks, and win over
    the trigger's. ``sections``: headings with lines, for summaries. ``at`` has a timezone.
    """

    key: str
    tenant: str
    event: Event
    title: str
    message: str
    at: datetime
    subject: str = ""
    severity: Severity | None = None
    pipeline_id: str | None = None
    run_id: str | None = None
    rule_id: str | None = None
    summary_id: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
    sections: tuple[tuple[str, tuple[str, ...]], ...] = ()
    channels: tuple[str, ...] = ()
    cooldown_seconds: int | None = None

    @property
    def id(self) -> str:
        """The same wherever, and whenever, the happening is seen."""
        text = "\0".join((self.tenant, self.event, self.subject, self.key))
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()


@dataclass(frozen=True)
class Job:
    """One occurrence for one channel. ``not_before``: an escalation waits so long. ``escalates``: the notification that
    nobody acknowledged."""

    occurrence: Occurrence
    channel_id: str
    created_at: datetime
    not_before: datetime | None = None
    escalates: str | None = None

    @property
    def id(self) -> str:
        return f"{self.occurrence.id}-esc" if self.escalates else self.occurrence.id

    @property
    def cooldown_key(self) -> str:
        """(tenant, event, provider, pipeline); the provider is the channel, of which a tenant may have several."""
        o = self.occurrence
        return "|".join((o.tenant, o.event, self.channel_id, o.subject))


def dump(value: Any) -> bytes:
    """A frozen dataclass of this package as JSON."""
    kind: Any = type(value)
    return _adapter(kind).dump_json(value)


def parse(kind: type[T], data: bytes) -> T:
    """Read what ``dump`` wrote. ValueError where it is something else."""
    hashable: Any = kind
    found: T = _adapter(hashable).validate_json(data)
    return found


@cache
def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)
