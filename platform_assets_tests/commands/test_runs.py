"""``platform-assets runs`` on rows as runs write them, and the SQL examples of docs/runs.md on a real warehouse."""

import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.assets.history import merge_rows
from platform_assets.assets.run_facts import RunFacts
from platform_assets.cli import main
from platform_assets.config import Configuration, load
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.config.tree import write_tree

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = date(2026, 11, 20)
DOCS = Path(__file__).parents[2] / "docs" / "runs.md"
Runs = Callable[..., Result]


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return load(write_tree(tmp_path / "configs"), deployment="local", environment={}, today=NOW.date())


@pytest.fixture
def warehouse(configuration: Configuration, tmp_path: Path) -> DuckDBWarehouse:
    """Three runs: one good, one failed, one refused; and an old one."""
    made = DuckDBWarehouse(DuckDBSettings(folder=tmp_path / "home" / "warehouse"))
    tables = configuration.metadata_tables
    for number, (tenant, status, began) in enumerate(
        (
            ("acme1281", "COMPLETED", NOW - timedelta(hours=3)),
            ("acme1281", "FAILED", NOW - timedelta(hours=2)),
            ("globex", "BLOCKED", NOW - timedelta(hours=1)),
            ("globex", "COMPLETED", NOW - timedelta(days=40)),
        )
    ):
        facts = RunFacts(f"{number}0000000-run", {"dagster/schedule_name": "nightly"}, "v1", began)
        row = facts.run(tenant, "shop_costs", DAY + timedelta(days=number), status, began)
        row |= {
            "end_time": began + timedelta(seconds=90),
            "duration_ms": 90_000,
            "error_message": f"[{status}]",
        }
        merge_rows(made, tenant, tables["pipeline_runs"], [row], f"t{number}")
        moved = facts.moved(row, "RUNNING", began, began + timedelta(seconds=90))
        merge_rows(made, tenant, tables["state_transitions"], [moved], f"t{number}")
    for name in ("step_logs", "dq_results", "audit_logs"):
        made.ensure_table("acme1281", tables[name])
    return made


@pytest.fixture
def runs(
    configuration: Configuration, warehouse: DuckDBWarehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Runs:
    warehouse.close()
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(configuration.root))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COLUMNS", "220")
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["runs", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    return invoke


def listed(runs: Runs, *arguments: str) -> list[str]:
    return [row["status"] for row in json.loads(runs("list", "--json", *arguments).output)]


def test_all_tenants_newest_first_of_the_last_days(runs: Runs) -> None:
    assert listed(runs) == ["BLOCKED", "FAILED", "COMPLETED"]
    assert listed(runs, "--days", "60")[-1] == "COMPLETED"
    assert len(listed(runs, "--days", "60")) == 4


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["--tenant", "acme1281"], ["FAILED", "COMPLETED"]),
        (["--status", "failed"], ["FAILED"]),
        (["--date", "2026-11-22"], ["BLOCKED"]),
        (["--pipeline", "reporting"], []),
        (["--limit", "1"], ["BLOCKED", "FAILED"]),  # per tenant
    ],
)
def test_filters(runs: Runs, arguments: list[str], found: list[str]) -> None:
    assert listed(runs, *arguments) == found


def test_the_table(runs: Runs) -> None:
    text = runs("list").output
    assert "scheduler nightly" in text and "90.0" in text
    assert "[FAILED]" in text  # brackets of a message are no markup


def test_show_by_the_first_characters(runs: Runs) -> None:
    text = runs("show", "1000").output
    assert "FAILED" in text and "shop_costs" in text and "RUNNING" in text
    assert json.loads(runs("show", "1000", "--json").output)["state_transitions"][0]["to_state"] == "FAILED"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["show", "nothing"], "no tenant has a run 'nothing'"),
        (["list", "--tenant", "acme1282"], "did you mean acme1281?"),
    ],
)
def test_what_is_not_there(runs: Runs, arguments: list[str], reason: str) -> None:
    result = runs(*arguments)
    assert result.exit_code == 1 and reason in result.output


def examples() -> list[str]:
    return re.findall(r"```sql\n(.*?)```", DOCS.read_text("utf-8"), re.DOTALL)


def test_there_are_examples() -> None:
    assert len(examples()) >= 4


@pytest.mark.parametrize("number", range(4))
def test_the_examples_of_the_docs_run(warehouse: DuckDBWarehouse, number: int) -> None:
    warehouse.query("acme1281", BoundSql(examples()[number]))
