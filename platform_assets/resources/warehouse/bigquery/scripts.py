"""Scripts of changes in one transaction, and stored procedures.

Source: docs.cloud.google.com/bigquery/docs/transactions, …/procedures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from platform_assets.engine.errors import ConflictError, PlatformError, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.bigquery.connection import Connection

_DONE = "it was done already"


def execute(
    connection: Connection, tenant: str, script: Sequence[BoundSql], unless: BoundSql | None
) -> tuple[int, ...]:
    """Rows changed by each statement. A statement that fails ends the script, and BigQuery rolls back."""
    what = f"script for {tenant}"
    try:
        job = connection.dml(what, tenant, transaction(script, unless))
    except PlatformError as error:
        if _DONE in str(error):
            raise ConflictError(f"nothing was done for {tenant}: {_DONE}") from error
        raise
    (row,) = connection.rows_of(what, job)
    return tuple(int(count) for count in row[0])


def transaction(script: Sequence[BoundSql], unless: BoundSql | None) -> BoundSql:
    """One script with one row: how many rows each change touched. RejectedError where a parameter's name means two
    values. ``unless`` is looked at inside the transaction: of two processes one conflicts, and finds it done."""
    parameters: dict[str, Any] = {}
    for statement in (*script, *([unless] if unless else [])):
        for name, value in statement.parameters.items():
            if parameters.setdefault(name, value) != value:
                raise RejectedError(f"@{name} means two values in one script")
    lines = ["DECLARE changed ARRAY<INT64> DEFAULT [];", "BEGIN TRANSACTION;"]
    if unless:
        lines.append(f"ASSERT NOT EXISTS (\n{unless.sql}\n) AS '{_DONE}';")
    for statement in script:
        lines += [f"{statement.sql};", "SET changed = ARRAY_CONCAT(changed, [@@row_count]);"]
    return BoundSql("\n".join([*lines, "COMMIT TRANSACTION;", "SELECT changed"]), parameters)


def store_procedure(connection: Connection, tenant: str, name: str, sql: str | None) -> None:
    """``sql`` comes from ``engine.sql.script.procedure_sql``; None drops the procedure where it exists."""
    place = connection.quoted(tenant, TableName("metadata", name))
    connection.dml(f"procedure {name}", tenant, BoundSql(sql or f"DROP PROCEDURE IF EXISTS {place}"))
