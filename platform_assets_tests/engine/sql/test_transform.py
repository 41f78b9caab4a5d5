from __future__ import annotations

import pytest

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.transform import parse_transform

COSTS, RATES = TableName("raw_openai", "costs"), TableName("silver_cost", "fx_rates")


def problems(text: str, **options: object) -> list[tuple[int, str]]:
    with pytest.raises(ConfigError) as caught:
        parse_transform(text, file="x.sql", **options)  # type: ignore[arg-type]
    assert all(p.file == "x.sql" for p in caught.value.problems)
    return [(p.line, p.reason) for p in caught.value.problems]


GOOD = {
    "SELECT a FROM raw_openai.costs": (COSTS,),
    "SELECT a FROM `raw_openai.costs` AS c": (COSTS,),
    "SELECT a FROM `raw_openai`.`costs`": (COSTS,),
    "SELECT c.a, r.b FROM raw_openai.costs AS c JOIN silver_cost.fx_rates AS r USING (d)": (COSTS, RATES),
    "WITH x AS (SELECT a FROM raw_openai.costs) SELECT a FROM x": (COSTS,),
    "WITH x AS (SELECT a FROM raw_openai.costs), y AS (SELECT a FROM x) SELECT a FROM y AS z": (COSTS,),
    "WITH X AS (SELECT a FROM raw_openai.costs) SELECT a FROM x": (COSTS,),
    "SELECT (SELECT MAX(b) FROM silver_cost.fx_rates) AS m FROM raw_openai.costs": (COSTS, RATES),
    "SELECT a FROM raw_openai.costs UNION ALL SELECT b FROM silver_cost.fx_rates": (COSTS, RATES),
    "SELECT a FROM raw_openai.costs AS c WHERE EXISTS (SELECT 1 FROM silver_cost.fx_rates AS r WHERE r.d = c.d)": (
        COSTS,
        RATES,
    ),
    "SELECT n FROM raw_openai.costs AS c, UNNEST(c.numbers) AS n": (COSTS,),
    "(SELECT a FROM raw_openai.costs)": (COSTS,),
    "SELECT d FROM UNNEST(GENERATE_DATE_ARRAY(@month_start, @month_end)) AS d": (),
    "WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT i + 1 FROM n WHERE i < 3) SELECT i FROM n": (),
    "SELECT a -- raw_other.comment\nFROM raw_openai.costs;": (COSTS,),
    "SELECT 'raw_other.text' AS a": (),
    "SELECT a FROM metadata.pipeline_runs": (TableName("metadata", "pipeline_runs"),),
}


@pytest.mark.parametrize(("text", "tables"), GOOD.items())
def test_the_tables_of_a_query_are_found(text: str, tables: tuple[TableName, ...]) -> None:
    assert parse_transform(text, file="x.sql").tables == tables


def test_parameters_are_found_once_and_sorted() -> None:
    query = parse_transform(
        "SELECT @tenant AS t, @run_date AS d, DATE_ADD(@run_date, INTERVAL 1 DAY) AS n", file="x.sql"
    )
    assert query.parameters == ("run_date", "tenant")


NOT_A_QUERY = {
    "DROP TABLE raw_openai.costs": "DROP",
    "CREATE TABLE raw_openai.x AS SELECT 1 AS a": "CREATE",
    "INSERT INTO raw_openai.costs SELECT 1": "INSERT",
    "DELETE FROM raw_openai.costs WHERE TRUE": "DELETE",
    "UPDATE raw_openai.costs SET a = 1 WHERE TRUE": "UPDATE",
    "MERGE raw_openai.costs USING x ON TRUE WHEN MATCHED THEN DELETE": "MERGE",
    "TRUNCATE TABLE raw_openai.costs": "TRUNCATE",
    "GRANT `roles/x` ON SCHEMA raw_openai TO 'user:a@example.com'": "GRANT",
    "EXPORT DATA OPTIONS (uri = 'gs://b/*') AS SELECT 1": "EXPORT",
    "DECLARE x INT64; SELECT x": "DECLARE",
    "BEGIN SELECT 1; END": "BEGIN",
    "CALL raw_openai.procedure()": "CALL",
    "EXECUTE IMMEDIATE 'SELECT 1'": "EXECUTE",
    "SET x = 1": "SET",
    "ATTACH 'other.duckdb' AS other": "ATTACH",
    "COPY raw_openai.costs TO 'file'": "COPY",
    "PRAGMA database_list": "PRAGMA",
    "": "no statement",
    "-- nothing\n": "no statement",
    "SELECT 1 AS a; SELECT 2 AS b": "second statement",
    "SELECT 1 AS a; DROP TABLE raw_openai.costs": "second statement",
    "SELECT FROM WHERE": "not SQL",
    "SELECT (1": "not SQL",
    "SELECT 'open": "not SQL",
}  # fmt: skip


