"""Where the secret goes on the wire, per authentication type; tokens of OAuth 2."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.engine.errors import AuthError, RetryableError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets_tests.resources.http.conftest import FakeTime, Open


def basic(pair: str) -> str:
    return f"Basic {base64.b64encode(pair.encode()).decode()}"


@pytest.mark.parametrize(
    ("auth", "secret", "header", "value"),
    [
        ({"type": "bearer"}, "abc", "Authorization", "Bearer abc"),
        ({"type": "header", "header": "x-api-key"}, "abc", "x-api-key", "abc"),
        (
            {"type": "header", "header": "Authorization", "prefix": "Token "},
            "abc",
            "Authorization",
            "Token abc",
        ),
        ({"type": "basic"}, "me:pw", "Authorization", basic("me:pw")),
        ({"type": "basic", "username": "me"}, "p:w", "Authorization", basic("me:p:w")),
        ({"type": "none"}, None, "Authorization", None),
    ],
)
def test_headers(
    httpserver: HTTPServer, open_source: Open, auth: Any, secret: str | None, header: str, value: str | None
) -> None:
    seen: list[Request] = []
    httpserver.expect_request("/v1/items").respond_with_handler(lambda r: seen.append(r) or Response("{}"))
    open_source(secret, auth=auth).send(HttpRequest("GET", httpserver.url_for("/v1/items")))
    assert seen[0].headers.get(header) == value


def test_a_query_credential_is_sent_but_never_given_back(httpserver: HTTPServer, open_source: Open) -> None:
    seen: list[Request] = []
    httpserver.expect_request("/v1/items").respond_with_handler(lambda r: seen.append(r) or Response("{}"))
    source = open_source("abc", auth={"type": "query", "param": "key"})
    response = source.send(HttpRequest("GET", httpserver.url_for("/v1/items"), (("a", "1"),)))
    # A next link may echo the credential: it is replaced, not doubled.
    source.send(HttpRequest("GET", httpserver.url_for("/v1/items?key=abc&at=2")))
    assert [r.args.to_dict(flat=False) for r in seen] == [
        {"a": ["1"], "key": ["abc"]},
        {"at": ["2"], "key": ["abc"]},
    ]
    assert "abc" not in response.url


def test_basic_needs_a_pair(open_source: Open) -> None:
    with pytest.raises(AuthError, match="user:password"):
        open_source("nopair", auth={"type": "basic"})


# --- OAuth 2 ----------------------------------------------------------------------------------------------------


class TokenEndpoint:
    """Gives token-1, token-2, …; the API accepts ``valid`` only."""

    def __init__(self, server: HTTPServer, lifetime: float = 3600) -> None:
        self.issued = 0
        self.valid = ""
        self.lifetime = lifetime
        self.calls: list[Request] = []
        server.expect_request("/token", method="POST").respond_with_handler(self.issue)
        server.expect_request("/v1/items").respond_with_handler(self.serve)
        self.auth = {
            "type": "oauth2_client_credentials",
            "token_url": server.url_for("/token"),
            "scope": "usage",
        }
        self.request = HttpRequest("GET", server.url_for("/v1/items"))

    def issue(self, request: Request) -> Response:
        self.calls.append(request)
        self.issued += 1
        self.valid = f"token-{self.issued}"
        return Response(json.dumps({"access_token": self.valid, "expires_in": self.lifetime}))

    def serve(self, request: Request) -> Response:
        fine = request.headers["Authorization"] == f"Bearer {self.valid}"
        return Response("fine") if fine else Response("expired", status=401)


def test_one_token_serves_many_requests(httpserver: HTTPServer, open_source: Open) -> None:
    endpoint = TokenEndpoint(httpserver)
    source = open_source("id:pw", auth=endpoint.auth)
    assert [source.send(endpoint.request).body for _ in range(3)] == [b"fine"] * 3
    (call,) = endpoint.calls
    assert call.headers["Authorization"] == basic("id:pw")
    assert call.form.to_dict() == {"grant_type": "client_credentials", "scope": "usage"}


def test_a_token_is_renewed_before_it_ends(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime
) -> None:
    endpoint = TokenEndpoint(httpserver, lifetime=100)
    source = open_source("id:pw", auth=endpoint.auth)
    source.send(endpoint.request)
    fake_time.seconds += 69
    source.send(endpoint.request)
    assert endpoint.issued == 1
    fake_time.seconds += 2
    source.send(endpoint.request)
    assert endpoint.issued == 2


def test_a_token_that_ended_early_is_renewed_once(httpserver: HTTPServer, open_source: Open) -> None:
    endpoint = TokenEndpoint(httpserver)
    source = open_source("id:pw", auth=endpoint.auth)
    source.send(endpoint.request)
    endpoint.valid = "revoked"
    assert source.send(endpoint.request).body == b"fine"
    assert endpoint.issued == 2


def test_a_client_that_stays_refused_is_an_auth_error(httpserver: HTTPServer, open_source: Open) -> None:
    endpoint = TokenEndpoint(httpserver)
    httpserver.clear()
    seen: list[Request] = []
    httpserver.expect_request("/token").respond_with_data('{"access_token": "t"}')
    httpserver.expect_request("/v1/items").respond_with_handler(
        lambda r: seen.append(r) or Response("no", status=401)
    )
    with pytest.raises(AuthError, match="HTTP 401"):
        open_source("id:pw", auth=endpoint.auth).send(endpoint.request)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("response", "error"),
    [
        (Response("no", status=401), AuthError),
        (Response("<html>", status=200), AuthError),
        (Response('{"access_token": null}', status=200), AuthError),
        (Response("[]", status=200), AuthError),
        (Response("down", status=503), RetryableError),
    ],
)
def test_token_endpoints_that_give_none(
    httpserver: HTTPServer, open_source: Open, response: Response, error: type[Exception]
) -> None:
    httpserver.expect_request("/token").respond_with_response(response)
    auth = {"type": "oauth2_client_credentials", "token_url": httpserver.url_for("/token")}
    source = open_source("id:pw-value", auth=auth)
    with pytest.raises(error, match="token") as caught:
        source.send(HttpRequest("GET", httpserver.url_for("/v1/items")))
    assert "pw-value" not in str(caught.value)


def test_the_secret_must_be_a_pair(httpserver: HTTPServer, open_source: Open) -> None:
    auth = {"type": "oauth2_client_credentials", "token_url": httpserver.url_for("/token")}
    with pytest.raises(AuthError, match="client_id:client_secret"):
        open_source("only-one", auth=auth)
