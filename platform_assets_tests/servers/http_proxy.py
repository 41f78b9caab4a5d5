"""An HTTP proxy on loopback that remembers what was sent, and fails where it is told to.

In front of a real server it shows what a real client sends, and brings about what no server does on demand: an
answer that gets lost after its effect, a refusal once, a server that stays silent.
"""

from __future__ import annotations

import http.client
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_HOP_BY_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length"})


@dataclass(frozen=True)
class Exchange:
    """One request as it came. ``json`` is None where the body is something else."""

    method: str
    path: str
    body: bytes
    headers: dict[str, str]

    @property
    def json(self) -> Any:
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass
class _Fault:
    method: str
    path: re.Pattern[str]
    times: int
    skip: int
    status: int | None
    answer: Any
    after_effect: bool
    seconds: float
    half: bool
    content_type: str


@dataclass
class HttpProxy:
    """``fail`` queues faults; the first one that fits a request is used up by it."""

    upstream: str
    url: str = ""
    exchanges: list[Exchange] = field(default_factory=list)
    faults: list[_Fault] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(
        self,
        method: str,
        path: str,
        status: int | None = None,
        answer: Any = None,
        *,
        times: int = 1,
        skip: int = 0,
        after_effect: bool = False,
        seconds: float = 0.0,
        half: bool = False,
        content_type: str = "text/xml",
    ) -> None:
        """Answer ``status`` with ``answer`` (JSON, or bytes of ``content_type``), or cut the connection where there
        is no status. ``skip`` lets so many fitting requests pass first; ``after_effect`` sends the request on before
        the fault; ``half`` cuts the real answer in the middle of its body."""
        self.faults.append(
            _Fault(
                method,
                re.compile(path),
                times,
                skip,
                status,
                answer,
                after_effect,
                seconds,
                half,
                content_type,
            )
        )

    def sent(self, method: str, path: str) -> list[Exchange]:
        return [e for e in self.exchanges if e.method == method and re.search(path, e.path)]

    def take(self, exchange: Exchange) -> _Fault | None:
        with self.lock:
            self.exchanges.append(exchange)
            for fault in self.faults:
                if fault.times and fault.method == exchange.method and fault.path.search(exchange.path):
                    if fault.skip:
                        fault.skip -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None


@contextmanager
def proxying(upstream: str) -> Iterator[HttpProxy]:
    """Serve a proxy in front of ``upstream`` until the block ends."""
    proxy = HttpProxy(upstream)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(proxy))
    server.daemon_threads = True
    proxy.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(proxy: HttpProxy) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1

        def handle_expect_100(self) -> bool:
            """Flushed, or clients that ask first wait a second before each body."""
            going_on = super().handle_expect_100()
            self.wfile.flush()
            return going_on

        def handle_any(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            exchange = Exchange(self.command, self.path, body, dict(self.headers))
            fault = proxy.take(exchange)
            if fault is None:
                self.answer(*self.forward(exchange))
                return
            if fault.after_effect:
                self.forward(exchange)
            time.sleep(fault.seconds)
            if fault.half:
                self.answer(*self.forward(exchange), share=0.5)
            if fault.status is None:
                self.close_connection = True
                self.connection.close()
            elif isinstance(fault.answer, bytes):
                self.answer(fault.status, {"Content-Type": fault.content_type}, fault.answer)
            else:
                kind = {"Content-Type": "application/json"}
                self.answer(fault.status, kind, json.dumps(fault.answer).encode())

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any

        def forward(self, exchange: Exchange) -> tuple[int, dict[str, str], bytes]:
            host = urlsplit(proxy.upstream)
            connection = http.client.HTTPConnection(str(host.hostname), host.port)
            try:
                connection.request(exchange.method, exchange.path, exchange.body, exchange.headers)
                answer = connection.getresponse()
                return answer.status, dict(answer.getheaders()), answer.read()
            finally:
                connection.close()

        def answer(self, status: int, headers: dict[str, str], body: bytes, share: float = 1.0) -> None:
            self.send_response(status)
            for name, value in headers.items():
                if name.lower() not in _HOP_BY_HOP | {"date", "server"}:
                    self.send_header(name, value)
            told = headers.get("Content-Length") if self.command == "HEAD" else None
            self.send_header("Content-Length", told or str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body[: int(len(body) * share)])
            self.wfile.flush()

        def log_message(self, *arguments: object) -> None:
            """Tests look at ``exchanges`` instead."""

        def finish(self) -> None:
            with suppress(OSError, ValueError):  # the connection was cut on purpose
                super().finish()

    return Handler