@pytest.mark.parametrize(("text", "word"), NOT_A_QUERY.items())
def test_only_one_query_is_a_transform(text: str, word: str) -> None:
    ((_, reason),) = problems(text)
    assert word in reason


REFUSED = {
    "SELECT a FROM costs": "neither a CTE nor dataset.table",
    "WITH x AS (SELECT a FROM y), y AS (SELECT 1 AS a) SELECT a FROM x": "y is neither",
    "WITH x AS (SELECT a FROM x) SELECT a FROM x": "x is neither",
    "SELECT (WITH x AS (SELECT 1 AS a) SELECT a FROM x) AS b FROM x": "x is neither",
    "SELECT a FROM project.raw_openai.costs": "names a project",
    "SELECT a FROM `my-project.raw_openai.costs`": "names a project",
    "SELECT a FROM `raw_openai.events_*`": "wildcard",
    "SELECT a FROM raw_openai.INFORMATION_SCHEMA.TABLES": "metadata of the warehouse",
    "SELECT a FROM `region-eu`.INFORMATION_SCHEMA.JOBS": "metadata of the warehouse",
    "SELECT a FROM raw_openai.__TABLES__": "metadata of the warehouse",
    "SELECT a FROM organizations.tenants": "shared by all tenants",
    "SELECT a FROM openai.costs": "a dataset is raw_",
    "SELECT a FROM Raw_openai.costs": "a dataset is raw_",
    "SELECT a FROM eu_raw_openai.costs": "a dataset is raw_",
    "SELECT a FROM raw_openai.costs FOR SYSTEM_TIME AS OF TIMESTAMP '2026-01-01'": "SYSTEM_TIME",
    "SELECT a FROM raw_openai.costs TABLESAMPLE SYSTEM (10 PERCENT)": "TABLESAMPLE",
    "SELECT a FROM EXTERNAL_QUERY('connection', 'SELECT 1')": "EXTERNAL_QUERY is not allowed",
    "SELECT a FROM read_csv('/etc/passwd')": "table function",
    "SELECT a FROM read_parquet('s3://b/x')": "table function",
    "SELECT a FROM read_text('/etc/passwd')": "table function",
    "SELECT a FROM ML.PREDICT(MODEL raw_other.m, TABLE raw_other.t)": "table function",
    "SELECT a FROM raw_openai.my_table_function(1)": "table function",
    "SELECT raw_openai.my_function(1) AS a": "functions of a dataset",
    "SELECT NET.HOST('x') AS a": "functions of a dataset",
    "SELECT @@project_id AS a": "system variables",
    "SELECT ? AS a": "positional parameters",
    "SELECT @rundate AS a": "@rundate is not a parameter",
    "SELECT getenv('HOME') AS a": "GETENV",
    "SELECT a FROM 'other.duckdb'": "a dataset is raw_",
    "SELECT a FROM `../../etc/passwd`": "not a table name",
    "SELECT a FROM `raw_openai.costs$20260101`": "not a table name",
    "SELECT a FROM `raw_openai.x;DROP`": "not a table name",
}  # fmt: skip


@pytest.mark.parametrize(("text", "word"), REFUSED.items())
def test_what_a_transform_may_not_say(text: str, word: str) -> None:
    assert any(word in reason for _, reason in problems(text))


def test_an_unknown_parameter_names_the_nearest() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_transform("SELECT @run_dte AS d", file="x.sql")
    assert caught.value.problems[0].nearest == "@run_date"


def test_every_problem_comes_at_once_with_its_line() -> None:
    text = "SELECT\n  a,\n  @nope AS b\nFROM costs\nJOIN other.dataset.table USING (a)\nJOIN read_csv('x') USING (a)"
    assert [line for line, _ in problems(text)] == [3, 4, 5, 6]
    assert [line for line, _ in problems(text, line_offset=100)] == [103, 104, 105, 106]


def test_what_duckdb_cannot_run_is_a_problem_at_load_time_with_its_line() -> None:
    ((line, reason),) = problems("SELECT\n  1 AS a,\n  FARM_FINGERPRINT('x') AS b")
    assert line == 3
    assert "FARM_FINGERPRINT" in reason
    assert (
        parse_transform("SELECT FARM_FINGERPRINT('x') AS b", file="x.sql", check_duckdb=False).parameters
        == ()
    )


def test_a_query_for_another_system_may_use_its_tables() -> None:
    assert parse_transform("SELECT a FROM source.t", file="x.sql", check_duckdb=False).tables == (
        TableName("source", "t"),
    )


def test_transforms_are_values() -> None:
    one, same = (parse_transform("SELECT 1 AS a", file="x.sql") for _ in range(2))
    assert one == same
    assert hash(one) == hash(same)
