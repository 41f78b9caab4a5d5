"""Queries, dry runs and what goes wrong on the way, on the emulator and in what was sent to it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.engine.errors import (
    AuthError,
    DataError,
    NotFoundError,
    QuotaError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Estimate
from platform_assets.resources.warehouse.bigquery import BigQuerySettings, BigQueryWarehouse
from platform_assets_tests.servers.http_proxy import HttpProxy

ONE = BoundSql("SELECT 1 AS one")
QUERIES = r"/queries(\?|$)"


def test_every_kind_of_parameter_arrives(warehouse: BigQueryWarehouse, tenant: str) -> None:
    given: dict[str, tuple[FieldType, Any]] = {
        "s": (FieldType.STRING, "it's; DROP TABLE `x`"),
        "i": (FieldType.INT64, 2**62),
        "f": (FieldType.FLOAT64, 0.5),
        "n": (FieldType.NUMERIC, Decimal("1.123456789")),
        "b": (FieldType.BIGNUMERIC, Decimal("0.123456789012345678")),
        "o": (FieldType.BOOL, True),
        "d": (FieldType.DATE, date(2026, 1, 31)),
        "ts": (FieldType.TIMESTAMP, datetime(2026, 1, 31, 1, 2, 3, 4, UTC)),
        "dt": (FieldType.DATETIME, datetime(2026, 1, 31, 1, 2, 3, 4)),
        "none": (FieldType.STRING, None),
        "list": (FieldType.STRING, ("a", "b")),
        "money": (FieldType.BIGNUMERIC, (Decimal("0.1"), Decimal("2"))),
        "no_list": (FieldType.INT64, ()),
    }
    sql = f"SELECT {', '.join(f'@{name} AS {name}' for name in given)}"
    (row,) = warehouse.query(tenant, BoundSql(sql, given)).to_pylist()
    assert row == {name: list(v) if isinstance(v, tuple) else v for name, (_, v) in given.items()}


def test_results_have_the_platforms_types_also_without_rows(
    warehouse: BigQueryWarehouse, tenant: str
) -> None:
    sql = "SELECT CAST(1 AS BIGNUMERIC) AS b, CAST(1 AS NUMERIC) AS n, 1 AS i, [1] AS l FROM (SELECT 1) WHERE FALSE"
    found = warehouse.query(tenant, BoundSql(sql))
    wanted = [pa.decimal128(38, 18), pa.decimal128(38, 9), pa.int64(), pa.list_(pa.int64())]
    assert (found.num_rows, found.schema.types) == (0, wanted)


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        ("0.1234567890123456785", "0.123456789012345679"),
        ("-0.00000000000000000050000000000000000000", "-0.000000000000000001"),
        ("99999999999999999999.4", "99999999999999999999.4"),
    ],
)
def test_a_quotients_digits_beyond_18_are_rounded_as_on_duckdb_fake(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, answer: str, found: str
) -> None:
    """The emulator has no such number, so BigQuery's answer is given here."""
    proxy.fail("POST", QUERIES, 200, _answer("BIGNUMERIC", answer))
    assert warehouse.query(tenant, BoundSql("SELECT x FROM y")).to_pylist() == [{"x": Decimal(found)}]


