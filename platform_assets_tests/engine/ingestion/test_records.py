"""Pages to rows: the walk, the mapping, the fields nobody mapped, and pages that are not what they should be."""

from __future__ import annotations

import json
from collections import Counter
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import ConfigError, DataError
from platform_assets.engine.ingestion.records import Decoder, excerpt
from platform_assets.engine.ingestion.spec import RestSource
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

WHERE = "page 3 of https://api.example.com/v1/costs"

COSTS = TableSchema(
    (
        Field("start_time", FieldType.TIMESTAMP, Mode.REQUIRED),
        Field("amount", FieldType.BIGNUMERIC),
        Field("currency", FieldType.STRING),
        Field("project_id", FieldType.STRING),
        Field("x_extra", FieldType.JSON),
        Field("x_tenant", FieldType.STRING),
        Field("x_run_date", FieldType.DATE),
    )
)
COLUMNS = {"start_time": "$.data[].start_time", "amount": "amount.value", "currency": "amount.currency"}
CONSTANTS = {"x_tenant": "acme1281", "x_run_date": date(2026, 5, 2), "not_in_the_table": "x"}


def decoder(schema: TableSchema = COSTS, **source: Any) -> Decoder:
    given = {"type": "rest_api", "path": "costs", "records_path": "data[].results[]", "columns": COLUMNS}
    return Decoder(RestSource.model_validate(given | source), schema, CONSTANTS)


def rows(page: Any, of: Decoder | None = None) -> tuple[list[dict[str, Any]], Counter[str]]:
    of = of or decoder()
    body = page if isinstance(page, bytes) else json.dumps(page).encode()
    batch, unknown = of.batch(of.parse(body, WHERE), WHERE)
    assert batch.schema == of.schema
    return batch.to_pylist(), unknown


def page(*buckets: tuple[int, list[Any]]) -> dict[str, Any]:
    return {
        "data": [{"start_time": start, "results": results} for start, results in buckets],
        "has_more": False,
    }


def plain(*fields: tuple[str, FieldType]) -> TableSchema:
    return TableSchema(tuple(Field(name, kind) for name, kind in fields))


# --- Rows -------------------------------------------------------------------------------------------------------


def test_records_of_several_buckets_keep_their_own_times_and_constants() -> None:
    found, unknown = rows(
        page(
            (0, [{"amount": {"value": "12.50", "currency": "usd"}, "project_id": "p"}]),
            (86400, []),
            (172800, [{"amount": {"value": 0.06, "currency": "usd"}}, {"amount": None, "project_id": None}]),
        )
    )
    assert unknown == Counter()
    shared = {"x_extra": None, "x_tenant": "acme1281", "x_run_date": date(2026, 5, 2)}
    day3 = datetime(1970, 1, 3, tzinfo=UTC)
    assert found == [
        {
            "start_time": datetime(1970, 1, 1, tzinfo=UTC),
            "amount": Decimal("12.50"),
            "currency": "usd",
            "project_id": "p",
        }
        | shared,
        {"start_time": day3, "amount": Decimal("0.06"), "currency": "usd", "project_id": None} | shared,
        {"start_time": day3, "amount": None, "currency": None, "project_id": None} | shared,
    ]


@pytest.mark.parametrize("empty", [{"data": []}, page((0, [])), page((0, []), (86400, []))])
def test_an_empty_answer_is_no_rows_in_the_right_shape(empty: Any) -> None:
    assert rows(empty) == ([], Counter())


def test_amounts_keep_all_their_digits() -> None:
    body = b'{"data":[{"start_time":0,"results":[{"amount":{"value":0.1234567890123456}},{"amount":{"value":1e-7}}]}]}'
    found, _ = rows(body)
    assert [r["amount"] for r in found] == [Decimal("0.1234567890123456"), Decimal("0.0000001")]


def test_a_byte_order_mark_is_no_data() -> None:
    assert rows(b"\xef\xbb\xbf" + json.dumps(page((0, []))).encode()) == ([], Counter())


