"""A whole code location in a temporary folder: the repository's own configuration, DuckDB, the provider API."""

import gc
import importlib
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
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


@dataclass(frozen=True)
class Location:
    """The loaded code location, and hands to run it and to look at what came out."""

    module: ModuleType
    api: ProviderApi
    instance: dg.DagsterInstance
    configs: Path
    secrets: tuple[str, ...] = ()

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
            run_config={"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}},
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
    module = importlib.import_module("platform_assets.definitions")
    gc.unfreeze()  # the definitions freeze what a process made before them; a test session goes on
    return module


def _environment(home: Path, api: ProviderApi, configs: Path) -> dict[str, str]:
    return {
        "PLATFORM_HOME": str(home),
        "PLATFORM_DEPLOYMENT": "local",
        "PLATFORM_CONFIG_ROOT": str(configs),
        "PLATFORM_PROVIDER_API": api.url,
    }


@contextmanager
def open_location(folder: Path, configs: Path) -> Iterator[Location]:
    """A location with a home of its own below ``folder``. What it remembers of checked SQL is shared by the session."""
    home = prepare_home(folder / "home", dagster_yaml=CONFIGS.parent / "dagster.yaml")
    (home.root / "cache").symlink_to(CACHE, target_is_directory=True)
    with (
        serve(tokens=home.tokens) as api,
        dg.DagsterInstance.ephemeral() as instance,
        pytest.MonkeyPatch.context() as patch,
    ):
        for name, value in _environment(home.root, api, configs).items():
            patch.setenv(name, value)
        location = Location(load_location(configs), api, instance, configs, tuple(home.tokens))
        yield location
        location.module.defs.resources["http"].adapter().close()


CACHE = Path(tempfile.mkdtemp(prefix="checked-sql-"))


@pytest.fixture(scope="module")
def _module_location(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Location]:
    with open_location(tmp_path_factory.mktemp("location"), CONFIGS) as location:
        yield location


@pytest.fixture
def location(_module_location: Location) -> Location:
    """The module's location, without the faults of an earlier test. Tests keep apart by the day they use."""
    _module_location.api.forget_faults()
    return _module_location


@pytest.fixture
def own_location(tmp_path: Path) -> Iterator[Callable[[], Location]]:
    """Locations over a copy of the configuration that the test may change; each call loads it anew."""
    copy = tmp_path / "configs"
    shutil.copytree(CONFIGS, copy)
    with ExitStack() as stack:
        yield lambda: stack.enter_context(open_location(Path(tempfile.mkdtemp(dir=tmp_path)), copy))


DAYS = count()


@pytest.fixture
def day() -> date:
    """A day that no other test uses, three apart: a test has the next two as well, within one month."""
    number = next(DAYS)
    return date(2025, 12, 1).replace(day=1 + 3 * (number % 8)) + timedelta(days=31 * (number // 8))
