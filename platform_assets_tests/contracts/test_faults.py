"""Every adapter under the faults of its way out: refused, silent, throttled, broken, expired, broken off half-way.

One table for all of them. An error outside our tree, an answer taken for a success, or a repetition where it could do
harm fails here. What the services would say is written by us (``fault_rigs``), hence ``fake`` in the names; nobody
listening, silence and an answer cut short are real.
"""

from __future__ import annotations

import gc
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from google.rpc import code_pb2

from platform_assets.engine.errors import AuthError, DataError, PlatformError, RetryableError
from platform_assets.resources.bindings import ADAPTERS
from platform_assets.resources.metric_sink.cloud_monitoring import PartialWriteError
from platform_assets_tests.contracts.fault_rigs import GRPC, HTTP, Answer, Call, Talk, send_letter
from platform_assets_tests.contracts.local_faults import LOCAL
from platform_assets_tests.resources.aws_faults import closed_port
from platform_assets_tests.servers import moto
from platform_assets_tests.servers.grpc_fake import Refusal, serving, silent_port
from platform_assets_tests.servers.http_proxy import HttpProxy, proxying

# Google's client drops the answers of requests that it repeats, without closing them.
pytestmark = [
    pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]
every_talk = pytest.mark.parametrize("talk", HTTP.values(), ids=HTTP)
every_call = pytest.mark.parametrize("call", GRPC.values(), ids=GRPC)


