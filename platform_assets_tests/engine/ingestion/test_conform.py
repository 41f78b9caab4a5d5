"""Columnar data of other systems in a table's columns: exact, by name, and loud where it cannot be."""

from datetime import UTC, date, datetime
from decimal import Decimal, localcontext

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion.conform import Conformer
from platform_assets.engine.ingestion.rounding import Rounded, Roundings
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

F = FieldType


def schema(*fields):
    return TableSchema(tuple(fields))


def convert(field, array, **options):
    conformer = Conformer(schema(field), {}, **options)
    return conformer.batch(pa.RecordBatch.from_arrays([array], [field.name]), "here").column(0).to_pylist()


def money(array, scale=F.BIGNUMERIC, **options):
    return convert(Field("x", scale), array, **options)


# --- Money --------------------------------------------------------------------------------------------


@settings(deadline=None)
@given(st.floats(-1e15, 1e15).filter(lambda x: x == 0 or abs(x) > 1e-2))
def test_a_float_becomes_its_shortest_decimal(value):
    [found] = money(pa.array([value]))
    with localcontext(prec=60):
        assert abs(found - Decimal(repr(value))) <= Decimal("5e-19")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.1, "0.1"),
        (0.1 + 0.2, repr(0.1 + 0.2)),
        (1e17, "100000000000000000"),
        (1.2345678901234567e-06, "0.000001234567890123"),
        (5e-19, "0"),
        (1.5e-18, "0.000000000000000002"),
        (4e-19, "0"),
        (-1.5e-18, "-0.000000000000000002"),
        (5e-324, "0"),
    ],
)
def test_floats_are_rounded_half_to_even_at_the_scale(value, expected):
    assert money(pa.array([value, None])) == [Decimal(expected), None]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_float_that_is_no_number_is_refused(value):
    with pytest.raises(DataError, match="here, x"):
        money(pa.array([value]))


def test_decimals_of_any_width_keep_every_digit():
    wide = pa.array([Decimal("1.000000000000000001")], pa.decimal256(76, 38))
    assert money(wide) == [Decimal("1.000000000000000001")]


def test_what_is_rounded_is_told_with_its_sum():
    roundings = Roundings()
    wide = pa.array([Decimal("1.0000000000000000001"), Decimal("2E-19"), Decimal(5)], pa.decimal256(76, 38))
    assert money(wide, roundings=roundings) == [Decimal(1), Decimal(0), Decimal(5)]
    assert money(pa.array(["1E-40", "-3E-19", "7"]), roundings=roundings) == [0, 0, 7]
    assert roundings.columns == {"x": Rounded(4, Decimal("1E-40"))}
    with pytest.raises(DataError, match="here, x"):
        money(pa.array([Decimal(10) ** 21], pa.decimal256(76, 38)))


def test_texts_are_exact_and_an_empty_one_is_null():
    assert money(pa.array(["1.50", "", None, "-0.000000000000000001"])) == [
        Decimal("1.5"),
        None,
        None,
        Decimal("-1e-18"),
    ]
    with pytest.raises(DataError, match="abc"):
        money(pa.array(["abc"]))


def test_texts_that_are_printed_floats_are_rounded_like_floats():
    assert money(pa.array(["1.2345678901234567E-6", "2"])) == [
        Decimal("0.000001234567890123"),
        Decimal(2),
    ]


def test_whole_numbers_are_money_too():
    assert money(pa.array([3], pa.int32())) == [Decimal(3)]


# --- Times, texts, JSON -------------------------------------------------------------------------------


def test_times_without_a_zone_are_utc_and_nanoseconds_are_cut():
    field, moment = Field("x", F.TIMESTAMP), datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert convert(field, pa.array([moment.replace(tzinfo=None)], pa.timestamp("ms"))) == [moment]
    assert convert(field, pa.array([moment], pa.timestamp("s", tz="America/New_York"))) == [moment]
    nanos = pa.array([1_780_315_200_000_000_999], pa.timestamp("ns"))
    assert convert(field, nanos) == [moment]
    assert convert(field, pa.array([date(2026, 6, 1)])) == [datetime(2026, 6, 1, tzinfo=UTC)]


