"""Publishing on the emulator: exactly the slice, exactly the keys, all or nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from platform_assets.engine.errors import DataError, NotFoundError, QuotaError, RejectedError, RetryableError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Slice
from platform_assets.ports import SliceWrite, WriteResult
from platform_assets.resources.warehouse.bigquery import BigQueryWarehouse
from platform_assets_tests.resources.warehouse.bigquery.rows import COSTS, DAY, contents, published, staged
from platform_assets_tests.servers.http_proxy import HttpProxy

NEXT = date(2026, 2, 1)
JOBS = r"^/bigquery/.*/jobs(\?|$)"


@pytest.fixture
def merging(open_warehouse: Callable[..., BigQueryWarehouse]) -> BigQueryWarehouse:
    """The emulator refuses MERGE on tables that require a partition filter (servers.bigquery.GAPS)."""
    return open_warehouse(require_partition_filters=False)


def replacing(staging: TableName, **equals: Any) -> SliceWrite:
    return SliceWrite(COSTS, staging, "replace", Slice(tuple(equals.items())))


def upserting(staging: TableName, *keys: str, mode: Any = "merge") -> SliceWrite:
    return SliceWrite(COSTS, staging, mode, Slice(()), keys)


def statements(proxy: HttpProxy) -> list[str]:
    jobs = [sent.json["configuration"] for sent in proxy.sent("POST", JOBS) if sent.json]
    return [job["query"]["query"] for job in jobs if "query" in job]


# --- Replace ----------------------------------------------------------------------------------------------------


def test_replace_swaps_exactly_the_slice_and_may_be_repeated(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "old", Decimal(1)), (DAY, "older"), (NEXT, "stays"))
    table = staged(warehouse, tenant, (DAY, "new", Decimal("0.000000000000000001")))
    write = replacing(table, day=DAY)
    results = [warehouse.publish(tenant, write), warehouse.publish(tenant, write)]
    assert results == [WriteResult(1, 2), WriteResult(1, 1)]
    assert contents(warehouse, tenant) == [
        (DAY, "new", Decimal("0.000000000000000001"), None),
        (NEXT, "stays", None, None),
    ]
    script = statements(proxy)[-1]
    assert f"DELETE FROM `{tenant}_raw_openai`.`costs` WHERE `day` = DATE '2026-01-31'" in script
    assert script.index("BEGIN TRANSACTION") < script.index("DELETE") < script.index("COMMIT TRANSACTION")


def test_replace_by_several_columns_leaves_other_writers_rows(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "mine", None, 1), (DAY, "theirs", None, 1), (DAY, None, None, 1))
    table = staged(warehouse, tenant, (DAY, "mine", None, 2))
    assert warehouse.publish(tenant, replacing(table, day=DAY, item="mine")) == WriteResult(1, 1)
    nobodys = staged(warehouse, tenant, (DAY, None, None, 3))
    assert warehouse.publish(tenant, replacing(nobodys, day=DAY, item=None)) == WriteResult(1, 1)
    assert [row[1::2] for row in contents(warehouse, tenant)] == [(None, 3), ("mine", 2), ("theirs", 1)]
    query = proxy.sent("POST", JOBS)[-2].json["configuration"]["query"]
    assert query["queryParameters"][0]["parameterValue"] == {"value": "mine"}


def test_an_empty_answer_empties_the_slice(warehouse: BigQueryWarehouse, tenant: str) -> None:
    published(warehouse, tenant, (DAY, "old"), (NEXT, "stays"))
    table = warehouse.create_staging(tenant, COSTS, "empty")
    assert warehouse.publish(tenant, replacing(table, day=DAY)) == WriteResult(0, 1)
    assert [row[1] for row in contents(warehouse, tenant)] == ["stays"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(DAY, "in"), (NEXT, "out")], "1 staged rows .* day=2026-01-31, for example day=2026-02-01"),
        ([(DAY, "in"), (None, "no day")], "1 staged rows .* for example day=None"),
    ],
)
def test_rows_outside_the_slice_leave_it_as_it_was(
    warehouse: BigQueryWarehouse, tenant: str, rows: list[Any], words: str
) -> None:
    published(warehouse, tenant, (DAY, "old"))
    with pytest.raises(DataError, match=rf"raw_openai\.costs: {words}"):
        warehouse.publish(tenant, replacing(staged(warehouse, tenant, *rows), day=DAY))
    assert [row[1] for row in contents(warehouse, tenant)] == ["old"]


def test_a_missing_required_value_leaves_everything_as_it_was(
    warehouse: BigQueryWarehouse, tenant: str
) -> None:
    """``day`` is REQUIRED; a slice by another column lets the NULL through to the INSERT, after the DELETE."""
    spec = replace(COSTS, partitioning=None, cluster_by=())
    published(warehouse, tenant, (DAY, "old"), spec=spec)
    table = staged(warehouse, tenant, (None, "old"), spec=spec)
    write = SliceWrite(spec, table, "replace", Slice((("item", "old"),)))
    with pytest.raises(DataError, match="REQUIRED columns are NULL: day in 1 rows"):
        warehouse.publish(tenant, write)
    assert contents(warehouse, tenant) == [(DAY, "old", None, None)]


@pytest.mark.parametrize(
    ("equals", "words"),
    [
        ({}, "at least one column"),
        ({"item": "x"}, "does not name partition column day"),
        ({"day": DAY, "price": 1}, "has no column price"),
    ],
)
def test_slices_that_cannot_be_are_refused_before_anything_is_sent(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, equals: dict[str, Any], words: str
) -> None:
    with pytest.raises(RejectedError, match=rf"raw_openai\.costs.*{words}"):
        warehouse.publish(tenant, replacing(TableName("raw_openai", "s"), **equals))
    assert not proxy.exchanges


def test_a_staging_table_that_is_gone(warehouse: BigQueryWarehouse, tenant: str) -> None:
    published(warehouse, tenant, (DAY, "old"))
    with pytest.raises(NotFoundError, match="gone"):
        warehouse.publish(tenant, replacing(TableName("raw_openai", "gone"), day=DAY))
    assert [row[1] for row in contents(warehouse, tenant)] == ["old"]


# --- Merge and append -------------------------------------------------------------------------------------------


def test_merge_updates_and_inserts_and_may_be_repeated(
    merging: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(merging, tenant, (DAY, "a", Decimal(1), 1), (DAY, "b", Decimal(1), 1), (NEXT, "a", None, 9))
    table = staged(merging, tenant, (DAY, "a", Decimal(2)), (NEXT, "c"))
    write = upserting(table, "day", "item")
    assert [merging.publish(tenant, write) for _ in range(2)] == [WriteResult(1, 0, 1), WriteResult(0, 0, 2)]
    assert contents(merging, tenant) == [
        (DAY, "a", Decimal(2), None),
        (DAY, "b", Decimal(1), 1),
        (NEXT, "a", None, 9),
        (NEXT, "c", None, None),
    ]
    assert "(t.`day` IN (DATE '2026-01-31', DATE '2026-02-01'))" in statements(proxy)[-1]


def test_merge_finds_its_rows_in_other_partitions_too(
    merging: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    """The keys do not hold the partition column: the row to update lies on the day before."""
    published(merging, tenant, (DAY, "a", Decimal(1)), (date(2025, 1, 1), "far"))
    table = staged(merging, tenant, (NEXT, "a", Decimal(2)))
    assert merging.publish(tenant, upserting(table, "item")) == WriteResult(0, 0, 1)
    assert contents(merging, tenant) == [(date(2025, 1, 1), "far", None, None), (NEXT, "a", Decimal(2), None)]
    assert "IN (DATE '2026-01-31', DATE '2026-02-01')" in statements(proxy)[-1]


def test_append_adds_only_what_is_not_there(merging: BigQueryWarehouse, tenant: str) -> None:
    published(merging, tenant, (DAY, "a", Decimal(1)))
    table = staged(merging, tenant, (DAY, "a", Decimal(2)), (DAY, "b"))
    write = upserting(table, "item", mode="append")
    assert [merging.publish(tenant, write) for _ in range(2)] == [WriteResult(1, 0, 0), WriteResult(0, 0, 0)]
    assert [row[1:3] for row in contents(merging, tenant)] == [("a", Decimal(1)), ("b", None)]


def test_nothing_staged_is_nothing_merged(merging: BigQueryWarehouse, tenant: str) -> None:
    published(merging, tenant, (DAY, "a"))
    table = merging.create_staging(tenant, COSTS, "none")
    assert merging.publish(tenant, upserting(table, "item")) == WriteResult(0, 0, 0)
    assert len(contents(merging, tenant)) == 1


@pytest.mark.parametrize("mode", ["merge", "append"])
@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([(DAY, "a"), (DAY, None)], "the key item is NULL in 1 staged rows"),
        ([(DAY, "a", 1), (NEXT, "a"), (DAY, "b")], r"the key item comes more than once .*: a \(2 times\)"),
    ],
)
def test_keys_that_are_none_are_data_errors(
    merging: BigQueryWarehouse, tenant: str, mode: str, rows: list[Any], words: str
) -> None:
    published(merging, tenant, (DAY, "old"))
    with pytest.raises(DataError, match=rf"raw_openai\.costs: {words}"):
        merging.publish(tenant, upserting(staged(merging, tenant, *rows), "item", mode=mode))
    assert [row[1] for row in contents(merging, tenant)] == ["old"]


@pytest.mark.parametrize(("keys", "words"), [((), "merge needs keys"), (("price",), "no key columns price")])
def test_keys_that_cannot_be(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, keys: tuple[str, ...], words: str
) -> None:
    with pytest.raises(RejectedError, match=words):
        warehouse.publish(tenant, upserting(TableName("raw_openai", "s"), *keys))
    assert not proxy.exchanges


# --- Failures ---------------------------------------------------------------------------------------------------


def job_failed(proxy: HttpProxy, reason: str, message: str, **times: int) -> None:
    """The next jobs end with this error, as BigQuery tells it in a job that is done."""
    error = {"reason": reason, "message": message}
    job = {
        "jobReference": {"projectId": "local", "jobId": "failed", "location": "EU"},
        "configuration": {"jobType": "QUERY", "query": {"query": ""}},
        "status": {"state": "DONE", "errorResult": error, "errors": [error]},
    }
    proxy.fail("POST", JOBS, 200, job, **times)


def test_a_failure_that_passes_is_tried_again_as_a_new_job(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str, slept: list[float]
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    table = staged(warehouse, tenant, (DAY, "new"))
    slept.clear()
    job_failed(
        proxy, "invalidQuery", "Transaction is aborted due to concurrent update against table x.", times=2
    )
    assert warehouse.publish(tenant, replacing(table, day=DAY)) == WriteResult(1, 0)
    ids = [sent.json["jobReference"]["jobId"] for sent in proxy.sent("POST", JOBS)[-3:]]
    assert [job_id.rpartition("_")[2] for job_id in ids] == ["1", "2", "3"]
    assert slept[:2] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("reason", "message", "kind"),
    [
        ("quotaExceeded", "Quota exceeded: your table exceeded quota for imports", QuotaError),
        (
            "bytesBilledLimitExceeded",
            "Query exceeded limit for bytes billed: 1000000. 10485760 or higher required.",
            QuotaError,
        ),
        ("invalidQuery", "Syntax error: Unexpected keyword", RejectedError),
        ("stopped", "Job execution was cancelled: User requested cancellation", RejectedError),
    ],
)
def test_failures_that_stay_are_sent_once(
    warehouse: BigQueryWarehouse,
    proxy: HttpProxy,
    tenant: str,
    slept: list[float],
    reason: str,
    message: str,
    kind: type[Exception],
) -> None:
    job_failed(proxy, reason, message)
    with pytest.raises(kind, match=rf"replace raw_openai\.costs: {message[:20]}") as raised:
        warehouse.publish(tenant, replacing(TableName("raw_openai", "s"), day=DAY))
    assert type(raised.value) is kind
    assert len(proxy.exchanges) == 1 and slept == []


def test_a_publication_whose_answer_got_lost_is_asked_for_not_repeated(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "old"))
    table = staged(warehouse, tenant, (DAY, "new"))
    before = len(proxy.sent("POST", JOBS))
    proxy.fail("POST", JOBS, after_effect=True)
    assert warehouse.publish(tenant, replacing(table, day=DAY)) == WriteResult(1, 1)
    ids = {sent.json["jobReference"]["jobId"] for sent in proxy.sent("POST", JOBS)[before:]}
    assert len(ids) == 1


def test_a_job_that_does_not_end_is_given_up_with_its_effect_unknown(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    running = {
        "jobReference": {"projectId": "local", "jobId": "slow", "location": "EU"},
        "configuration": {"jobType": "QUERY", "query": {"query": ""}},
        "status": {"state": "RUNNING"},
    }
    proxy.fail("POST", JOBS, 200, running)
    proxy.fail("GET", r"/jobs/slow", 200, running, times=99)
    warehouse = open_warehouse(job_timeout_seconds=1)
    with pytest.raises(RetryableError, match="job slow still runs") as raised:
        warehouse.publish(tenant, replacing(TableName("raw_openai", "s"), day=DAY))
    assert raised.value.effect_unknown
