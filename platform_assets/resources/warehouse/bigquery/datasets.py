"""All that a tenant has: its datasets, found by their names."""

from __future__ import annotations

from functools import partial
from typing import Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName, tenant_of, valid_tenant
from platform_assets.resources.warehouse.bigquery.connection import Connection


def tables(connection: Connection, tenant: str) -> tuple[TableName, ...]:
    """Logical names, sorted; staging tables and views left out."""
    found = [
        TableName(dataset.removeprefix(f"{tenant}_"), table)
        for dataset in _datasets(connection, tenant)
        for table in connection.call(f"tables of {dataset}", partial(_tables, dataset))
        if "__stage_" not in table
    ]
    return tuple(sorted(found))


def drop_datasets(connection: Connection, tenant: str) -> None:
    for dataset in _datasets(connection, tenant):
        connection.call(
            f"delete dataset {dataset}",
            lambda c, name=dataset, **how: c.delete_dataset(
                name, delete_contents=True, not_found_ok=True, **how
            ),
        )


def _datasets(connection: Connection, tenant: str) -> list[str]:
    if not valid_tenant(tenant):
        raise ConfigError(f"{tenant!r} is not a tenant id")
    names = connection.call(
        f"datasets of {tenant}", lambda c, **how: [dataset.dataset_id for dataset in c.list_datasets(**how)]
    )
    return sorted(name for name in names if tenant_of(name) == tenant)


def _tables(dataset: str, client: Any, **how: Any) -> list[str]:
    return [table.table_id for table in client.list_tables(dataset, **how) if table.table_type == "TABLE"]
