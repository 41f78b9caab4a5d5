"""A warehouse of each kind with a place of its own, as its settings: a test's other processes open it by them too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_assets.ports import Warehouse
from platform_assets.resources.bindings import create
from platform_assets_tests.servers import bigquery


@dataclass(frozen=True)
class WarehouseRig:
    """``open`` gives another adapter on the same data."""

    kind: str
    settings: Mapping[str, Any]

    def open(self) -> Warehouse:
        warehouse: Warehouse = create("warehouse", self.kind, self.settings)
        return warehouse


def _duckdb(request: pytest.FixtureRequest, folder: Path) -> WarehouseRig:
    return WarehouseRig("duckdb", {"folder": str(folder / "warehouse"), "lock_timeout_seconds": 30})


def _bigquery(request: pytest.FixtureRequest, folder: Path) -> WarehouseRig:
    """Strictly expected to fail where the emulator lacks something: see ``servers.bigquery.GAPS``."""
    url = request.getfixturevalue("bigquery_url")
    request.addfinalizer(lambda: bigquery.forget(url))
    if reason := bigquery.GAPS.get(request.node.originalname):
        request.applymarker(pytest.mark.xfail(strict=True, reason=reason))
    settings = {"project": bigquery.PROJECT, "endpoint": url, "require_partition_filters": False}
    return WarehouseRig("bigquery", settings)


WAREHOUSES: Mapping[str, Callable[[pytest.FixtureRequest, Path], WarehouseRig]] = {
    "bigquery": _bigquery,
    "duckdb": _duckdb,
}
