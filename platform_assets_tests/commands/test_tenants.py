"""Adding a tenant writes a file that is right, or nothing."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_assets.commands.tenants import add_tenant, tenant_rows
from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError
from platform_assets_tests.config.tree import write_tree

GIVEN: dict[str, Any] = {
    "display_name": "Initech",
    "timezone": "UTC",
    "currency": "USD",
    "fiscal_year_start_month": 7,
    "plan": "scale",
    "credentials": ["shop=shop_key", "weather=none_needed"],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "configs")


def loaded(root: Path) -> Configuration:
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21))


def test_the_file_is_right(root: Path) -> None:
    (root / "pipelines" / "shop" / "cost" / "shop_costs" / "pipeline.yml").write_text(
        (root / "pipelines" / "shop" / "cost" / "shop_costs" / "pipeline.yml")
        .read_text()
        .replace('        region: "{{ parameters.region }}"\n', "")
    )
    path = add_tenant(root, "initech", **GIVEN)
    assert path == root / "tenants" / "initech.yml"
    tenant = loaded(root).tenants["initech"]
    assert (tenant.display_name, tenant.fiscal_year_start_month, tenant.plan) == ("Initech", 7, "scale")
    assert [(c.provider, c.secret) for c in tenant.credentials] == [
        ("shop", "shop_key"),
        ("weather", "none_needed"),
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.text(min_size=1, max_size=30))
def test_any_display_name_is_kept(tmp_path_factory: pytest.TempPathFactory, name: str) -> None:
    root = tmp_path_factory.mktemp("configs")
    try:
        add_tenant(root, "initech", **{**GIVEN, "display_name": name, "credentials": []})
    except ConfigError:
        assert not (root / "tenants" / "initech.yml").exists()
        return
    write_tree(root)
    assert loaded(root).tenants["initech"].display_name == name


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("acme1281", {}, "exists already"),
        ("AB", {}, "not a tenant id"),
        ("a", {}, "not a tenant id"),
        ("../evil", {}, "not a tenant id"),
        ("metrics", {}, "folder of the configuration"),
        ("initech", {"currency": "USX"}, "not an ISO 4217 currency.*did you mean"),
        ("initech", {"timezone": "Mars/Base"}, "not a time zone"),
        ("initech", {"plan": "gold"}, "one of enterprise"),
        ("initech", {"credentials": ["shp=k"]}, "no provider 'shp'.*did you mean 'shop'"),
        ("initech", {"credentials": ["shop"]}, "not provider=secret_name"),
        ("initech", {"credentials": ["shop=a b"]}, "does not match"),
        ("initech", {"credentials": ["shop=" + "sk-" + "x" * 30]}, "in plain text"),
        ("initech", {"credentials": ["shop=a", "shop=b"]}, "ids must be unique"),
    ],
)
def test_what_cannot_be_added_writes_nothing(
    root: Path, name: str, change: dict[str, Any], reason: str
) -> None:
    before = sorted((p, p.read_bytes()) for p in (root / "tenants").iterdir())
    with pytest.raises(ConfigError, match=reason):
        add_tenant(root, name, **{**GIVEN, **change})
    assert sorted((p, p.read_bytes()) for p in (root / "tenants").iterdir()) == before


def test_rows(root: Path) -> None:
    assert tenant_rows(loaded(root)) == [
        ("acme1281", "active", "Acme", "shop", "own_sales, reporting, shop_costs"),
        ("globex", "active", "Globex", "none", "reporting"),
    ]
