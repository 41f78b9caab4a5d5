"""A configuration that is right: what comes out of it, and that files alone decide."""

from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Granularity
from platform_assets.engine.tenancy import credentials_for, runs_pipeline
from platform_assets_tests.config.tree import GOOD, SHOP, write_tree

TODAY = date(2026, 11, 21)


def loaded(root: Path, **environment: str) -> Configuration:
    return load(root, deployment="local", environment=environment, today=TODAY)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "configs")


def step(configuration: Configuration, pipeline: str, step_id: str) -> Any:
    return next(s for s in configuration.pipelines[pipeline].steps if s.spec.step_id == step_id)


def test_everything_is_there_and_sorted(root: Path) -> None:
    configuration = loaded(root)
    assert list(configuration.tenants) == ["acme1281", "globex"]
    assert list(configuration.providers) == ["shop", "weather"]
    assert list(configuration.pipelines) == ["own_sales", "reporting", "shop_costs"]
    assert list(configuration.metadata_tables) == [
        "audit_logs",
        "dq_results",
        "migrations",
        "notification_history",
        "pipeline_runs",
        "procedures",
        "state_transitions",
        "step_logs",
    ]
    assert configuration.pipelines["own_sales"].tenant == "acme1281"
    assert configuration.pipelines["shop_costs"].tenant is None


def test_a_step_has_its_table_with_standard_columns(root: Path) -> None:
    table = step(loaded(root), "shop_costs", "orders").table
    assert table.name == TableName("raw_shop", "orders")
    assert table.schema.names[:3] == ("order_id", "amount", "currency")
    assert {"x_tenant", "x_run_date", "ingestion_date", "pipeline_logging_id"} <= set(table.schema.names)
    assert (table.partitioning.column, table.partitioning.granularity) == ("ingestion_date", Granularity.DAY)
    assert table.partitioning.require_filter
    assert table.cluster_by == ("region",)
    assert table.labels == (("pipeline", "shop_costs"),)


def test_a_transform_is_partitioned_by_run_date_unless_told_otherwise(root: Path) -> None:
    daily = step(loaded(root), "reporting", "daily")
    assert daily.table.partitioning.column == "x_run_date"
    assert daily.spec.destination.partition_field == "x_run_date"


def test_upstream_comes_from_the_sql(root: Path) -> None:
    configuration = loaded(root)
    assert step(configuration, "shop_costs", "to_costs").upstream == (TableName("raw_shop", "orders"),)
    assert step(configuration, "reporting", "daily").upstream == (TableName("silver_cost", "all_costs"),)
    assert step(configuration, "reporting", "all_costs").upstream == (TableName("raw_shop", "orders"),)


def test_a_contribution_ends_in_the_unions_table(root: Path) -> None:
    configuration = loaded(root)
    contribution, union = (
        step(configuration, "shop_costs", "to_costs"),
        step(configuration, "reporting", "all_costs"),
    )
    assert contribution.table == union.table


def test_a_suite_stands_at_the_step_that_owns_the_table(root: Path) -> None:
    configuration = loaded(root)
    assert [e.type for e in step(configuration, "shop_costs", "orders").suite] == [
        "expect_column_values_to_not_be_null",
        "expect_column_values_to_be_between",
    ]
    assert step(configuration, "shop_costs", "to_costs").suite == ()


def test_money_in_a_tenant_file_is_exact(root: Path) -> None:
    assert loaded(root).tenants["acme1281"].budgets[0].amount == Decimal("1000.10")


def test_placeholders_take_the_environment_or_their_default(root: Path) -> None:
    def folder(**environment: str) -> str:
        return str(loaded(root, **environment).deployment.ports.warehouse.settings["folder"])

    assert folder() == ".platform/warehouse"
    assert folder(PLATFORM_HOME="/data") == "/data/warehouse"


def test_which_pipelines_run_for_whom(root: Path) -> None:
    configuration = loaded(root)
    runs = {t: [p.pipeline_id for p in configuration.tenant_pipelines(t)] for t in configuration.tenants}
    assert runs == {"acme1281": ["own_sales", "reporting", "shop_costs"], "globex": ["reporting"]}


def test_all_leaves_out_pipelines_without_a_credential(tmp_path: Path) -> None:
    root = write_tree(tmp_path, {**GOOD, "tenants/globex.yml": "tenant: globex\ndisplay_name: G\n"})
    assert [p.pipeline_id for p in loaded(root).tenant_pipelines("globex")] == ["reporting"]