def test_a_number_beyond_20_digits_before_the_point_is_refused_fake(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    proxy.fail("POST", QUERIES, 200, _answer("BIGNUMERIC", "100000000000000000000"))
    with pytest.raises(DataError, match="column x"):
        warehouse.query(tenant, BoundSql("SELECT x FROM y"))


def _answer(kind: str, value: str) -> dict[str, Any]:
    return {
        "kind": "bigquery#queryResponse",
        "schema": {"fields": [{"name": "x", "type": kind, "mode": "NULLABLE"}]},
        "jobReference": {"projectId": "local", "jobId": "j", "location": "EU"},
        "jobComplete": True,
        "totalRows": "1",
        "rows": [{"f": [{"v": value}]}],
    }


def test_limits_labels_and_location_go_with_every_query(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    warehouse = open_warehouse(
        maximum_bytes_billed=10_485_760, job_labels={"team": "Data Platform"}, location="europe-west1"
    )
    warehouse.query(tenant, ONE)
    sent = proxy.sent("POST", QUERIES)[0].json
    assert sent["maximumBytesBilled"] == "10485760"
    assert sent["labels"] == {"tenant": tenant, "team": "data_platform"}
    assert sent["location"] == "europe-west1" and sent["useLegacySql"] is False


def test_a_dry_run_reads_nothing_and_is_priced_where_a_price_is_set(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    """The emulator knows no bytes, so BigQuery's answer is given here."""
    job = {
        "jobReference": {"projectId": "local", "location": "EU"},
        "configuration": {"dryRun": True, "query": {"query": ""}},
        "statistics": {"totalBytesProcessed": str(2**39), "query": {"totalBytesProcessed": str(2**39)}},
        "status": {"state": "DONE"},
    }
    proxy.fail("POST", r"/jobs(\?|$)", 200, job, times=2)
    assert open_warehouse().estimate(tenant, ONE) == Estimate(2**39, None)
    assert open_warehouse(price_per_tib_usd=6.25).estimate(tenant, ONE) == Estimate(2**39, 3.125)
    configuration = proxy.exchanges[0].json["configuration"]
    assert configuration["dryRun"] is True and configuration["query"]["useQueryCache"] is False


def test_a_dry_run_finds_mistakes(warehouse: BigQueryWarehouse, tenant: str) -> None:
    with pytest.raises(RejectedError, match="nowhere"):
        warehouse.estimate(tenant, BoundSql("SELECT nowhere FROM (SELECT 1 AS here)"))


@pytest.mark.parametrize(
    "sql",
    [
        "DROP TABLE x.y",
        "DELETE FROM x.y WHERE TRUE",
        "SELECT 1; DROP TABLE x.y",
        "SELECT 1;; SELECT 2",
        "BEGIN SELECT 1; END",
        "CALL x.y()",
        "EXPORT DATA OPTIONS(uri='gs://b/*') AS SELECT 1",
        "",
        "-- nothing",
        "SELECT 'unclosed",
    ],
)
def test_only_one_query_is_ever_read(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, sql: str
) -> None:
    for run in (warehouse.query, warehouse.estimate):
        with pytest.raises(RejectedError):
            run(tenant, BoundSql(sql))
    assert not proxy.exchanges


@pytest.mark.parametrize(
    "sql", ["SELECT 'a;b' AS one;", "(SELECT 1 AS one)", "WITH t AS (SELECT 1 AS one) SELECT * FROM t"]
)
def test_forms_of_one_query(warehouse: BigQueryWarehouse, tenant: str, sql: str) -> None:
    assert warehouse.query(tenant, BoundSql(sql)).num_rows == 1


def test_a_missing_table_is_named(warehouse: BigQueryWarehouse, tenant: str) -> None:
    with pytest.raises(NotFoundError, match=f"{tenant}_raw"):
        warehouse.query(tenant, BoundSql(f"SELECT * FROM `{tenant}_raw`.`nothing_here`"))


@pytest.mark.parametrize(
    ("status", "reason", "message", "kind"),
    [
        (403, "quotaExceeded", "Quota exceeded", QuotaError),
        (400, "bytesBilledLimitExceeded", "Query exceeded limit for bytes billed: 1.", QuotaError),
        (400, "invalidQuery", "Query exceeded limit for bytes billed: 1.", QuotaError),
        (403, "accessDenied", "Access Denied: Table x", AuthError),
        (401, "authError", "Request had invalid authentication credentials.", AuthError),
        (400, "invalidQuery", "Bad int64 value: x", DataError),
        (400, "invalidQuery", "Unrecognized name: x", RejectedError),
    ],
)
def test_refusals_are_told_apart_and_asked_once(
    warehouse: BigQueryWarehouse,
    proxy: HttpProxy,
    tenant: str,
    slept: list[float],
    status: int,
    reason: str,
    message: str,
    kind: type[Exception],
) -> None:
    error = {"code": status, "message": message, "errors": [{"reason": reason, "message": message}]}
    proxy.fail("POST", QUERIES, status, {"error": error})
    with pytest.raises(kind) as raised:
        warehouse.query(tenant, ONE)
    assert type(raised.value) is kind
    assert len(proxy.exchanges) == 1 and slept == []


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (403, "rateLimitExceeded"),
        (500, "internalError"),
        (503, "backendError"),
        (502, ""),
        (429, ""),
        (None, ""),
    ],
)
def test_what_may_pass_is_asked_again_with_growing_waits(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, slept: list[float], status: Any, reason: str
) -> None:
    error = {"code": status, "message": "later", "errors": [{"reason": reason}] if reason else []}
    proxy.fail("POST", QUERIES, status, {"error": error}, times=2)
    assert warehouse.query(tenant, ONE).to_pylist() == [{"one": 1}]
    assert slept == [1.0, 2.0]


def test_a_page_that_gets_lost_is_part_of_the_query(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    first = _answer("INTEGER", "1") | {"pageToken": "second", "totalRows": "2"}
    proxy.fail("POST", QUERIES, 200, first)
    proxy.fail("GET", r"/(jobs|queries)/j", 503, {"error": {"code": 503, "message": "down"}})
    assert warehouse.query(tenant, ONE).to_pylist() == [{"one": 1}]
    assert len(proxy.sent("POST", QUERIES)) == 2


def test_after_the_last_try_the_error_is_retryable(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    proxy.fail("POST", QUERIES, 503, {"error": {"code": 503, "message": "down"}}, times=9)
    with pytest.raises(RetryableError, match=f"query of {tenant}: .*down"):
        warehouse.query(tenant, ONE)
    assert len(proxy.exchanges) == 3


def test_a_silent_server_times_out(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    proxy.fail("POST", QUERIES, 200, {}, seconds=0.5)
    with pytest.raises(RetryableError) as raised:
        open_warehouse(request_timeout_seconds=0.1, max_attempts=1).query(tenant, ONE)
    assert raised.value.effect_unknown


def test_nobody_listening(tenant: str) -> None:
    settings = BigQuerySettings(
        project="local", endpoint="http://127.0.0.1:1", max_attempts=2, backoff_seconds=0
    )
    warehouse = BigQueryWarehouse(settings)
    with pytest.raises(RetryableError) as raised:
        warehouse.query(tenant, ONE)
    warehouse.close()
    assert not raised.value.effect_unknown


def test_missing_credentials_say_what_to_set(tenant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    with pytest.raises(AuthError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        BigQueryWarehouse(BigQuerySettings(project="p")).query(tenant, ONE)


def test_a_closed_warehouse_opens_again(warehouse: BigQueryWarehouse, tenant: str) -> None:
    for _ in range(2):
        assert warehouse.query(tenant, ONE).num_rows == 1
        warehouse.close()
