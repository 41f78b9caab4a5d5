"""A plan says what the run then does, on a real warehouse, and does none of it."""

from datetime import date
from pathlib import Path

import pytest
from click.testing import CliRunner

from platform_assets.cli import main
from platform_assets.commands.planning import TablePlan, lines, plan_run
from platform_assets.commands.validating import over_plan
from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, TableSchema, TableSpec
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.config.tree import GOOD, SHOP, write_tree

DAY = date(2026, 11, 20)
ORDERS = TableName("raw_shop", "orders")


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    root = write_tree(tmp_path / "configs")
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21))


@pytest.fixture
def warehouse(tmp_path: Path) -> DuckDBWarehouse:
    return DuckDBWarehouse(DuckDBSettings(folder=tmp_path / "warehouse"))


def table_of(configuration: Configuration, step: int) -> TableSpec:
    return configuration.pipelines["shop_costs"].steps[step].table


def plans(configuration: Configuration, warehouse: DuckDBWarehouse, *tables: str) -> list[TablePlan]:
    return plan_run(configuration, warehouse, tables, "acme1281", DAY)


def test_everything_is_new(configuration: Configuration, warehouse: DuckDBWarehouse) -> None:
    found = plans(configuration, warehouse)
    assert [p.table for p in found] == [
        "raw_shop.orders",
        "gold_sales.own",
        "silver_cost.all_costs",
        "gold_reporting.daily",
    ]
    assert all(p.changes[0].startswith("create with") for p in found)


def test_an_api_is_described_by_its_first_request(
    configuration: Configuration, warehouse: DuckDBWarehouse
) -> None:
    (plan,) = plans(configuration, warehouse, "raw_shop.orders")
    (part,) = plan.parts
    assert part.reads == "GET https://api.shop.example/v1/orders?since=2026-11-20&region=eu, cursor pages"
    assert part.writes == (
        "merge ingestion_date=2026-11-20, x_pipeline=shop_costs, x_credential=main by order_id"
    )
    assert (part.credential, part.bytes) == ("main", None)


def test_a_query_on_a_table_that_is_not_there_yet_is_said_not_guessed(
    configuration: Configuration, warehouse: DuckDBWarehouse
) -> None:
    (plan,) = plans(configuration, warehouse, "silver_cost.all_costs")
    assert plan.parts[0].reads == "raw_shop.orders (not there yet: raw_shop.orders)"


def test_a_query_is_estimated(configuration: Configuration, warehouse: DuckDBWarehouse) -> None:
    warehouse.ensure_table("acme1281", table_of(configuration, 0))
    (plan,) = plans(configuration, warehouse, "silver_cost.all_costs")
    assert plan.parts[0].reads == "raw_shop.orders"
    assert plan.parts[0].bytes is not None


def test_a_table_that_is_right_has_nothing_to_change(
    configuration: Configuration, warehouse: DuckDBWarehouse
) -> None:
    warehouse.ensure_table("acme1281", table_of(configuration, 0))
    (plan,) = plans(configuration, warehouse, "raw_shop.orders")
    assert (plan.changes, plan.refusals) == ((), ())


def test_changes_and_refusals(configuration: Configuration, warehouse: DuckDBWarehouse) -> None:
    old = TableSchema((Field("order_id", FieldType.STRING), Field("amount", FieldType.STRING)))
    warehouse.ensure_table("acme1281", TableSpec(ORDERS, old))
    (plan,) = plans(configuration, warehouse, "raw_shop.orders")
    assert any(
        "amount" in refusal and "STRING" in refusal and "NUMERIC" in refusal for refusal in plan.refusals
    )
    assert "REFUSED" in "\n".join(lines([plan]))


def test_nothing_is_created(configuration: Configuration, warehouse: DuckDBWarehouse) -> None:
    plans(configuration, warehouse)
    assert warehouse.describe("acme1281", ORDERS) is None


def test_a_tenant_that_runs_none_of_it(configuration: Configuration, warehouse: DuckDBWarehouse) -> None:
    assert plan_run(configuration, warehouse, ["raw_shop.orders"], "globex", DAY) == []


@pytest.mark.parametrize(
    ("table", "tenant", "reason"),
    [
        ("raw_shop.order", "acme1281", r"no step fills raw_shop\.order; did you mean raw_shop\.orders\?"),
        ("raw_shop.orders", "acme1282", "no tenant 'acme1282'; did you mean acme1281"),
    ],
)
def test_unknown_names(
    configuration: Configuration, warehouse: DuckDBWarehouse, table: str, tenant: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=reason):
        plan_run(configuration, warehouse, [table], tenant, DAY)


# --- What the schedules ask for -----------------------------------------------------------------------


def warned(tmp_path: Path, cron: str, tenant: str) -> list[str]:
    text = GOOD[f"{SHOP}/pipeline.yml"].replace("0 4 * * *", cron)
    of_acme = GOOD["tenants/acme1281.yml"] + tenant
    root = write_tree(
        tmp_path / "changed", {**GOOD, f"{SHOP}/pipeline.yml": text, "tenants/acme1281.yml": of_acme}
    )
    configuration = load(root, deployment="local", environment={}, today=date(2026, 11, 21))
    return list(over_plan(configuration, "acme1281", date(2026, 11, 21)))


@pytest.mark.parametrize(
    ("cron", "tenant", "warnings"),
    [
        ("0 */4 * * *", "", ["186 runs in the month 2026-12, its plan (starter) allows 180"]),
        ("0 */4 1-15 * *", "", []),
        (
            "0 */3 1 * *",
            "",
            ["8 runs in the day 2026-11-01, its plan (starter) allows 6: the queue will refuse 2"],
        ),
        ("0 */3 1 * *", "plan: professional\n", []),
        ("0 */3 1 * *", "limits: {daily: 8}\n", []),
        ("0 */3 1 * *", "schedules: {shop_costs: {cron: '0 4 * * *'}}\n", []),
        ("0 */3 1 * *", "schedules: {shop_costs: {enabled: false}}\n", []),
        ("0 */3 1 * *", "status: suspended\n", []),
    ],
)
def test_schedules_beyond_a_tenants_plan_are_warned_of(
    tmp_path: Path, cron: str, tenant: str, warnings: list[str]
) -> None:
    found = warned(tmp_path, cron, tenant)
    assert len(found) == len(warnings)
    assert all(text in warning for text, warning in zip(warnings, found, strict=True))


@pytest.mark.parametrize("command", [["validate"], ["plan", "--tenant", "acme1281", "--json"]])
def test_the_commands_warn_and_succeed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    text = GOOD[f"{SHOP}/pipeline.yml"].replace("0 4 * * *", "@hourly")
    monkeypatch.setenv(
        "PLATFORM_CONFIG_ROOT", str(write_tree(tmp_path / "c", {**GOOD, f"{SHOP}/pipeline.yml": text}))
    )
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 0, result.output
    assert "warning: tenants/acme1281.yml: its schedules ask for 24 runs in the day" in result.stderr
    assert "warning" not in result.stdout
