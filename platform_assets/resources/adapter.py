"""A port's adapter as a Dagster resource: which kind, with which settings, visible in the UI.

The adapter is opened on first use and kept for the life of the process: Dagster sets resources up around every
sensor tick, and clients are dear. Settings never hold secrets, only the names under which a SecretStore finds them.
"""

import json
from functools import cache
from typing import Any

import dagster as dg

from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.resources.bindings import create


class AdapterResource(dg.ConfigurableResource[Any]):
    """``port`` and ``kind`` as in ``resources/bindings.py``; ``settings`` as in the deployment file."""

    port: str
    kind: str
    settings: dict[str, Any] = {}

    def adapter(self) -> Any:
        """The adapter itself: it implements the port's Protocol of ``platform_assets.ports``."""
        return _open(self.port, self.kind, json.dumps(self.settings, sort_keys=True))


def adapter_resources(deployment: DeploymentSpec) -> dict[str, AdapterResource]:
    """All of a deployment's adapters, under the names by which assets ask for them."""
    return {
        key: AdapterResource(port=port, kind=adapter.kind, settings=dict(adapter.settings))
        for key, (port, adapter) in deployment.adapters().items()
    }


@cache
def _open(port: str, kind: str, settings: str) -> Any:
    return create(port, kind, json.loads(settings))
