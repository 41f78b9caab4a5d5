"""Queries on somebody's BigQuery: Google's own client against local-bigquery."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from google.api_core.client_options import ClientOptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery

from platform_assets.engine.errors import AuthError, PlatformError
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import Secret
from platform_assets.resources.query_sources.bigquery import BigQuerySources, BigQuerySourcesSettings
from platform_assets_tests.servers.bigquery import PROJECT

GIGABYTE = 2**30


@pytest.fixture(scope="module")
def billing(bigquery_url):
    """A billing dataset with one exported row a day."""
    client = bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=bigquery_url),
    )
    client.create_dataset(f"{PROJECT}.billing", exists_ok=True)
    fields = [
        bigquery.SchemaField("day", "DATE"),
        bigquery.SchemaField("cost", "FLOAT"),
        bigquery.SchemaField("exact", "NUMERIC"),
        bigquery.SchemaField("at", "TIMESTAMP"),
    ]
    client.create_table(bigquery.Table(f"{PROJECT}.billing.export", schema=fields), exists_ok=True)
    rows = [
        {"day": f"2026-01-0{d}", "cost": d + 0.1, "exact": "0.123456789", "at": f"2026-01-0{d}T00:00:00Z"}
        for d in (1, 2, 3)
    ]
    assert client.insert_rows_json(f"{PROJECT}.billing.export", rows) == []
    return bigquery_url


def source(url, secret=None):
    return BigQuerySources(BigQuerySourcesSettings(project=PROJECT, endpoint=url)).open({}, secret)


def asked(url, sql, **parameters):
    batches = source(url).query(BoundSql(sql, parameters), maximum_bytes_billed=GIGABYTE)
    return [row for batch in batches for row in batch.to_pylist()]


def test_rows_come_typed_and_parameters_are_bound(billing):
    sql = "SELECT cost, exact, at FROM `local`.`billing`.`export` WHERE day = @run_date"
    [row] = asked(billing, sql, run_date=(FieldType.DATE, date(2026, 1, 2)))
    assert row == {
        "cost": 2.1,
        "exact": Decimal("0.123456789"),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
    }


def test_no_rows_is_an_answer(billing):
    sql = "SELECT cost FROM `local`.`billing`.`export` WHERE day = @run_date"
    assert asked(billing, sql, run_date=(FieldType.DATE, date(2020, 1, 1))) == []


def test_a_table_that_is_not_there_is_an_error_of_ours(billing):
    with pytest.raises(PlatformError):
        asked(billing, "SELECT 1 AS x FROM `local`.`billing`.`nothing`")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("not json", "not a service account's JSON key"),
        ("[]", "not a service account's JSON key"),
        ('{"type": "service_account"}', "lacks project_id, private_key, client_email"),
        (
            json.dumps(
                {"type": "service_account", "project_id": "p", "private_key": "x", "client_email": "e"}
            ),
            "private key cannot be read",
        ),
    ],
)
def test_a_secret_that_is_no_key_is_refused_without_showing_it(text, reason):
    with pytest.raises(AuthError, match=reason) as raised:
        source("http://127.0.0.1:1", Secret(text))
    assert raised.value.__cause__ is None
    assert "client_email': 'e" not in str(raised.value)
