"""Stored procedures, as others find and call them: Google's own client against local-bigquery."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from google.api_core.client_options import ClientOptions
from google.api_core.exceptions import NotFound
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from platform_assets.resources.warehouse.bigquery import BigQueryWarehouse
from platform_assets_tests.resources.warehouse.bigquery.rows import DAY, contents, published
from platform_assets_tests.servers.bigquery import PROJECT


@pytest.fixture
def other(bigquery_url: str) -> Iterator[bigquery.Client]:
    """Somebody else's client."""
    client = bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=bigquery_url),
    )
    yield client
    client.close()


def procedure(tenant: str, condition: str) -> str:
    return (
        f"CREATE OR REPLACE PROCEDURE `{tenant}_metadata`.`sp_drop`(IN p_item STRING)\n"
        f"BEGIN\n  DELETE FROM `{tenant}_raw_openai`.`costs` WHERE day IS NOT NULL AND {condition};\nEND"
    )


def test_what_is_stored_is_what_others_call(
    warehouse: BigQueryWarehouse, other: bigquery.Client, tenant: str
) -> None:
    published(warehouse, tenant, (DAY, "a"), (DAY, "b"), (DAY, "c"))
    call = f"CALL `{tenant}_metadata`.`sp_drop`('b')"
    left = []
    for condition in ("item = p_item", "item > p_item"):
        assert warehouse.store_procedure(tenant, "sp_drop", procedure(tenant, condition))
        other.query(call).result()
        left.append([item for _, item, *_ in contents(warehouse, tenant)])
    assert left == [["a", "c"], ["a"]]


def test_what_is_dropped_is_gone(warehouse: BigQueryWarehouse, other: bigquery.Client, tenant: str) -> None:
    published(warehouse, tenant, (DAY, "a"))
    warehouse.store_procedure(tenant, "sp_drop", procedure(tenant, "item = p_item"))
    name = f"{PROJECT}.{tenant}_metadata.sp_drop"
    assert other.get_routine(name).type_ == "PROCEDURE"
    for _ in range(2):
        assert warehouse.store_procedure(tenant, "sp_drop", None)
    with pytest.raises(NotFound):
        other.get_routine(name)
