"""Notifications to a Slack channel by incoming webhook.

Owns the message's look (header, message, fields, colour by severity) and the rule that people are mentioned on
``critical`` only. Everything that comes from outside is escaped, so no text can mention anybody. The webhook's
address is a secret: it is never part of an error, a log line or a repr.
Source: docs.slack.dev, incoming webhooks, block kit, formatting text.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.spec import Spec
from platform_assets.ports import Notification, Secret
from platform_assets.resources.redaction import redact

if TYPE_CHECKING:
    import httpx

COLOURS: Mapping[str, str] = {
    "info": "#36a64f",
    "warning": "#ff9900",
    "error": "#ff0000",
    "critical": "#8b0000",
}
_HEADER, _SECTION, _FIELD, _FIELDS_PER_SECTION, _MAX_FIELDS = 150, 3000, 2000, 10, 100
_ANSWERS: Mapping[int, type[RejectedError]] = {403: AuthError, 404: NotFoundError, 410: NotFoundError}


class SlackNotifierSettings(Spec):
    """``webhook_prefix``: no message goes to an address that begins otherwise."""

    webhook_prefix: str = "https://hooks.slack.com/"
    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 30.0


class _Channel(BaseModel):
    """What of a notification's ``settings`` is Slack's; the rest is other people's."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    webhook_url: str | Secret
    timeout_seconds: float | None = None
    channel: str | None = None
    username: str | None = None
    icon_emoji: str | None = None
    mention_users: Sequence[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]+$")]] = ()
    mention_channel: bool = False


class SlackNotifier:
    """See ``ports.Notifier``. One attempt a call: who repeats, and when, is decided where the history is kept."""

    def __init__(self, settings: SlackNotifierSettings | None = None) -> None:
        self.settings = settings or SlackNotifierSettings()

    def send(self, notification: Notification) -> str:
        """Slack gives deliveries no id, so ``""``. RetryableError carries Slack's ``Retry-After``."""
        channel = _channel(notification.settings)
        url = self._url(channel)
        timeout = channel.timeout_seconds or self.settings.timeout_seconds
        answer = self._post(url, payload(notification, channel), timeout)
        if answer.status_code != 200:
            raise _refusal(answer, url)
        return ""

    def _url(self, channel: _Channel) -> str:
        found = channel.webhook_url
        url = found.reveal() if isinstance(found, Secret) else found
        if not url.startswith(self.settings.webhook_prefix):
            raise ConfigError(
                f"slack: the webhook's address does not begin with {self.settings.webhook_prefix}"
            )
        return url

    def _post(self, url: str, message: Mapping[str, Any], timeout: float) -> httpx.Response:
        import httpx

        # httpx logs every address at INFO.
        logging.getLogger("httpx").setLevel(logging.WARNING)
        try:
            return httpx.post(
                url,
                json=message,
                timeout=timeout,
                follow_redirects=False,
                trust_env=False,
            )
        except httpx.InvalidURL:
            raise ConfigError("slack: the webhook's address is not a URL") from None
        except httpx.TransportError as error:
            # The request in the exception holds the address, so the exception is not chained.
            sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
            raise RetryableError(f"slack: {type(error).__name__}", effect_unknown=sent) from None


def payload(notification: Notification, channel: Any) -> dict[str, Any]:
    """The webhook's JSON. ``text`` is what phones show; the coloured attachment holds the blocks."""
    mentions = _mentions(channel) if notification.severity == "critical" else []
    named = {"channel": channel.channel, "username": channel.username, "icon_emoji": channel.icon_emoji}
    fallback = " ".join([*mentions, f"{notification.severity.upper()}: {_escaped(notification.subject)}"])
    attachment = {"color": COLOURS[notification.severity], "blocks": _blocks(notification)}
    return {key: value for key, value in named.items() if value} | {
        "text": _cut(fallback, _SECTION),
        "attachments": [attachment],
    }


def _blocks(notification: Notification) -> list[dict[str, Any]]:
    title = " ".join(f"{notification.severity.upper()}: {notification.subject}".split())
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _cut(title, _HEADER)}}
    ]
    if notification.text:
        blocks.append({"type": "section", "text": _markdown(notification.text, _SECTION)})
    fields = [
        {"type": "mrkdwn", "text": _cut(f"*{_escaped(key)}*\n{_escaped(value)}", _FIELD)}
        for key, value in list(notification.fields.items())[:_MAX_FIELDS]
    ]
    for start in range(0, len(fields), _FIELDS_PER_SECTION):
        blocks.append({"type": "section", "fields": fields[start : start + _FIELDS_PER_SECTION]})
    return blocks


def _mentions(channel: _Channel) -> list[str]:
    users = [f"<@{user}>" for user in channel.mention_users]
    return [*users, "<!channel>"] if channel.mention_channel else users


def _markdown(text: str, longest: int) -> dict[str, str]:
    return {"type": "mrkdwn", "text": _cut(_escaped(text), longest)}


def _escaped(text: str) -> str:
    """Slack's three control characters; without them there is no link and no mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _channel(settings: Mapping[str, Any]) -> _Channel:
    try:
        return _Channel.model_validate(dict(settings))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        # pydantic's own error holds the input, which may be the webhook.
        raise ConfigError(f"slack: {wrong}") from None


def _refusal(answer: httpx.Response, url: str) -> PlatformError:
    """A proxy's error page may name the path, whose last part is the key to the channel."""
    said = redact(answer.text, (url, urlsplit(url).path, url.rpartition("/")[2])).strip()
    text = f"slack: HTTP {answer.status_code}: {_cut(said, 200)}"
    if answer.status_code == 429 or answer.status_code >= 500:
        wish = answer.headers.get("Retry-After", "")
        return RetryableError(
            text,
            retry_after=float(wish) if wish.isdigit() else None,
            # A gateway does not know what became of the request; Slack itself does.
            effect_unknown=answer.status_code in (502, 504),
        )
    return _ANSWERS.get(answer.status_code, RejectedError)(text)