def test_a_suspended_tenant_runs_nothing(tmp_path: Path) -> None:
    text = GOOD["tenants/acme1281.yml"] + "status: suspended\n"
    configuration = loaded(write_tree(tmp_path, {**GOOD, "tenants/acme1281.yml": text}))
    assert configuration.tenant_pipelines("acme1281") == ()


def test_nobody_runs_another_tenants_own_pipeline(root: Path) -> None:
    configuration = loaded(root)
    assert not runs_pipeline(configuration.tenants["globex"], configuration.pipelines["own_sales"])


def test_credentials(root: Path) -> None:
    tenant = loaded(root).tenants["acme1281"]
    assert [(c.id, c.secret) for c in credentials_for(tenant, "shop")] == [("main", "shop_key")]
    assert [(c.id, c.secret) for c in credentials_for(tenant, "weather")] == [("default", None)]


def test_a_tenant_is_one_more_file(root: Path) -> None:
    (root / "tenants" / "initech.yml").write_text("tenant: initech\ndisplay_name: Initech\n")
    assert list(loaded(root).tenants) == ["acme1281", "globex", "initech"]


def test_a_pipeline_is_one_more_folder(root: Path) -> None:
    folder = root / "pipelines" / "weather" / "climate" / "rain"
    folder.mkdir(parents=True)
    (folder / "rain_schema.json").write_text('[{"name": "mm", "type": "FLOAT64"}]')
    (folder / "pipeline.yml").write_text(
        "pipeline_id: rain\nprovider: weather\ndomain: climate\nsteps:\n"
        "  - step_id: rain\n    type: ingest\n"
        "    source: {type: rest_api, path: /rain, records_path: '[]'}\n"
        "    destination: {table: raw_weather.rain, schema_file: rain_schema.json}\n"
    )
    configuration = loaded(root)
    assert list(configuration.pipelines) == ["own_sales", "rain", "reporting", "shop_costs"]
    assert configuration.pipelines["rain"].credentials_needed == frozenset()
    assert [p.pipeline_id for p in configuration.tenant_pipelines("acme1281")][1] == "rain"


def test_partitions_start_relative_to_today(root: Path) -> None:
    assert loaded(root).deployment.partitions.first_day(TODAY) == date(2026, 10, 22)


def test_every_problem_is_told_at_once_in_order(root: Path) -> None:
    (root / "tenants" / "globex.yml").write_text("tenant: globx\ndisplay_name: 5\n")
    (root / "providers" / "shop.yml").write_text("provider: shop\n")
    sql = root / SHOP / "to_costs.sql"
    sql.write_text("DROP TABLE x")
    with pytest.raises(ConfigError) as caught:
        loaded(root)
    places = [(p.file, p.line, p.field) for p in caught.value.problems]
    assert places == sorted(places)
    assert {p[0] for p in places} >= {"tenants/globex.yml", "providers/shop.yml", f"{SHOP}/to_costs.sql"}


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no configuration folder"):
        loaded(tmp_path / "nowhere")


def test_a_configuration_cannot_be_changed(root: Path) -> None:
    configuration = loaded(root)
    with pytest.raises(TypeError):
        configuration.tenants["x"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        configuration.version = "2"  # type: ignore[misc]


def test_what_a_pipeline_reads_decides_which_credentials_it_needs(root: Path) -> None:
    pipelines = loaded(root).pipelines
    assert pipelines["own_sales"].credentials_needed == {"shop"}  # reads shop_costs' table
    assert pipelines["shop_costs"].credentials_needed == {"shop"}
    assert pipelines["reporting"].credentials_needed == frozenset()  # reads only a union


def test_all_leaves_out_what_would_read_nothing(tmp_path: Path) -> None:
    text = "tenant: acme1281\ndisplay_name: A\n"
    configuration = loaded(write_tree(tmp_path, {**GOOD, "tenants/acme1281.yml": text}))
    assert [p.pipeline_id for p in configuration.tenant_pipelines("acme1281")] == ["reporting"]


def test_a_link_that_stays_inside_is_fine_and_one_that_leaves_is_not(root: Path, tmp_path: Path) -> None:
    folder = root / SHOP
    (folder / "to_costs.sql").rename(folder / "real.sql")
    (folder / "to_costs.sql").symlink_to("real.sql")
    assert step(loaded(root), "shop_costs", "to_costs").transform.file == f"{SHOP}/to_costs.sql"
    (folder / "real.sql").rename(tmp_path / "outside.sql")
    (folder / "to_costs.sql").unlink()
    (folder / "to_costs.sql").symlink_to(tmp_path / "outside.sql")
    with pytest.raises(ConfigError, match="link that leads out of the pipeline folder"):
        loaded(root)
