"""Servers for every test that asks for one, each started once per session."""

from platform_assets_tests.servers.fixtures import *  # noqa: F403
