"""A source's query with real table names: names only, never SQL."""

from datetime import date

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.spec import SqlSource
from platform_assets.engine.ingestion.sql_source import bind_source
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.transform import parse_transform

SQL = """SELECT export.cost FROM source.export
WHERE _PARTITIONTIME >= TIMESTAMP(@run_date) AND _PARTITIONTIME < TIMESTAMP(@next_date)"""


def bound(table, sql=SQL):
    source = SqlSource(type="sql", sql_file="q.sql", tables={"export": "{{ parameters.table }}"})
    variables = slice_variables(date(2026, 2, 28), tenant="acme", credential="c", parameters={"table": table})
    return bind_source(source, parse_transform(sql, file="q.sql", check_duckdb=False), variables)


def test_tables_and_dates_are_bound():
    query = bound("my-project.billing.gcp_billing_export_v1_012345_ABCDEF_678901")
    assert "`my-project`.`billing`.`gcp_billing_export_v1_012345_ABCDEF_678901` AS export" in query.sql
    assert query.parameters == {
        "run_date": (FieldType.DATE, date(2026, 2, 28)),
        "next_date": (FieldType.DATE, date(2026, 3, 1)),
    }


def test_the_partition_filter_compares_with_parameters_only():
    assert (
        "_PARTITIONTIME >= TIMESTAMP(@run_date) AND _PARTITIONTIME < TIMESTAMP(@next_date)"
        in bound("a.b").sql
    )


@pytest.mark.parametrize(
    "table", ["d.t", "project-1.d.t", "example.com:project-1.d.t_*", "project-1.gcp_billing_immutable_X_us.t"]
)
def test_names_that_are_tables(table):
    assert bound(table).sql


@pytest.mark.parametrize(
    "table",
    [
        "t",
        "a.b.c.d",
        "d.t WHERE 1=1",
        "d.`t`",
        "d.t; DROP TABLE x",
        "d.t -- ",
        "d.(SELECT 1)",
        "d.*t",
        "",
        "d.t\n",
        "EXTERNAL_QUERY('c','q')",
    ],
)
def test_names_that_are_more_than_a_table_are_refused(table):
    with pytest.raises(ConfigError, match="is not"):
        bound(table)


def test_a_query_reads_its_own_tables_only():
    with pytest.raises(ConfigError):
        bound("d.t", "SELECT * FROM source.other")
    with pytest.raises(ConfigError):
        bound("d.t", "SELECT * FROM raw_openai.costs")


def test_a_parameter_without_meaning_for_a_source_is_refused():
    with pytest.raises(ConfigError, match="@tenant"):
        bound("d.t", "SELECT * FROM source.export WHERE x = @tenant")
