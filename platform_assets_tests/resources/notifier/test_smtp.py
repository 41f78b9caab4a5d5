"""SMTP notifier against aiosmtpd: plain, STARTTLS and TLS from the first byte."""

from __future__ import annotations

import base64
import socket
import ssl
import traceback
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default as email_policy
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from platform_assets.engine.errors import AuthError, ConfigError, RejectedError, RetryableError
from platform_assets.ports import Notification, Secret
from platform_assets.resources.notifier.smtp import SmtpNotifier, SmtpNotifierSettings

PASSWORD = "pass-under-test"


class Mailbox:
    """aiosmtpd's handler: keeps what came, refuses whom it is told to."""

    def __init__(self) -> None:
        self.envelopes: list[Any] = []
        self.refuse: dict[str, str] = {}
        self.answer = "250 OK"

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:
        if address in self.refuse:
            return self.refuse[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        self.envelopes.append(envelope)
        return self.answer

    def letter(self) -> EmailMessage:
        (envelope,) = self.envelopes
        return message_from_bytes(envelope.content, policy=email_policy)  # type: ignore[return-value]


class OnFreePort(Controller):
    """aiosmtpd wants to know its port beforehand, or fails its own start-up check."""

    def __init__(self, handler: Any, **options: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        super().__init__(handler, hostname="127.0.0.1", port=self._socket.getsockname()[1], **options)

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket, ssl=self.ssl_context)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """A self-signed certificate for 127.0.0.1: (the file to trust, the server's context)."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    folder = tmp_path_factory.mktemp("tls")
    ca, pair = folder / "ca.pem", folder / "pair.pem"
    pem = made.public_bytes(serialization.Encoding.PEM)
    ca.write_bytes(pem)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    pair.write_bytes(private + pem)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(pair)
    return ca, context


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def serve(mailbox: Mailbox) -> Iterator[Callable[..., int]]:
    """Start servers for the mailbox; returns their ports."""
    running: list[OnFreePort] = []

    def start(**options: Any) -> int:
        running.append(OnFreePort(mailbox, **options))
        running[-1].start()
        return int(running[-1].port)

    yield start
    for controller in running:
        controller.stop()


def note(port: int, channel: dict[str, Any] | None = None, **changes: Any) -> Notification:
    settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "smtp_use_tls": False,
        "from_email": "platform@example.com",
        "from_name": "Data Platform",
        "to_emails": ["a@example.com", "b@example.com"],
        "cc_emails": ["c@example.com"],
        "subject_prefix": "[prod]",
        "retry_config": {"max_attempts": 3},
    } | (channel or {})
    given: dict[str, Any] = {
        "subject": "Pipeline failed",
        "text": "openai_costs stopped <here> – ü",
        "html": "<p>openai_costs <b>stopped</b></p>",
        "severity": "error",
        "fields": {"tenant": "acme1281", "rows": "<1 & 2>"},
        "settings": settings,
    } | changes
    return Notification(**given)


def login(user: str) -> dict[str, Any]:
    def check(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        right = (data.login, data.password) == (user.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=right)

    return {"authenticator": check, "auth_required": True}


def test_a_letter_of_text_and_html_reaches_all_recipients(mailbox: Mailbox, serve: Any) -> None:
    delivered = SmtpNotifier().send(note(serve()))
    letter = mailbox.letter()
    assert mailbox.envelopes[0].rcpt_tos == ["a@example.com", "b@example.com", "c@example.com"]
    assert letter["Subject"] == "[prod] ERROR: Pipeline failed"
    assert letter["From"] == "Data Platform <platform@example.com>"
    assert (letter["To"], letter["Cc"]) == ("a@example.com, b@example.com", "c@example.com")
    assert letter["Message-ID"] == delivered and delivered.endswith("@example.com>")
    assert letter.get_content_type() == "multipart/alternative"
    text, html = (part.get_content() for part in letter.iter_parts())
    assert text.splitlines() == ["openai_costs stopped <here> – ü", "", "tenant: acme1281", "rows: <1 & 2>"]
    assert "<p>openai_costs <b>stopped</b></p>" in html


def test_what_is_not_html_is_escaped(mailbox: Mailbox, serve: Any) -> None:
    SmtpNotifier().send(note(serve(), html="", text="<script>alert(1)</script>"))
    html = mailbox.letter().get_body(("html",)).get_content()  # type: ignore[union-attr]
    assert "<script>" not in html and "&lt;script&gt;" in html
    assert "&lt;1 &amp; 2&gt;" in html


def test_no_header_can_be_smuggled_in(mailbox: Mailbox, serve: Any) -> None:
    evil = "x\r\nBcc: victim@example.com"
    SmtpNotifier().send(note(serve(), {"from_name": evil, "subject_prefix": evil}, subject=evil))
    letter = mailbox.letter()
    assert letter["Bcc"] is None
    assert letter["Subject"].count("Bcc: victim@example.com") == 2


def test_starttls_with_log_in(mailbox: Mailbox, serve: Any, certificate: Any) -> None:
    ca, context = certificate
    port = serve(tls_context=context, require_starttls=True, **login("robot"))
    channel = {"smtp_use_tls": True, "username": "robot", "password": Secret(PASSWORD)}
    SmtpNotifier(SmtpNotifierSettings(ca_file=str(ca))).send(note(port, channel))
    assert len(mailbox.envelopes) == 1


def test_tls_from_the_first_byte(mailbox: Mailbox, serve: Any, certificate: Any) -> None:
    ca, context = certificate
    port = serve(ssl_context=context)
    settings = SmtpNotifierSettings(ca_file=str(ca), implicit_tls_ports=frozenset({port}))
    SmtpNotifier(settings).send(note(port, {"smtp_use_tls": True}))
    assert len(mailbox.envelopes) == 1


def test_a_wrong_password_is_an_auth_error_that_does_not_show_it(serve: Any, certificate: Any) -> None:
    ca, context = certificate
    port = serve(tls_context=context, **login("someone else"))
    channel = {"smtp_use_tls": True, "username": "robot", "password": PASSWORD}
    with pytest.raises(AuthError, match="535") as raised:
        SmtpNotifier(SmtpNotifierSettings(ca_file=str(ca))).send(note(port, channel))
    assert PASSWORD not in str(raised.value)


def test_a_refusal_that_repeats_the_password_is_not_shown_with_it(serve: Any, certificate: Any) -> None:
    ca, context = certificate

    def refuse(server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        pair = base64.b64encode(f"\0robot\0{PASSWORD}".encode()).decode()
        said = f"535 5.7.8 not {PASSWORD} nor {pair}"
        return AuthResult(success=False, handled=False, message=said)

    port = serve(tls_context=context, authenticator=refuse)
    channel = {"smtp_use_tls": True, "username": "robot", "password": Secret(PASSWORD)}
    with pytest.raises(AuthError, match=r"535 5\.7\.8 not \*\*\* nor \*\*\*") as raised:
        SmtpNotifier(SmtpNotifierSettings(ca_file=str(ca))).send(note(port, channel))
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))


def test_an_untrusted_certificate_is_refused(mailbox: Mailbox, serve: Any, certificate: Any) -> None:
    port = serve(tls_context=certificate[1])
    with pytest.raises(RejectedError, match="certificate is not trusted"):
        SmtpNotifier().send(note(port, {"smtp_use_tls": True}))
    assert mailbox.envelopes == []


def test_a_server_without_tls_is_not_used_when_tls_is_asked_for(mailbox: Mailbox, serve: Any) -> None:
    with pytest.raises(RejectedError, match="STARTTLS"):
        SmtpNotifier().send(note(serve(), {"smtp_use_tls": True}))
    assert mailbox.envelopes == []


def test_recipients_that_are_refused_are_named(mailbox: Mailbox, serve: Any) -> None:
    mailbox.refuse = {"b@example.com": "550 no such user"}
    with pytest.raises(RejectedError, match=r"sent, but refused for b@example\.com \(550\)"):
        SmtpNotifier().send(note(serve()))
    assert mailbox.envelopes[0].rcpt_tos == ["a@example.com", "c@example.com"]


@pytest.mark.parametrize(("code", "kind"), [(451, RetryableError), (550, RejectedError)])
def test_a_refusal_of_everybody_or_of_the_letter(
    mailbox: Mailbox, serve: Any, code: int, kind: type[Exception]
) -> None:
    port = serve()
    mailbox.answer = f"{code} not now"
    with pytest.raises(kind, match=f"{code} not now"):
        SmtpNotifier().send(note(port))
    mailbox.refuse = dict.fromkeys(("a@example.com", "b@example.com", "c@example.com"), f"{code} greylisted")
    with pytest.raises(kind, match=r"a@example\.com: greylisted"):
        SmtpNotifier().send(note(port))


def test_nobody_listening() -> None:
    with pytest.raises(RetryableError, match=r"smtp 127\.0\.0\.1:1") as raised:
        SmtpNotifier().send(note(1))
    assert not raised.value.effect_unknown


def test_a_silent_server_times_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(RetryableError, match="timed out"):
            SmtpNotifier(SmtpNotifierSettings(timeout_seconds=0.2)).send(note(port))


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ({"to_emails": []}, "to_emails"),
        ({"to_emails": ["nobody"]}, "to_emails.0"),
        ({"from_email": "a@b, c@d"}, "from_email"),
        ({"smtp_host": ""}, "smtp_host"),
        ({"smtp_host": "mail.example.com", "username": "u", "password": PASSWORD}, "never sent without TLS"),
    ],
)
def test_settings_that_cannot_be_used(channel: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        SmtpNotifier().send(note(1, channel))
    assert PASSWORD not in str(raised.value)
