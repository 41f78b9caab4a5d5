"""A tenant's life after its file is written: provisioned, suspended, resumed. All of it may be repeated.

Suspension is a line of the tenant's file, so it is reviewed and versioned like everything that decides what runs: a
suspended tenant has no schedules and no requests, its history stays. Its end is ``tenant_offboarding``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Literal

from platform_assets.config.document import parse_document
from platform_assets.config.reading import read_spec
from platform_assets.engine.errors import ConfigError, Problem, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.pipelines import Configuration
from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.schema.planning import plan_changes
from platform_assets.engine.tenancy import TenantSpec
from platform_assets.ports import Warehouse

Status = Literal["active", "suspended"]
Tell = Callable[[str], None]
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


def set_status(root: Path, tenant: str, status: Status, *, dry_run: bool = False) -> bool:
    """Change ``status`` in the tenant's file and nothing else in it; False where it is so already. The file is replaced
    whole; with ``dry_run`` it is only seen whether it could be."""
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
    if dry_run:
        return True
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
