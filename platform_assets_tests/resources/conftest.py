"""moto behind a proxy that fails on demand."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from platform_assets_tests.servers.http_proxy import HttpProxy, proxying


@pytest.fixture(scope="session")
def one_moto_proxy(moto_url: str) -> Iterator[HttpProxy]:
    with proxying(moto_url) as proxy:
        yield proxy


@pytest.fixture
def moto_proxy(one_moto_proxy: HttpProxy) -> HttpProxy:
    """Without faults, nothing sent yet. One for all tests, since AWS clients are kept by their address."""
    one_moto_proxy.faults.clear()
    one_moto_proxy.exchanges.clear()
    return one_moto_proxy
