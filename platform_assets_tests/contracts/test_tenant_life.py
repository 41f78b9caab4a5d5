"""A tenant on every warehouse: provisioned, suspended, exported, deleted; each step twice, and with faults."""

from __future__ import annotations

import hashlib
import io
import json
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.commands.tenant_lifecycle import provision, set_status, tables_for
from platform_assets.commands.tenant_offboarding import delete, export
from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError, DataError, RejectedError, RetryableError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Partitioning, TableSchema, TableSpec
from platform_assets.engine.sql.binding import bind_query
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Warehouse
from platform_assets.resources.faulty import fail, faulty
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets_tests.config.tree import write_tree
from platform_assets_tests.contracts.test_operations import FIRST, REMOVE, Operations, fill

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
TENANT, OTHER = "acme1281", "globex"
ACCESS = """
access:
  raw_shop.orders:
    views:
      - {dataset: gold_shared, view: order_ids, columns: [order_id]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = write_tree(tmp_path / "configs")
    for name, text in (("procedures/retention/sp_remove.sql", REMOVE), ("migrations/0001_mark.sql", FIRST)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    with (root / "tenants" / f"{TENANT}.yml").open("a", encoding="utf-8") as file:
        file.write(ACCESS)
    return root


def loaded(root: Path) -> Configuration:
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21))


@pytest.fixture
def store(tmp_path: Path) -> LocalObjectStore:
    return LocalObjectStore(LocalObjectStoreSettings(root=str(tmp_path / "objects")))


def provisioned(
    root: Path, warehouse: Warehouse, tenant: str = TENANT, *, dry_run: bool = False
) -> list[str]:
    told: list[str] = []
    provision(loaded(root), warehouse, tenant, NOW, told.append, dry_run=dry_run)
    return told


# --- Provision ------------------------------------------------------------------------------------------------------


def test_a_plan_does_nothing_and_provisioning_what_it_says(root: Path, warehouse: Warehouse) -> None:
    planned = provisioned(root, warehouse, dry_run=True)
    assert warehouse.tables(TENANT) == ()
    assert any("raw_shop.orders: create with" in line for line in planned)
    done = provisioned(root, warehouse)
    wanted = tables_for(loaded(root), TENANT)
    assert {spec.name for spec in wanted} <= set(warehouse.tables(TENANT))
    assert warehouse.tables(OTHER) == ()
    assert "procedure sp_remove: new" in done
    assert "migrations/0001_mark.sql: 0 rows" in done
    query = bind_query("SELECT order_id FROM gold_shared.order_ids", TENANT)
    assert warehouse.query(TENANT, query).num_rows == 0


def test_provisioning_again_changes_nothing(root: Path, warehouse: Warehouse) -> None:
    provisioned(root, warehouse)
    assert provisioned(root, warehouse) == ["raw_shop.orders: 0 row rules, 1 shared views"]
    assert [line for line in provisioned(root, warehouse, dry_run=True) if "create" in line] == []


def test_provisioning_that_broke_off_is_made_up_for(root: Path, warehouse: Warehouse) -> None:
    with pytest.raises(RetryableError):
        provisioned(root, faulty(warehouse, fail("ensure_table", 4)))
    assert "procedure sp_remove: new" in provisioned(root, warehouse)


def test_a_suspended_tenant_is_not_provisioned(root: Path, warehouse: Warehouse) -> None:
    set_status(root, TENANT, "suspended")
    with pytest.raises(RejectedError, match="resume it first"):
        provisioned(root, warehouse)
    assert warehouse.tables(TENANT) == ()


# --- Offboard -------------------------------------------------------------------------------------------------------


def test_everything_is_exported_before_anything_is_deleted(
    root: Path, warehouse: Warehouse, store: LocalObjectStore
) -> None:
    provisioned(root, warehouse)
    provisioned(root, warehouse, OTHER)
    fill(Operations(loaded(root), warehouse, TENANT, NOW), "a", "b")
    set_status(root, TENANT, "suspended")
    configuration = loaded(root)
    told: list[str] = []
    for _ in range(2):
        exported = export(configuration, warehouse, store, TENANT, NOW, told.append)
    manifest = json.loads(store.get(f"offboarded/{TENANT}/manifest.json"))
    rows = {table["table"]: table["rows"] for table in manifest["tables"]}
    assert (rows["raw_shop.orders"], set(rows)) == (2, {str(name) for name in warehouse.tables(TENANT)})
    kept = pq.read_table(io.BytesIO(store.get(f"offboarded/{TENANT}/raw_shop/orders.parquet"))).to_pylist()
    assert sorted(row["order_id"] for row in kept) == ["a", "b"]
    delete(configuration, warehouse, store, configuration.tenants[TENANT], TENANT, exported)
    assert warehouse.tables(TENANT) == ()
    assert warehouse.tables(OTHER)
    assert export(configuration, warehouse, store, TENANT, NOW, told.append) == []
    assert json.loads(store.get(f"offboarded/{TENANT}/manifest.json")) == manifest


def test_nothing_is_deleted_without_suspension_name_and_whole_export(
    root: Path, warehouse: Warehouse, store: LocalObjectStore
) -> None:
    provisioned(root, warehouse)
    configuration = loaded(root)
    exported = export(configuration, warehouse, store, TENANT, NOW, lambda line: None)
    with pytest.raises(RejectedError, match="suspend it first"):
        delete(configuration, warehouse, store, configuration.tenants[TENANT], TENANT, exported)
    set_status(root, TENANT, "suspended")
    tenant = loaded(root).tenants[TENANT]
    for confirmed in (None, OTHER, "yes"):
        with pytest.raises(RejectedError, match=f"--confirm {TENANT}"):
            delete(configuration, warehouse, store, tenant, confirmed, exported)
    with pytest.raises(DataError, match="were not exported"):
        delete(configuration, warehouse, store, tenant, TENANT, exported[1:])
    whole = store.get(exported[0].key)
    for other in (b"half", whole[:-1], whole + b"more"):
        store.put(exported[0].key, other)
        with pytest.raises(DataError, match="is not what was exported"):
            delete(configuration, warehouse, store, tenant, TENANT, exported)
    store.put(exported[0].key, whole)
    fill(Operations(configuration, warehouse, TENANT, NOW), "late")
    with pytest.raises(DataError, match=r"raw_shop.orders has 1 rows, 0 were exported"):
        delete(configuration, warehouse, store, tenant, TENANT, exported)
    assert TableName("raw_shop", "orders") in warehouse.tables(TENANT)


class Watched:
    """A warehouse whose answers are measured."""

    def __init__(self, warehouse: Warehouse) -> None:
        self._warehouse = warehouse
        self.streamed: list[BoundSql] = []
        self.answers: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._warehouse, name)

    def query(self, tenant: str, query: BoundSql) -> pa.Table:
        found = self._warehouse.query(tenant, query)
        self.answers.append(found.num_rows)
        return found

    def stream(self, tenant: str, query: BoundSql) -> AbstractContextManager[pa.RecordBatchReader]:
        self.streamed.append(query)
        return self._warehouse.stream(tenant, query)


def history(warehouse: Warehouse, days: int, rows: int) -> list[dict[str, Any]]:
    """``rows`` runs on each day, and one of no day."""
    spec = HISTORY
    warehouse.ensure_table(TENANT, spec)
    given = [
        {"run_date": date(2026, 1, 1) + timedelta(day), "id": f"{day}-{row}"}
        for day in range(days)
        for row in range(rows)
    ]
    given.append({"run_date": None, "id": "of no day"})
    batch = pa.RecordBatch.from_pylist(given, pa.schema([("run_date", pa.date32()), ("id", pa.string())]))
    warehouse.load(TENANT, spec.name, [batch])
    return given


HISTORY = TableSpec(
    TableName("raw_shop", "history"),
    TableSchema((Field("run_date", FieldType.DATE), Field("id", FieldType.STRING))),
    Partitioning("run_date"),
)


def test_no_query_of_an_export_reads_more_rows_than_allowed(
    root: Path, warehouse: Warehouse, store: LocalObjectStore
) -> None:
    given = history(warehouse, days=7, rows=3)
    configuration = replace(loaded(root), metadata_tables={"history": HISTORY})
    watched = Watched(warehouse)
    [one] = export(
        configuration, cast(Warehouse, watched), store, TENANT, NOW, lambda line: None, rows_of_a_query=6
    )
    data = store.get(f"offboarded/{TENANT}/raw_shop/history.parquet")
    assert (one.rows, one.bytes, one.sha256) == (len(given), len(data), hashlib.sha256(data).hexdigest())
    kept = pq.read_table(io.BytesIO(data)).to_pylist()
    assert sorted(kept, key=repr) == sorted(given, key=repr)
    conditions = [query.sql.partition(" WHERE ")[2] for query in watched.streamed]
    assert ["IS NULL" in text for text in conditions] == [True, False, False, False, False]
    assert all("`run_date` >=" in text or "run_date IS NULL" in text.replace("`", "") for text in conditions)
    assert [warehouse.query(TENANT, query).num_rows for query in watched.streamed] == [1, 6, 6, 6, 3]
    assert max(watched.answers) == 7  # days, not rows


def test_a_table_that_changes_while_it_is_exported_is_not_half_exported(
    root: Path, warehouse: Warehouse, store: LocalObjectStore
) -> None:
    history(warehouse, days=2, rows=1)
    configuration = replace(loaded(root), metadata_tables={"history": HISTORY})

    class Late(Watched):
        def stream(self, tenant: str, query: BoundSql) -> AbstractContextManager[pa.RecordBatchReader]:
            history(warehouse, days=1, rows=1)
            return super().stream(tenant, query)

    with pytest.raises(DataError, match=r"raw_shop.history changed while it was exported"):
        export(configuration, cast(Warehouse, Late(warehouse)), store, TENANT, NOW, lambda line: None)
    assert store.stat(f"offboarded/{TENANT}/manifest.json") is None


# --- Suspend, resume --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("line", ["", "status: active  # since May\n"])
def test_a_status_is_one_line_of_the_file(root: Path, line: str) -> None:
    path = root / "tenants" / f"{TENANT}.yml"
    path.write_text(f"# A comment.\n{path.read_text('utf-8')}{line}", "utf-8")
    before = path.read_text("utf-8").splitlines()
    assert set_status(root, TENANT, "suspended", dry_run=True)
    assert path.read_text("utf-8").splitlines() == before
    assert set_status(root, TENANT, "suspended")
    assert not set_status(root, TENANT, "suspended")
    assert loaded(root).tenants[TENANT].status == "suspended"
    assert loaded(root).tenant_pipelines(TENANT) == ()
    after = path.read_text("utf-8").splitlines()
    assert [text for text in after if not text.startswith("status:")] == [
        text for text in before if not text.startswith("status:")
    ]
    assert set_status(root, TENANT, "active")
    assert loaded(root).tenants[TENANT].status == "active"
    assert list((root / "tenants").glob("*.tmp")) == []


def test_an_unknown_tenant_is_not_made(root: Path) -> None:
    with pytest.raises(ConfigError, match="there is no tenant 'nobody'"):
        set_status(root, "nobody", "suspended")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("raw_shop.orders:\n    views", "raw_shop.ordres:\n    views", "no pipeline fills raw_shop.ordres"),
        ("columns: [order_id]", "columns: [nothing]", "there is no column nothing"),
        ("dataset: gold_shared", "dataset: raw_shop", "must be in another dataset"),
    ],
)
def test_access_that_cannot_be_is_found_at_load(root: Path, old: str, new: str, reason: str) -> None:
    path = root / "tenants" / f"{TENANT}.yml"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    with pytest.raises(ConfigError, match=reason):
        loaded(root)
