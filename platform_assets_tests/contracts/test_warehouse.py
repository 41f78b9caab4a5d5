"""What every warehouse does, whatever it is made of. Runs once for each kind of ``warehouse_rigs``."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from decimal import Decimal as D
from typing import Any

import pyarrow as pa
import pytest
from sqlglot import parse_one

from platform_assets.engine.errors import (
    ConfigError,
    ConflictError,
    DataError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.schema.access import SharedView, TableAccess
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Mode,
    Partitioning,
    Scalar,
    Slice,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.sql.binding import bind_dml, bind_query
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite, Upsert, Warehouse
from platform_assets.resources.bindings import ADAPTERS
from platform_assets_tests.contracts.warehouse_rigs import WAREHOUSES, WarehouseRig

TENANT = "acme1281"
OTHER = "globex77"
COSTS = TableName("raw_openai", "costs")
DAY = date(2026, 1, 31)
NEXT = date(2026, 2, 1)
F = FieldType

COLUMNS = (
    Field("id", F.STRING, Mode.REQUIRED, "Of the line."),
    Field("amount", F.BIGNUMERIC),
    Field("tags", F.STRING, Mode.REPEATED),
    Field("run_date", F.DATE, Mode.REQUIRED),
    Field("pipeline", F.STRING, Mode.REQUIRED),
)
SPEC = TableSpec(
    COSTS,
    TableSchema(COLUMNS),
    Partitioning("run_date"),
    cluster_by=("pipeline",),
    description="Costs as the provider said.",
    labels=(("pipeline", "costs"),),
)
Row = dict[str, Any]


def row(number: int, *, amount: str = "1.5", day: date = DAY, pipeline: str = "costs", **more: Any) -> Row:
    return {
        "id": f"line-{number}",
        "amount": D(amount),
        "tags": ["a", "b"],
        "run_date": day,
        "pipeline": pipeline,
        **more,
    }


def batch(rows: Sequence[Row], schema: TableSchema = SPEC.schema) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=arrow_schema(schema))


def stage(
    warehouse: Warehouse,
    rows: Sequence[Row],
    *,
    spec: TableSpec = SPEC,
    token: str = "t1",
    tenant: str = TENANT,
) -> TableName:
    staging = warehouse.create_staging(tenant, spec, token)
    warehouse.load(tenant, staging, [batch(rows, spec.schema)])
    return staging


def replacing(
    staging: TableName, day: date = DAY, pipeline: str = "costs", spec: TableSpec = SPEC
) -> SliceWrite:
    return SliceWrite(spec, staging, "replace", Slice((("run_date", day), ("pipeline", pipeline))))


def keyed(staging: TableName, mode: Any, *keys: str) -> SliceWrite:
    return SliceWrite(SPEC, staging, mode, Slice((("run_date", DAY),)), keys or ("id",))


def put(
    warehouse: Warehouse,
    rows: Sequence[Row],
    *,
    day: date = DAY,
    pipeline: str = "costs",
    tenant: str = TENANT,
) -> None:
    warehouse.ensure_table(tenant, SPEC)
    warehouse.publish(tenant, replacing(stage(warehouse, rows, tenant=tenant), day, pipeline))


def select(
    warehouse: Warehouse, sql: str, tenant: str = TENANT, **parameters: tuple[FieldType, Any]
) -> list[Row]:
    rows: list[Row] = warehouse.query(tenant, bind_query(sql, tenant, parameters)).to_pylist()
    return rows


def ids(warehouse: Warehouse, tenant: str = TENANT) -> list[str]:
    return [r["id"] for r in select(warehouse, "SELECT id FROM raw_openai.costs ORDER BY id", tenant)]


# --- Tables ---------------------------------------------------------------------------------------------------------


NESTED = TableSchema(
    (
        Field("id", F.INT64, Mode.REQUIRED, "It's the key."),
        Field("project", F.STRUCT, fields=(Field("name", F.STRING, Mode.REQUIRED), Field("cost", F.NUMERIC))),
        Field("labels", F.STRUCT, Mode.REPEATED, fields=(Field("key", F.STRING), Field("value", F.STRING))),
    )
)


def test_every_warehouse_is_here() -> None:
    assert set(WAREHOUSES) == set(ADAPTERS["warehouse"])


def test_a_table_is_created_once_as_declared(warehouse: Warehouse) -> None:
    spec = TableSpec(TableName("raw_gcp", "billing"), NESTED)
    assert len(warehouse.ensure_table(TENANT, spec)) == 1
    assert warehouse.describe(TENANT, spec.name) == NESTED
    assert warehouse.ensure_table(TENANT, spec) == ()


def test_an_unknown_table_has_no_description(warehouse: Warehouse) -> None:
    assert warehouse.describe(TENANT, COSTS) is None


def test_a_dropped_table_is_gone_and_may_be_dropped_again(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    warehouse.drop(TENANT, COSTS)
    warehouse.drop(TENANT, COSTS)
    assert warehouse.describe(TENANT, COSTS) is None


def test_columns_are_added_relaxed_and_widened_with_their_rows_kept(warehouse: Warehouse) -> None:
    name = TableName("raw_gcp", "usage")
    first = TableSchema(
        (
            Field("id", F.STRING, Mode.REQUIRED),
            Field("units", F.INT64),
            Field("at", F.STRUCT, fields=(Field("zone", F.STRING),)),
        )
    )
    spec = TableSpec(name, first)
    warehouse.ensure_table(TENANT, spec)
    staged = warehouse.create_staging(TENANT, spec, "t")
    warehouse.load(TENANT, staged, [batch([{"id": "a", "units": 7, "at": {"zone": "z"}}], first)])
    warehouse.publish(TENANT, SliceWrite(spec, staged, "replace", Slice((("id", "a"),))))
    wanted = TableSchema(
        (
            Field("id", F.STRING),
            Field("units", F.BIGNUMERIC),
            Field("at", F.STRUCT, fields=(Field("zone", F.STRING), Field("region", F.STRING))),
            Field("tags", F.STRING, Mode.REPEATED),
            Field("note", F.STRING, description="New."),
        )
    )
    changes = warehouse.ensure_table(TENANT, replace(spec, schema=wanted))
    assert len(changes) == 5
    assert warehouse.describe(TENANT, name) == wanted
    assert warehouse.ensure_table(TENANT, replace(spec, schema=wanted)) == ()
    found = select(
        warehouse, "SELECT id, units, at.zone, at.region, ARRAY_LENGTH(tags) AS n, note FROM raw_gcp.usage"
    )
    assert [(r["id"], r["units"], r["zone"], r["region"], r["n"] or 0, r["note"]) for r in found] == [
        ("a", D(7), "z", None, 0, None)
    ]


def test_changes_that_lose_something_are_refused_together(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    wanted = TableSchema(
        (
            Field("id", F.INT64, Mode.REQUIRED),
            Field("amount", F.STRING),
            Field("tags", F.STRING),
            Field("run_date", F.DATE, Mode.REQUIRED),
            Field("pipeline", F.STRING, Mode.REQUIRED),
            Field("extra", F.STRING, Mode.REQUIRED),
            Field("fine", F.STRING),
        )
    )
    with pytest.raises(RejectedError) as caught:
        warehouse.ensure_table(TENANT, replace(SPEC, schema=wanted))
    for words in (
        "raw_openai.costs",
        "id",
        "STRING",
        "INT64",
        "amount",
        "BIGNUMERIC",
        "tags",
        "REPEATED",
        "extra",
    ):
        assert words in str(caught.value)
    assert warehouse.describe(TENANT, COSTS) == SPEC.schema


def test_columns_that_only_the_table_has_are_left_alone(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    fewer = replace(SPEC, schema=TableSchema(tuple(f for f in COLUMNS if f.name != "amount")))
    assert warehouse.ensure_table(TENANT, fewer) == ()
    rows = [{k: v for k, v in row(1).items() if k != "amount"}]
    warehouse.publish(TENANT, replacing(stage(warehouse, rows, spec=fewer), spec=fewer))
    assert select(warehouse, "SELECT id, amount FROM raw_openai.costs") == [{"id": "line-1", "amount": None}]


def test_a_table_cannot_move_to_another_partition_column(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    with pytest.raises(RejectedError, match="partition"):
        warehouse.ensure_table(TENANT, replace(SPEC, partitioning=None))


def test_rows_of_expired_partitions_go(warehouse: Warehouse) -> None:
    today = datetime.now(UTC).date()
    spec = replace(SPEC, partitioning=Partitioning("run_date", expiration_days=30))
    warehouse.ensure_table(TENANT, spec)
    for age in (1, 40):
        day = today - timedelta(days=age)
        warehouse.publish(TENANT, replacing(stage(warehouse, [row(age, day=day)], spec=spec), day, spec=spec))
    assert ids(warehouse) == ["line-1"]


# --- Loading --------------------------------------------------------------------------------------------------------


EVERY_TYPE = TableSchema(tuple(Field(f"c_{t.value.lower()}", t) for t in FieldType if t is not F.STRUCT))
VALUES: Row = {
    "c_string": "Grüße 'quoted' \"twice\"\n",
    "c_bytes": b"\x00\xff",
    "c_int64": 2**63 - 1,
    "c_float64": 0.1,
    "c_numeric": D("12345678901234567890.123456789"),
    "c_bignumeric": D("-12345678901234567890.123456789012345678"),
    "c_bool": True,
    "c_date": date(1970, 1, 1),
    "c_datetime": datetime(2026, 1, 31, 23, 59, 59, 999999),
    "c_time": datetime(2026, 1, 1, 12, 34, 56, 789012).time(),
    "c_timestamp": datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC),
    "c_json": '{"a": [1, null]}',
}


def plain(value: Any) -> Any:
    """Without the spelling of a warehouse: JSON text is parsed, instants are in UTC."""
    if isinstance(value, str) and value.startswith("{"):
        return json.loads(value)
    return value.astimezone(UTC) if isinstance(value, datetime) and value.tzinfo else value


def test_every_type_goes_in_and_comes_out_the_same(warehouse: Warehouse) -> None:
    spec = TableSpec(TableName("raw_any", "types"), EVERY_TYPE)
    assert set(VALUES) == set(EVERY_TYPE.names)
    nothing = dict.fromkeys(VALUES)
    staging = stage(warehouse, [VALUES, nothing], spec=spec)
    found = select(warehouse, f"SELECT * FROM {staging} ORDER BY c_int64 DESC")
    assert [{k: plain(v) for k, v in r.items()} for r in found] == [
        {k: plain(v) for k, v in VALUES.items()},
        nothing,
    ]


def test_nested_values_keep_their_shape(warehouse: Warehouse) -> None:
    spec = TableSpec(TableName("raw_gcp", "billing"), NESTED)
    rows = [
        {
            "id": 1,
            "project": {"name": "p", "cost": D("0.000000001")},
            "labels": [{"key": "a", "value": "1"}, {"key": "b", "value": None}],
        },
        {"id": 2, "project": None, "labels": []},
    ]
    staging = stage(warehouse, rows, spec=spec)
    found = select(warehouse, f"SELECT id, project, labels FROM {staging} ORDER BY id")
    assert found == rows
    flat = select(
        warehouse,
        f"SELECT t.project.cost, l.value FROM {staging} AS t, UNNEST(t.labels) AS l WHERE l.key = 'a'",
    )
    assert flat == [{"cost": D("0.000000001"), "value": "1"}]


def test_batches_are_matched_by_name_and_missing_columns_are_null(warehouse: Warehouse) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    narrow = pa.RecordBatch.from_pylist([{"pipeline": "costs", "id": "line-1", "run_date": DAY}])
    assert warehouse.load(TENANT, staging, [narrow]) == 1
    assert select(warehouse, f"SELECT id, pipeline, amount FROM {staging}") == [
        {"id": "line-1", "pipeline": "costs", "amount": None}
    ]


def test_several_batches_load_together_and_none_is_nothing(warehouse: Warehouse) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    assert warehouse.load(TENANT, staging, []) == 0
    assert warehouse.load(TENANT, staging, (batch([row(n)]) for n in range(3))) == 3
    assert select(warehouse, f"SELECT COUNT(*) AS n FROM {staging}") == [{"n": 3}]


def test_a_column_the_table_does_not_have_is_refused(warehouse: Warehouse) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    stranger = pa.RecordBatch.from_pylist([{"id": "line-1", "surprise": 1}])
    with pytest.raises((RejectedError, DataError), match="surprise"):
        warehouse.load(TENANT, staging, [stranger])


def test_a_source_that_fails_half_way_leaves_nothing(warehouse: Warehouse) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")

    def breaking() -> Iterator[pa.RecordBatch]:
        yield batch([row(1)])
        raise RetryableError("page 2 of 3 timed out")

    with pytest.raises(RetryableError, match="page 2 of 3"):
        warehouse.load(TENANT, staging, breaking())
    assert select(warehouse, f"SELECT COUNT(*) AS n FROM {staging}") == [{"n": 0}]


def test_floating_point_does_not_become_money(warehouse: Warehouse) -> None:
    staging = warehouse.create_staging(TENANT, SPEC, "t")
    with pytest.raises((RejectedError, DataError), match="amount"):
        warehouse.load(TENANT, staging, [pa.RecordBatch.from_pylist([{"id": "line-1", "amount": 0.1}])])


def test_staging_again_with_one_token_empties_it(warehouse: Warehouse) -> None:
    first = stage(warehouse, [row(1)], token="same")
    again = warehouse.create_staging(TENANT, SPEC, "same")
    assert first == again
    assert select(warehouse, f"SELECT COUNT(*) AS n FROM {again}") == [{"n": 0}]
    assert stage(warehouse, [], token="other") != again


# --- Queries --------------------------------------------------------------------------------------------------------


def test_insert_select_matches_by_name(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2, amount="2.25")])
    staging = warehouse.create_staging(TENANT, SPEC, "copy")
    query = bind_query(
        "SELECT pipeline, run_date, amount * @factor AS amount, CONCAT(id, '-copy') AS id "
        "FROM raw_openai.costs WHERE run_date = @day",
        TENANT,
        {"day": (F.DATE, DAY), "factor": (F.BIGNUMERIC, D(100))},
    )
    assert warehouse.insert_select(TENANT, staging, query) == 2
    assert select(warehouse, f"SELECT id, amount FROM {staging} ORDER BY id") == [
        {"id": "line-1-copy", "amount": D(150)},
        {"id": "line-2-copy", "amount": D(225)},
    ]


LOSING = {
    "digits": ("SELECT 'x' AS id, BIGNUMERIC '0.1234567891' AS price", DataError),
    "range": ("SELECT 'x' AS id, BIGNUMERIC '10' AS price, 5 AS surprise", (RejectedError, DataError)),
    "float": ("SELECT 'x' AS id, CAST(0.1 AS FLOAT64) AS price", (RejectedError, DataError)),
    "text": ("SELECT 'x' AS id, '12' AS price", (RejectedError, DataError)),
}


@pytest.mark.parametrize("what", LOSING)
def test_a_value_that_would_change_on_its_way_is_refused(warehouse: Warehouse, what: str) -> None:
    sql, error = LOSING[what]
    spec = TableSpec(
        TableName("raw_any", "prices"), TableSchema((Field("id", F.STRING), Field("price", F.NUMERIC)))
    )
    staging = warehouse.create_staging(TENANT, spec, "t")
    with pytest.raises(error, match=r"price|surprise"):
        warehouse.insert_select(TENANT, staging, bind_query(sql, TENANT))
    assert select(warehouse, f"SELECT COUNT(*) AS n FROM {staging}") == [{"n": 0}]


PARAMETERS: list[tuple[FieldType, Scalar | tuple[Scalar, ...]]] = [
    (F.STRING, "it's; DROP TABLE x --"),
    (F.INT64, -(2**63)),
    (F.FLOAT64, 0.1),
    (F.NUMERIC, D("1.5")),
    (F.BIGNUMERIC, D("-0.000000000000000001")),
    (F.BOOL, False),
    (F.DATE, DAY),
    (F.TIMESTAMP, datetime(2026, 1, 31, 12, tzinfo=UTC)),
    (F.DATETIME, datetime(2026, 1, 31, 12)),
    (F.BYTES, b"\x00\x01"),
    (F.STRING, None),
    (F.DATE, (DAY, NEXT)),
    (F.BIGNUMERIC, (D("1.5"), D("2"))),
    (F.STRING, ()),
]


@pytest.mark.parametrize(("kind", "value"), PARAMETERS, ids=[f"{k}-{v}" for k, v in PARAMETERS])
def test_a_parameter_arrives_as_it_is(warehouse: Warehouse, kind: FieldType, value: Any) -> None:
    found = select(warehouse, "SELECT @value AS v", value=(kind, value))[0]["v"]
    assert plain(found if not isinstance(value, tuple) else tuple(found)) == value


def test_integers_are_int64_and_money_is_decimal(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2)])
    found = warehouse.query(
        TENANT,
        bind_query(
            "SELECT COUNT(*) AS n, COUNTIF(amount > 1) AS c, SUM(amount) AS s FROM raw_openai.costs", TENANT
        ),
    )
    assert [found.schema.field(name).type for name in ("n", "c")] == [pa.int64(), pa.int64()]
    assert isinstance(found.to_pylist()[0]["s"], Decimal)


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM acme1281_raw_openai.costs WHERE TRUE",
        "DROP TABLE acme1281_raw_openai.costs",
        "SELECT 1; SELECT 2",
    ],
)
def test_a_query_only_reads(warehouse: Warehouse, sql: str) -> None:
    from platform_assets.engine.sql.model import BoundSql

    put(warehouse, [row(1)])
    with pytest.raises((RejectedError, ConfigError)):
        warehouse.query(TENANT, BoundSql(sql))
    assert ids(warehouse) == ["line-1"]


def test_a_stream_is_the_same_rows_in_batches(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    query = bind_query("SELECT id, amount, tags FROM raw_openai.costs ORDER BY id", TENANT)
    with warehouse.stream(TENANT, query) as empty:
        assert (empty.schema.names, sum(b.num_rows for b in empty)) == (["id", "amount", "tags"], 0)
    put(warehouse, [row(number, tags=["a"]) for number in range(50_000)])
    with warehouse.stream(TENANT, query) as reader:
        batches = list(reader)
    assert max(batch.num_rows for batch in batches) <= 20_480 < sum(batch.num_rows for batch in batches)
    assert pa.Table.from_batches(batches).equals(warehouse.query(TENANT, query))


def test_a_stream_that_is_left_early_or_fails_leaves_the_warehouse_usable(warehouse: Warehouse) -> None:
    put(warehouse, [row(number) for number in range(50_000)])
    query = bind_query("SELECT id FROM raw_openai.costs", TENANT)
    with warehouse.stream(TENANT, query) as reader:
        reader.read_next_batch()
    with pytest.raises(DataError, match="of the reader"), warehouse.stream(TENANT, query) as reader:
        reader.read_next_batch()
        raise DataError("of the reader")
    missing = bind_query("SELECT id FROM raw_openai.nothing", TENANT)
    with pytest.raises(NotFoundError), warehouse.stream(TENANT, missing):
        pass
    assert select(warehouse, "SELECT COUNT(*) AS n FROM raw_openai.costs") == [{"n": 50_000}]


def test_a_query_that_names_nothing_real_says_so(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    with pytest.raises(NotFoundError, match="nowhere"):
        select(warehouse, "SELECT 1 AS x FROM raw_openai.nowhere")
    with pytest.raises(RejectedError, match="no_such_column"):
        select(warehouse, "SELECT no_such_column FROM raw_openai.costs")
    with pytest.raises(DataError):
        select(warehouse, "SELECT CAST('apple' AS INT64) AS x")


def test_an_estimate_reads_nothing_and_checks_the_query(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    assert warehouse.estimate(TENANT, bind_query("SELECT id FROM raw_openai.costs", TENANT)).bytes >= 0
    with pytest.raises(NotFoundError):
        warehouse.estimate(TENANT, bind_query("SELECT 1 AS x FROM raw_openai.nowhere", TENANT))


# --- Publishing -----------------------------------------------------------------------------------------------------


def test_replace_swaps_its_slice_and_nothing_else(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2)])
    put(warehouse, [row(3, day=NEXT)], day=NEXT)
    put(warehouse, [row(4, pipeline="other")], pipeline="other")
    staging = stage(warehouse, [row(5)])
    result = warehouse.publish(TENANT, replacing(staging))
    assert (result.rows_inserted, result.rows_deleted) == (1, 2)
    assert ids(warehouse) == ["line-3", "line-4", "line-5"]
    again = warehouse.publish(TENANT, replacing(staging))
    assert (again.rows_inserted, again.rows_deleted) == (1, 1)
    assert ids(warehouse) == ["line-3", "line-4", "line-5"]


def test_an_empty_answer_clears_the_slice(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    put(warehouse, [row(2, day=NEXT)], day=NEXT)
    result = warehouse.publish(TENANT, replacing(stage(warehouse, [])))
    assert (result.rows_inserted, result.rows_deleted) == (0, 1)
    assert ids(warehouse) == ["line-2"]


def test_rows_outside_the_slice_are_refused_and_the_old_ones_stay(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    staging = stage(warehouse, [row(2), row(3, day=NEXT), row(4, pipeline="other")])
    with pytest.raises(DataError, match=r"2 .*2026-02-01|2 .*other"):
        warehouse.publish(TENANT, replacing(staging))
    assert ids(warehouse) == ["line-1"]


def test_a_missing_required_value_is_refused_with_its_column_and_count(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    staging = stage(warehouse, [row(2), {**row(3), "id": None}, {**row(4), "id": None}])
    with pytest.raises(DataError, match=r"id.* 2"):
        warehouse.publish(TENANT, replacing(staging))
    assert ids(warehouse) == ["line-1"]


def test_merge_updates_and_inserts_by_key(warehouse: Warehouse) -> None:
    put(warehouse, [row(1, amount="1"), row(2, amount="2")])
    staging = stage(warehouse, [row(2, amount="20"), row(3, amount="3", day=NEXT)])
    first = warehouse.publish(TENANT, keyed(staging, "merge"))
    assert (first.rows_inserted, first.rows_deleted, first.rows_updated) == (1, 0, 1)
    expected = [("line-1", D(1)), ("line-2", D(20)), ("line-3", D(3))]
    for _ in range(2):
        found = select(warehouse, "SELECT id, amount FROM raw_openai.costs ORDER BY id")
        assert [(r["id"], r["amount"]) for r in found] == expected
        assert warehouse.publish(TENANT, keyed(staging, "merge")).rows_inserted == 0


def test_a_merge_by_the_newest_leaves_what_is_as_new(warehouse: Warehouse) -> None:
    put(warehouse, [row(1, amount="1"), row(2, amount="2"), row(3, amount="3")])
    older, same, newer = (
        row(1, amount="9", pipeline="before costs", day=NEXT),
        row(2, amount="2"),
        row(3, amount="3.5", day=NEXT),
    )
    staging = stage(warehouse, [older, same, newer])
    write = replace(keyed(staging, "merge"), newest_by=("pipeline", "amount"))
    expected = [("line-1", D(1), DAY), ("line-2", D(2), DAY), ("line-3", D("3.5"), NEXT)]
    for updated in (1, 0):
        done = warehouse.publish(TENANT, write)
        assert (done.rows_inserted, done.rows_updated) == (0, updated)
        found = select(warehouse, "SELECT id, amount, run_date FROM raw_openai.costs ORDER BY id")
        assert [(r["id"], r["amount"], r["run_date"]) for r in found] == expected


def test_an_upsert_brings_the_table_to_its_spec_and_merges_what_is_newer(warehouse: Warehouse) -> None:
    def given(*rows: Row, spec: TableSpec = SPEC) -> Upsert:
        return Upsert(spec, pa.Table.from_batches([batch(rows, spec.schema)]), ("id",), ("amount",))

    other = replace(SPEC, name=TableName("raw_openai", "others"))
    first = warehouse.upsert(TENANT, [given(row(1), row(2)), given(row(1), spec=other)])
    assert [(one.rows_inserted, one.rows_updated) for one in first] == [(2, 0), (1, 0)]
    assert all(one.changes for one in first)
    later = given(row(1, amount="1000"), row(2, amount="0.5"), row(3))
    for expected in ((1, 1), (0, 0)):
        (again,) = warehouse.upsert(TENANT, [later])
        assert (again.changes, (again.rows_inserted, again.rows_updated)) == ((), expected)
    found = select(warehouse, "SELECT amount FROM raw_openai.costs ORDER BY id")
    assert [one["amount"] for one in found] == [D("1000"), D("1.5"), D("1.5")]
    with pytest.raises(DataError, match="more than once"):
        warehouse.upsert(TENANT, [given(row(7), row(7, amount="8"))])
    with pytest.raises(DataError, match="id"):
        warehouse.upsert(TENANT, [given(row(8) | {"id": None})])
    assert ids(warehouse) == ["line-1", "line-2", "line-3"]


def test_append_inserts_each_key_once(warehouse: Warehouse) -> None:
    put(warehouse, [row(1, amount="1")])
    staging = stage(warehouse, [row(1, amount="99"), row(2)])
    assert warehouse.publish(TENANT, keyed(staging, "append", "id", "run_date")).rows_inserted == 1
    assert warehouse.publish(TENANT, keyed(staging, "append", "id", "run_date")).rows_inserted == 0
    found = select(warehouse, "SELECT id, amount FROM raw_openai.costs ORDER BY id")
    assert [(r["id"], r["amount"]) for r in found] == [("line-1", D(1)), ("line-2", D("1.5"))]


@pytest.mark.parametrize("mode", ["merge", "append"])
def test_keys_must_be_there_once_and_not_null(warehouse: Warehouse, mode: Any) -> None:
    put(warehouse, [row(1)])
    with pytest.raises(DataError, match="line-7"):
        warehouse.publish(TENANT, keyed(stage(warehouse, [row(7), row(7, amount="8")]), mode))
    with pytest.raises(DataError, match="NULL"):
        warehouse.publish(TENANT, keyed(stage(warehouse, [{**row(8), "amount": None}]), mode, "amount"))
    with pytest.raises(RejectedError, match="key"):
        staging = stage(warehouse, [row(9)])
        warehouse.publish(TENANT, replace(keyed(staging, mode), keys=()))
    assert ids(warehouse) == ["line-1"]


def test_publishing_needs_both_tables(warehouse: Warehouse) -> None:
    staging = stage(warehouse, [row(1)])
    with pytest.raises(NotFoundError):
        warehouse.publish(TENANT, replacing(staging))
    warehouse.ensure_table(TENANT, SPEC)
    with pytest.raises(NotFoundError):
        warehouse.publish(TENANT, replacing(TableName("raw_openai", "costs__stage_never")))


def test_a_slice_that_names_no_column_is_refused(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    with pytest.raises(RejectedError):
        warehouse.publish(TENANT, replace(replacing(stage(warehouse, [])), slice=Slice(())))
    assert ids(warehouse) == ["line-1"]


def test_tenants_do_not_see_one_another(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    put(warehouse, [row(2)], tenant=OTHER)
    assert (ids(warehouse), ids(warehouse, OTHER)) == (["line-1"], ["line-2"])
    warehouse.drop(OTHER, COSTS)
    assert ids(warehouse) == ["line-1"]
    assert physical(TENANT, COSTS) != physical(OTHER, COSTS)


# --- Scripts, access, whole tenants ---------------------------------------------------------------------------------


def change(sql: str, tenant: str = TENANT, **parameters: tuple[FieldType, Any]) -> BoundSql:
    return bind_dml(parse_one(sql, dialect="bigquery"), tenant, parameters, name="test")


RAISE_PRICES = "UPDATE raw_openai.costs SET amount = amount * @factor WHERE run_date = @day AND id != @kept"
DROP_ONE = "DELETE FROM raw_openai.costs WHERE run_date = @day AND id = @kept"
COPY_ONE = (
    "INSERT INTO raw_openai.costs (id, amount, run_date, pipeline) "
    "SELECT CONCAT(id, '-copy'), amount, run_date, pipeline FROM raw_openai.costs WHERE run_date = @day"
)
GIVEN: dict[str, tuple[FieldType, Any]] = {
    "day": (F.DATE, DAY),
    "kept": (F.STRING, "line-1"),
    "factor": (F.BIGNUMERIC, D(2)),
}


def test_a_script_changes_rows_in_order_and_counts_them(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2), row(3)])
    script = [change(sql, **GIVEN) for sql in (RAISE_PRICES, DROP_ONE, COPY_ONE)]
    assert warehouse.execute(TENANT, script) == (2, 1, 2)
    found = select(warehouse, "SELECT id, amount FROM raw_openai.costs ORDER BY id")
    assert [(r["id"], r["amount"]) for r in found] == [
        ("line-2", D(3)),
        ("line-2-copy", D(3)),
        ("line-3", D(3)),
        ("line-3-copy", D(3)),
    ]


def test_of_a_script_that_fails_nothing_stays(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2)])
    without_id = "INSERT INTO raw_openai.costs (id, run_date, pipeline) SELECT NULL, @day, 'costs'"
    with pytest.raises((RejectedError, DataError)):
        warehouse.execute(TENANT, [change(DROP_ONE, **GIVEN), change(without_id, **GIVEN)])
    assert ids(warehouse) == ["line-1", "line-2"]


def test_a_script_that_was_done_is_not_done_again(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2)])
    sql = "SELECT 1 AS one FROM raw_openai.costs WHERE id = @mark"
    done = bind_query(sql, TENANT, {"mark": (F.STRING, "done")})
    mark = "INSERT INTO raw_openai.costs (id, run_date, pipeline) VALUES (@mark, @day, 'costs')"
    script = [change(DROP_ONE, **GIVEN), change(mark, **GIVEN, mark=(F.STRING, "done"))]
    assert warehouse.execute(TENANT, script, unless=done) == (1, 1)
    with pytest.raises(ConflictError, match="already"):
        warehouse.execute(TENANT, script, unless=done)
    assert ids(warehouse) == ["done", "line-2"]


def test_a_tenants_script_reaches_no_other_tenant(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    put(warehouse, [row(1)], tenant=OTHER)
    warehouse.execute(TENANT, [change(DROP_ONE, **GIVEN)])
    assert (ids(warehouse), ids(warehouse, OTHER)) == ([], ["line-1"])


def test_a_procedure_is_stored_replaced_and_dropped_where_the_warehouse_keeps_them(
    warehouse: Warehouse,
) -> None:
    put(warehouse, [row(1)])
    place = physical(TENANT, TableName("metadata", "sp_drop"))
    costs = physical(TENANT, COSTS)
    for condition in ("id = p_id", "id >= p_id"):
        sql = (
            f"CREATE OR REPLACE PROCEDURE `{place.dataset}`.`{place.table}`(IN p_id STRING)\n"
            f"BEGIN\n  DELETE FROM `{costs.dataset}`.`{costs.table}` WHERE {condition};\nEND"
        )
        keeps = warehouse.store_procedure(TENANT, "sp_drop", sql)
    assert ids(warehouse) == ["line-1"]
    for _ in range(2):
        assert warehouse.store_procedure(TENANT, "sp_drop", None) is keeps
    assert warehouse.tables(TENANT) == (COSTS,)


def test_a_shared_view_shows_its_columns_and_rows(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2)])
    view = SharedView(dataset="gold_shared", view="one", columns=["id", "amount"], where={"id": ["line-1"]})
    for _ in range(2):
        assert warehouse.apply_access(TENANT, SPEC, TableAccess(views=[view]))
    assert select(warehouse, "SELECT * FROM gold_shared.one") == [{"id": "line-1", "amount": D("1.5")}]
    strange = SharedView(dataset="gold_shared", view="two", columns=["nothing"])
    with pytest.raises(RejectedError, match="nothing"):
        warehouse.apply_access(TENANT, SPEC, TableAccess(views=[strange]))


def test_a_tenants_tables_are_listed_and_go_with_it(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    put(warehouse, [row(2)], tenant=OTHER)
    other = replace(SPEC, name=TableName("gold_reporting", "spend"))
    warehouse.ensure_table(TENANT, other)
    stage(warehouse, [row(3)], token="left")
    assert warehouse.tables(TENANT) == (other.name, COSTS)
    for _ in range(2):
        warehouse.drop_tenant(TENANT)
        assert warehouse.tables(TENANT) == ()
    assert ids(warehouse, OTHER) == ["line-2"]
    put(warehouse, [row(4)])
    assert ids(warehouse) == ["line-4"]


# --- Many at once ---------------------------------------------------------------------------------------------------


def test_slices_publish_side_by_side_in_threads(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    days = [DAY + timedelta(days=n) for n in range(6)]

    def one(day: date) -> None:
        for attempt in range(2):
            rows = [row(n, day=day, amount=str(attempt)) for n in range(20)]
            staging = stage(warehouse, rows, token=f"t{day:%Y%m%d}")
            warehouse.publish(TENANT, replacing(staging, day))
            warehouse.drop(TENANT, staging)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(one, days))
    found = select(
        warehouse, "SELECT run_date, COUNT(*) AS n, MIN(amount) AS a FROM raw_openai.costs GROUP BY run_date"
    )
    assert sorted((r["run_date"], r["n"], r["a"]) for r in found) == [(d, 20, D(1)) for d in days]


CHILD = """
import json, sys
from datetime import date, timedelta
from platform_assets_tests.contracts import test_warehouse as suite
from platform_assets_tests.contracts.warehouse_rigs import WarehouseRig