@pytest.fixture(autouse=True)
def _surroundings(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[None]:
    for name, value in moto.CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    yield
    if "gcs" in request.node.name or "source" in request.node.name:
        gc.collect()  # here, where the warnings above are expected, and in no later test


def test_no_adapter_is_left_out() -> None:
    tested = (
        {(t.port, t.kind) for t in (*HTTP.values(), *GRPC.values())} | set(LOCAL) | {("notifier", "smtp")}
    )
    assert tested == {(port, kind) for port, kinds in ADAPTERS.items() for kind in kinds}


# --- HTTP -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    with proxying("http://127.0.0.1:9") as opened:
        yield opened


def always(proxy: HttpProxy, answer: Answer | None) -> None:
    """Answer whatever comes with ``answer``; None cuts the connection."""
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        status, kind, body = answer or (None, "", "")
        proxy.fail(method, ".", status, body.encode(), times=1000, content_type=kind)


@every_talk
def test_nobody_listens(talk: Talk) -> None:
    with closed_port() as url, pytest.raises(RetryableError):
        talk.act(url)


@every_talk
def test_no_answer(talk: Talk) -> None:
    with silent_port() as address, pytest.raises(RetryableError) as raised:
        talk.act(f"http://{address}")
    assert raised.value.effect_unknown or talk.repeats


@every_talk
@pytest.mark.parametrize("fault", ["cut", "throttled", "broken"])
def test_what_may_pass_is_tried_again_where_that_does_no_harm_fake(
    proxy: HttpProxy, talk: Talk, fault: str
) -> None:
    always(proxy, None if fault == "cut" else getattr(talk.words, fault))
    with pytest.raises(RetryableError):
        talk.act(proxy.url)
    assert (len(proxy.exchanges) > 1) is talk.repeats


@every_talk
def test_expired_credentials_fake(proxy: HttpProxy, talk: Talk) -> None:
    always(proxy, talk.words.expired)
    with pytest.raises(AuthError) as raised:
        talk.act(proxy.url)
    assert len(proxy.exchanges) == 1
    assert "key-under-test" not in str(raised.value)


@contextmanager
def talking(lines: Sequence[bytes]) -> Iterator[str]:
    """``host:port`` of a server that says ``lines``, each after something was said to it (the first where it is a
    greeting), and then hangs up."""
    listening = socket.create_server(("127.0.0.1", 0))
    greets = bool(lines) and lines[0][:1].isdigit()

    def serve() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return  # closed: the test is over
            with connection:
                connection.settimeout(5)
                for number, line in enumerate(lines):
                    if (number or not greets) and not connection.recv(65536):
                        break
                    connection.sendall(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{listening.getsockname()[1]}"
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        thread.join()


HALF = b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n{"rows": ['


@every_talk
def test_an_answer_that_breaks_off_half_way(talk: Talk) -> None:
    with talking([HALF]) as address, pytest.raises((RetryableError, DataError)):
        talk.act(f"http://{address}")


# --- gRPC -----------------------------------------------------------------------------------------------------------


@every_call
def test_grpc_nobody_listens(call: Call) -> None:
    with closed_port() as url, pytest.raises(RetryableError):
        call.act(url.removeprefix("http://"))


@every_call
def test_grpc_no_answer(call: Call) -> None:
    with silent_port() as address, pytest.raises(RetryableError):
        call.act(address)


@every_call
def test_grpc_the_connection_is_cut_half_way(call: Call) -> None:
    with talking([b"\x00\x00\x06\x04\x00\x00"]) as address, pytest.raises(RetryableError):
        call.act(address)


@every_call
@pytest.mark.parametrize("code", [code_pb2.RESOURCE_EXHAUSTED, code_pb2.UNAVAILABLE, code_pb2.INTERNAL])
def test_grpc_throttled_or_broken_fake(call: Call, code: int) -> None:
    with serving(call.service, call.methods) as fake:
        fake.script += [Refusal(code)] * 100
        with pytest.raises(RetryableError):
            call.act(fake.address)
        assert len(fake.requests) > 1


@every_call
def test_grpc_expired_credentials_fake(call: Call) -> None:
    with serving(call.service, call.methods) as fake:
        fake.script += [Refusal(code_pb2.UNAUTHENTICATED)] * 100
        with pytest.raises((AuthError, PartialWriteError)) as raised:
            call.act(fake.address)
        assert len(fake.requests) == 1
    if isinstance(raised.value, PartialWriteError):
        assert {type(error) for error in raised.value.failures.values()} == {AuthError}


# --- SMTP -----------------------------------------------------------------------------------------------------------

HELLO = [b"220 mail\r\n", b"250-mail\r\n250 AUTH PLAIN\r\n"]
SMTP: dict[str, tuple[list[bytes], type[PlatformError]]] = {
    "throttled at the door": ([b"421 4.7.0 try again later\r\n"], RetryableError),
    "throttled after log-in": (
        [*HELLO, b"235 in\r\n", b"450 4.2.1 too many\r\n", b"250 ok\r\n"],
        RetryableError,
    ),
    "broken": ([*HELLO, b"235 in\r\n", b"451 4.3.0 local error\r\n", b"250 ok\r\n"], RetryableError),
    "expired": ([*HELLO, b"535 5.7.8 authentication failed\r\n"], AuthError),
    "cut in its greeting": ([b"22"], RetryableError),
    "cut before the letter": ([*HELLO, b"235 in\r\n"], RetryableError),
}


@pytest.mark.parametrize("fault", SMTP)
def test_smtp_fake(fault: str) -> None:
    lines, error = SMTP[fault]
    with talking(lines) as address, pytest.raises(error) as raised:
        send_letter(address)
    assert "key-under-test" not in str(raised.value)


def test_smtp_nobody_listens() -> None:
    with closed_port() as url, pytest.raises(RetryableError):
        send_letter(url.removeprefix("http://"))


def test_smtp_no_answer() -> None:
    with silent_port() as address, pytest.raises(RetryableError):
        send_letter(address)


# --- Local ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("port", "kind"), LOCAL, ids=str)
def test_a_local_place_that_cannot_be_used(port: str, kind: str, tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "place").write_text("not a folder", encoding="utf-8")
    with pytest.raises(PlatformError):
        LOCAL[port, kind].act(tmp_path / "place" / "below")


HALF_WRITTEN = {key: fault for key, fault in LOCAL.items() if fault.spoil}


@pytest.mark.parametrize(("port", "kind"), HALF_WRITTEN, ids=str)
def test_what_was_written_half_is_never_taken_for_whole(port: str, kind: str, tmp_path: Path) -> None:
    fault = HALF_WRITTEN[port, kind]
    assert fault.spoil
    fault.spoil(tmp_path)
    with pytest.raises(PlatformError):
        fault.act(tmp_path)
