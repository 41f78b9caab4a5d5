"""Every column type: what it accepts, exactly, and what it refuses, naming the cell."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from decimal import Context, Decimal
from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets.engine.ingestion.convert import to_arrow
from platform_assets.engine.ingestion.rounding import Rounded, Roundings
from platform_assets.engine.schema.arrow import arrow_type
from platform_assets.engine.schema.model import Field, FieldType, Mode

DECODE = msgspec.json.Decoder(float_hook=Decimal).decode


def column(
    kind: str, values: list[Any], mode: str = "NULLABLE", roundings: Roundings | None = None, **extra: Any
) -> list[Any]:
    field = Field("c", FieldType(kind), Mode(mode), **extra)
    array = to_arrow(field, values, lambda i: f"record {i}, c", roundings or Roundings())
    assert array.type == arrow_type(field)
    return array.to_pylist()


MAY_2 = datetime(2026, 5, 2, tzinfo=UTC)

ACCEPTED = [
    ("STRING", ["a", None, ""], ["a", None, ""]),
    ("STRING", ["a", 7, Decimal("1.50"), True], ["a", "7", "1.50", "true"]),
    ("INT64", [1, None, -(2**63), 2**63 - 1], [1, None, -(2**63), 2**63 - 1]),
    ("INT64", [1, Decimal("2.0"), Decimal("3E+2"), "4"], [1, 2, 300, 4]),
    ("FLOAT64", [1, Decimal("0.1"), "2.5", None], [1.0, 0.1, 2.5, None]),
    ("NUMERIC", [Decimal("0.000000001"), 3, "12.50"], [Decimal("0.000000001"), Decimal(3), Decimal("12.5")]),
    ("BIGNUMERIC", [Decimal("1E-18"), "1e2", 0], [Decimal("1E-18"), Decimal(100), Decimal(0)]),
    ("BIGNUMERIC", ["0.10000000000000000000000"], [Decimal("0.1")]),
    ("BIGNUMERIC", [Decimal("-0.0"), Decimal("0E-40"), "0e99"], [Decimal(0)] * 3),
    (
        "BIGNUMERIC",
        [10**20 - 1, Decimal("99999999999999999999.999999999999999999")],
        [Decimal(10**20 - 1), Decimal("99999999999999999999.999999999999999999")],
    ),
    ("BOOL", [True, False, None], [True, False, None]),
    ("BOOL", ["true", "False", True], [True, False, True]),
    ("TIMESTAMP", [1777680000, None], [MAY_2, None]),
    ("TIMESTAMP", ["2026-05-02T00:00:00Z", "2026-05-02T02:00:00+02:00"], [MAY_2, MAY_2]),
    ("TIMESTAMP", ["2026-05-02", "2026-05-02 00:00:00", 1777680000], [MAY_2, MAY_2, MAY_2]),
    (
        "TIMESTAMP",
        [Decimal("1777680000.000001"), "2026-05-02T00:00:00.000001999Z"],
        [MAY_2 + timedelta(microseconds=1)] * 2,
    ),
    ("TIMESTAMP", [-1], [datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC)]),
    ("DATE", ["2026-05-02", None], [date(2026, 5, 2), None]),
    ("DATE", ["2026-05-02T23:30:00-02:00", 1777680000], [date(2026, 5, 3), date(2026, 5, 2)]),
    ("DATETIME", ["2026-05-02T01:02:03.5"], [datetime(2026, 5, 2, 1, 2, 3, 500000)]),
    ("TIME", ["01:02:03"], [time(1, 2, 3)]),
    ("BYTES", ["aGk=", None], [b"hi", None]),
    (
        "JSON",
        [{"b": Decimal("0.10"), "a": [1, None]}, "x", 5, True, None],
        ['{"a":[1,null],"b":0.10}', '"x"', "5", "true", None],
    ),
]


@pytest.mark.parametrize(("kind", "values", "expected"), ACCEPTED)
def test_accepted(kind: str, values: list[Any], expected: list[Any]) -> None:
    assert column(kind, values) == expected


REFUSED = [
    ("STRING", {"a": 1}, "is not a text"),
    ("INT64", Decimal("3.5"), "is not a whole number"),
    ("INT64", 2**63, "does not fit INT64"),
    ("INT64", True, "is not a number"),
    ("INT64", "3.5", "is not a whole number"),
    ("INT64", "1_000", "is not a number"),
    ("INT64", Decimal("1E+999999"), "is not a whole number"),
    ("FLOAT64", Decimal("1E+400"), "does not fit FLOAT64"),
    ("FLOAT64", "nan", "is not a number"),
    ("FLOAT64", [1], "is not a number"),
    ("BIGNUMERIC", "99999999999999999999.9999999999999999999", "more than 20 digits before the point"),
    ("BIGNUMERIC", 10**20, "more than 20 digits before the point"),
    ("BIGNUMERIC", Decimal("1E+999999999"), "more than 20 digits before the point"),
    ("BIGNUMERIC", "NaN", "is not a number"),
    ("BIGNUMERIC", "Infinity", "is not a number"),
    ("BIGNUMERIC", " 1", "is not a number"),
    ("BIGNUMERIC", "1,5", "is not a number"),
    ("BIGNUMERIC", "", "is not a number"),
    ("BIGNUMERIC", False, "is not a number"),
    ("BIGNUMERIC", {"value": 1}, "is not a number"),
    ("BOOL", 1, "is not true or false"),
    ("BOOL", "yes", "is not true or false"),
    ("TIMESTAMP", 1777680000000, "milliseconds"),
    ("TIMESTAMP", "yesterday", "is not a date or an RFC 3339 time"),
    ("TIMESTAMP", True, "is not a number"),
    ("TIMESTAMP", "1777680000", "is not a date or an RFC 3339 time"),
    ("DATE", "2026-02-30", "is not a date"),
    ("DATE", "02.05.2026", "is not a date"),
    ("DATETIME", "2026-05-02T00:00:00Z", "has a zone"),
    ("TIME", "25:00:00", "is not a time of day"),
    ("BYTES", "a", "is not base64"),
    ("BYTES", 5, "is not a text"),
]


@pytest.mark.parametrize(("kind", "value", "reason"), REFUSED)
def test_refused(kind: str, value: Any, reason: str) -> None:
    good = {"STRING": "x", "BOOL": True, "BYTES": "aGk=", "TIME": "01:02:03", "DATETIME": "2026-01-01"}
    with pytest.raises(DataError) as caught:
        column(kind, [good.get(kind, 1), None, value, 5])
    assert str(caught.value).startswith("record 2, c: ")
    assert reason in str(caught.value)


def test_null_is_refused_where_the_field_is_required() -> None:
    with pytest.raises(DataError, match=r"record 1, c: missing or null, but REQUIRED"):
        column("STRING", ["a", None], "REQUIRED")
    with pytest.raises(DataError, match="record 0, c: missing"):
        column("INT64", [None, None], "REQUIRED")


@pytest.mark.parametrize(
    "kind", ["INT64", "TIMESTAMP", "DATE", "TIME", "BOOL", "BYTES", "NUMERIC", "DATETIME"]
)
def test_a_personal_value_is_not_shown(kind: str) -> None:
    with pytest.raises(DataError) as caught:
        column(kind, ["someone@example.com"], pii=True)
    assert "someone" not in str(caught.value)


def test_a_long_value_is_cut() -> None:
    with pytest.raises(DataError) as caught:
        column("INT64", ["x" * 5000])
    assert len(str(caught.value)) < 200


# --- Nested -----------------------------------------------------------------------------------------------------

CACHE = (
    Field("one_hour", FieldType.INT64),
    Field("tags", FieldType.STRING, Mode.REPEATED),
    Field("inner", FieldType.STRUCT, fields=(Field("at", FieldType.TIMESTAMP),)),
)


def test_structs_and_lists() -> None:
    values = [{"one_hour": 5, "tags": ["a", "b"], "inner": {"at": 0}}, None, {}]
    assert column("STRUCT", values, fields=CACHE) == [
        {"one_hour": 5, "tags": ["a", "b"], "inner": {"at": datetime(1970, 1, 1, tzinfo=UTC)}},
        None,
        {"one_hour": None, "tags": [], "inner": None},
    ]
    assert column("INT64", [[1, 2], None, []], "REPEATED") == [[1, 2], [], []]
    repeated = column("STRUCT", [[{"one_hour": 1}], []], "REPEATED", fields=CACHE[:1])
    assert repeated == [[{"one_hour": 1}], []]


def test_required_inside_a_struct_binds_only_where_the_struct_is() -> None:
    fields = (Field("a", FieldType.INT64, Mode.REQUIRED),)
    assert column("STRUCT", [{"a": 1}, None], fields=fields) == [{"a": 1}, None]
    with pytest.raises(DataError, match=r"record 2, c\.a: missing"):
        column("STRUCT", [{"a": 1}, None, {}], fields=fields)


@pytest.mark.parametrize(
    ("values", "mode", "where"),
    [
        ([{"one_hour": 1}, {"one_hour": "x"}], "NULLABLE", r"record 1, c\.one_hour"),
        ([5], "NULLABLE", r"record 0, c: 5 is not an object"),
        ([[{"one_hour": 1}, {"one_hour": "x"}]], "REPEATED", r"record 0, c\[1\]\.one_hour"),
        ([{}], "REPEATED", r"record 0, c: \{\} is not a list"),
        ([None, [None]], "REPEATED", r"record 1, c\[0\]: missing or null"),
        ([{"tags": ["a", {}]}], "NULLABLE", r"record 0, c\.tags\[1\]"),
        ([{"inner": {"at": "x"}}], "NULLABLE", r"record 0, c\.inner\.at"),
    ],
)
def test_nested_errors_name_the_place(values: list[Any], mode: str, where: str) -> None:
    with pytest.raises(DataError, match=where):
        column("STRUCT", values, mode, fields=CACHE)


# --- Properties -------------------------------------------------------------------------------------------------

Money = st.decimals(-(10**20) + 1, 10**20 - 1, allow_nan=False, allow_infinity=False, places=18)


@given(st.lists(st.tuples(Money, st.booleans())))
def test_money_is_the_same_to_the_last_digit_from_json_to_arrow(cells: list[tuple[Decimal, bool]]) -> None:
    parts = [f'"{value:f}"' if text else f"{value:f}" for value, text in cells]
    decoded = DECODE(f"[{','.join(parts)}]".encode())
    assert column("BIGNUMERIC", decoded) == [value for value, _ in cells]


@example(Decimal("9.9999999999999176780145465131231309E-34"), ("NUMERIC", 9))  # Arrow alone makes it 0
@given(
    st.decimals(allow_nan=False, allow_infinity=False), st.sampled_from([("NUMERIC", 9), ("BIGNUMERIC", 18)])
)
def test_a_decimal_is_kept_with_what_was_taken_away_or_refused(value: Decimal, kind: tuple[str, int]) -> None:
    name, scale = kind
    wide = Context(prec=2000, Emax=999_999, Emin=-999_999)
    for cell in (value, str(value)):
        roundings = Roundings()
        if value.adjusted() >= 38 - scale and value:
            with pytest.raises(DataError):
                column(name, [cell], roundings=roundings)
            continue
        try:
            (kept,) = column(name, [cell], roundings=roundings)
        except DataError:
            assert abs(value) > 10 ** (38 - scale) - 1  # rounded up to one digit more than there is room for
            continue
        found = roundings.columns.get("c", Rounded(0, Decimal()))
        assert abs(wide.subtract(value, kept)) <= Decimal(5).scaleb(-scale - 1)
        assert (found.values, found.difference == 0) == ((0, True) if kept == value else (1, False))
        # To 400 digits, which is what a report needs.
        assert abs(wide.subtract(wide.add(kept, found.difference), value)) <= abs(value) * Decimal("1E-390")


def test_ties_go_to_the_even_digit_and_are_told_by_column() -> None:
    roundings = Roundings()
    values = [Decimal("1.5E-18"), "2.5E-18", Decimal("-1.5E-18"), Decimal("1.2345678901234567e-7"), None, 3]
    assert column("BIGNUMERIC", values, roundings=roundings) == [
        Decimal("2E-18"),
        Decimal("2E-18"),
        Decimal("-2E-18"),
        Decimal("1.23456789012E-7"),
        None,
        Decimal(3),
    ]
    lost = Decimal("-0.5E-18") + Decimal("0.5E-18") + Decimal("0.5E-18") + Decimal("0.34567E-18")
    assert roundings.columns == {"c": Rounded(4, lost)}
    assert roundings.describe() == "c: 4 values, difference 0.00000000000000000084567"


@given(st.lists(st.one_of(st.none(), st.integers(), st.integers().map(Decimal), st.integers().map(str))))
def test_integers_are_kept_or_refused(cells: list[Any]) -> None:
    expected = [None if c is None else int(c) for c in cells]
    if all(e is None or -(2**63) <= e < 2**63 for e in expected):
        assert column("INT64", cells) == expected
    else:
        with pytest.raises(DataError, match="INT64"):
            column("INT64", cells)


Moments = st.datetimes(datetime(1900, 1, 1), datetime(9999, 1, 1), timezones=st.just(UTC))


@given(st.lists(Moments, min_size=1))
def test_moments_are_the_same_as_text_and_as_seconds(moments: list[datetime]) -> None:
    assert column("TIMESTAMP", [m.isoformat() for m in moments]) == moments
    whole = [m.replace(microsecond=0) for m in moments]
    assert column("TIMESTAMP", [round(m.timestamp()) for m in whole]) == whole
    assert column("DATE", [m.isoformat() for m in moments]) == [m.date() for m in moments]


Json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text()
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(st.lists(Json))
def test_json_text_means_the_same(values: list[Any]) -> None:
    texts = column("JSON", values)
    assert [None if t is None else DECODE(t.encode()) for t in texts] == values


def test_pyarrow_still_refuses_to_round() -> None:
    """The fast way rests on it."""
    with pytest.raises(pa.ArrowInvalid):
        pa.array([Decimal("1E-19")], pa.decimal128(38, 18))
    with pytest.raises((pa.ArrowInvalid, pa.ArrowTypeError)):
        pa.array([True, 1], pa.int64())
