"""A warehouse on the emulator, through a proxy that shows what was sent and can fail."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from platform_assets.resources.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse
from platform_assets_tests.servers.bigquery import PROJECT, forget
from platform_assets_tests.servers.http_proxy import HttpProxy, proxying


@pytest.fixture
def proxy(bigquery_url: str) -> Iterator[HttpProxy]:
    with proxying(bigquery_url) as running:
        yield running


@pytest.fixture
def tenant(bigquery_url: str) -> Iterator[str]:
    """A tenant of one test: datasets are never shared between tests."""
    yield f"t{uuid.uuid4().hex[:12]}"
    forget(bigquery_url)


@pytest.fixture
def slept() -> list[float]:
    """The waits the warehouse asked for; none is longer than it takes the emulator to breathe."""
    return []


@pytest.fixture
def open_warehouse(proxy: HttpProxy, slept: list[float]) -> Iterator[Callable[..., BigQueryWarehouse]]:
    opened: list[BigQueryWarehouse] = []

    def make(**settings: Any) -> BigQueryWarehouse:
        given = {"project": PROJECT, "endpoint": proxy.url, "max_attempts": 3} | settings
        opened.append(BigQueryWarehouse(BigQuerySettings(**given), sleep=sleep))
        return opened[-1]

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        time.sleep(min(seconds, 0.05))

    yield make
    for warehouse in opened:
        warehouse.close()


@pytest.fixture
def warehouse(open_warehouse: Callable[..., BigQueryWarehouse]) -> BigQueryWarehouse:
    return open_warehouse()
