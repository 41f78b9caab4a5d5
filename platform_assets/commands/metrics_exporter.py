"""Prometheus metrics of metric runs, served over HTTP from the records that the runs left in the object store.

Any number of exporters may run; each adds up all records, so restarting one loses nothing. A scrape reads only what
is new.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from platform_assets.engine.errors import DataError, NotFoundError, PlatformError
from platform_assets.engine.metrics.exposition import CONTENT_TYPE, Exposition, RunRecord, parse_record
from platform_assets.ports import ObjectStore

# Keys are in the order of recording, but by the clocks of many machines, and a listing may lag behind a write.
_OVERLAP = timedelta(hours=1)


class Collector:
    """Adds up the records below ``prefix``, each once."""

    def __init__(self, store: ObjectStore, prefix: str) -> None:
        self._store, self._prefix = store, prefix
        self._exposition = Exposition()
        self._lock = threading.Lock()
        self._recent: set[str] = set()
        self._start_after = ""

    def scrape(self, now: datetime) -> str:
        """The metrics text as of now. Raises what the store raises; the next scrape then catches up."""
        with self._lock:
            listed = [
                info.key for info in self._store.list(f"{self._prefix}/", start_after=self._start_after)
            ]
            new = [key for key in listed if key not in self._recent]
            with ThreadPoolExecutor(8) as pool:
                records = list(pool.map(self._read, new))
            self._exposition.add(record for record in records if record)
            self._remember(listed, now)
            return self._exposition.render()

    def _remember(self, listed: list[str], now: datetime) -> None:
        """Where the next listing starts, and which keys after that are counted already."""
        time = (now - _OVERLAP).astimezone(UTC)
        self._start_after = max(self._start_after, f"{self._prefix}/{time:%Y-%m-%d}/{time:%H%M%S%f}")
        self._recent = {key for key in (*listed, *self._recent) if key > self._start_after}

    def _read(self, key: str) -> RunRecord | None:
        """None for an object that is no record, or gone since: neither may stop the metrics."""
        try:
            return parse_record(self._store.get(key))
        except (DataError, NotFoundError):
            return None


def server(collector: Collector, host: str, port: int) -> ThreadingHTTPServer:
    """A server for ``GET /metrics`` and ``GET /health``; the caller runs it."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if path == "/metrics":
                self._answer_metrics()
            else:
                self._answer(
                    200 if path == "/health" else 404, "ok\n" if path == "/health" else "not found\n"
                )

        def _answer_metrics(self) -> None:
            try:
                text = collector.scrape(datetime.now(UTC))
            except PlatformError as error:
                self._answer(503, f"{error}\n")
            else:
                self._answer(200, text, CONTENT_TYPE)

        def _answer(self, status: int, text: str, content_type: str = "text/plain; charset=utf-8") -> None:
            data = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Scrapes are not worth a log line each."""

    return ThreadingHTTPServer((host, port), Handler)
