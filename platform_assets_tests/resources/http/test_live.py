"""The live source against a real local server: what answers mean, retries, redirects, limits."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    DataError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.ports import Secret
from platform_assets.resources.http.live import LiveHttp, Settings, retry_after
from platform_assets_tests.resources.http.conftest import START, FakeTime, Open

SECRET = "s3cret-value"


def get(server: HTTPServer, path: str = "/v1/items", **fields: Any) -> HttpRequest:
    return HttpRequest("GET", server.url_for(path), **fields)


def answers(server: HTTPServer, *responses: Response, path: str = "/v1/items") -> list[Request]:
    """The server gives these answers in order, the last one for ever; returns the requests it will have seen."""
    seen: list[Request] = []

    def handle(request: Request) -> Response:
        seen.append(request)
        return responses[min(len(seen), len(responses)) - 1]

    server.expect_request(path).respond_with_handler(handle)
    return seen


# --- What is sent -----------------------------------------------------------------------------------------------


def test_a_request_arrives_as_it_was_meant(httpserver: HTTPServer, open_source: Open) -> None:
    seen = answers(httpserver, Response("{}", headers={"X-Some": "1"}))
    source = open_source(headers={"x-version": "1", "x-other": "a"})
    response = source.send(
        get(httpserver, params=(("g[]", "a"), ("g[]", "b"), ("q", "ä &?")), headers=(("x-other", "b"),))
    )
    assert response.status == 200
    assert response.body == b"{}"
    assert response.headers["x-some"] == "1"
    assert response.url == httpserver.url_for("/v1/items")
    (request,) = seen
    assert request.args.to_dict(flat=False) == {"g[]": ["a", "b"], "q": ["ä &?"]}
    assert request.headers["Authorization"] == f"Bearer {SECRET}"
    assert (request.headers["x-version"], request.headers["x-other"]) == ("1", "b")


def test_a_post_sends_json(httpserver: HTTPServer, open_source: Open) -> None:
    seen = answers(httpserver, Response("{}"))
    open_source().send(HttpRequest("POST", httpserver.url_for("/v1/items"), json={"a": [1]}))
    assert seen[0].get_json() == {"a": [1]}


def test_a_declared_header_cannot_replace_the_credential(httpserver: HTTPServer, open_source: Open) -> None:
    seen = answers(httpserver, Response("{}"))
    open_source(headers={"authorization": "Bearer other"}).send(get(httpserver))
    assert seen[0].headers.getlist("Authorization") == [f"Bearer {SECRET}"]


def test_the_base_url_of_the_deployment_replaces_the_providers_own(
    httpserver: HTTPServer, open_source: Open
) -> None:
    seen = answers(httpserver, Response("{}"), path="/there/items")
    source = open_source(
        base_url="https://api.example.com/v1",
        settings={"base_urls": {"example": httpserver.url_for("/there/")}},
    )
    response = source.send(HttpRequest("GET", "https://api.example.com/v1/items"))
    assert len(seen) == 1
    assert response.url == httpserver.url_for("/there/items")


# --- What answers mean ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, RejectedError),
        (401, AuthError),
        (403, AuthError),
        (404, NotFoundError),
        (410, RejectedError),
        (422, RejectedError),
    ],
)
def test_refusals_are_not_repeated(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime, status: int, error: type[PlatformError]
) -> None:
    seen = answers(httpserver, Response('{"error": "no such thing"}', status=status))
    with pytest.raises(
        error, match=rf"example: HTTP {status} from GET http://.*/v1/items: .*no such thing"
    ) as caught:
        open_source().send(get(httpserver))
    assert type(caught.value) is error
    assert len(seen) == 1
    assert fake_time.sleeps == []


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504, 529])
def test_troubles_are_waited_out(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime, status: int
) -> None:
    seen = answers(httpserver, Response(status=status), Response(status=status), Response("fine"))
    assert open_source().send(get(httpserver)).body == b"fine"
    assert len(seen) == 3
    assert fake_time.sleeps == [1, 2]


def test_troubles_that_stay_are_retryable(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime
) -> None:
    seen = answers(httpserver, Response("down", status=503, headers={"Retry-After": "7"}))
    with pytest.raises(RetryableError, match=r"HTTP 503.*down") as caught:
        open_source(retry={"max_attempts": 3}).send(get(httpserver))
    assert len(seen) == 3
    assert caught.value.retry_after == 7
    assert fake_time.sleeps == [7, 7]


@pytest.mark.parametrize(
    ("wish", "first_wait"),
    [
        ("30", 30),
        ("0.5", 1),
        ("Sat, 02 May 2026 12:00:20 GMT", 20),
        ("Sat, 02 May 2026 11:00:00 GMT", 1),
        ("9999", 60),
        ("soon", 1),
        ("", 1),
        ("-5", 1),
    ],
)
def test_the_longer_of_backoff_and_retry_after_up_to_the_cap(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime, wish: str, first_wait: float
) -> None:
    answers(httpserver, Response(status=429, headers={"Retry-After": wish}), Response("fine"))
    open_source(retry={"max_wait_seconds": 60}).send(get(httpserver))
    assert sum(fake_time.sleeps) == first_wait


def test_a_pause_that_the_source_asks_for_holds_back_every_slice(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime
) -> None:
    answers(httpserver, Response(status=429, headers={"Retry-After": "40"}))
    answers(httpserver, Response("fine"), path="/v1/other")
    source = open_source(retry={"max_attempts": 1})
    with pytest.raises(RetryableError):
        source.send(get(httpserver))
    assert fake_time.sleeps == []
    source.send(get(httpserver, "/v1/other"))
    assert fake_time.sleeps == [40]


def test_retry_after_as_vendors_write_it() -> None:
    assert retry_after({}, START) is None
    assert retry_after({"retry-after": "3"}, START) == 3
    assert retry_after({"retry-after": "Sat, 02 May 2026 12:01:00 GMT"}, START) == 60
    assert retry_after({"retry-after": "1 hour"}, START) is None


# --- Lost and slow connections ----------------------------------------------------------------------------------


@pytest.fixture
def raw_server() -> Iterator[Any]:
    """A socket server which sends exactly these bytes and hangs up; returns (url, number of connections so far)."""
    servers = []

    def start(payload: bytes, *, hang: bool = False) -> tuple[str, list[int]]:
        listener = socket.create_server(("127.0.0.1", 0))
        count: list[int] = []
        held = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                count.append(1)
                connection.recv(65536)
                connection.sendall(payload)
                if hang:
                    held.append(connection)
                else:
                    connection.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        servers.append((listener, thread, held))
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1", count

    yield start
    for listener, thread, held in servers:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()
        for connection in held:
            connection.close()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b'HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{"data":',
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
    ],
)
def test_connections_lost_at_any_point_are_tried_again(
    open_source: Open, fake_time: FakeTime, raw_server: Any, payload: bytes
) -> None:
    url, connections = raw_server(payload)
    source = open_source(base_url=url, retry={"max_attempts": 3})
    with pytest.raises(RetryableError, match="example: http://127"):
        source.send(HttpRequest("GET", f"{url}/items"))
    assert len(connections) == 3
    assert fake_time.sleeps == [1, 2]


def test_a_silent_server_times_out(open_source: Open, raw_server: Any) -> None:
    url, connections = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", hang=True)
    source = open_source(base_url=url, timeout_seconds=1, retry={"max_attempts": 1})
    with pytest.raises(RetryableError, match="ReadTimeout at http://127"):
        source.send(HttpRequest("GET", f"{url}/items"))
    assert len(connections) == 1


def test_nobody_listens(open_source: Open) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/v1"
        with pytest.raises(RetryableError, match="127"):
            open_source(base_url=url, retry={"max_attempts": 2}).send(HttpRequest("GET", f"{url}/items"))


def test_an_answer_larger_than_allowed(httpserver: HTTPServer, open_source: Open) -> None:
    answers(httpserver, Response(b"x" * 5000))
    with pytest.raises(DataError, match="larger than 1000 bytes"):
        open_source(settings={"max_answer_bytes": 1000}).send(get(httpserver))


def test_an_answer_that_cannot_be_unpacked(httpserver: HTTPServer, open_source: Open) -> None:
    answers(httpserver, Response(b"not gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(RejectedError, match="example"):
        open_source().send(get(httpserver))


# --- Redirects and foreign addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_on_the_host_is_followed(httpserver: HTTPServer, open_source: Open, status: int) -> None:
    answers(httpserver, Response(status=status, headers={"Location": "/v1/moved?at=2"}))
    seen = answers(httpserver, Response("fine"), path="/v1/moved")
    response = open_source().send(get(httpserver, params=(("at", "1"),)))
    assert response.body == b"fine"
    assert response.url == httpserver.url_for("/v1/moved")
    assert seen[0].args.to_dict() == {"at": "2"}
    assert seen[0].headers["Authorization"] == f"Bearer {SECRET}"


def test_a_redirect_to_another_host_gets_no_credential(
    httpserver: HTTPServer, open_source: Open, raw_server: Any
) -> None:
    other, connections = raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
    for location in (
        f"{other}/x",
        f"//{other.partition('//')[2]}",
        "https://127.0.0.1/x",
        "ftp://127.0.0.1/",
    ):
        httpserver.clear()
        answers(httpserver, Response(status=302, headers={"Location": location}))
        with pytest.raises(RejectedError, match="not the declared host; not followed"):
            open_source().send(get(httpserver))
    assert connections == []


def test_redirects_without_end(httpserver: HTTPServer, open_source: Open) -> None:
    seen = answers(httpserver, Response(status=302, headers={"Location": "/v1/items"}))
    with pytest.raises(RejectedError, match="more than 5 redirects"):
        open_source().send(get(httpserver))
    assert len(seen) == 6


def test_a_redirected_post_is_not_turned_into_something_else(
    httpserver: HTTPServer, open_source: Open
) -> None:
    answers(httpserver, Response(status=302, headers={"Location": "/v1/other"}))
    with pytest.raises(RejectedError, match="POST was redirected"):
        open_source().send(HttpRequest("POST", httpserver.url_for("/v1/items"), json={}))


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:1/x",
        "https://evil.example.com/v1/items",
        "http://127.0.0.1:1/v1",
        "ftp://127.0.0.1/v1",
        "http://user@127.0.0.1/v1",
        "items",
    ],
)
def test_a_credential_goes_only_to_its_declared_host(open_source: Open, url: str) -> None:
    with pytest.raises((RejectedError, ConfigError)):
        open_source().send(HttpRequest("GET", url))


# --- Nothing shows ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "auth",
    [
        {"type": "bearer"},
        {"type": "header", "header": "x-api-key"},
        {"type": "query", "param": "key"},
        {"type": "basic", "username": "user"},
    ],
)
def test_no_secret_in_errors_logs_or_reprs(
    httpserver: HTTPServer, open_source: Open, caplog: pytest.LogCaptureFixture, auth: dict[str, str]
) -> None:
    secret = "top/s3cret+value"

    def echo(request: Request) -> Response:
        return Response(f"wrong: {dict(request.headers)} {request.url} {secret}", status=403)

    httpserver.expect_request("/v1/items").respond_with_handler(echo)
    source = open_source(secret, auth=auth)
    with caplog.at_level(logging.DEBUG), pytest.raises(AuthError) as caught:
        source.send(get(httpserver))
    shown = [str(caught.value), repr(caught.value), repr(source), caplog.text]
    assert "***" in str(caught.value)
    for text in shown:
        for form in (secret, "top%2Fs3cret%2Bvalue", "dXNlcjp0b3AvczNjcmV0K3ZhbHVl"):
            assert form not in text
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None or secret not in repr(caught.value.__context__)


@pytest.mark.parametrize("blanks", [0, 290, 1990])
def test_half_a_secret_is_not_shown_either(httpserver: HTTPServer, open_source: Open, blanks: int) -> None:
    answers(httpserver, Response(f"{' ' * blanks}{SECRET} no", status=403))
    with pytest.raises(AuthError) as caught:
        open_source(SECRET).send(get(httpserver))
    assert str(caught.value).endswith(": *** no")


def test_a_long_refusal_is_not_quoted(httpserver: HTTPServer, open_source: Open) -> None:
    answers(httpserver, Response("x" * (1024 * 1024 + 1), status=403))
    with pytest.raises(AuthError, match=r"1048577 bytes, not quoted$"):
        open_source().send(get(httpserver))


def test_an_answer_does_not_repeat_the_secret(httpserver: HTTPServer, open_source: Open) -> None:
    """As some APIs do in the link to the next page, which is asked for with the secret all the same."""
    secret = "k/ey+0123456789abcdef"
    link = httpserver.url_for("/v1/items") + "?key=k%2Fey%2B0123456789abcdef&page=2"
    seen = answers(
        httpserver,
        Response(f'{{"next": "{link}", "key": "{secret}"}}', headers={"Link": f"<{link}>; rel=next"}),
    )
    source = open_source(secret, auth={"type": "query", "param": "key"})
    answer = source.send(get(httpserver))
    masked = link.replace("k%2Fey%2B0123456789abcdef", "***")
    assert json.loads(answer.body) == {"next": masked, "key": "***"}
    assert answer.headers["link"] == f"<{masked}>; rel=next"
    source.send(HttpRequest("GET", masked))
    assert (seen[1].args.getlist("key"), seen[1].args["page"]) == ([secret], "2")


def test_what_is_too_short_to_be_known_stays_in_the_data(httpserver: HTTPServer, open_source: Open) -> None:
    answers(httpserver, Response('{"name": "admin"}'))
    source = open_source("admin", auth={"type": "basic", "username": "user"})
    assert source.send(get(httpserver)).body == b'{"name": "admin"}'


@pytest.mark.parametrize("secret", ["", " x", "x\n", "a\r\nX-Evil: 1", "pässword", "a\x00b"])
def test_a_secret_that_cannot_travel_is_refused_before_it_does(open_source: Open, secret: str) -> None:
    with pytest.raises(AuthError, match="secret for example") as caught:
        open_source(secret)
    assert not secret.strip() or secret not in str(caught.value)


def test_a_missing_secret_says_so(open_source: Open) -> None:
    with pytest.raises(ConfigError, match="example needs a credential"):
        open_source(None)
    open_source(None, auth={"type": "none"})


# --- Limits -----------------------------------------------------------------------------------------------------


def test_the_rate_limit_is_shared_by_sources_of_one_credential(
    httpserver: HTTPServer, fake_time: FakeTime
) -> None:
    from platform_assets.resources.http.rate import Limiters

    answers(httpserver, Response("fine"))
    http = LiveHttp(Settings(allow_loopback=True), limiters=Limiters(fake_time.clock, fake_time.sleep))
    provider = ProviderSpec.model_validate(
        {
            "provider": "example",
            "display_name": "E",
            "base_url": httpserver.url_for("/v1"),
            "auth": {"type": "bearer"},
            "rate_limit": {"requests_per_minute": 6},
        }
    )
    one, two, other = (http.open(provider, Secret(s)) for s in ("a", "a", "b"))
    one.send(get(httpserver))
    other.send(get(httpserver))
    assert fake_time.sleeps == []
    two.send(get(httpserver))
    assert fake_time.sleeps == [10]
    http.close()


def test_an_overridden_address_has_no_limit_of_the_provider(
    httpserver: HTTPServer, open_source: Open, fake_time: FakeTime
) -> None:
    answers(httpserver, Response("fine"))
    base = {"base_urls": {"example": httpserver.url_for("/v1")}}
    source = open_source(settings=base, rate_limit={"requests_per_minute": 1})
    for _ in range(20):
        source.send(get(httpserver))
    assert fake_time.sleeps == []
    limited = open_source(settings=base | {"requests_per_minute": {"example": 30}})
    for _ in range(4):
        limited.send(get(httpserver))
    assert fake_time.sleeps == [2]
