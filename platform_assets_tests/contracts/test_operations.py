"""Procedures and migrations on every warehouse: deployed once, again when edited, applied once, whole or not at all."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from platform_assets.assets.operations import Operations, migrate_tenants
from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError, ConflictError, RetryableError
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.binding import bind_dml, bind_query
from platform_assets.ports import Warehouse
from platform_assets.resources.faulty import When, fail, faulty
from platform_assets_tests.config.tree import write_tree

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ORDERS = TableName("raw_shop", "orders")
REMOVE = """\
CREATE OR REPLACE PROCEDURE metadata.sp_remove(IN p_day DATE, IN p_id STRING)
BEGIN
  DELETE FROM raw_shop.orders WHERE ingestion_date = p_day AND order_id = p_id;
END;
"""
CALLER = """\
CREATE OR REPLACE PROCEDURE metadata.sp_clean(IN p_day DATE, IN p_first STRING, IN p_second STRING)
BEGIN
  CALL metadata.sp_remove(p_day, p_first);
  CALL metadata.sp_remove(p_day, p_second);
END;
"""
FIRST = (
    "UPDATE raw_shop.orders SET order_id = CONCAT(order_id, '!') WHERE ingestion_date > DATE '2000-01-01';\n"
)
SECOND = "DELETE FROM raw_shop.orders WHERE ingestion_date > DATE '2000-01-01' AND order_id = 'a!';\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "configs")
    for name, text in (
        ("procedures/retention/sp_remove.sql", REMOVE),
        ("procedures/retention/sp_clean.sql", CALLER),
        ("migrations/0001_mark.sql", FIRST),
        ("migrations/0002_remove.sql", SECOND),
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    return root


def loaded(root: Path) -> Configuration:
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21))


@pytest.fixture
def operations(root: Path, warehouse: Warehouse) -> Operations:
    return Operations(loaded(root), warehouse, "acme1281", NOW)


def fill(operations: Operations, *ids: str) -> None:
    """Orders of one day, as a run would have left them."""
    from sqlglot import parse_one

    operations.warehouse.ensure_table(operations.tenant, operations.configuration.table(ORDERS))
    columns = "ingestion_date, ingestion_timestamp, pipeline_logging_id, x_tenant, x_pipeline, x_credential, x_run_date"
    values = "DATE '2026-11-20', TIMESTAMP '2026-11-21 00:00:00+00:00', 'r', 't', 'p', 'c', DATE '2026-11-20'"
    script = [f"INSERT INTO raw_shop.orders (order_id, {columns}) VALUES ('{one}', {values})" for one in ids]
    trees = [parse_one(sql, dialect="bigquery") for sql in script]
    operations.warehouse.execute(
        operations.tenant, [bind_dml(tree, operations.tenant, {}, name="test") for tree in trees]
    )


def orders(operations: Operations) -> list[str]:
    query = bind_query("SELECT order_id FROM raw_shop.orders ORDER BY 1", operations.tenant)
    return [row["order_id"] for row in operations.warehouse.query(operations.tenant, query).to_pylist()]


def states(operations: Operations) -> dict[str, str]:
    return {one.name: one.state for one in operations.deployed()}


# --- Procedures -----------------------------------------------------------------------------------------------------


def test_a_procedure_is_deployed_once_and_again_when_it_or_what_it_calls_was_edited(
    root: Path, operations: Operations
) -> None:
    assert states(operations) == {"sp_clean": "new", "sp_remove": "new"}
    assert operations.sync() == ["sp_remove: new", "sp_clean: new"]
    assert operations.sync() == []
    edited = root / "procedures" / "retention" / "sp_remove.sql"
    edited.write_text(REMOVE.replace("order_id = p_id", "order_id >= p_id"), "utf-8")
    later = replace(operations, configuration=loaded(root))
    assert states(later) == {"sp_clean": "same", "sp_remove": "changed"}
    assert any(line.startswith("+") and ">= p_id" in line for line in later.diff())
    assert later.sync() == ["sp_remove: changed", "sp_clean: what it calls changed"]
    assert list(later.diff()) == []


def test_an_orphan_is_reported_and_dropped_when_asked(root: Path, operations: Operations) -> None:
    operations.sync()
    (root / "procedures" / "retention" / "sp_clean.sql").unlink()
    later = replace(operations, configuration=loaded(root))
    assert states(later) == {"sp_clean": "orphan", "sp_remove": "same"}
    assert [line.split(";")[0] for line in later.sync()] == ["sp_clean: orphan"]
    assert later.sync(prune=True) == ["sp_clean: orphan, dropped"]
    assert states(later) == {"sp_remove": "same"}


def test_a_deployment_that_breaks_off_is_made_up_for(operations: Operations) -> None:
    broken = replace(operations, warehouse=faulty(operations.warehouse, fail("execute", 2)))
    with pytest.raises(RetryableError):
        broken.sync()
    assert states(operations) == {"sp_clean": "new", "sp_remove": "same"}
    assert operations.sync() == ["sp_clean: new"]


def test_a_run_shows_first_and_then_changes_what_was_shown(operations: Operations) -> None:
    fill(operations, "a", "b", "c")
    given = {"p_day": "2026-11-20", "p_first": "a", "p_second": "c"}
    shown = operations.preview("sp_clean", given)
    assert [(p.change, p.rows, [r["order_id"] for r in p.sample]) for p in shown] == [
        ("DELETE raw_shop.orders", 1, ["a"]),
        ("DELETE raw_shop.orders", 1, ["c"]),
    ]
    assert orders(operations) == ["a", "b", "c"]
    assert operations.run("sp_clean", given) == (1, 1)
    assert orders(operations) == ["b"]


def test_a_run_on_a_tenant_that_has_nothing_yet_changes_nothing(operations: Operations) -> None:
    assert operations.run("sp_remove", {"p_day": "2026-11-20", "p_id": "a"}) == (0,)


def test_unknown_procedures_and_wrong_values_change_nothing(operations: Operations) -> None:
    with pytest.raises(ConfigError, match="did you mean sp_remove"):
        operations.run("sp_remov", {})
    with pytest.raises(ConfigError, match="is not a DATE"):
        operations.run("sp_remove", {"p_day": "soon", "p_id": "a"})


# --- Migrations -----------------------------------------------------------------------------------------------------


def test_migrations_run_once_by_number_and_are_shown_before(operations: Operations) -> None:
    fill(operations, "a", "b")
    first, second = operations.pending()
    assert [p.rows for p in operations.preview_migration(first)] == [2]
    assert list(migrate_tenants([operations])) == [
        ("acme1281", "migrations/0001_mark.sql: 2 rows"),
        ("acme1281", "migrations/0002_remove.sql: 1 rows"),
    ]
    assert list(migrate_tenants([operations])) == []
    assert orders(operations) == ["b!"]
    with pytest.raises(ConflictError):  # another process that had looked before
        operations.migrate(first)
    assert orders(operations) == ["b!"]
    assert second.number == 2


def test_a_failed_migration_stops_its_tenant_only_and_is_run_again(
    root: Path, operations: Operations
) -> None:
    other = replace(operations, tenant="globex")
    fill(operations, "a")
    fill(other, "b")
    broken = replace(operations, warehouse=faulty(operations.warehouse, fail("execute", 1)))
    told = list(migrate_tenants([broken, other]))
    assert [(tenant, line.startswith("FAILED")) for tenant, line in told] == [
        ("acme1281", True),
        ("globex", False),
        ("globex", False),
    ]
    assert (orders(operations), orders(other)) == (["a"], ["b!"])
    assert [line for _, line in migrate_tenants([operations])] == [
        "migrations/0001_mark.sql: 1 rows",
        "migrations/0002_remove.sql: 1 rows",
    ]


def test_a_migration_edited_after_it_was_applied_is_an_error(root: Path, operations: Operations) -> None:
    list(migrate_tenants([operations]))
    (root / "migrations" / "0001_mark.sql").write_text(FIRST.replace("!", "?"), "utf-8")
    with pytest.raises(ConfigError, match=r"0001_mark.sql; add a new one"):
        replace(operations, configuration=loaded(root)).pending()


def test_an_answer_lost_after_the_effect_is_not_an_effect_twice(operations: Operations) -> None:
    fill(operations, "b")
    lost: Any = faulty(operations.warehouse, fail("execute", 1, When.AFTER))
    list(migrate_tenants([replace(operations, warehouse=lost)]))
    list(migrate_tenants([operations]))
    assert orders(operations) == ["b!"]
