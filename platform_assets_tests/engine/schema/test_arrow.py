from __future__ import annotations

import pyarrow as pa
import pytest

from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

TYPES = [
    (FieldType.STRING, pa.string()),
    (FieldType.BYTES, pa.binary()),
    (FieldType.INT64, pa.int64()),
    (FieldType.FLOAT64, pa.float64()),
    (FieldType.NUMERIC, pa.decimal128(38, 9)),
    (FieldType.BIGNUMERIC, pa.decimal128(38, 18)),
    (FieldType.BOOL, pa.bool_()),
    (FieldType.DATE, pa.date32()),
    (FieldType.DATETIME, pa.timestamp("us")),
    (FieldType.TIME, pa.time64("us")),
    (FieldType.TIMESTAMP, pa.timestamp("us", tz="UTC")),
    (FieldType.JSON, pa.string()),
]


@pytest.mark.parametrize(("kind", "expected"), TYPES)
def test_every_type_has_its_arrow_type(kind: FieldType, expected: pa.DataType) -> None:
    schema = arrow_schema(TableSchema((Field("c", kind), Field("many", kind, Mode.REPEATED))))
    assert schema.field("c").type == expected
    assert schema.field("many").type == pa.list_(expected)


def test_no_type_is_forgotten() -> None:
    assert {kind for kind, _ in TYPES} == set(FieldType) - {FieldType.STRUCT}


def test_structs_nest_and_repeat() -> None:
    inner = (Field("key", FieldType.STRING, Mode.REQUIRED), Field("values", FieldType.NUMERIC, Mode.REPEATED))
    schema = arrow_schema(
        TableSchema(
            (
                Field("one", FieldType.STRUCT, fields=inner),
                Field("many", FieldType.STRUCT, Mode.REPEATED, "", inner),
            )
        )
    )
    struct = pa.struct([("key", pa.string()), ("values", pa.list_(pa.decimal128(38, 9)))])
    assert schema.field("one").type == struct
    assert schema.field("many").type == pa.list_(struct)


def test_required_columns_may_hold_nulls_on_the_way() -> None:
    """Refusing them is the audit's and the warehouse's work, with the column and the count."""
    assert arrow_schema(TableSchema((Field("c", FieldType.DATE, Mode.REQUIRED),))).field("c").nullable
