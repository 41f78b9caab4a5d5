"""A tenant's life after its file is written: provisioned, suspended, resumed, offboarded. All of it may be repeated.

Suspension is a line of the tenant's file, so it is reviewed and versioned like everything that decides what runs: a
suspended tenant has no schedules and no requests, its history stays. Offboarding exports every table to the object
store, and deletes only a suspended tenant, only when its name is given a second time, and only what was exported whole.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from platform_assets.config.document import parse_document
from platform_assets.config.reading import read_spec
from platform_assets.engine.errors import ConfigError, DataError, Problem, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.schema.planning import plan_changes
from platform_assets.engine.sql.binding import bind_query
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import ObjectStore, Warehouse

if TYPE_CHECKING:
    import pyarrow as pa

Status = Literal["active", "suspended"]
Tell = Callable[[str], None]
_CHUNK = 8 * 2**20
_STATUS_LINE = re.compile(r"^status:.*$", re.M)
_NAME_LINE = re.compile(r"^(?:display_name|tenant):.*$", re.M)


# --- Provision -------------------------------------------------------------------------------------------------------


def provision(
    configuration: Configuration,
    warehouse: Warehouse,
    tenant: str,
    now: datetime,
    tell: Tell,
    *,
    dry_run: bool = False,
) -> None:
    """Datasets, tables, access, procedures and migrations as declared, table by table. ``dry_run`` says what would be
    done and does nothing."""
    from platform_assets.assets.operations import Operations, migrate_tenants

    spec = configuration.tenants[tenant]
    if spec.status != "active":
        raise RejectedError(f"{tenant} is {spec.status}: resume it first")
    for table in tables_for(configuration, tenant):
        for change in _table(warehouse, tenant, table, dry_run):
            tell(change)
    for name, access in spec.access.items():
        table = configuration.table(TableName.parse(name))
        rules = f"{name}: {len(access.rows)} row rules, {len(access.views)} shared views"
        tell(f"would give access to {rules}" if dry_run else rules)
        if not dry_run:
            warehouse.apply_access(tenant, table, access)
    if dry_run:
        tell(
            f"would sync {len(configuration.procedures)} procedures, {len(configuration.migrations)} migrations"
        )
        return
    operations = Operations(configuration, warehouse, tenant, now)
    for line in operations.sync():
        tell(f"procedure {line}")
    failed = [line for _, line in migrate_tenants([operations]) if _told(tell, line).startswith("FAILED")]
    if failed:
        raise RejectedError(f"{tenant}: a migration failed")


def tables_for(configuration: Configuration, tenant: str) -> list[TableSpec]:
    """The run history's tables and those that the tenant's pipelines fill, by name."""
    filled = [step.table for p in configuration.tenant_pipelines(tenant) for step in p.steps]
    found = {spec.name: spec for spec in (*configuration.metadata_tables.values(), *filled)}
    return [found[name] for name in sorted(found)]


def _table(warehouse: Warehouse, tenant: str, table: TableSpec, dry_run: bool) -> Sequence[str]:
    if not dry_run:
        return warehouse.ensure_table(tenant, table)
    plan = plan_changes(warehouse.describe(tenant, table.name), table.schema)
    return [f"would {table.name}: {change}" for change in (*plan.describe(), *map(str, plan.refusals))]


def _told(tell: Tell, line: str) -> str:
    tell(line)
    return line


# --- Suspend, resume --------------------------------------------------------------------------------------------------


def set_status(root: Path, tenant: str, status: Status) -> bool:
    """Change ``status`` in the tenant's file and nothing else in it; False where it is so already. The file is replaced
    whole."""
    path = root / "tenants" / f"{tenant}.yml"
    if not path.is_file():
        raise ConfigError(f"there is no tenant {tenant!r}: {path} does not exist")
    text = path.read_text("utf-8")
    before = _read(tenant, text)
    if before.status == status:
        return False
    line = f"status: {status}"
    if _STATUS_LINE.search(text):
        changed = _STATUS_LINE.sub(line, text, count=1)
    else:
        place = _NAME_LINE.search(text)
        assert place is not None, "a tenant's file names the tenant"
        changed = f"{text[: place.end()]}\n{line}{text[place.end() :]}"
    if _read(tenant, changed) != before.model_copy(update={"status": status}):
        raise ConfigError(f"{path} is written in an unusual way: set 'status: {status}' by hand")
    temporary = path.with_suffix(f".{os.getpid()}.tmp")
    temporary.write_text(changed, "utf-8")
    temporary.replace(path)
    return True


def _read(tenant: str, text: str) -> TenantSpec:
    problems: list[Problem] = []
    document = parse_document(text, f"tenants/{tenant}.yml", problems)
    spec = read_spec(TenantSpec, document, problems) if document else None
    if spec is None:
        raise ConfigError(f"tenants/{tenant}.yml cannot be read", tuple(problems))
    return spec


# --- Offboard ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exported:
    """One table as one Parquet object."""

    table: str
    key: str
    rows: int
    bytes: int
    sha256: str


def export(
    configuration: Configuration,
    warehouse: Warehouse,
    store: ObjectStore,
    tenant: str,
    now: datetime,
    tell: Tell,
) -> list[Exported]:
    """Every table to ``offboarded/<tenant>/<dataset>/<table>.parquet``, then ``manifest.json``. A tenant without tables
    keeps the manifest of before."""
    prefix, done = f"offboarded/{tenant}", []
    for name in warehouse.tables(tenant):
        key = f"{prefix}/{name.dataset}/{name.table}.parquet"
        one = _export_table(store, key, name, _rows(configuration, warehouse, tenant, name))
        tell(f"{name}: {one.rows} rows, {one.bytes} bytes to {one.key}")
        done.append(one)
    if done:
        manifest = {"tenant": tenant, "exported_at": now.isoformat(), "tables": [vars(one) for one in done]}
        store.put(f"{prefix}/manifest.json", json.dumps(manifest, indent=2).encode())
    return done


def require_deletable(tenant: TenantSpec, confirmed: str | None) -> None:
    """RejectedError unless the tenant is suspended and its name was repeated."""
    name = tenant.tenant
    if tenant.status != "suspended":
        raise RejectedError(
            f"{name} is {tenant.status}: suspend it first (platform-assets tenant suspend {name})"
        )
    if confirmed != name:
        raise RejectedError(f"to delete every table of {name}, repeat its name: --confirm {name}")


def delete(
    warehouse: Warehouse,
    store: ObjectStore,
    tenant: TenantSpec,
    confirmed: str | None,
    exported: Sequence[Exported],
) -> None:
    """Delete all datasets. RejectedError as above; DataError where an exported object is not what was written, or a
    table came meanwhile."""
    require_deletable(tenant, confirmed)
    name = tenant.tenant
    for one in exported:
        if hashlib.sha256(store.get(one.key)).hexdigest() != one.sha256:
            raise DataError(f"{one.key} is not what was exported; nothing was deleted")
    left = {str(table) for table in warehouse.tables(name)} - {one.table for one in exported}
    if left:
        raise DataError(f"{', '.join(sorted(left))} were not exported; nothing was deleted")
    warehouse.drop_tenant(name)


def _rows(configuration: Configuration, warehouse: Warehouse, tenant: str, name: TableName) -> pa.Table:
    """All rows. The condition holds for every row and is there because tables demand one on their partition column."""
    base = TableName(name.dataset, name.table.removesuffix("_quarantine"))
    spec = configuration.tables.get(base)
    column = spec.partitioning.column if spec and spec.partitioning else None
    where = f" WHERE `{column}` IS NULL OR `{column}` IS NOT NULL" if column else ""
    sql = f"SELECT * FROM `{name.dataset}`.`{name.table}`{where}"  # noqa: S608 - names of the catalog
    return warehouse.query(tenant, bind_query(sql, tenant))


def _export_table(store: ObjectStore, key: str, name: TableName, rows: pa.Table) -> Exported:
    import pyarrow.parquet as pq

    with TemporaryDirectory(prefix="offboard-") as folder:
        path = Path(folder) / "table.parquet"
        pq.write_table(rows, path, compression="zstd")
        digest = hashlib.sha256()
        store.put(key, _chunks(path, digest))
        return Exported(str(name), key, rows.num_rows, path.stat().st_size, digest.hexdigest())


def _chunks(path: Path, digest: Any) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            yield chunk
