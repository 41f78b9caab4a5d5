"""Table schemas as Arrow schemas: the form in which rows travel between a source and a warehouse.

Owns the one mapping from column types to Arrow types. Money is decimal128; a value that does not fit its
scale is refused where it is made, never rounded here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa

NUMERIC_SCALE = 9
BIGNUMERIC_SCALE = 18  # BigQuery keeps 38; 18 leaves 20 digits before the point in 128 bits
DECIMAL_DIGITS = 38


def _leaf(field_type: FieldType) -> pa.DataType:
    import pyarrow as pa

    leaves: Mapping[FieldType, Callable[[], pa.DataType]] = {
        FieldType.STRING: pa.string,
        FieldType.BYTES: pa.binary,
        FieldType.INT64: pa.int64,
        FieldType.FLOAT64: pa.float64,
        FieldType.NUMERIC: lambda: pa.decimal128(DECIMAL_DIGITS, NUMERIC_SCALE),
        FieldType.BIGNUMERIC: lambda: pa.decimal128(DECIMAL_DIGITS, BIGNUMERIC_SCALE),
        FieldType.BOOL: pa.bool_,
        FieldType.DATE: pa.date32,
        FieldType.DATETIME: lambda: pa.timestamp("us"),
        FieldType.TIME: lambda: pa.time64("us"),
        FieldType.TIMESTAMP: lambda: pa.timestamp("us", tz="UTC"),
        FieldType.JSON: pa.string,
    }
    return leaves[field_type]()


def arrow_type(field: Field) -> pa.DataType:
    """The Arrow type of one column, nested ones included; REPEATED becomes a list of non-null items."""
    import pyarrow as pa

    one = pa.struct([arrow_field(f) for f in field.fields]) if field.fields else _leaf(field.type)
    return pa.list_(one) if field.mode is Mode.REPEATED else one


def arrow_field(field: Field) -> pa.Field:
    """The Arrow field; REQUIRED is not carried as non-nullable, because the audit has to see the nulls."""
    import pyarrow as pa

    return pa.field(field.name, arrow_type(field))


def arrow_schema(schema: TableSchema) -> pa.Schema:
    """NUMERIC is decimal128(38, 9), BIGNUMERIC decimal128(38, 18), TIMESTAMP microseconds UTC, DATETIME the
    same without zone, JSON its text, STRUCT a struct, REPEATED a list."""
    import pyarrow as pa

    return pa.schema([arrow_field(f) for f in schema.fields])
