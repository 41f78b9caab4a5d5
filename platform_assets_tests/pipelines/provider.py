"""A provider's API on loopback: answers given pages in order and remembers what it was asked."""

from __future__ import annotations

import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.engine.ingestion.pull import PullStats
from platform_assets_tests.pipelines.bench import Bench


@dataclass
class Pages:
    """``asked`` holds each request's (path, query, headers)."""

    pages: Sequence[str]
    asked: list[tuple[str, list[tuple[str, str]], dict[str, str]]] = field(default_factory=list)
    _lock: Any = field(default_factory=threading.Lock)

    def __call__(self, request: Request) -> Response:
        with self._lock:
            place = len(self.asked)
            query = list(request.args.items(multi=True))
            self.asked.append((request.path, query, dict(request.headers)))
        if place >= len(self.pages):
            return Response("asked too often", 400)
        return Response(self.pages[place], 200, content_type="application/json")


def pull_pages(
    bench: Bench, server: HTTPServer, pipeline: str, name: str, day: date, pages: Sequence[str] | Pages
) -> PullStats:
    """Pull a step's slice from the server and publish it."""
    handler = pages if isinstance(pages, Pages) else Pages(pages)
    server.expect_request(re.compile(".*")).respond_with_handler(handler)
    bench.provider_url = server.url_for("")
    bench.run(pipeline, name, day)
    assert bench.stats is not None
    return bench.stats
