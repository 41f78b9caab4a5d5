"""A local server, a clock that only moves when somebody sleeps, and a way to open sources against the server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from platform_assets.engine.ingestion.http import HttpSource
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.ports import Secret
from platform_assets.resources.http.live import LiveHttp, Settings
from platform_assets.resources.http.rate import Limiters

START = datetime(2026, 5, 2, 12, tzinfo=UTC)


class FakeTime:
    """``sleeps`` holds every wait that was asked for."""

    def __init__(self) -> None:
        self.seconds = 1000.0
        self.sleeps: list[float] = []

    def clock(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.seconds += seconds

    def now(self) -> datetime:
        return START + timedelta(seconds=self.seconds - 1000)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()


Open = Callable[..., HttpSource]


@pytest.fixture
def open_source(httpserver: HTTPServer, fake_time: FakeTime) -> Iterator[Open]:
    """``open_source(secret, auth={…}, settings={…}, **provider)`` → a source whose provider is the local server."""
    opened: list[LiveHttp] = []

    def open_one(
        secret: str | None = "s3cret-value", *, settings: dict[str, Any] | None = None, **provider: Any
    ) -> HttpSource:
        given = {
            "provider": "example",
            "display_name": "Example",
            "base_url": httpserver.url_for("/v1"),
            "auth": {"type": "bearer"},
            "rate_limit": {"requests_per_minute": 60_000},
            "timeout_seconds": 5,
        }
        http = LiveHttp(
            Settings.model_validate({"allow_loopback": True} | (settings or {})),
            limiters=Limiters(fake_time.clock, fake_time.sleep),
            now=fake_time.now,
        )
        opened.append(http)
        return http.open(
            ProviderSpec.model_validate(given | provider), Secret(secret) if secret is not None else None
        )

    yield open_one
    for http in opened:
        http.close()
