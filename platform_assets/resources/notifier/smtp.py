"""Notifications by e-mail: one message of text and HTML to all recipients.

Owns the message and how it is carried: TLS from the first byte on port 465, STARTTLS elsewhere. Refuses to log in
without TLS, to go on where a server does not offer the TLS that was asked for, and certificates it cannot check.
"""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime, formataddr, make_msgid
from html import escape
from ipaddress import ip_address
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    PartialError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.spec import Spec
from platform_assets.ports import Notification, Secret
from platform_assets.resources.redaction import redact

Address = Annotated[str, Field(pattern=r"^[^@\s<>,;\"]+@[^@\s<>,;\"]+$", max_length=320)]


class SmtpNotifierSettings(Spec):
    """``ca_file``: certificates to trust besides the system's, for a private mail server."""

    timeout_seconds: Annotated[float, Field(gt=0, le=120)] = 30.0
    ca_file: str | None = None
    implicit_tls_ports: frozenset[int] = frozenset({465})


class _Channel(BaseModel):
    """What of a notification's ``settings`` is e-mail's; the rest is other people's."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, arbitrary_types_allowed=True, hide_input_in_errors=True
    )

    smtp_host: Annotated[str, Field(min_length=1)]
    timeout_seconds: float | None = None
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 587
    smtp_use_tls: bool = True
    username: str | None = None
    password: str | Secret | None = None
    from_email: Address
    from_name: str = ""
    to_emails: Annotated[Sequence[Address], Field(min_length=1)]
    cc_emails: Sequence[Address] = ()
    subject_prefix: str = ""

    @property
    def recipients(self) -> list[str]:
        return list(dict.fromkeys([*self.to_emails, *self.cc_emails]))

    @property
    def server(self) -> str:
        return f"{self.smtp_host}:{self.smtp_port}"

    @property
    def plain_password(self) -> str:
        return (self.password.reveal() if isinstance(self.password, Secret) else self.password) or ""

    @property
    def secrets(self) -> tuple[str, str]:
        """The password, and as AUTH PLAIN sends it (RFC 4616), which servers repeat in base64."""
        return self.plain_password, f"\0{self.username}\0{self.plain_password}"


class SmtpNotifier:
    """See ``ports.Notifier``. One attempt a call: who repeats, and when, is decided where the history is kept."""

    def __init__(self, settings: SmtpNotifierSettings | None = None) -> None:
        self.settings = settings or SmtpNotifierSettings()

    def send(self, notification: Notification) -> str:
        """Returns the Message-ID. PartialError names the recipients a server refused, also where it took others."""
        channel = _channel(notification.settings)
        _require_safe(channel)
        letter = message(notification, channel, datetime.now(UTC))
        with (
            _translated(channel, sent=False),
            self._connected(channel) as server,
            _translated(channel, sent=True),
        ):
            refused = server.send_message(letter, channel.from_email, channel.recipients)
        if refused:
            names = ", ".join(f"{name} ({code})" for name, (code, _) in sorted(refused.items()))
            raise PartialError(f"smtp {channel.server}: sent, but refused for {names}")
        return str(letter["Message-ID"])

    @contextmanager
    def _connected(self, channel: _Channel) -> Iterator[smtplib.SMTP]:
        implicit = channel.smtp_use_tls and channel.smtp_port in self.settings.implicit_tls_ports
        kind = {"context": self._context()} if implicit else {}
        opener: Any = smtplib.SMTP_SSL if implicit else smtplib.SMTP
        with opener(
            channel.smtp_host,
            channel.smtp_port,
            timeout=channel.timeout_seconds or self.settings.timeout_seconds,
            **kind,
        ) as server:
            if channel.smtp_use_tls and not implicit:
                server.starttls(context=self._context())
            _log_in(server, channel)
            yield server

    def _context(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.settings.ca_file:
            context.load_verify_locations(self.settings.ca_file)
        return context


def message(notification: Notification, channel: Any, now: datetime) -> EmailMessage:
    """multipart/alternative. Subject ``{prefix} {SEVERITY}: {subject}``; line ends in headers become blanks."""
    letter = EmailMessage()
    title = f"{channel.subject_prefix} {notification.severity.upper()}: {notification.subject}"
    letter["Subject"] = " ".join(title.split())
    letter["From"] = formataddr((" ".join(channel.from_name.split()), channel.from_email))
    letter["To"] = ", ".join(channel.to_emails)
    if channel.cc_emails:
        letter["Cc"] = ", ".join(channel.cc_emails)
    letter["Date"] = format_datetime(now)
    letter["Message-ID"] = make_msgid(domain=channel.from_email.rpartition("@")[2])
    letter["Auto-Submitted"] = "auto-generated"
    letter.set_content(_text(notification))
    letter.add_alternative(_html(notification), subtype="html")
    return letter


def _text(notification: Notification) -> str:
    lines = "".join(f"\n{key}: {value}" for key, value in notification.fields.items())
    return f"{notification.text}\n{lines}\n"


def _html(notification: Notification) -> str:
    """``notification.html`` is taken as it is (it is made by our templates); everything else is escaped."""
    body = notification.html or f"<pre>{escape(notification.text)}</pre>"
    rows = "".join(
        f"<tr><th align='left'>{escape(key)}</th><td>{escape(value)}</td></tr>"
        for key, value in notification.fields.items()
    )
    table = f"<table cellpadding='4'>{rows}</table>" if rows else ""
    return f"<!doctype html><html><body>{body}{table}</body></html>\n"


def _require_safe(channel: _Channel) -> None:
    if channel.username and not channel.smtp_use_tls and not _is_loopback(channel.smtp_host):
        raise ConfigError(f"smtp {channel.server}: a password is never sent without TLS; set smtp_use_tls")


def _log_in(server: smtplib.SMTP, channel: _Channel) -> None:
    if channel.username:
        server.login(channel.username, channel.plain_password)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _channel(settings: Mapping[str, Any]) -> _Channel:
    try:
        return _Channel.model_validate(dict(settings))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors(include_input=False)
        )
        # pydantic's own error holds the input, which may be the password.
        raise ConfigError(f"smtp: {wrong}") from None


@contextmanager
def _translated(channel: _Channel, *, sent: bool) -> Iterator[None]:
    """smtplib's errors in ours, without the password: servers repeat what they refuse, so their own words are not
    chained either."""
    try:
        yield
    except (smtplib.SMTPException, OSError) as error:
        raise _known(error, channel, sent=sent) from None


def _known(error: smtplib.SMTPException | OSError, channel: _Channel, *, sent: bool) -> PlatformError:
    """4xx may pass, 5xx will not (RFC 5321, 4.2.1); a connection lost once the message was being ``sent`` leaves open
    whether it was taken."""

    def told(text: bytes | str | None) -> str:
        return f"smtp {channel.server}: {redact(_words(text), channel.secrets)}"

    match error:
        case smtplib.SMTPAuthenticationError():
            return AuthError(told(f"{error.smtp_code} {_words(error.smtp_error)}"))
        case smtplib.SMTPRecipientsRefused():
            answers = [(code, f"{name}: {_words(text)}") for name, (code, text) in error.recipients.items()]
            return _by_code(told, answers)
        case smtplib.SMTPResponseException():
            return _by_code(told, [(error.smtp_code, _words(error.smtp_error))])
        case smtplib.SMTPServerDisconnected():
            return RetryableError(told(str(error)), effect_unknown=sent)
        case smtplib.SMTPException():
            return RejectedError(told(str(error)))
        case ssl.SSLCertVerificationError():
            return RejectedError(told(f"the server's certificate is not trusted: {error.verify_message}"))
        case ssl.SSLError():
            return RejectedError(told(f"no TLS connection: {error.reason}"))
        case _:
            return RetryableError(told(error.strerror or str(error)), effect_unknown=sent)


def _by_code(
    told: Callable[[str], str], answers: Sequence[tuple[int, str]]
) -> RejectedError | RetryableError:
    text = told("; ".join(f"{code} {words}" for code, words in answers))
    return RetryableError(text) if all(code < 500 for code, _ in answers) else RejectedError(text)


def _words(text: bytes | str | None) -> str:
    return text.decode(errors="replace") if isinstance(text, bytes) else str(text)
