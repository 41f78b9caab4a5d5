"""Servers for every test that asks for one, each started once per session; property tests that judge no time."""

from hypothesis import HealthCheck, settings

from platform_assets_tests.servers.fixtures import *  # noqa: F403

# A busy machine is no mistake of what is tested.
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")
