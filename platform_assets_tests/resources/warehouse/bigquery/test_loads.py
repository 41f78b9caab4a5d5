"""Loading on the emulator: exact values, all or nothing, never twice."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.engine.errors import DataError, NotFoundError, RejectedError, RetryableError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.sql.model import BoundSql
from platform_assets.resources.warehouse.bigquery import BigQueryWarehouse
from platform_assets.resources.warehouse.bigquery.loading import conformed, file_schema
from platform_assets_tests.resources.warehouse.bigquery.rows import (
    COSTS,
    DAY,
    EVERYTHING,
    FULL_ROW,
    batch,
    contents,
    costs,
    staged,
)
from platform_assets_tests.servers.http_proxy import HttpProxy

UPLOAD = r"^/upload/"


def load_configs(proxy: HttpProxy) -> list[dict[str, Any]]:
    """The load jobs as sent, from their multipart uploads."""
    import json

    found = []
    for sent in proxy.sent("POST", UPLOAD):
        start = sent.body.index(b"{")
        found.append(json.JSONDecoder().raw_decode(sent.body[start:].decode(errors="replace"))[0])
    return found


@pytest.mark.parametrize("with_json", [False, True], ids=["parquet", "ndjson"])
def test_every_type_comes_back_as_it_went(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, with_json: bool
) -> None:
    document = (Field("j", FieldType.JSON),) if with_json else ()
    schema = TableSchema((*EVERYTHING.fields, *document))
    spec = replace(COSTS, schema=schema, partitioning=None, cluster_by=())
    full = FULL_ROW | ({"j": '{"a":[1,null],"b":"ü"}'} if with_json else {})
    table = warehouse.create_staging(tenant, spec, "types")
    assert warehouse.load(tenant, table, [batch(schema, [full, {"s": "empty"}])]) == 2
    name = f"`{tenant}_raw_openai`.`{table.table}`"
    found = warehouse.query(tenant, BoundSql(f"SELECT * FROM {name} ORDER BY s"))
    assert found.schema == arrow_schema(schema)
    empty = dict.fromkeys(schema.names) | {"s": "empty", "l": []}
    assert found.to_pylist() == [empty, full]
    (config,) = load_configs(proxy)
    load = config["configuration"]["load"]
    assert load["sourceFormat"] == ("NEWLINE_DELIMITED_JSON" if with_json else "PARQUET")
    assert (load["writeDisposition"], load["createDisposition"]) == ("WRITE_APPEND", "CREATE_NEVER")
    assert config["configuration"]["labels"] == {"tenant": tenant}
    if not with_json:
        assert load["decimalTargetTypes"] == ["NUMERIC", "BIGNUMERIC"]
        assert load["parquetOptions"] == {"enableListInference": True}


def test_loads_append_and_empty_ones_send_nothing(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    table = staged(warehouse, tenant, (DAY, "a"), (DAY, "b"))
    assert warehouse.load(tenant, table, iter([costs((DAY, "a")), costs()])) == 1
    sent = len(proxy.exchanges)
    assert warehouse.load(tenant, table, []) == 0
    assert warehouse.load(tenant, table, [costs()]) == 0
    assert len(proxy.exchanges) == sent
    assert [row[1] for row in contents(warehouse, tenant, table)] == ["a", "a", "b"]


def test_a_staging_table_is_private_whole_and_temporary(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    table = staged(warehouse, tenant, (None, "no day"))
    assert contents(warehouse, tenant, table) == [(None, "no day", None, None)]
    made = next(s.json for s in proxy.sent("POST", r"/tables(\?|$)") if "stage" in str(s.json))
    assert {"timePartitioning", "requirePartitionFilter", "clustering"}.isdisjoint(made)
    assert int(made["expirationTime"]) > 0 and made["labels"]["staging"] == "true"


def test_the_same_token_empties_the_staging_table(warehouse: BigQueryWarehouse, tenant: str) -> None:
    first = warehouse.create_staging(tenant, COSTS, "again")
    warehouse.load(tenant, first, [costs((DAY, "old"))])
    second = warehouse.create_staging(tenant, COSTS, "again")
    assert first == second and contents(warehouse, tenant, second) == []
    assert warehouse.load(tenant, second, [costs((DAY, "new"))]) == 1
    assert [row[1] for row in contents(warehouse, tenant, second)] == ["new"]


def test_a_source_that_breaks_off_leaves_nothing(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    def source() -> Iterator[pa.RecordBatch]:
        yield costs((DAY, "a"))
        raise RetryableError("the API went away")

    table = warehouse.create_staging(tenant, COSTS, "broken")
    with pytest.raises(RetryableError, match="went away"):
        warehouse.load(tenant, table, source())
    assert not proxy.sent("POST", UPLOAD)


def test_several_files_arrive_together(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    warehouse = open_warehouse(max_file_bytes=1)
    table = warehouse.create_staging(tenant, COSTS, "many")
    warehouse.load(tenant, table, [costs((DAY, "first"))])
    assert warehouse.load(tenant, table, [costs((DAY, item)) for item in "abc"]) == 3
    assert [row[1] for row in contents(warehouse, tenant, table)] == ["a", "b", "c", "first"]
    copy = next(
        s.json["configuration"]["copy"] for s in proxy.sent("POST", r"/jobs(\?|$)") if "copy" in str(s.json)
    )
    assert len(copy["sourceTables"]) == 3 and copy["writeDisposition"] == "WRITE_APPEND"
    assert len(proxy.sent("DELETE", r"__part_")) == 3


def test_of_several_files_none_stays_when_one_fails(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    warehouse = open_warehouse(max_file_bytes=1)
    table = warehouse.create_staging(tenant, COSTS, "half")
    proxy.fail("POST", UPLOAD, 400, {"error": {"code": 400, "message": "bad file"}}, skip=1)
    with pytest.raises(DataError, match=r"load raw_openai\.costs__stage_half: .*bad file"):
        warehouse.load(tenant, table, [costs((DAY, item)) for item in "abc"])
    assert contents(warehouse, tenant, table) == []
    assert len(proxy.sent("DELETE", r"__part_")) == 3
    assert warehouse.load(tenant, table, [costs((DAY, "z"))]) == 1
    assert [row[1] for row in contents(warehouse, tenant, table)] == ["z"]


def test_a_load_whose_answer_got_lost_is_not_done_twice(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    table = warehouse.create_staging(tenant, COSTS, "lost")
    proxy.fail("POST", UPLOAD, after_effect=True)
    assert warehouse.load(tenant, table, [costs((DAY, "once"))]) == 1
    ids = {config["jobReference"]["jobId"] for config in load_configs(proxy)}
    assert len(proxy.sent("POST", UPLOAD)) == 2 and len(ids) == 1
    assert len(contents(warehouse, tenant, table)) == 1


def test_a_step_that_repeats_a_load_of_unknown_effect_does_not_load_twice(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    table = warehouse.create_staging(tenant, COSTS, "unknown")
    proxy.fail("POST", UPLOAD, after_effect=True)
    proxy.fail("POST", UPLOAD, 503, {"error": {"code": 503, "message": "down"}}, times=2)
    with pytest.raises(RetryableError) as raised:
        warehouse.load(tenant, table, [costs((DAY, "once"))])
    assert raised.value.effect_unknown
    assert warehouse.load(tenant, table, [costs((DAY, "once"))]) == 1
    assert len(contents(warehouse, tenant, table)) == 1
    assert warehouse.load(tenant, table, [costs((DAY, "once"))]) == 1
    assert len(contents(warehouse, tenant, table)) == 2


@pytest.mark.parametrize(
    ("columns", "kind", "words"),
    [
        ({"day": [DAY], "price": ["x"]}, RejectedError, "column price does not exist in the table"),
        ({"hits": ["12"]}, RejectedError, "column hits is INT64, the rows give string"),
        ({"amount": [0.1]}, RejectedError, "column amount is BIGNUMERIC, the rows give double"),
        ({"item": [1]}, RejectedError, "column item is STRING, the rows give int64"),
        ({"item": pa.array([["x"]])}, RejectedError, "column item is STRING, the rows give list"),
        ({"amount": [Decimal("1e-19")]}, DataError, "column amount"),
        ({"amount": [Decimal("123456789012345678901")]}, DataError, "column amount"),
        ({"hits": pa.array([2**63], pa.uint64())}, DataError, "column hits"),
        ({"day": pa.array([1], pa.timestamp("us"))}, DataError, "column day"),
        ({"item": ["no day"]}, DataError, "REQUIRED columns are NULL: day in 1 rows"),
    ],
)
def test_rows_that_do_not_fit_are_refused_before_anything_is_sent(
    warehouse: BigQueryWarehouse,
    proxy: HttpProxy,
    tenant: str,
    columns: dict[str, Any],
    kind: type[Exception],
    words: str,
) -> None:
    warehouse._staging[f"local.{tenant}_raw_openai.costs"] = _known()
    with pytest.raises(kind, match=rf"raw_openai\.costs.*{words}"):
        warehouse.load(tenant, COSTS.name, [pa.RecordBatch.from_pydict(columns)])
    assert not proxy.exchanges


def _known() -> Any:
    from platform_assets.resources.warehouse.bigquery.loads import Filled

    return Filled(COSTS.schema, "known")


def test_required_columns_of_a_table_are_required_in_the_file() -> None:
    required = file_schema(COSTS.schema)
    assert [field.nullable for field in required] == [False, True, True, True]
    with pytest.raises(DataError, match=r"raw_openai\.costs: REQUIRED columns are NULL: day in 2 rows"):
        conformed(costs((None, "a"), (DAY, "b"), (None, "c")), COSTS.schema, COSTS.name)


def test_numbers_widen_on_their_way_in(warehouse: BigQueryWarehouse, tenant: str) -> None:
    table = warehouse.create_staging(tenant, COSTS, "widen")
    rows = pa.RecordBatch.from_pydict(
        {
            "HITS": pa.array([7], pa.int8()),
            "amount": pa.array([5], pa.int32()),
            "item": pa.array(["x"]).dictionary_encode(),
            "day": pa.array([DAY], pa.date64()),
        }
    )
    warehouse.load(tenant, table, [rows])
    assert contents(warehouse, tenant, table) == [(DAY, "x", Decimal(5), 7)]


def test_text_that_is_not_json_is_refused(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    schema = TableSchema((Field("j", FieldType.JSON, Mode.REPEATED),))
    spec = replace(COSTS, schema=schema, partitioning=None, cluster_by=())
    table = warehouse.create_staging(tenant, spec, "json")
    with pytest.raises(DataError, match=r"column j: '\{oops' is not JSON"):
        warehouse.load(tenant, table, [batch(schema, [{"j": ["1", "{oops"]}])])
    assert not proxy.sent("POST", UPLOAD)


def test_a_query_fills_by_name_with_bound_values(warehouse: BigQueryWarehouse, tenant: str) -> None:
    table = warehouse.create_staging(tenant, COSTS, "query")
    query = BoundSql(
        "SELECT 3 AS HITS, i AS item, @day AS day FROM UNNEST(@items) AS i -- a comment at the end",
        {"day": (FieldType.DATE, date(2026, 2, 1)), "items": (FieldType.STRING, ("a", "b'; DROP"))},
    )
    assert warehouse.insert_select(tenant, table, query) == 2
    day = date(2026, 2, 1)
    assert contents(warehouse, tenant, table) == [(day, "a", None, 3), (day, "b'; DROP", None, 3)]


def test_an_insert_whose_answer_got_lost_is_not_done_twice(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    table = warehouse.create_staging(tenant, COSTS, "lost")
    proxy.fail("POST", r"/jobs(\?|$)", after_effect=True, skip=1)
    assert warehouse.insert_select(tenant, table, BoundSql("SELECT 'once' AS item")) == 1
    assert len(contents(warehouse, tenant, table)) == 1


def test_columns_of_a_query_that_do_not_fit_are_refused_together(
    warehouse: BigQueryWarehouse, tenant: str
) -> None:
    table = warehouse.create_staging(tenant, COSTS, "query")
    query = BoundSql("SELECT 1 AS price, 0.1 AS amount, 'x' AS hits, DATE '2026-01-31' AS day, NULL AS item")
    with pytest.raises(RejectedError) as raised:
        warehouse.insert_select(tenant, table, query)
    for words in ("price does not exist", "amount is BIGNUMERIC, the rows give FLOAT64", "hits is INT64"):
        assert words in str(raised.value)
    assert "item" not in str(raised.value)


def test_a_bare_null_fits_every_column(warehouse: BigQueryWarehouse, tenant: str) -> None:
    table = warehouse.create_staging(tenant, COSTS, "nulls")
    query = BoundSql("SELECT NULL AS day, NULL AS item, NULL AS amount, NULL AS hits")
    assert warehouse.insert_select(tenant, table, query) == 1
    with pytest.raises(DataError, match="column item is STRING"):
        warehouse.insert_select(tenant, table, BoundSql("SELECT 7 AS item"))
    assert contents(warehouse, tenant, table) == [(None, None, None, None)]


def test_a_table_that_is_not_there(warehouse: BigQueryWarehouse, tenant: str) -> None:
    missing = TableName("raw_openai", "nothing")
    with pytest.raises(NotFoundError, match=r"raw_openai\.nothing"):
        warehouse.load(tenant, missing, [costs((DAY, "a"))])
    with pytest.raises(NotFoundError, match=r"raw_openai\.nothing"):
        warehouse.insert_select(tenant, missing, BoundSql("SELECT 1 AS hits"))
