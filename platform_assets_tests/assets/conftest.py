"""A whole code location in a temporary folder: the repository's own configuration, DuckDB, the provider API."""

import importlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.demo.home import prepare_home
from platform_assets.demo.provider_api import ProviderApi, serve
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.sql.model import BoundSql

CONFIGS = Path(__file__).parents[2] / "configs"
DAY = date(2026, 11, 2)


@dataclass(frozen=True)
class Location:
    """The loaded code location, and hands to run it and to look at what came out."""

    module: ModuleType
    api: ProviderApi
    instance: dg.DagsterInstance
    configs: Path

    def run(self, select: str, first: SliceKey, last: SliceKey | None = None) -> dg.ExecuteInProcessResult:
        """Materialize ``select`` (asset selection syntax) for one slice, or for a range of slices."""
        keys = dg.AssetSelection.from_string(select).resolve(self.module.defs.resolve_asset_graph())
        tags = {} if last is None else _range(first, last)
        job = self.module.defs.resolve_implicit_global_asset_job_def()
        return job.execute_in_process(
            instance=self.instance,
            asset_selection=sorted(keys),
            partition_key=None if last else str(first),
            tags=tags,
            raise_on_error=False,
        )

    def rows(self, tenant: str, table: str, sql: str = "SELECT * FROM {table}") -> list[dict[str, Any]]:
        name = physical(tenant, TableName.parse(table))
        warehouse = self.module.defs.resources["warehouse"].adapter()
        query = BoundSql(sql.format(table=f"`{name.dataset}`.`{name.table}`"))
        found: list[dict[str, Any]] = warehouse.query(tenant, query).to_pylist()
        return found

    def partitions(self, table: str) -> set[str]:
        return set(self.instance.get_materialized_partitions(dg.AssetKey(table.split("."))))


def _range(first: SliceKey, last: SliceKey) -> dict[str, str]:
    ends = {"start": first, "end": last}
    return {f"dagster/asset_partition_range_{end}": str(key) for end, key in ends.items()}


def load_location(configs: Path) -> ModuleType:
    """Import the definitions anew, as a fresh process would."""
    sys.modules.pop("platform_assets.definitions", None)
    return importlib.import_module("platform_assets.definitions")


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProviderApi]:
    home = prepare_home(tmp_path / "home", dagster_yaml=CONFIGS.parent / "dagster.yaml")
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLATFORM_DEPLOYMENT", "local")
    with serve(tokens=home.tokens) as running:
        monkeypatch.setenv("PLATFORM_PROVIDER_API", running.url)
        yield running


@pytest.fixture
def configs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository's configuration that a test may change."""
    copy = tmp_path / "configs"
    shutil.copytree(CONFIGS, copy)
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(copy))
    return copy


@pytest.fixture
def location(api: ProviderApi, configs: Path) -> Iterator[Location]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Location(load_location(configs), api, instance, configs)
