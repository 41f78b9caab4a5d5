from __future__ import annotations

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.sql.lineage import output_types, sql_type
from platform_assets.engine.sql.transform import parse_transform

COSTS, RATES = TableName("raw_openai", "costs"), TableName("silver_cost", "fx_rates")
SCHEMAS = {
    COSTS: TableSchema(
        (
            Field("Amount", FieldType.BIGNUMERIC),
            Field("currency", FieldType.STRING),
            Field("day", FieldType.DATE),
            Field("usage", FieldType.STRUCT, fields=(Field("tokens", FieldType.INT64),)),
            Field("labels", FieldType.STRUCT, Mode.REPEATED, "", (Field("key", FieldType.STRING),)),
        )
    ),
    RATES: TableSchema((Field("currency", FieldType.STRING), Field("rate", FieldType.NUMERIC))),
}


def lineage(text: str) -> dict[str, list[str]]:
    found = parse_transform(text, file="x.sql").column_lineage(SCHEMAS)
    return {name: [f"{table}.{column}" for table, column in sources] for name, sources in found.items()}


CASES: list[tuple[str, dict[str, list[str]]]] = [
    ("SELECT day AS d FROM raw_openai.costs", {"d": ["raw_openai.costs.day"]}),
    ("SELECT 1 AS one, @run_date AS d", {"one": [], "d": []}),
    (
        "SELECT SUM(c.amount * r.rate) AS TotalCost, c.day FROM raw_openai.costs AS c "
        "JOIN silver_cost.fx_rates AS r ON r.currency = c.currency GROUP BY c.day",
        {"TotalCost": ["raw_openai.costs.Amount", "silver_cost.fx_rates.rate"], "day": ["raw_openai.costs.day"]},
    ),
    (
        "WITH x AS (SELECT amount * 2 AS a, currency FROM raw_openai.costs), y AS (SELECT a + 1 AS b, currency FROM x) "
        "SELECT b, UPPER(currency) AS c FROM y",
        {"b": ["raw_openai.costs.Amount"], "c": ["raw_openai.costs.currency"]},
    ),
    (
        "SELECT currency FROM raw_openai.costs UNION ALL SELECT currency FROM silver_cost.fx_rates",
        {"currency": ["raw_openai.costs.currency", "silver_cost.fx_rates.currency"]},
    ),
    ("SELECT usage.tokens AS t FROM raw_openai.costs", {"t": ["raw_openai.costs.usage"]}),
    ("SELECT * EXCEPT (usage, labels, day) FROM raw_openai.costs",
     {"Amount": ["raw_openai.costs.Amount"], "currency": ["raw_openai.costs.currency"]}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "expected"), CASES, ids=[t[:50] for t, _ in CASES])
def test_each_column_knows_what_it_is_made_of(text: str, expected: dict[str, list[str]]) -> None:
    assert lineage(text) == expected


def test_output_columns_come_in_order_with_the_star_expanded() -> None:
    transform = parse_transform("SELECT rate * 2 AS double, * FROM silver_cost.fx_rates", file="x.sql")
    assert transform.output_columns(SCHEMAS) == ("double", "currency", "rate")


def test_an_unknown_column_is_an_error_that_names_it() -> None:
    transform = parse_transform("SELECT nope FROM raw_openai.costs", file="x.sql")
    with pytest.raises(ConfigError, match="nope"):
        transform.output_columns(SCHEMAS)


def test_types_are_spelled_as_bigquery_spells_them() -> None:
    assert sql_type(SCHEMAS[COSTS].fields[4]) == "ARRAY<STRUCT<key STRING>>"
    assert sql_type(SCHEMAS[COSTS].fields[0]) == "BIGNUMERIC"


def test_a_recursive_query_ends() -> None:
    text = (
        "WITH RECURSIVE n AS (SELECT day AS d FROM raw_openai.costs UNION ALL "
        "SELECT DATE_ADD(d, INTERVAL 1 DAY) FROM n WHERE d < @run_date) SELECT d FROM n"
    )
    assert lineage(text) == {"d": ["raw_openai.costs.day"]}


def test_types_of_a_result_follow_from_what_it_reads() -> None:
    text = """SELECT Amount, SUM(amount) AS total, COUNT(*) AS n, labels, usage.tokens,
      IF(amount > 0, currency, NULL) AS c
    FROM raw_openai.costs GROUP BY ALL"""
    assert output_types(parse_transform(text, file="x.sql"), SCHEMAS) == {
        "Amount": "BIGNUMERIC",
        "total": "BIGNUMERIC",
        "n": "INT64",
        "labels": "ARRAY<STRUCT<key STRING>>",
        "tokens": "INT64",
        "c": "STRING",
    }


def test_a_type_that_does_not_follow_is_none() -> None:
    transform = parse_transform("SELECT @tenant AS k FROM raw_openai.costs", file="x.sql")
    assert output_types(transform, SCHEMAS) == {"k": None}
