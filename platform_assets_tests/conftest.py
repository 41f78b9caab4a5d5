"""Servers for every test that asks for one, each started once per session; property tests that judge no time."""

import pytest
from hypothesis import HealthCheck, settings

from platform_assets_tests.servers.fixtures import *  # noqa: F403

# A busy machine is no mistake of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture(scope="session")
def httpserver_listen_address() -> tuple[str, int]:
    """One for all: the server lives as long as the session, whoever asked for it first."""
    return ("127.0.0.1", 0)