@pytest.mark.parametrize("text", ["2026-06-01T12:00:00Z", "2026-06-01T14:00:00+02:00", "2026-06-01T12:00:00"])
def test_times_as_texts(text):
    assert convert(Field("x", F.TIMESTAMP), pa.array([text])) == [datetime(2026, 6, 1, 12, tzinfo=UTC)]


def test_maps_and_records_become_json():
    field = Field("x", F.JSON)
    tags = pa.array([[("env", "prod")], None], pa.map_(pa.string(), pa.string()))
    assert convert(field, tags) == ['{"env":"prod"}', None]
    assert convert(field, pa.array([{"a": Decimal("1.50")}])) == ['{"a":1.50}']
    assert convert(field, pa.array(['{"a": 1}', ""])) == ['{"a": 1}', None]


def test_a_whole_number_that_is_not_one_is_refused():
    with pytest.raises(DataError, match="here, x"):
        convert(Field("x", F.INT64), pa.array([1.5]))


# --- Shape --------------------------------------------------------------------------------------------


def test_columns_are_matched_by_name_whatever_their_order_and_case():
    conformer = Conformer(schema(Field("Cost", F.NUMERIC), Field("tag", F.STRING)), {})
    batch = pa.RecordBatch.from_pydict({"TAG": ["a"], "extra": [1], "cost": [1.5]})
    assert conformer.batch(batch, "here").to_pylist() == [{"Cost": Decimal("1.5"), "tag": "a"}]
    assert conformer.unknown(batch.schema.names) == ["extra"]
    assert Conformer(conformer.schema, {}, ignore=frozenset({"EXTRA"})).unknown(batch.schema.names) == []


def test_renamed_columns_and_standard_ones():
    conformer = Conformer(
        schema(Field("cost", F.NUMERIC), Field("x_tenant", F.STRING)),
        {"x_tenant": "acme"},
        {"cost": "Amount"},
    )
    batch = pa.RecordBatch.from_pydict({"Amount": [2], "cost": ["no"], "x_tenant": ["forged"]})
    assert conformer.batch(batch, "here").to_pylist() == [{"cost": Decimal(2), "x_tenant": "acme"}]


def test_a_required_column_must_be_there_and_full():
    required = Field("x", F.STRING, Mode.REQUIRED)
    with pytest.raises(DataError, match="no column 'x'"):
        Conformer(schema(required), {}).batch(pa.RecordBatch.from_pydict({"y": ["a"]}), "here")
    with pytest.raises(DataError, match=r"here \+ 1, x: missing or null"):
        convert(required, pa.array(["a", None]))


def test_records_and_lists_are_converted_inside():
    inner = (Field("amount", F.BIGNUMERIC), Field("note", F.STRING))
    field = Field("credits", F.STRUCT, Mode.REPEATED, fields=inner)
    array = pa.array([[{"kind": 1, "amount": 0.25}], [], None])
    assert convert(field, array) == [[{"amount": Decimal("0.25"), "note": None}], [], []]


def test_an_absent_list_is_empty_and_an_absent_record_null():
    fields = schema(Field("a", F.STRING, Mode.REPEATED), Field("b", F.STRUCT, fields=(Field("c", F.STRING),)))
    batch = pa.RecordBatch.from_pydict({"other": [1, 2]})
    assert Conformer(fields, {}).batch(batch, "here").to_pylist() == [{"a": [], "b": None}] * 2


def test_a_null_record_stays_null():
    field = Field("p", F.STRUCT, fields=(Field("id", F.STRING, Mode.REQUIRED),))
    assert convert(field, pa.array([{"id": "a"}, None])) == [{"id": "a"}, None]


def test_dictionary_encoded_columns():
    assert convert(Field("x", F.STRING), pa.array(["a", "b", "a"]).dictionary_encode()) == ["a", "b", "a"]
