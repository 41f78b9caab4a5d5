"""The commands a Dagster user types, in processes of their own, on a fresh instance."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from platform_assets.demo.home import prepare_home
from platform_assets.demo.provider_api import serve

ROOT = Path(__file__).parents[2]
DAY = date.today() - timedelta(days=20)


@dataclass(frozen=True)
class Shell:
    environment: dict[str, str]
    home: Path

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        return done

    def count(self, tenant: str, table: str) -> int:
        with duckdb.connect(str(self.home / "warehouse" / f"{tenant}.duckdb"), read_only=True) as connection:
            return connection.sql(f"SELECT count(*) FROM {tenant}_{table}").fetchall()[0][0]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = prepare_home(tmp_path_factory.mktemp("home"), dagster_yaml=ROOT / "dagster.yaml")
    with serve(tokens=home.tokens) as api:
        environment = os.environ | {
            "PLATFORM_HOME": str(home.root),
            "PLATFORM_PROVIDER_API": api.url,
            "DAGSTER_HOME": str(home.dagster),
            "PYTHONWARNINGS": "ignore",
        }
        yield Shell(environment, home.root)


def test_definitions_validate(shell: Shell) -> None:
    done = shell.run("dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode == 0, done.stderr[-2000:]


def test_materialize_one_partition(shell: Shell) -> None:
    done = shell.run(
        *("dagster", "asset", "materialize", "-m", "platform_assets.definitions"),
        *("--select", "key:raw_openai/costs", "--partition", f"{DAY}|acme1281"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert shell.count("acme1281", "raw_openai.costs") > 0


def test_materialize_a_range_of_days_and_tenants(shell: Shell) -> None:
    first, last = DAY + timedelta(days=1), DAY + timedelta(days=2)
    done = shell.run(
        *("dagster", "asset", "materialize", "-m", "platform_assets.definitions"),
        *("--select", "key:raw_openai/costs+", "--partition-range", f"{first}|acme1281...{last}|globex"),
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert shell.count("globex", "gold_reporting.monthly_spend") > 0


def test_an_unknown_partition_is_refused_and_nothing_is_written(shell: Shell) -> None:
    done = shell.run(
        *("dagster", "asset", "materialize", "-m", "platform_assets.definitions"),
        *("--select", "key:raw_openai/costs", "--partition", f"{DAY}|nobody"),
    )
    assert done.returncode != 0
    assert not (shell.home / "warehouse" / "nobody.duckdb").exists()


def test_a_broken_configuration_stops_the_location_with_every_problem(shell: Shell, tmp_path: Path) -> None:
    broken = tmp_path / "configs"
    subprocess.run(["cp", "-r", str(ROOT / "configs"), str(broken)], check=True)
    tenant = broken / "tenants" / "acme1281.yml"
    tenant.write_text(tenant.read_text() + "colour: blue\n")
    environment = shell.environment | {"PLATFORM_CONFIG_ROOT": str(broken)}
    done = Shell(environment, shell.home).run(
        "dagster", "definitions", "validate", "-m", "platform_assets.definitions"
    )
    assert done.returncode != 0
    assert "tenants/acme1281.yml" in done.stdout + done.stderr
    assert "colour" in done.stdout + done.stderr
