"""The same monitors on BigQuery's emulator, with Google's client: the README's event, and the widest queries."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.resources.query_sources.bigquery import BigQuerySources, BigQuerySourcesSettings
from platform_assets_tests.assets.cdc.catalogue import EXPECTED, statements
from platform_assets_tests.assets.cdc.messages import change, cloud_event
from platform_assets_tests.assets.cdc.rig import SEED, Rig
from platform_assets_tests.assets.cdc.test_catalogue import COUNT, completed
from platform_assets_tests.servers import bigquery

TYPES = (
    ("TIMESTAMPTZ", "\0"),
    ("TIMESTAMP", "DATETIME"),
    ("\0", "TIMESTAMP"),
    ("VARCHAR", "STRING"),
    ("BIGINT", "INT64"),
    ("DECIMAL(38, 9)", "NUMERIC"),
)


def in_bigquery(statement: str) -> str:
    for duckdb, google in TYPES:
        statement = statement.replace(duckdb, google)
    return statement


@pytest.fixture(scope="module")
def seeded(bigquery_url: str) -> Iterator[str]:
    """The emulator's address, its project holding the README's tables and the catalogue's."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery as google

    client = google.Client(
        project=bigquery.PROJECT,
        credentials=AnonymousCredentials(),  # type: ignore[no-untyped-call]
        client_options={"api_endpoint": bigquery_url},
    )
    readme = [statement.replace("SELECT unnest([", "SELECT vl_pago FROM UNNEST([") for statement in SEED]
    for statement in [*readme, *(in_bigquery(statement) for statement in statements()[1:])]:
        client.query(statement).result(timeout=60)
    client.close()
    yield bigquery_url
    bigquery.forget(bigquery_url)


@pytest.fixture
def rig(seeded: str, tmp_path: Path) -> Rig:
    source = BigQuerySources(BigQuerySourcesSettings(project=bigquery.PROJECT, endpoint=seeded)).open(
        {}, None
    )
    return Rig(tmp_path, settings=CdcSettings(data_project=bigquery.PROJECT), tables=source)


def test_the_readmes_event_and_the_catalogue(rig: Rig) -> None:
    rig.send(cloud_event(change()))
    assert rig.run().done == 1, rig.dead()
    assert rig.sink.values("claims/pipeline/filtered_pre/vl_pago/total") == [1500.0]
    assert rig.sink.values("claims/pipeline/filtered_pre/vl_pago/relative") == [0.1875]
    assert (len(rig.source.queries), rig.source.look_ups) == (1, 1)
    for number, pipeline in enumerate(("pipesv2_approval", "pipesv2_submission", "pipesv2_release"), 1):
        rig.sink.points.clear()
        rig.send(completed(pipeline, number))
        assert rig.run().done == 1, rig.dead()
        told = {key: value for key, value in rig.sink.told().items() if key[0] != COUNT}
        assert told == {key: pytest.approx(value) for key, value in EXPECTED[pipeline].items()}


def test_a_dataset_that_is_not_there_has_no_tables(rig: Rig) -> None:
    rig.send(change(variables={"refined_unprocessable_claims_output_table": "abertta.claims"}))
    rig.run()
    assert rig.sink.values("claims/pipeline/filtered_pre/vl_pago/total") == [0.0]
