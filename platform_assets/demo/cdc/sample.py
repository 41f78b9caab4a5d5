"""The sample's folder: configuration with the sample's tenants laid over it, its tables, its event."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shutil import copyfile, copytree, rmtree

HERE = Path(__file__).parent
EVENT = HERE / "sample.json"
PROJECT = "test-project"
# (dataset, table) → what its one column sums up of, as the old service's emulator was seeded.
TABLES: Mapping[tuple[str, str], tuple[str, tuple[float, ...]]] = {
    ("tmp_abertta", "unprocessable_claims_abertta_20251105_171427"): ("vl_pago", (500.0, 600.0, 400.0)),
    ("tmp_abertta", "processable_claims_abertta_20251105_171427"): ("vl_pago", (2000.0, 3000.0, 3000.0)),
    ("tmp_athena", "excluded_savings_athena"): ("vl_glosa_arvo", (200.0, 300.0)),
    ("tmp_athena", "savings_athena"): ("vl_glosa_arvo", (1500.0, 500.0)),
    ("tmp_cemig", "excluded_savings_cemig"): ("vl_glosa_arvo", (200.0, 300.0)),
    ("tmp_cemig", "savings_cemig"): ("vl_glosa_arvo", (1500.0, 500.0)),
}


@dataclass(frozen=True)
class Sample:
    """Everything below ``root``."""

    root: Path

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.log"

    @property
    def environment(self) -> dict[str, str]:
        """What the platform's processes have to be told."""
        return {
            **os.environ,
            "PLATFORM_HOME": str(self.root),
            "PLATFORM_CONFIG_ROOT": str(self.root / "configs"),
            "PLATFORM_DEPLOYMENT": "sample",
            "DAGSTER_HOME": str(self.root / "dagster"),
        }

    def start_afresh(self, configs: Path) -> None:
        """Forget earlier messages and points; lay the sample's tenants over ``configs``."""
        rmtree(self.root, ignore_errors=True)
        copytree(configs, self.root / "configs")
        copytree(HERE / "configs", self.root / "configs", dirs_exist_ok=True)
        (self.root / "dagster").mkdir()
        copyfile("dagster.yaml", self.root / "dagster" / "dagster.yaml")
        self.seed()

    def seed(self) -> None:
        """The sample tables as they were at first."""
        import duckdb

        folder = self.root / "sources"
        folder.mkdir(parents=True, exist_ok=True)
        with duckdb.connect(str(folder / f"{PROJECT}.duckdb")) as connection:
            for (dataset, table), (column, values) in TABLES.items():
                connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{dataset}"')
                connection.execute(f'CREATE OR REPLACE TABLE "{dataset}"."{table}" ("{column}" DOUBLE)')
                rows = [[value] for value in values]
                connection.executemany(f'INSERT INTO "{dataset}"."{table}" VALUES (?)', rows)  # noqa: S608 - ours
