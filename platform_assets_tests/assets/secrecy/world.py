"""The world outside: sources, webhooks and a mail server that echo every secret they know, in every form they can.

Each kind of source has one way to authenticate and is named after it. A day of the partitions is a way to answer, so
one run over all days meets all of them; the first day is the one on which everything goes well.
"""

from __future__ import annotations

import base64
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

TENANTS = ("acme1281", "globex")
REST = ("bearer", "header", "query", "basic", "oauth", "google")
THOROUGH = ("bearer", "query", "basic")  # these meet every way to answer
GONE = ("query_gone", "basic_gone")  # nobody listens there
REFUSED = ("oauth_refused", "google_refused")  # no token is given out
CLOUD = ("s3", "bigquery")
KINDS = (*REST, *GONE, *REFUSED, *CLOUD)
FIRST = date(2026, 3, 1)


@dataclass
class World:
    """``asked``: (kind, how) of every answer that was given; ``gone_port``: nobody listens there."""

    http: HTTPServer
    gone_port: int
    smtp_port: int = 0
    asked: set[tuple[str, str]] = field(default_factory=set)
    logins: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http.port}"

    def secrets(self, tenant: str) -> dict[str, str]:
        """Values as a tenant's secret store holds them, by name; characters in them that every encoding changes."""
        gone = tenant == TENANTS[1]
        hooks = f"http://127.0.0.1:{self.gone_port}" if gone else self.url
        host = hooks.partition("//")[2]
        return {
            "bearer": f'bea"rer/{tenant}+s&cret<0123456789',
            "header": f'hea"der/{tenant}+s&cret<0123456789',
            "query": f'que"ry/{tenant}+s&cret<0123456789',
            "basic": f'user-{tenant}:ba"sic/{tenant}+s&cret<0123',
            "oauth": f'client-{tenant}:oau"th/{tenant}+s&cret<0123',
            "google": service_account(tenant, self.url),
            "s3": f"AKIA{tenant.upper()}:s3/{tenant}+s&cret<0123456789",
            "bigquery": service_account(tenant, self.url),
            "slack_hook": f"{hooks}/hooks/slack/{tenant}-hook+0123456789",
            "smtp_password": f"smtp/{tenant}+p&ss<0123456789",
            "service_address": f"json://svc-{tenant}:appr1se-{tenant}-0123@{host}/hooks/service/{tenant}-t0ken-0123",
        }

    def needles(self, tenant: str) -> dict[str, list[str]]:
        """Kind → the texts of a tenant's that must be nowhere."""
        found = {name: _parts(name, value) for name, value in self.secrets(tenant).items()}
        for kind in ("oauth", "google"):
            found[kind].append(token(kind, tenant))
        return found

    # --- Answers ------------------------------------------------------------------------------------------------------

    def answer(self, request: Request) -> Response:
        kind, _, rest = request.path.strip("/").partition("/")
        if kind == "hooks":
            return self._hook(rest.partition("/")[0], request)
        if kind in CLOUD:
            return self._cloud(kind, request)
        if rest.startswith("token"):
            return self._token(kind, request)
        day = date.fromisoformat(request.args["day"])
        mode = MODES[(day - FIRST).days]
        self.asked.add((kind, mode.__name__))
        return mode(self, kind, request)

    def echo(self, tenant: str, kind: str, write: Callable[[str], str] = str) -> str:
        return " ".join(write(secret) for secret in self.needles(tenant)[kind])

    def _token(self, kind: str, request: Request) -> Response:
        who = next(tenant for tenant in TENANTS if tenant in _decoded(request))
        if kind in REFUSED:
            self.asked.add((kind, "refused"))
            return Response(f"{received(request)} {self.echo(who, kind.partition('_')[0])}", status=401)
        return Response(json.dumps({"access_token": token(kind, who), "expires_in": 3600}))

    def _cloud(self, kind: str, request: Request) -> Response:
        self.asked.add((kind, "refused"))
        said = escape(received(request))  # it never gets the key itself, only what is signed with it
        if kind == "s3":
            return Response(
                f"<Error><Code>InvalidRequest</Code><Message>{said}</Message></Error>", status=400
            )
        return Response(json.dumps({"error": {"code": 400, "message": said}}), status=400)

    def _hook(self, kind: str, request: Request) -> Response:
        if "succeeded" in request.get_data(as_text=True):
            self.asked.add((kind, "taken"))
            return Response("ok")
        self.asked.add((kind, "refused"))
        who = next(tenant for tenant in TENANTS if tenant in request.path)
        names = {"slack": "slack_hook", "service": "service_address"}
        return Response(f"no such hook: {request.url} {self.echo(who, names[kind])}", status=404)

    def log_in(self, server: SMTP, session: Any, envelope: Any, mechanism: str, data: Any) -> AuthResult:
        """Two of three are refused, and told what they said."""
        assert isinstance(data, LoginPassword)
        self.logins += 1
        if self.logins % 3 == 0:
            self.asked.add(("smtp", "taken"))
            return AuthResult(success=True)
        self.asked.add(("smtp", "refused"))
        pair = base64.b64encode(b"\0" + data.login + b"\0" + data.password).decode()
        said = f"{data.password.decode()} {pair} {base64.b64encode(data.password).decode()}"
        return AuthResult(success=False, handled=False, message=f"535 5.7.8 wrong: {said}")


