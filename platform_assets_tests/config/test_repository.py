"""The configuration that this repository ships is right, for every deployment, adapters included."""

from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import Configuration, load
from platform_assets.resources.bindings import check

CONFIGS = Path(__file__).resolve().parents[2] / "configs"


class Everything(dict[str, str]):
    """An environment in which every variable is set: to a URL or an address where the name asks for one."""

    def get(self, name: str, default: str | None = None) -> str | None:  # type: ignore[override]
        if name.endswith("TOPIC_ARN"):
            return "arn:aws:sns:us-east-1:000000000000:events.fifo"
        if name.endswith("EMAIL"):
            return "someone@example.com"
        return "http://127.0.0.1:1" if name.endswith(("URL", "ENDPOINT", "API")) else "some-name"


def loaded(deployment: str) -> Configuration:
    return load(CONFIGS, deployment=deployment, environment=Everything(), today=date(2026, 11, 21))


@pytest.mark.parametrize("deployment", sorted(p.stem for p in (CONFIGS / "deployments").glob("*.yml")))
def test_a_deployment_is_right(deployment: str) -> None:
    assert check(loaded(deployment).deployment) == ()


def test_asset_keys_do_not_depend_on_the_deployment() -> None:
    local, prod = loaded("local"), loaded("prod")
    assert local.pipelines == prod.pipelines


def test_the_demo_tenants() -> None:
    configuration = loaded("local")
    assert {"acme1281", "globex"} <= set(configuration.tenants)
    for tenant in ("acme1281", "globex"):
        ids = [p.pipeline_id for p in configuration.tenant_pipelines(tenant)]
        assert {"openai_costs", "cost_reporting"} <= set(ids)
