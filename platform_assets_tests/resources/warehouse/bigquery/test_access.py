"""Row access policies and shared views: the statements as text, and their effect where the emulator has it."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import parse_one

from platform_assets.engine.errors import QuotaError, RejectedError
from platform_assets.engine.schema.access import TableAccess
from platform_assets.engine.schema.model import Field, FieldType, TableSchema
from platform_assets.resources.warehouse.bigquery import BigQueryWarehouse
from platform_assets.resources.warehouse.bigquery.access import literal, plan_access, text
from platform_assets_tests.resources.warehouse.bigquery.rows import COSTS, DAY, contents, published
from platform_assets_tests.servers.bigquery import PROJECT
from platform_assets_tests.servers.http_proxy import HttpProxy

SPEC = replace(COSTS, schema=TableSchema((*COSTS.schema.fields, Field("email", FieldType.STRING, pii=True))))
TABLE = "`my-project.acme1281_raw_openai.costs`"
EMULATOR = "user:local-bigquery@localhost"


def declared(**access: Any) -> TableAccess:
    return TableAccess.model_validate({"sees_all": ["serviceAccount:p@x.example"]} | access)


def planned(access: TableAccess, *policies: str) -> tuple[str, ...]:
    return plan_access("my-project", "acme1281", SPEC, access, policies).statements


def rule(name: str, grantee: str, **where: Any) -> dict[str, Any]:
    return {"name": name, "grantees": [grantee], "where": where}


def test_the_pipeline_comes_first_and_stale_policies_of_ours_go_last() -> None:
    access = declared(
        rows=[
            rule("b", "group:b@x.example", item=["x", "y"], day=[DAY]),
            rule("a", "user:a@x.example", hits=[1]),
        ]
    )
    assert planned(access, "platform_old", "somebody_elses", "platform_sees_all") == (
        f"CREATE OR REPLACE ROW ACCESS POLICY platform_sees_all ON {TABLE} "
        "GRANT TO ('serviceAccount:p@x.example') FILTER USING (TRUE)",
        f"CREATE OR REPLACE ROW ACCESS POLICY platform_a ON {TABLE} "
        "GRANT TO ('user:a@x.example') FILTER USING (`hits` IN (1))",
        f"CREATE OR REPLACE ROW ACCESS POLICY platform_b ON {TABLE} "
        "GRANT TO ('group:b@x.example') FILTER USING (`item` IN ('x', 'y') AND `day` IN (DATE '2026-01-31'))",
        f"DROP ROW ACCESS POLICY IF EXISTS platform_old ON {TABLE}",
    )


@pytest.mark.parametrize(
    ("policies", "statements"),
    [
        ((), ()),
        (("somebody_elses",), ()),
        (("platform_a", "platform_sees_all"), (f"DROP ALL ROW ACCESS POLICIES ON {TABLE}",)),
        (
            ("platform_sees_all", "somebody_elses", "platform_a"),
            (
                f"DROP ROW ACCESS POLICY IF EXISTS platform_a ON {TABLE}",
                f"DROP ROW ACCESS POLICY IF EXISTS platform_sees_all ON {TABLE}",
            ),
        ),
    ],
)
def test_without_rules_ours_go_and_others_stay(
    policies: tuple[str, ...], statements: tuple[str, ...]
) -> None:
    assert planned(declared(), *policies) == statements


def test_a_view_shows_what_is_declared_and_never_pii_by_default() -> None:
    views = [
        {"dataset": "gold_shared", "view": "all_costs", "description": "Everybody's."},
        {"dataset": "gold_shared", "view": "one", "columns": ["item", "email"], "where": {"item": ["it's"]}},
    ]
    plan = plan_access("my-project", "acme1281", SPEC, declared(views=views), ())
    assert plan.statements == (
        "CREATE OR REPLACE VIEW `my-project.acme1281_gold_shared.all_costs` "
        f"OPTIONS(description='Everybody\\U00000027s.') AS SELECT `day`, `item`, `amount`, `hits` FROM {TABLE}",
        "CREATE OR REPLACE VIEW `my-project.acme1281_gold_shared.one` "
        f"AS SELECT `item`, `email` FROM {TABLE} WHERE `item` IN ('it\\U00000027s')",
    )
    assert plan.readers == ("gold_shared",)


def test_more_policies_than_bigquery_takes() -> None:
    rows = [rule(f"r{n}", "group:g@x.example", hits=[n]) for n in range(400)]
    with pytest.raises(QuotaError, match="400 row rules"):
        planned(declared(rows=rows))


def test_what_the_table_cannot_do_is_not_sent(
    warehouse: BigQueryWarehouse, proxy: HttpProxy, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "a"))
    before = len(proxy.sent("POST", ""))
    with pytest.raises(RejectedError, match="no column nothing"):
        warehouse.apply_access(tenant, COSTS, declared(rows=[rule("r", "group:g@x.example", nothing=[1])]))
    assert len(proxy.sent("POST", "")) == before


@given(st.text())
def test_text_cannot_leave_its_literal(value: str) -> None:
    made = text(value)
    assert made[0] == made[-1] == "'"
    assert not set("'\"`\n\r") & set(made[1:-1]) and made.isascii()


@given(st.booleans() | st.integers() | st.dates(date(1, 1, 1)))
def test_literals_are_one_expression(value: Any) -> None:
    assert parse_one(literal(value), dialect="bigquery")


def test_each_reader_sees_their_rows_and_the_pipeline_all(
    warehouse: BigQueryWarehouse, bigquery_url: str, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "acme", None, 1), (DAY, "globex", None, 2))
    access = declared(sees_all=[EMULATOR], rows=[rule("acme", "user:reader@acme.example", item=["acme"])])
    assert len(warehouse.apply_access(tenant, COSTS, access)) == 2
    assert len(contents(warehouse, tenant)) == 2
    assert seen_by("reader@acme.example", bigquery_url, tenant) == ["acme"]
    assert seen_by("stranger@globex.example", bigquery_url, tenant) == []
    warehouse.apply_access(tenant, COSTS, declared())
    assert seen_by("stranger@globex.example", bigquery_url, tenant) == ["acme", "globex"]


def seen_by(email: str, url: str, tenant: str) -> list[str]:
    """The items that the bearer of this address sees; the emulator reads the address from an unsigned token."""
    claims = base64.urlsafe_b64encode(json.dumps({"email": email}).encode()).decode().rstrip("=")
    answer = httpx.post(
        f"{url}/bigquery/v2/projects/{PROJECT}/queries",
        headers={"Authorization": f"Bearer x.{claims}.x"},
        json={
            "query": f"SELECT item FROM `{tenant}_raw_openai`.`costs` WHERE day IS NOT NULL ORDER BY 1",
            "useLegacySql": False,
        },
        timeout=30,
    )
    return [row["f"][0]["v"] for row in answer.json().get("rows", [])]


def test_a_view_is_made_and_its_dataset_allowed_in_once(
    open_warehouse: Callable[..., BigQueryWarehouse], proxy: HttpProxy, tenant: str
) -> None:
    """The emulator refuses a view without a filter on a table that requires one."""
    warehouse = open_warehouse(require_partition_filters=False)
    published(warehouse, tenant, (DAY, "a", None, 1), (DAY, "b", None, 2))
    view = {
        "dataset": "gold_shared",
        "view": "costs_of_a",
        "columns": ["day", "item"],
        "where": {"item": ["a"]},
    }
    access = declared(views=[view])
    for _ in range(2):
        warehouse.apply_access(tenant, COSTS, access)
    name = replace(COSTS.name, dataset="gold_shared", table="costs_of_a")
    assert warehouse.describe(tenant, name) is not None
    (patch,) = proxy.sent("PATCH", rf"/datasets/{tenant}_raw_openai(\?|$)")
    assert patch.json["access"][-1]["dataset"] == {
        "dataset": {"projectId": PROJECT, "datasetId": f"{tenant}_gold_shared"},
        "targetTypes": ["VIEWS"],
    }