kind, settings, first, rounds, rows = json.loads(sys.argv[1])
warehouse = WarehouseRig(kind, settings).open()
day = date(2026, 1, 31) + timedelta(days=first)
for number in range(rounds):
    amount = str(number)
    staged = suite.stage(warehouse, [suite.row(n, day=day, amount=amount) for n in range(rows)], token=f"p{first}")
    print("staged", number, flush=True)
    warehouse.publish(suite.TENANT, suite.replacing(staged, day))
    print("published", number, flush=True)
warehouse.close()
"""


def child(rig: WarehouseRig, first: int, rounds: int, rows: int) -> subprocess.Popen[str]:
    arguments = json.dumps([rig.kind, dict(rig.settings), first, rounds, rows])
    return subprocess.Popen([sys.executable, "-c", CHILD, arguments], stdout=subprocess.PIPE, text=True)


def test_two_processes_write_one_tenant(warehouse_rig: WarehouseRig, warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    children = [child(warehouse_rig, first, 5, 20) for first in range(2)]
    for running in children:
        running.communicate(timeout=120)
    assert [running.returncode for running in children] == [0, 0]
    found = select(
        warehouse,
        "SELECT run_date, COUNT(*) AS n, MIN(amount) AS a, MAX(amount) AS b FROM raw_openai.costs GROUP BY run_date",
    )
    assert sorted((r["run_date"], r["n"], r["a"], r["b"]) for r in found) == [
        (d, 20, D(4), D(4)) for d in (DAY, NEXT)
    ]


def test_a_process_killed_while_publishing_leaves_the_old_slice_or_the_new(
    warehouse_rig: WarehouseRig, warehouse: Warehouse
) -> None:
    rows = 5000
    warehouse.ensure_table(TENANT, SPEC)
    pause = random.Random(7)
    for _ in range(3):
        running = child(warehouse_rig, 0, 1000, rows)
        assert running.stdout is not None
        for line in running.stdout:
            if line.startswith("staged 2"):
                time.sleep(pause.uniform(0, 0.06))
                os.kill(running.pid, signal.SIGKILL)
                break
        running.stdout.close()
        running.wait()
        found = select(
            warehouse, "SELECT COUNT(*) AS n, COUNT(DISTINCT amount) AS amounts FROM raw_openai.costs"
        )
        assert found == [{"n": rows, "amounts": 1}]


def test_closing_twice_is_fine_and_the_warehouse_opens_again(warehouse: Warehouse) -> None:
    put(warehouse, [row(1)])
    warehouse.close()
    warehouse.close()
    assert ids(warehouse) == ["line-1"]


def test_a_tenant_id_that_is_none_is_refused(warehouse: Warehouse) -> None:
    for tenant in ("../evil", "A", "acme.x", ""):
        with pytest.raises(PlatformError):
            warehouse.describe(tenant, COSTS)