def test_records_at_the_top_in_an_object_and_below_keys() -> None:
    schema = plain(("a", FieldType.INT64), ("page", FieldType.STRING))
    top = decoder(schema, records_path="[]", columns={})
    assert rows([{"a": 1}, {"a": 2}], top)[0] == [{"a": 1, "page": None}, {"a": 2, "page": None}]
    deep = decoder(schema, records_path="x.items[].row", columns={"page": "$.token"})
    answer = {"token": "t", "x": {"items": [{"row": {"a": 1}}, {"row": {"a": 2}}]}}
    assert rows(answer, deep)[0] == [{"a": 1, "page": "t"}, {"a": 2, "page": "t"}]
    one = decoder(schema, records_path="summary", columns={})
    assert rows({"summary": {"a": 7}}, one)[0] == [{"a": 7, "page": None}]
    whole = decoder(schema, records_path="$", columns={})
    assert rows({"a": 7}, whole)[0] == [{"a": 7, "page": None}]


def test_a_column_may_hold_the_whole_record_or_a_part_as_json() -> None:
    schema = plain(("raw", FieldType.JSON), ("tags", FieldType.JSON))
    found, unknown = rows(
        {"r": [{"tags": {"b": 1.50, "a": []}, "n": 1}]},
        decoder(schema, records_path="r[]", columns={"raw": "."}),
    )
    assert found == [{"raw": '{"n":1,"tags":{"a":[],"b":1.5}}', "tags": '{"a":[],"b":1.5}'}]
    assert unknown == Counter()


def test_three_levels_deep() -> None:
    schema = plain(("org", FieldType.STRING), ("team", FieldType.STRING), ("n", FieldType.INT64))
    deep = decoder(schema, records_path="o[].t[].u[]", columns={"org": "$.o[].id", "team": "$.o[].t[].id"})
    answer = {
        "o": [
            {"id": "a", "t": [{"id": "x", "u": [{"n": 1}, {"n": 2}]}, {"id": "y", "u": []}]},
            {"id": "b", "t": [{"id": "z", "u": [{"n": 3}]}]},
        ]
    }
    found, _ = rows(answer, deep)
    assert [tuple(r.values()) for r in found] == [("a", "x", 1), ("a", "x", 2), ("b", "z", 3)]


# --- Fields nobody mapped ---------------------------------------------------------------------------------------


def test_unknown_fields_are_kept_and_counted_wherever_they_stand() -> None:
    found, unknown = rows(
        page(
            (
                0,
                [
                    {"object": "x", "amount": {"value": 1, "currency": "usd"}},
                    {"amount": {"value": 2, "currency": "usd", "tax": 0.10}, "new": {"z": [1, 2.50]}},
                    {"amount": {"value": 3}, "new": None},
                ],
            )
        ),
        decoder(ignore=["object"]),
    )
    assert [r["x_extra"] for r in found] == [
        None,
        '{"amount":{"tax":0.1},"new":{"z":[1,2.5]}}',
        '{"new":null}',
    ]
    assert unknown == Counter({"new": 2, "amount.tax": 1})


def test_unknown_numbers_keep_their_digits() -> None:
    fields = b'{"new":0.12345678901234567890,"big":123456789012345678901234567890}'
    found, _ = rows(b'{"data":[{"start_time":0,"results":[' + fields + b"]}]}")
    assert found[0]["x_extra"] == '{"big":123456789012345678901234567890,"new":0.12345678901234567890}'


def test_unknown_fields_are_counted_where_the_table_has_no_place_for_them() -> None:
    schema = plain(("project_id", FieldType.STRING))
    found, unknown = rows(page((0, [{"project_id": "p", "n": 1}])), decoder(schema, columns={}))
    assert found == [{"project_id": "p"}]
    assert unknown == Counter({"n": 1})


def test_unknown_fields_inside_structs_are_kept_too() -> None:
    inner = (Field("a", FieldType.INT64),)
    schema = TableSchema(
        (
            Field("s", FieldType.STRUCT, fields=inner),
            Field("l", FieldType.STRUCT, Mode.REPEATED, fields=inner),
            Field("x_extra", FieldType.JSON),
        )
    )
    of = decoder(schema, records_path="r[]", columns={})
    found, unknown = rows(
        {"r": [{"s": {"a": 1, "b": 2}, "l": [{"a": 1}, {"a": 2, "c": 3}]}, {"s": None}]}, of
    )
    assert [r["x_extra"] for r in found] == ['{"l":[null,{"c":3}],"s":{"b":2}}', None]
    assert unknown == Counter({"s.b": 1, "l[].c": 1})


Scalars = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5)
Records = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), Scalars | st.dictionaries(st.text(max_size=3), Scalars))
)


