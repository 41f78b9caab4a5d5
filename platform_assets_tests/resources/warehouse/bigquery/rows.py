"""A table with every column type, and rows for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa

from platform_assets.engine.names import TableName
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Warehouse

DAY = date(2026, 1, 31)
COSTS = TableSpec(
    name=TableName("raw_openai", "costs"),
    schema=TableSchema(
        (
            Field("day", FieldType.DATE, Mode.REQUIRED, "Data date."),
            Field("item", FieldType.STRING),
            Field("amount", FieldType.BIGNUMERIC, description="Exact."),
            Field("hits", FieldType.INT64),
        )
    ),
    partitioning=Partitioning("day", Granularity.DAY, expiration_days=400),
    cluster_by=("item",),
    description="Costs as the provider reports them.",
    labels=(("pipeline", "OpenAI Costs"),),
)
PLAIN = replace(COSTS, partitioning=None, cluster_by=())
EVERYTHING = TableSchema(
    (
        Field("s", FieldType.STRING),
        Field("y", FieldType.BYTES),
        Field("i", FieldType.INT64),
        Field("f", FieldType.FLOAT64),
        Field("n", FieldType.NUMERIC),
        Field("b", FieldType.BIGNUMERIC),
        Field("o", FieldType.BOOL),
        Field("d", FieldType.DATE),
        Field("dt", FieldType.DATETIME),
        Field("t", FieldType.TIME),
        Field("ts", FieldType.TIMESTAMP),
        Field("l", FieldType.NUMERIC, Mode.REPEATED),
        Field(
            "r",
            FieldType.STRUCT,
            fields=(Field("x", FieldType.BIGNUMERIC), Field("y", FieldType.STRING, Mode.REPEATED)),
        ),
    )
)
FULL_ROW: dict[str, Any] = {
    "s": 'text, with\nline ends, "quotes" and ü',
    "y": b"\x00\xff\r\n--",
    "i": 2**63 - 1,
    "f": 0.1,
    "n": Decimal("12345678901234567890123456789.123456789"),
    "b": Decimal("-12345678901234567890.123456789012345678"),
    "o": True,
    "d": date(1999, 12, 31),
    "dt": datetime(2026, 1, 31, 23, 59, 59, 999999),
    "t": time(23, 59, 59, 1),
    "ts": datetime(2026, 1, 31, 23, 59, 59, 999999, UTC),
    "l": [Decimal("0.1"), Decimal("-2")],
    "r": {"x": Decimal("0.000000000000000001"), "y": ["a", "b"]},
}


def batch(schema: TableSchema, rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=arrow_schema(schema))


def costs(*rows: tuple[Any, ...]) -> pa.RecordBatch:
    """(day, item, amount, hits) with what is left out being NULL."""
    names = COSTS.schema.names
    return batch(COSTS.schema, [dict(zip(names, row, strict=False)) for row in rows])


def staged(warehouse: Warehouse, tenant: str, *rows: tuple[Any, ...], spec: TableSpec = COSTS) -> TableName:
    """A staging table of one's own with these rows."""
    table = warehouse.create_staging(tenant, spec, f"k{len(rows)}_{abs(hash(rows)) % 10**9}")
    warehouse.load(tenant, table, [costs(*rows)])
    return table


def published(warehouse: Warehouse, tenant: str, *rows: tuple[Any, ...], spec: TableSpec = COSTS) -> None:
    """The table, new, with exactly these rows; loaded straight in, which costs the emulator least."""
    warehouse.ensure_table(tenant, spec)
    warehouse.load(tenant, spec.name, [costs(*rows)])


def contents(warehouse: Warehouse, tenant: str, table: TableName = COSTS.name) -> list[tuple[Any, ...]]:
    """All rows, in order."""
    name = f"`{tenant}_{table.dataset}`.`{table.table}`"
    query = BoundSql(f"SELECT * FROM {name} WHERE day IS NULL OR day IS NOT NULL ORDER BY 1, 2, 3, 4")
    return [tuple(row.values()) for row in warehouse.query(tenant, query).to_pylist()]
