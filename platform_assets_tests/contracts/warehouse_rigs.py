"""A warehouse of each kind with a place of its own, as its settings: a test's other processes open it by them too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_assets.ports import Warehouse
from platform_assets.resources.bindings import create


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


WAREHOUSES: Mapping[str, Callable[[pytest.FixtureRequest, Path], WarehouseRig]] = {"duckdb": _duckdb}