# --- Ways to answer --------------------------------------------------------------------------------------------------


def well(world: World, kind: str, request: Request) -> Response:
    """Two pages; the link to the second echoes the key, as some APIs do."""
    if "page" in request.args:
        return Response(json.dumps({"data": [{"id": "2"}]}))
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in request.args.items(multi=True))
    link = f"{world.url}{request.path}?{query}&page=2"
    return Response(json.dumps({"data": [{"id": "1"}], "next": link}))


def unauthorized(world: World, kind: str, request: Request) -> Response:
    return Response(received(request), status=401)


def forbidden(world: World, kind: str, request: Request) -> Response:
    return Response(_echo(world, kind, request, lambda s: f"{quote_plus(s)} {json.dumps(s)}"), status=403)


def bad_request(world: World, kind: str, request: Request) -> Response:
    said = _echo(world, kind, request, lambda s: base64.b64encode(f"x{s}".encode()).decode())
    return Response(said, status=400)


def unavailable(world: World, kind: str, request: Request) -> Response:
    return Response(" " * 1950 + _echo(world, kind, request), status=503)


def moved(world: World, kind: str, request: Request) -> Response:
    path = quote(_echo(world, kind, request).partition(" ")[0], safe="")
    return Response("", status=302, headers={"Location": f"https://elsewhere.example/{path}?key={path}"})


def broken(world: World, kind: str, request: Request) -> Response:
    return Response(f'{{"data": [], "key": {json.dumps(_echo(world, kind, request))} oops')


def elsewhere(world: World, kind: str, request: Request) -> Response:
    path = quote(_echo(world, kind, request).partition(" ")[0], safe="")
    return Response(json.dumps({"data": [], "next": f"https://elsewhere.example/{path}?key={path}"}))


def mistyped(world: World, kind: str, request: Request) -> Response:
    return Response(
        json.dumps({"data": [{"id": "1", "amount": _echo(world, kind, request).partition(" ")[0]}]})
    )


MODES = (well, unauthorized, forbidden, bad_request, unavailable, moved, broken, elsewhere, mistyped)


def _echo(world: World, kind: str, request: Request, write: Callable[[str], str] = str) -> str:
    return world.echo(request.args["tenant"], kind, write)


def received(request: Request) -> str:
    interesting = ("Authorization", "X-Key")
    headers = [request.headers[name] for name in interesting if name in request.headers]
    return " ".join([*headers, request.url, request.get_data(as_text=True)])


# --- Secrets ---------------------------------------------------------------------------------------------------------


@cache
def service_account(tenant: str, url: str) -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {"type": "service_account", "project_id": tenant, "private_key_id": "1"}
    account |= {"private_key": pem.decode(), "client_email": f"robot@{tenant}.example"}
    return json.dumps(account | {"token_uri": f"{url}/bigquery/token"})


def token(kind: str, tenant: str) -> str:
    return f"to/ken+{kind}={tenant}-0123456789"


def _parts(name: str, value: str) -> list[str]:
    if name in ("google", "bigquery"):
        key = str(json.loads(value)["private_key"])
        return [key, *(line for line in key.splitlines() if "PRIVATE KEY" not in line and len(line) > 20)]
    if name in ("basic", "oauth", "s3"):
        return [value.partition(":")[2], value]
    if name == "slack_hook":
        return [value.rpartition("/")[2], value]
    if name == "service_address":
        return [value.rpartition("/")[2], value.partition("@")[0].rpartition(":")[2], value]
    return [value]


def _decoded(request: Request) -> str:
    """What a token is asked for with, in readable form."""
    texts = [request.headers.get("Authorization", "").partition(" ")[2]]
    texts += request.form.get("assertion", "").split(".")[1:2]
    return " ".join(base64.b64decode(text + "==", b"-_").decode(errors="replace") for text in texts)


# --- Serving ---------------------------------------------------------------------------------------------------------


class _OnFreePort(Controller):
    """aiosmtpd wants to know its port beforehand, or fails its own start-up check."""

    def __init__(self, authenticator: Any) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        super().__init__(
            _Mailbox(), hostname="127.0.0.1", port=port, authenticator=authenticator, auth_require_tls=False
        )

    def _create_server(self) -> Any:
        return self.loop.create_server(self._factory_invoker, sock=self._socket, ssl=self.ssl_context)


class _Mailbox:
    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        return "250 OK"


@contextmanager
def world() -> Iterator[World]:
    with socket.socket() as gone, HTTPServer(host="127.0.0.1", port=0, threaded=True) as http:
        gone.bind(("127.0.0.1", 0))  # bound and never listening: refused
        made = World(http, gone.getsockname()[1])
        http.expect_request(re.compile(".*")).respond_with_handler(made.answer)
        mail = _OnFreePort(made.log_in)
        made.smtp_port = mail.port
        mail.start()
        try:
            yield made
        finally:
            mail.stop()
