"""How much of a DuckDB file a query could read. A guess from the catalog: nothing is read for it."""

from __future__ import annotations

from platform_assets.engine.names import TableName
from platform_assets.resources.warehouse.duckdb_file import Connection

_WIDTHS = {"bigint": 8, "double": 8, "decimal": 16, "date": 4, "timestamp": 8, "time": 8, "boolean": 1}
_VARIABLE = 32


def table_bytes(connection: Connection, table: TableName) -> int:
    """Rows times the width of all columns; DuckDB's own row count, which may lag behind deletions."""
    place = [table.dataset, table.table]
    rows = connection.execute(
        "SELECT estimated_size FROM duckdb_tables() "
        "WHERE database_name = 'own' AND schema_name = ? AND table_name = ?",
        place,
    ).fetchone()
    types = connection.execute(
        "SELECT lower(split_part(split_part(data_type, '(', 1), ' ', 1)) FROM duckdb_columns() "
        "WHERE database_name = 'own' AND schema_name = ? AND table_name = ?",
        place,
    ).fetchall()
    return int(rows[0]) * sum(_WIDTHS.get(name, _VARIABLE) for (name,) in types) if rows else 0
