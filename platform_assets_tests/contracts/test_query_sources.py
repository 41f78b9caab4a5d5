"""What every way to other systems' SQL tables does: typed rows, bound values, what is there and what is not."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pytest

from platform_assets.engine.errors import PlatformError
from platform_assets.engine.ingestion.query import QuerySource
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import QuerySources
from platform_assets.resources.bindings import ADAPTERS, create
from platform_assets_tests.servers.bigquery import PROJECT

MOST = 2**30
ROWS = [(date(2026, 1, day), f"{day}.000000001", f"row {day}") for day in (1, 2, 3)]


@dataclass(frozen=True)
class Rig:
    """The sources, and where somebody keeps ``ROWS`` as table ``export`` (day DATE, cost NUMERIC, note STRING)."""

    sources: QuerySources
    dataset: str

    @property
    def source(self) -> QuerySource:
        return self.sources.open({}, None)

    def table(self, name: str = "export") -> str:
        return f"`{PROJECT}`.`{self.dataset}`.`{name}`"

    def ask(self, sql: str, **parameters: Any) -> list[dict[str, Any]]:
        batches = self.source.query(BoundSql(sql, parameters), maximum_bytes_billed=MOST)
        return [row for batch in batches for row in batch.to_pylist()]


def _duckdb(request: pytest.FixtureRequest, folder: Path) -> Rig:
    with duckdb.connect(str(folder / f"{PROJECT}.duckdb")) as connection:
        connection.execute("CREATE SCHEMA billing")
        connection.execute('CREATE TABLE billing.export ("day" DATE, "cost" DECIMAL(38, 9), "note" VARCHAR)')
        connection.executemany("INSERT INTO billing.export VALUES (?, ?, ?)", ROWS)
    return Rig(create("query_sources", "duckdb", {"folder": str(folder)}), "billing")


def _bigquery(request: pytest.FixtureRequest, folder: Path) -> Rig:
    from google.api_core.client_options import ClientOptions
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import bigquery

    url, dataset = request.getfixturevalue("bigquery_url"), f"billing_{uuid.uuid4().hex}"
    owner = bigquery.Client(
        project=PROJECT,
        credentials=AnonymousCredentials(),
        client_options=ClientOptions(api_endpoint=url),
    )
    owner.create_dataset(f"{PROJECT}.{dataset}")
    kinds = (("day", "DATE"), ("cost", "NUMERIC"), ("note", "STRING"))
    fields = [bigquery.SchemaField(name, kind) for name, kind in kinds]
    table = f"{PROJECT}.{dataset}.export"
    owner.create_table(bigquery.Table(table, schema=fields))
    rows = [{"day": str(day), "cost": cost, "note": note} for day, cost, note in ROWS]
    assert owner.insert_rows_json(table, rows) == []
    return Rig(create("query_sources", "bigquery", {"project": PROJECT, "endpoint": url}), dataset)


RIGS: Mapping[str, Callable[[pytest.FixtureRequest, Path], Rig]] = {"bigquery": _bigquery, "duckdb": _duckdb}


@pytest.fixture(params=sorted(ADAPTERS["query_sources"]))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return RIGS[request.param](request, tmp_path)


def test_rows_come_typed_and_values_are_bound(rig: Rig) -> None:
    sql = f"SELECT day, cost, note FROM {rig.table()} WHERE day = @run_date"
    [row] = rig.ask(sql, run_date=(FieldType.DATE, date(2026, 1, 2)))
    assert row == {"day": date(2026, 1, 2), "cost": Decimal("2.000000001"), "note": "row 2"}
    assert rig.ask(sql, run_date=(FieldType.DATE, date(2020, 1, 1))) == []


def test_a_table_that_is_not_there_is_an_error_of_ours(rig: Rig) -> None:
    with pytest.raises(PlatformError):
        rig.ask(f"SELECT 1 AS x FROM {rig.table('nothing')}")


def test_what_is_there(rig: Rig) -> None:
    assert rig.source.present(PROJECT, rig.dataset, ["export", "nothing"]) == {"export"}
    assert rig.source.present(PROJECT, "nowhere", ["export"]) == frozenset()


def test_an_estimate_reads_nothing_and_is_a_number_of_bytes(rig: Rig) -> None:
    assert rig.source.estimate(BoundSql(f"SELECT note FROM {rig.table()}")) >= 0
