# ruff: noqa: S608 - every name in these statements is quoted by ``identifier``, every value by ``quoted``
"""Shared views of the embedded warehouse: the same columns and rows as on BigQuery, for whoever opens the file."""

from __future__ import annotations

from datetime import date

from platform_assets.engine.names import TableName, physical
from platform_assets.engine.schema.access import SharedView, TableAccess, Value, Where, require_possible
from platform_assets.engine.schema.model import TableSpec
from platform_assets.resources.warehouse.duckdb_file import Connection, quoted
from platform_assets.resources.warehouse.duckdb_schema import identifier, table_identifier


def apply_views(connection: Connection, tenant: str, spec: TableSpec, access: TableAccess) -> tuple[str, ...]:
    """The statements that ran. RejectedError for what the table cannot do."""
    require_possible(spec, access)
    ran: list[str] = []
    for view in access.views:
        target = physical(tenant, TableName(view.dataset, view.view))
        connection.execute(f"CREATE SCHEMA IF NOT EXISTS {identifier(target.dataset)}")
        statement = f"CREATE OR REPLACE VIEW {table_identifier(target)} AS {_select(tenant, spec, view)}"
        connection.execute(statement)
        ran.append(statement)
    return tuple(ran)


def _select(tenant: str, spec: TableSpec, view: SharedView) -> str:
    columns = view.columns or [column.name for column in spec.schema.fields if not column.pii]
    where = f" WHERE {_condition(view.where)}" if view.where else ""
    names = ", ".join(identifier(column) for column in columns)
    return f"SELECT {names} FROM {table_identifier(physical(tenant, spec.name))}{where}"


def _condition(where: Where) -> str:
    return " AND ".join(
        f"{identifier(name)} IN ({', '.join(_literal(value) for value in values)})"
        for name, values in where.items()
    )


def _literal(value: Value) -> str:
    if isinstance(value, bool | int):
        return str(value).upper()
    return f"DATE {quoted(value.isoformat())}" if isinstance(value, date) else quoted(value)
