"""The demo in the embedded warehouse and against the emulators, table by table: both must hold the same rows.

    python -m platform_assets_tests.demo.emulated --days 1 [--short]

Minutes, because BigQuery's emulator takes about a second for each step of each slice; ``--short`` keeps to the way from
the provider's costs to the two spend reports. Compared are the row count
and the hash of all rows of every table, without the two columns that name the run.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from platform_assets.demo.home import prepare_home
from platform_assets_tests.servers.__main__ import emulated

_SNAPSHOT = """
import json
from platform_assets.demo.report import snapshot
print(json.dumps([[*where, *what] for where, what in sorted(snapshot().items())]))
"""
SHORT = (
    "raw_openai.costs",
    "silver_cost.focus_costs",
    "gold_reporting.daily_spend",
    "gold_reporting.monthly_spend",
)
Contents = dict[tuple[str, str], tuple[int, str]]  # (tenant, table) → rows, hash


def main(days: int, tables: Sequence[str] = ()) -> int:
    """0 where both deployments hold the same."""
    with TemporaryDirectory() as folder, emulated(Path(folder) / "servers") as emulators:
        homes = Path(folder)
        # The tokens choose the bundled API's data, so both runs get the same ones.
        shutil.copytree(prepare_home(homes / "local").root / "secrets", homes / "emulated" / "secrets")
        local = _run(days, tables, {"PLATFORM_DEPLOYMENT": "local", "PLATFORM_HOME": str(homes / "local")})
        other = _run(days, tables, {**emulators, "PLATFORM_HOME": str(homes / "emulated")})
    return _compare(local, other)


def _run(days: int, tables: Sequence[str], deployment: Mapping[str, str]) -> Contents:
    environment = os.environ | deployment
    demo = [sys.executable, "-m", "platform_assets.demo", "--days", str(days)]
    chosen = [word for table in tables for word in ("--table", table)]
    subprocess.run([*demo, *chosen], env=environment, check=True)
    done = subprocess.run(
        [sys.executable, "-c", _SNAPSHOT], env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    return {(tenant, table): (rows, content) for tenant, table, rows, content in json.loads(done.stdout)}


def _compare(local: Contents, other: Contents) -> int:
    shown = Table(title="DuckDB and BigQuery's emulator", title_justify="left")
    for column in ("tenant", "table", "DuckDB", "BigQuery", ""):
        shown.add_column(column)
    for key in sorted({*local, *other}):
        one, two = local.get(key), other.get(key)
        shown.add_row(*key, str(one), str(two), "same" if one == two else "DIFFERENT")
    Console().print(shown)
    return 0 if local and local == other else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--days", type=int, default=1, help="complete days, ending yesterday (UTC)")
    parser.add_argument("--short", action="store_true", help="only the tables from costs to spend reports")
    arguments = parser.parse_args()
    sys.exit(main(arguments.days, SHORT if arguments.short else ()))