@given(Records)
def test_no_field_is_ever_lost(records: list[dict[str, Any]]) -> None:
    """Mapped or not, every field of every record is in the row: columns and extras together give the record."""
    kept = ("a", "b", "c")
    schema = plain(*((k, FieldType.JSON) for k in kept), ("x_extra", FieldType.JSON))
    found, unknown = rows({"r": records}, decoder(schema, records_path="r[]", columns={}))
    assert len(found) == len(records)
    for record, row in zip(records, found, strict=True):
        columns = {k: json.loads(row[k]) for k in kept if row[k] is not None}
        extra = json.loads(row["x_extra"] or "{}")
        assert columns | extra == {k: v for k, v in record.items() if v is not None or k not in kept}
    assert unknown == Counter(k for r in records for k in r if k not in kept)


@given(Records, st.lists(st.integers(0, 5), max_size=6))
def test_rows_do_not_depend_on_how_records_are_spread_over_buckets(
    records: list[Any], cuts: list[int]
) -> None:
    schema = plain(("a", FieldType.JSON), ("x_extra", FieldType.JSON))
    of = decoder(schema, columns={})
    buckets, rest = [], records
    for cut in cuts:
        buckets.append((0, rest[:cut]))
        rest = rest[cut:]
    assert rows(page(*buckets, (0, rest)), of) == rows(page((0, records)), of)


# --- Pages that are not what they should be ---------------------------------------------------------------------

GOOD = json.dumps(page((0, [{"amount": {"value": 1.5, "currency": "usd"}}]))).encode()


@pytest.mark.parametrize("length", range(len(GOOD)))
def test_a_page_cut_anywhere_is_an_error(length: int) -> None:
    with pytest.raises(DataError, match="page 3 of https"):
        rows(GOOD[:length])


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "empty, not JSON"),
        (b"  \n", "empty, not JSON"),
        (b"<html><body>502 Bad Gateway</body></html>", r"byte 0 of 41 .*Bad Gateway"),
        (GOOD + b"{}", f"byte {len(GOOD) + 1} of .*trailing"),
        (b'{"data": NaN}', "byte 9 of 13"),
        (b'{"data": [\xff]}', "not whole JSON"),
        (b'{"data": "\xff"}', "byte 10 of"),
        (b"[" * 100_000, "nested too deeply|truncated"),
        (b"null", "no 'data\\[\\].results\\[\\]' in the answer .*null"),
        (b"[]", "a list"),
        (b'{"error": {"message": "quota"}}', r"'data' is missing\); an object with 'error'"),
        (b'{"data": null}', "is not a list; null"),
        (b'{"data": {"results": []}}', "is not a list; an object with 'results'"),
        (b'{"data": [{"start_time": 0}]}', "'results' is missing"),
        (b'{"data": [{"start_time": 0, "results": null}]}', "is not a list; null"),
        (b'{"data": [7]}', "'results' is missing.*a number"),
        (b'{"data": [{"start_time": 0, "results": [{}, null]}]}', "record 1: .*holds null, not an object"),
        (b'{"data": [{"start_time": 0, "results": ["x"]}]}', "record 0: .*holds a text"),
        (
            b'{"data": [{"start_time": 0, "results": [{"amount": 5}]}]}',
            "record 0, amount: a number, not an object",
        ),
        (
            b'{"data": [{"start_time": 0, "results": [{"amount": {"value": "a lot"}}]}]}',
            'record 0, amount.value: "a lot" is not a number',
        ),
        (b'{"data": [{"results": [{}]}]}', "element 0, start_time: missing or null, but REQUIRED"),
        (b'{"data": [{"start_time": "soon", "results": [{}]}]}', 'element 0, start_time: "soon" is not'),
    ],
)
def test_bad_pages_are_named_with_their_place(body: bytes, reason: str) -> None:
    with pytest.raises(DataError, match=reason) as caught:
        rows(body)
    assert str(caught.value).startswith(WHERE)
    assert len(str(caught.value)) < 400


def test_an_excerpt_shows_where_but_no_keys() -> None:
    secret = "sk-admin-0123456789abcdefghij"
    with pytest.raises(DataError) as caught:
        rows(f'{{"data": "bad", "key": "{secret}" oops'.encode())
    assert "oops" in str(caught.value)
    assert secret not in str(caught.value)
    assert excerpt(b"x" * 1000) == "***"


def test_paths_that_do_not_fit_are_a_config_error() -> None:
    with pytest.raises(ConfigError, match="does not enclose"):
        decoder(columns={"amount": "$.other[].x"})
