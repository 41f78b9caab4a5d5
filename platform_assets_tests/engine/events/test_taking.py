"""From JSON to rows: what fits goes as it is, what does not changes the table or is refused alone."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.events.fitting import fit
from platform_assets.engine.events.spec import TYPE_COLUMN, Contract
from platform_assets.engine.events.taking import FIRST_LOOK, Taken, take
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, Mode, TableSchema
from platform_assets.engine.schema.model import FieldType as F
from platform_assets.engine.schema.planning import plan_changes

ITEMS = Field(
    "items",
    F.STRUCT,
    Mode.REPEATED,
    fields=(Field("name", F.STRING), Field("count", F.INT64), Field("price", F.NUMERIC)),
)
KNOWN = TableSchema(
    (
        TYPE_COLUMN,
        Field("id", F.STRING),
        Field("n", F.INT64),
        Field("amount", F.NUMERIC),
        Field("at", F.TIMESTAMP),
        Field("day", F.DATE),
        Field("ok", F.BOOL),
        Field("share", F.FLOAT64),
        ITEMS,
        Field("place", F.STRUCT, fields=(Field("city", F.STRING), Field("zip", F.INT64))),
    )
)


def taken(*events: dict[str, Any], into: TableSchema = KNOWN, **contract: str) -> Taken:
    bodies = [json.dumps({"event_type": "x"} | event).encode() for event in events]
    return take(into, Contract.model_validate(contract, strict=False), bodies)


def row(found: Taken, index: int = 0) -> dict[str, Any]:
    """A row without what is NULL."""
    values = found.rows.to_pylist()[found.indexes.index(index)]
    return {k: v for k, v in values.items() if v is not None and k != "event_type"}


def column(found: Taken, name: str) -> str:
    """Type and mode; of a STRUCT its members too."""

    def told(field: Field) -> str:
        inner = f"<{', '.join(f'{f.name} {told(f)}' for f in field.fields)}>" if field.fields else ""
        return f"{field.type}{inner}" + (" REPEATED" if field.mode is Mode.REPEATED else "")

    field = found.columns.get(name)
    assert field is not None, f"{name} is no column"
    return told(field)


def test_what_fits_changes_nothing_and_keeps_every_digit() -> None:
    event = {
        "id": "a",
        "n": -(2**63),
        "amount": 0.1,
        "at": "2026-01-31T23:30:00.123456-05:00",
        "day": "2026-01-31",
        "ok": False,
        "share": 3,
        "items": [{"name": "x", "count": 1, "price": "12345678901234567890.123456789"}, {}],
        "place": {"city": "Köln"},
    }
    found = taken(event)
    assert found.columns == KNOWN
    assert row(found) == {
        "id": "a",
        "n": -(2**63),
        "amount": Decimal("0.1"),
        "at": datetime(2026, 2, 1, 4, 30, 0, 123456, tzinfo=UTC),
        "day": date(2026, 1, 31),
        "ok": False,
        "share": 3.0,
        "items": [
            {"name": "x", "count": 1, "price": Decimal("12345678901234567890.123456789")},
            {"name": None, "count": None, "price": None},
        ],
        "place": {"city": "Köln", "zip": None},
    }


# value → the column it makes
NEW = {
    "text": ("x", "STRING"),
    "integer": (5, "INT64"),
    "large integer": (2**64, "NUMERIC"),
    "fraction": (1.5, "FLOAT64"),
    "truth": (True, "BOOL"),
    "moment": ("2026-01-31T12:00:00Z", "TIMESTAMP"),
    "day": ("2026-01-31", "DATE"),
    "almost a day": ("2026-02-31", "STRING"),
    "record": ({"a": 1, "b": {"c": "x"}}, "STRUCT<a INT64, b STRUCT<c STRING>>"),
    "list": ([1, 2.5], "FLOAT64 REPEATED"),
    "records": ([{"a": 1}, {"b": "x"}], "STRUCT<a INT64, b STRING> REPEATED"),
    "lists of lists": ([[1], [2]], "JSON"),
    "mixed list": ([1, "x", {}], "JSON"),
    "mixed list with an empty object": ([{}, 0], "JSON"),
    "mixed list with an object of nulls": ([False, {"a": None}], "JSON"),
    "list with null": ([1, None], "JSON"),
}


@pytest.mark.parametrize("what", NEW)
def test_a_new_field_becomes_a_column_of_its_own_type(what: str) -> None:
    value, kind = NEW[what]
    found = taken({"new": value})
    assert column(found, "new") == kind
    assert found.refused == {}
    again = taken({"new": value}, into=found.columns)
    assert again.columns == found.columns
    assert again.rows == found.rows


@pytest.mark.parametrize("nothing", [None, [], {}, {"a": None}])
def test_nothing_makes_no_column_and_is_no_reason_to_refuse(nothing: Any) -> None:
    found = taken({"new": nothing, "id": "a"})
    assert found.columns == KNOWN
    assert row(found) == {"id": "a"}


def test_nulls_of_unknown_fields_do_not_keep_events_from_the_fast_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looked: list[int] = []

    def counting(*args: Any) -> Any:
        looked.append(len(args[2]))
        return fit(*args)

    monkeypatch.setattr("platform_assets.engine.events.taking.fit", counting)
    found = taken(*[{"id": str(n), "extra": None, "more": n} for n in range(2000)])
    assert len(found.indexes) == 2000
    assert sum(looked) == FIRST_LOOK


MISFITS = {
    "text for a number": ({"n": "5"}, 'field n = "5": the column is INT64, the value STRING'),
    "number for text": ({"id": 7}, "field id = 7: the column is STRING, the value INT64"),
    "word for a time": (
        {"at": "yesterday"},
        'field at = "yesterday": the column is TIMESTAMP, the value STRING',
    ),
    "too many digits of money": (
        {"amount": 0.12345678901},
        "field amount = 0.12345678901: is not a value of NUMERIC",
    ),
    "a number beyond all": ({"share": 1e308 * 10}, "field share"),
    "truth for a number": ({"n": True}, "field n = true: the column is INT64, the value BOOL"),
    "record for text": ({"id": {"a": 1}}, 'field id = {"a":1}: STRING takes no object'),
    "text for a record": ({"place": "x"}, 'field place = "x": is not a value of STRUCT'),
    "list for one": ({"n": [1]}, "field n = [1]: INT64 takes no array"),
    "one for a list": (
        {"items": {"name": "x"}},
        'field items = {"name":"x"}: STRUCT REPEATED takes an array',
    ),
    "null in a list": ({"items": [None]}, "field items = [null]: an array cannot hold null"),
    "inside a record": (
        {"place": {"zip": "x"}},
        'field place.zip = "x": the column is INT64, the value STRING',
    ),
    "inside a list": ({"items": [{"count": 1.5}]}, "field items.count"),
    "two names for one column": (
        {"new-a": 1, "new_a": 2},
        "field new_a: two fields of the event are this column",
    ),
}


@pytest.mark.parametrize("what", MISFITS)
def test_a_misfit_is_refused_alone_with_field_value_and_reason(what: str) -> None:
    event, reason = MISFITS[what]
    if what == "a number beyond all":
        bodies = [b'{"event_type":"x","share":1e999}', b'{"event_type":"x","id":"good"}']
        found = take(KNOWN, Contract(), bodies)
    else:
        found = taken(event, {"id": "good"})
    assert found.refused.keys() == {0}
    assert found.refused[0].startswith(reason)
    assert row(found, 1) == {"id": "good"}
    assert found.columns == KNOWN


def test_a_refused_event_adds_no_column() -> None:
    found = taken({"surprise": 1, "n": "x"}, {"id": "good"})
    assert found.columns == KNOWN
    assert found.refused.keys() == {0}


def test_integers_and_fractions_of_one_field_share_a_column() -> None:
    found = taken({"n": 5}, {"n": 5.5}, {"n": 2**62})
    assert column(found, "n") == "FLOAT64"
    assert [row(found, i)["n"] for i in range(3)] == [5.0, 5.5, float(2**62)]
    assert column(taken({"n": 2**63}), "n") == "NUMERIC"


def test_a_missing_required_field_relaxes_its_column() -> None:
    columns = TableSchema((TYPE_COLUMN, Field("id", F.STRING, Mode.REQUIRED), Field("n", F.INT64)))
    found = taken({"n": 1}, {"id": "a"}, into=columns)
    assert found.columns.fields[1].mode is Mode.NULLABLE
    assert [row(found, i) for i in (0, 1)] == [{"n": 1}, {"id": "a"}]
    assert plan_changes(columns, found.columns).describe() == ("relax id from REQUIRED to NULLABLE",)


def test_names_that_no_column_may_have_are_changed_and_found_again() -> None:
    event = {"user-id": "a", "1st": 1, "_partition": 2, "ID": "upper", "x_key": "mine"}
    found = taken(event)
    assert row(found) == {"user_id": "a", "_1st": 1, "x_partition": 2, "id": "upper"}
    assert taken(event, into=found.columns).columns == found.columns


@pytest.mark.parametrize("mode", ["freeze", "discard_row", "discard_value"])
def test_contract_for_columns(mode: str) -> None:
    found = taken(
        {"new": 1, "id": "a"},
        {"id": "b", "place": {"new": 1, "city": "x"}},
        {"id": "c"},
        into=KNOWN,
        **{"columns": mode},
    )
    assert found.columns == KNOWN
    if mode == "discard_value":
        rows = [row(found, i) for i in range(3)]
        assert rows == [{"id": "a"}, {"id": "b", "place": {"city": "x", "zip": None}}, {"id": "c"}]
        return
    away = found.refused if mode == "freeze" else found.discarded
    assert away.keys() == {0, 1}
    assert away[0] == "field new = 1: is not in the table, and its contract adds no columns"
    assert away[1].startswith("field place.new = 1")
    assert found.indexes == [2]


@pytest.mark.parametrize("mode", ["freeze", "discard_row", "discard_value"])
def test_contract_for_types(mode: str) -> None:
    found = taken({"n": 1.5, "id": "a"}, {"id": "b", "at": "x"}, {"id": "c", "new": 1}, data_type=mode)
    assert column(found, "n") == "INT64"
    assert column(found, "new") == "INT64"
    if mode == "discard_value":
        assert [row(found, i) for i in range(3)] == [{"id": "a"}, {"id": "b"}, {"id": "c", "new": 1}]
        assert found.discarded_values == {"n": 1, "at": 1}
        return
    away = found.refused if mode == "freeze" else found.discarded
    assert away.keys() == {0, 1}
    assert found.indexes == [2]


def test_a_frozen_table_does_not_relax_and_a_missing_value_cannot_be_discarded() -> None:
    columns = TableSchema((TYPE_COLUMN, Field("id", F.STRING, Mode.REQUIRED), Field("n", F.INT64)))
    for mode in ("freeze", "discard_value"):
        found = taken({"n": 1}, into=columns, **{"columns": mode})
        assert found.refused == {0: "field id: is REQUIRED and missing"}


def test_a_damaged_event_never_reaches_the_others() -> None:
    deep = b'{"event_type":"x","a":' + b"[" * 5000 + b"]" * 5000 + b"}"
    bodies = [b'{"event_type":"x","id":"a","id":"b"}', b' {"event_type" : "x",\n "id":"c"} ', deep]
    found = take(KNOWN, Contract(), bodies)
    assert row(found, 0) == {"id": "b"}
    assert row(found, 1) == {"id": "c"}
    assert found.refused.keys() == {2}


def test_one_bad_decimal_among_many_is_found() -> None:
    events = [{"amount": 1.25} for _ in range(1000)]
    events[617] = {"amount": 1.12345678901234}
    found = taken(*events)
    assert found.refused.keys() == {617}
    assert len(found.indexes) == 999


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(
    SCALARS | st.text(max_size=5) | st.sampled_from(["2026-01-31", "2026-01-31T00:00:00Z"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
EVENTS = st.lists(
    st.dictionaries(st.sampled_from(["a", "b", "id", "n", "é", ""]), VALUES, max_size=4), max_size=6
)


@settings(max_examples=150, deadline=None)
@given(EVENTS)
def test_every_event_is_a_row_or_has_a_reason(events: list[dict[str, Any]]) -> None:
    """Whatever comes: nothing is lost, the table only grows, and what it is now takes the same rows again."""
    found = taken(*events)
    assert sorted([*found.indexes, *found.refused]) == list(range(len(events)))
    assert not plan_changes(KNOWN, found.columns).refusals
    assert found.rows.schema == arrow_schema(found.columns)
    kept = sorted(found.indexes)
    again = taken(*[events[i] for i in kept], into=found.columns)
    assert again.columns == found.columns
    assert not again.refused
    assert [row(again, n) for n in range(len(kept))] == [row(found, i) for i in kept]
