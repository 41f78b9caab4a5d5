"""Creating and altering tables, on the emulator and in what was sent to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Granularity, Mode, Partitioning, TableSchema
from platform_assets.resources.warehouse.bigquery import BigQueryWarehouse
from platform_assets_tests.resources.warehouse.bigquery.rows import (
    COSTS,
    DAY,
    EVERYTHING,
    PLAIN,
    contents,
    published,
)
from platform_assets_tests.servers.http_proxy import HttpProxy

TABLES = r"/tables(\?|$)"
ONE_TABLE = r"/tables/costs(\?|$)"


def with_fields(*fields: Field) -> TableSchema:
    return TableSchema((*COSTS.schema.fields[:3], *fields))


def test_a_new_table_has_all_that_its_spec_says(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    assert warehouse.ensure_table(tenant, COSTS) == ("raw_openai.costs: create with 4 columns",)
    dataset, table = proxy.sent("POST", r"/datasets(\?|$)")[0].json, proxy.sent("POST", TABLES)[-1].json
    assert dataset["datasetReference"]["datasetId"] == f"{tenant}_raw_openai"
    assert (dataset["location"], dataset["labels"]) == ("EU", {"tenant": tenant})
    assert table["timePartitioning"] == {"type": "DAY", "field": "day", "expirationMs": str(400 * 86_400_000)}
    assert table["requirePartitionFilter"] is True
    assert table["clustering"] == {"fields": ["item"]}
    assert table["labels"] == {"tenant": tenant, "pipeline": "openai_costs"}
    assert table["description"] == COSTS.description
    assert [(f["name"], f["type"], f["mode"]) for f in table["schema"]["fields"]] == [
        ("day", "DATE", "REQUIRED"),
        ("item", "STRING", "NULLABLE"),
        ("amount", "BIGNUMERIC", "NULLABLE"),
        ("hits", "INTEGER", "NULLABLE"),
    ]


def test_a_shared_dataset_is_nobodys(warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str) -> None:
    spec = replace(COSTS, name=TableName("organizations", tenant))
    warehouse.ensure_table(tenant, spec)
    assert not any(sent.json.get("labels") for sent in proxy.sent("POST", r"/datasets(\?|$)"))
    assert proxy.sent("POST", TABLES)[-1].json["tableReference"]["datasetId"] == "organizations"


def test_what_was_made_is_described_as_declared(warehouse: BigQueryWarehouse, tenant: str) -> None:
    spec = replace(COSTS, schema=TableSchema((*COSTS.schema.fields, *EVERYTHING.fields)))
    warehouse.ensure_table(tenant, spec)
    assert warehouse.describe(tenant, COSTS.name) == spec.schema
    assert warehouse.describe(tenant, TableName("raw_openai", "nothing")) is None
    assert warehouse.describe(tenant, TableName("raw_nowhere", "costs")) is None


def test_a_table_found_right_is_left_alone_and_not_asked_again(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    open_warehouse().ensure_table(tenant, COSTS)
    proxy.exchanges.clear()
    again = open_warehouse()
    assert [again.ensure_table(tenant, COSTS) for _ in range(3)] == [(), (), ()]
    assert [e.method for e in proxy.exchanges] == ["GET"]


def test_a_dropped_table_is_made_again(warehouse: BigQueryWarehouse, tenant: str) -> None:
    warehouse.ensure_table(tenant, COSTS)
    warehouse.drop(tenant, COSTS.name)
    warehouse.drop(tenant, COSTS.name)
    assert warehouse.describe(tenant, COSTS.name) is None
    assert warehouse.ensure_table(tenant, COSTS) == ("raw_openai.costs: create with 4 columns",)


def test_columns_are_added_relaxed_and_described(warehouse: BigQueryWarehouse, tenant: str) -> None:
    published(warehouse, tenant, (DAY, "a", None, 1))
    changed = TableSchema(
        (
            replace(COSTS.schema.fields[0], mode=Mode.NULLABLE),
            replace(COSTS.schema.fields[1], description="What was bought."),
            *COSTS.schema.fields[2:],
            Field("tags", FieldType.STRING, Mode.REPEATED),
            Field("extra", FieldType.JSON),
        )
    )
    said = warehouse.ensure_table(tenant, replace(COSTS, schema=changed))
    assert said == (
        "raw_openai.costs: relax day from REQUIRED to NULLABLE",
        "raw_openai.costs: describe item",
        "raw_openai.costs: add tags STRING REPEATED",
        "raw_openai.costs: add extra JSON",
    )
    assert warehouse.describe(tenant, COSTS.name) == changed
    assert contents(warehouse, tenant) == [(DAY, "a", None, 1, [], None)]


def test_columns_inside_a_struct_are_added_by_the_patch_that_is_sent(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    """The emulator keeps a STRUCT as it was, so this looks at the request."""
    before = Field("r", FieldType.STRUCT, fields=(Field("x", FieldType.INT64),))
    after = replace(before, fields=(*before.fields, Field("y", FieldType.STRING)))
    warehouse.ensure_table(tenant, replace(COSTS, schema=with_fields(before)))
    said = warehouse.ensure_table(tenant, replace(COSTS, schema=with_fields(after)))
    (patch,) = proxy.sent("PATCH", ONE_TABLE)
    assert said == ("raw_openai.costs: add r.y STRING",)
    assert [f["name"] for f in patch.json["schema"]["fields"][3]["fields"]] == ["x", "y"]
    assert set(patch.json) == {"schema"}


def test_a_number_is_widened_by_ddl_and_the_rest_by_patch(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "a", None, 7))
    wider = with_fields(Field("hits", FieldType.NUMERIC), Field("more", FieldType.STRING))
    said = warehouse.ensure_table(tenant, replace(COSTS, schema=wider))
    assert said == (
        "raw_openai.costs: widen hits from INT64 to NUMERIC",
        "raw_openai.costs: add more STRING",
    )
    assert warehouse.describe(tenant, COSTS.name) == wider
    statements = [
        e.json["configuration"]["query"]["query"] for e in proxy.sent("POST", r"/jobs(\?|$)") if e.json
    ]
    assert (
        f"ALTER TABLE `{tenant}_raw_openai`.`costs` ALTER COLUMN `hits` SET DATA TYPE NUMERIC" in statements
    )
    assert contents(warehouse, tenant)[0][3] == 7


def test_what_cannot_change_is_refused_with_table_column_and_both_types(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    wrong = TableSchema(
        (
            *COSTS.schema.fields[:2],
            Field("amount", FieldType.INT64),
            Field("hits", FieldType.STRING),
            Field("new", FieldType.STRING, Mode.REQUIRED),
        )
    )
    with pytest.raises(RejectedError) as raised:
        warehouse.ensure_table(tenant, replace(COSTS, schema=wrong))
    text = str(raised.value)
    assert "raw_openai.costs column amount: BIGNUMERIC to INT64" in text
    assert "raw_openai.costs column hits: INT64 to STRING" in text
    assert "raw_openai.costs column new: STRING REQUIRED" in text
    assert not proxy.sent("PATCH", "") and not proxy.sent("POST", r"/jobs(\?|$)")


@pytest.mark.parametrize(
    ("change", "said", "sent"),
    [
        (
            {"partitioning": replace(COSTS.partitioning, expiration_days=30)},
            "keep partitions for 30 days",
            {"timePartitioning": {"type": "DAY", "field": "day", "expirationMs": str(30 * 86_400_000)}},
        ),
        (
            {"partitioning": replace(COSTS.partitioning, expiration_days=None)},
            "keep partitions for ever",
            {"timePartitioning": {"type": "DAY", "field": "day"}},
        ),
        (
            {"partitioning": replace(COSTS.partitioning, require_filter=False)},
            "require a partition filter: False",
            {"requirePartitionFilter": False},
        ),
        (
            {"cluster_by": ("hits", "item")},
            "cluster by hits, item",
            {"clustering": {"fields": ["hits", "item"]}},
        ),
        ({"cluster_by": ()}, "cluster by nothing", {"clustering": None}),
        ({"description": "New words."}, "describe the table", {"description": "New words."}),
    ],
)
def test_options_follow_the_spec(
    warehouse: BigQueryWarehouse,
    proxy: HttpProxy,
    tenant: str,
    change: dict[str, object],
    said: str,
    sent: dict[str, object],
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    spec = replace(COSTS, **change)  # type: ignore[arg-type]
    assert warehouse.ensure_table(tenant, spec) == (f"raw_openai.costs: {said}",)
    assert proxy.sent("PATCH", ONE_TABLE)[-1].json == sent


def test_labels_are_added_and_those_of_others_kept(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    spec = replace(COSTS, labels=(("owner", "finance"),))
    assert warehouse.ensure_table(tenant, spec) == ("raw_openai.costs: label owner=finance",)
    (patch,) = proxy.sent("PATCH", ONE_TABLE)
    assert patch.json["labels"] == {"tenant": tenant, "pipeline": "openai_costs", "owner": "finance"}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            replace(COSTS, partitioning=Partitioning("day", Granularity.MONTH)),
            "DAY of day and declared with MONTH",
        ),
        (PLAIN, "DAY of day and declared with nothing"),
    ],
)
def test_another_partitioning_needs_another_table(
    warehouse: BigQueryWarehouse, tenant: str, spec: object, words: str
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    with pytest.raises(RejectedError, match=f"raw_openai.costs is partitioned by {words}"):
        warehouse.ensure_table(tenant, spec)  # type: ignore[arg-type]


def test_threads_that_want_one_table_make_it_once(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(lambda _: warehouse.ensure_table(tenant, COSTS), range(4)))
    assert sorted(map(len, said)) == [0, 0, 0, 1]
    assert len(proxy.sent("GET", ONE_TABLE)) == 1


def test_a_table_that_another_process_made_meanwhile_is_taken(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    """The other's table appears between our look and our creation."""
    open_warehouse().ensure_table(tenant, COSTS)
    missing = {"error": {"code": 404, "message": "Not found", "errors": [{"reason": "notFound"}]}}
    proxy.fail("GET", ONE_TABLE, 404, missing)
    assert open_warehouse().ensure_table(tenant, COSTS) == ()


def test_a_table_altered_meanwhile_is_looked_at_again(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    warehouse.ensure_table(tenant, COSTS)
    stale = {"error": {"code": 412, "message": "Precondition", "errors": [{"reason": "conditionNotMet"}]}}
    proxy.fail("PATCH", ONE_TABLE, 412, stale)
    spec = replace(COSTS, schema=TableSchema((*COSTS.schema.fields, Field("more", FieldType.STRING))))
    assert warehouse.ensure_table(tenant, spec) == ("raw_openai.costs: add more STRING",)
    assert all(patch.headers.get("If-Match") for patch in proxy.sent("PATCH", ONE_TABLE))


def test_two_tenants_never_share_a_table(warehouse: BigQueryWarehouse, tenant: str) -> None:
    published(warehouse, tenant, (DAY, "mine", None, 1))
    published(warehouse, f"{tenant}b", (DAY, "theirs", None, 1))
    assert contents(warehouse, tenant) == [(DAY, "mine", None, 1)]
    warehouse.drop(tenant, COSTS.name)
    assert contents(warehouse, f"{tenant}b") == [(DAY, "theirs", None, 1)]
