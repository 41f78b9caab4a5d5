"""Notifications to any service that Apprise knows (PagerDuty, Opsgenie, Teams, Telegram, a webhook of one's own, …).

The channel's ``service_url`` holds the service's credentials, so it is a secret, part of no error and no log line.
Refuses services that the deployment does not list, since Apprise also writes files and calls programs, and addresses
without TLS that lead off this machine. Redirects are not followed.
Source: appriseit.com, "Services".
"""

from __future__ import annotations

import logging
import re
import warnings
from collections.abc import Sequence
from ipaddress import ip_address
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import Field

from platform_assets.engine.errors import AuthError, ConfigError, PlatformError, RejectedError, RetryableError
from platform_assets.engine.spec import Spec
from platform_assets.ports import Notification, Secret

_PLAIN = frozenset({"json", "xml", "form"})  # webhooks without TLS
_KINDS = {"info": "info", "warning": "warning", "error": "failure", "critical": "failure"}
_STATUS = re.compile(r"\berror=(\d{3})\b")


class AppriseNotifierSettings(Spec):
    """``schemas``: what may stand before ``://`` in a channel's address."""

    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 30.0
    schemas: frozenset[str] = frozenset(
        {
            *(
                "discord",
                "form",
                "forms",
                "gchat",
                "json",
                "jsons",
                "mattermosts",
                "mmosts",
                "msteams",
                "ntfys",
            ),
            *("opsgenie", "pagerduty", "pover", "rockets", "tgram", "victorops", "webexteams", "workflows"),
            *("xml", "xmls", "zulip"),
        }
    )


class AppriseNotifier:
    """See ``ports.Notifier``. One attempt a call: who repeats, and when, is decided where the history is kept."""

    def __init__(self, settings: AppriseNotifierSettings | None = None) -> None:
        self.settings = settings or AppriseNotifierSettings()

    def send(self, notification: Notification) -> str:
        """Apprise gives no ids, so ``""``. Its services say no more than a status code, if that."""
        url = self._url(notification.settings.get("service_url"))
        timeout = float(notification.settings.get("timeout_seconds") or self.settings.timeout_seconds)
        service = self._service(url)
        said: list[str] = []
        result: Any = service.notify(
            body=_body(notification),
            title=" ".join(f"{notification.severity.upper()}: {notification.subject}".split()),
            notify_type=_KINDS[notification.severity],
            body_format="text",
            timeout=timeout,
            log_callback=lambda entry, _: said.append(str(entry.message)),
        )
        if not result:
            raise _refusal(result, said)
        return ""

    def _url(self, found: str | Secret | None) -> str:
        url = found.reveal() if isinstance(found, Secret) else found
        schema = (url or "").partition("://")[0].lower()
        if not url or schema not in self.settings.schemas:
            raise ConfigError(
                f"service: the address must begin with one of {', '.join(sorted(self.settings.schemas))}"
            )
        if schema in _PLAIN and not _is_loopback(url):
            raise ConfigError(f"service: {schema}:// sends in plain text; use {schema}s://")
        return url

    def _service(self, url: str) -> Any:
        with (
            warnings.catch_warnings()
        ):  # loading, it tries a module of the standard library that 3.13 has dropped
            warnings.simplefilter("ignore", DeprecationWarning)
            return self._loaded(url)

    def _loaded(self, url: str) -> Any:
        """The library is loaded on the first notification, and all its services with it: half a second."""
        import apprise

        # Both write whole addresses at DEBUG.
        logging.getLogger("apprise").setLevel(logging.WARNING)
        logging.getLogger("urllib3.connectionpool").setLevel(logging.INFO)
        asset = apprise.AppriseAsset(secure_logging=True, app_id="platform", app_desc="platform", app_url="")
        asset.http_redirects = False
        asset.async_mode = False
        service = apprise.Apprise(asset=asset)
        if not service.add(url):
            raise ConfigError("service: the address is not one that Apprise understands")
        return service


def _body(notification: Notification) -> str:
    lines = "".join(f"\n{name}: {value}" for name, value in notification.fields.items())
    return f"{notification.text}\n{lines}"


def _refusal(result: Any, said: Sequence[str]) -> PlatformError:
    """By the status code where there is one. Without one nobody knows more than that it was not a success: it is tried
    again, and after a timeout it may have been taken."""
    status = next((int(m[1]) for text in said if (m := _STATUS.search(text))), None)
    if status is None:
        late = getattr(result, "status", None) is not None and result.status.name == "TIMEOUT"
        return RetryableError("service: no answer" if late else "service: not delivered", effect_unknown=late)
    text = f"service: HTTP {status}"
    if status == 429 or status >= 500:
        return RetryableError(text, effect_unknown=status in (502, 504))
    return AuthError(text) if status in (401, 403) else RejectedError(text)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
