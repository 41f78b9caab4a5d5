"""What a notification file may say: channels, which event goes where, how often, and when not.

Secrets are never written: a value is ``${NAME}``, filled from the environment, or ``…_secret`` names it in the
tenant's secret store.
"""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, model_validator

from platform_assets.engine.cron import check_cron
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.spec import Identifier
from platform_assets.engine.notifications.events import DEFAULTS, Event, Severity
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import SecretName

SECONDS_A_WEEK = 604_800


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{name!r} is not a timezone; write Europe/Berlin or UTC") from None
    return name


def _cron(text: str) -> str:
    try:
        check_cron(text)
    except ConfigError as error:
        raise ValueError(str(error)) from None
    return text


Timezone = Annotated[str, AfterValidator(_timezone)]
Cron = Annotated[str, AfterValidator(_cron)]
Address = Annotated[str, Field(pattern=r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$", max_length=320)]
SecretValue = Annotated[str, Field(min_length=1)]  # never given a pattern: a mismatch would be shown
Channels: TypeAlias = Literal["all"] | Annotated[list[Identifier], Field(min_length=1)]


def _exactly_one(spec: Spec, *names: str) -> None:
    if sum(getattr(spec, name) is not None for name in names) != 1:
        raise ValueError(f"needs exactly one of {' and '.join(names)}")


class SlackChannel(Spec):
    """An incoming webhook. Mentions appear on critical notifications only."""

    type: Literal["slack"]
    channel_id: Identifier
    enabled: bool = True
    webhook_url: SecretValue | None = Field(None, repr=False)
    webhook_secret: SecretName | None = None
    channel: str | None = None
    username: str | None = None
    icon_emoji: str | None = None
    mention_users: list[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")]] = []
    mention_channel: bool = False

    @model_validator(mode="after")
    def _one_webhook(self) -> SlackChannel:
        _exactly_one(self, "webhook_url", "webhook_secret")
        return self


class EmailChannel(Spec):
    """One message to all recipients by SMTP; TLS unless it is switched off."""

    type: Literal["email"]
    channel_id: Identifier
    enabled: bool = True
    smtp_host: Annotated[str, Field(min_length=1)]
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_use_tls: bool = True
    username: str | None = None
    password: SecretValue | None = Field(None, repr=False)
    password_secret: SecretName | None = None
    from_email: Address
    from_name: str = ""
    to_emails: Annotated[list[Address], Field(min_length=1)]
    cc_emails: list[Address] = []
    subject_prefix: str = ""

    @model_validator(mode="after")
    def _one_password(self) -> EmailChannel:
        if self.password is not None and self.password_secret is not None:
            raise ValueError("takes password or password_secret, not both")
        return self


class ServiceChannel(Spec):
    """Any other service, by an Apprise URL (``pagerduty://…``, ``jsons://…``), which holds its credentials."""

    type: Literal["service"]
    channel_id: Identifier
    enabled: bool = True
    service_url: SecretValue | None = Field(None, repr=False)
    service_url_secret: SecretName | None = None

    @model_validator(mode="after")
    def _one_url(self) -> ServiceChannel:
        _exactly_one(self, "service_url", "service_url_secret")
        return self


Channel: TypeAlias = Annotated[SlackChannel | EmailChannel | ServiceChannel, Field(discriminator="type")]
# What of a channel is a secret: the field, and the field that names it in the secret store.
SECRET_FIELDS = {
    "webhook_url": "webhook_secret",
    "password": "password_secret",
    "service_url": "service_url_secret",
}


class EventTrigger(Spec):
    """What happens on an event. What is not said has the event's own default (``events.DEFAULTS``).

    ``batch_window_seconds``: collect what comes for so long after the first, and send one digest.
    ``escalate_after_minutes``: tell ``escalate_to`` unless somebody acknowledged the notification by then.
    """

    event: Event
    enabled: bool = True
    severity: Severity | None = None
    channels: Channels = "all"
    template: Identifier | None = None
    cooldown_seconds: Annotated[int, Field(ge=0, le=SECONDS_A_WEEK)] | None = None
    batch_window_seconds: Annotated[int, Field(ge=0, le=86_400)] = 0
    quiet: bool = True
    escalate_after_minutes: Annotated[int, Field(ge=1, le=10_080)] | None = None
    escalate_to: list[Identifier] = []

    @model_validator(mode="after")
    def _escalates_somewhere(self) -> EventTrigger:
        if (self.escalate_after_minutes is None) != (not self.escalate_to):
            raise ValueError("escalate_after_minutes and escalate_to belong together")
        return self

    @property
    def cooldown(self) -> int:
        given = self.cooldown_seconds
        return DEFAULTS[self.event].cooldown_seconds if given is None else given


class RetryConfig(Spec):
    """Attempts per delivery, the first one included. Only errors that may pass are tried again."""

    max_attempts: Annotated[int, Field(ge=1, le=10)] = 3
    initial_delay_seconds: Annotated[float, Field(ge=0, le=3600)] = 5
    max_delay_seconds: Annotated[float, Field(ge=0, le=86_400)] = 300
    exponential_backoff: bool = True


class QuietHours(Spec):
    """From ``start`` to ``end`` (local time, over midnight where start is later) only ``critical`` goes out; the rest
    waits until ``end``."""

    start: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    end: Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    timezone: Timezone = "UTC"

    @model_validator(mode="after")
    def _not_empty(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end are the same minute")
        return self


Section = Literal["total_cost", "wow_comparison", "top_providers", "top_services", "budget_status"]


class Summary(Spec):
    """A report of spend at the times of ``schedule_cron``, about the last complete day, seven days or month."""

    summary_id: Identifier
    name: Annotated[str, Field(min_length=1)]
    enabled: bool = True
    summary_type: Literal["daily", "weekly", "monthly"]
    schedule_cron: Cron
    schedule_timezone: Timezone = "UTC"
    channels: Channels = "all"
    include_sections: Annotated[list[Section], Field(min_length=1)] = [
        "total_cost",
        "wow_comparison",
        "top_providers",
        "top_services",
        "budget_status",
    ]
    top_n_items: Annotated[int, Field(ge=1, le=20)] = 5
    provider: Identifier | None = None


class NotificationsSpec(Spec):
    """``notifications/config.json`` for everybody, ``<tenant>/notifications.json`` instead of it for one tenant.

    Without ``event_triggers`` every event has its default; with them only those that are listed are told.
    """

    enabled: bool = True
    timeout_seconds: Annotated[int, Field(ge=5, le=120)] = 30
    channels: list[Channel] = []
    event_triggers: list[EventTrigger] | None = None
    retry_config: RetryConfig = RetryConfig()
    quiet_hours: QuietHours | None = None
    summaries: list[Summary] = []

    @model_validator(mode="after")
    def _names_are_unique(self) -> NotificationsSpec:
        for what, names in (
            ("channel_id", [c.channel_id for c in self.channels]),
            ("event", [str(t.event) for t in self.event_triggers or ()]),
            ("summary_id", [s.summary_id for s in self.summaries]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} stands twice: {', '.join(twice)}")
        return self

    def trigger(self, event: Event) -> EventTrigger | None:
        """What to do on an event, or None where nobody is to be told."""
        if not self.enabled:
            return None
        if self.event_triggers is None:
            return EventTrigger(event=event) if DEFAULTS[event].enabled else None
        return next((t for t in self.event_triggers if t.event == event and t.enabled), None)

    def channel(self, channel_id: str) -> SlackChannel | EmailChannel | ServiceChannel | None:
        """A channel that is in use, or None."""
        return next((c for c in self.channels if c.channel_id == channel_id and c.enabled), None)

    def chosen(self, channels: Channels) -> tuple[str, ...]:
        """The ids of the channels in use among ``channels``, in file order; of ``escalate_to``, those only that a
        trigger escalates to are not part of ``all``."""
        reserve = (
            {name for t in self.event_triggers or () for name in t.escalate_to} if channels == "all" else ()
        )
        wanted = [c.channel_id for c in self.channels] if channels == "all" else channels
        return tuple(
            c.channel_id
            for c in self.channels
            if c.enabled and c.channel_id in wanted and c.channel_id not in reserve
        )
