"""BigQuery text and the DuckDB text made of it. What the text means is run in ``test_dialect_meaning``; these pairs
show what changes when sqlglot does."""

from __future__ import annotations

import pytest

from platform_assets.engine.sql.dialect import to_duckdb

PAIRS = {
    "SELECT a FROM `acme_raw_x`.`t` WHERE d = @day": 'SELECT a FROM "acme_raw_x"."t" WHERE d = $day',
    "SELECT a * b AS c": "SELECT BQ_MULTIPLY(a, b) AS c",
    "SELECT a / b AS c": "SELECT BQ_DIVIDE(a, b) AS c",
    "SELECT SAFE_DIVIDE(a, b) AS c": "SELECT BQ_SAFE_DIVIDE(a, b) AS c",
    "SELECT SUM(a) / COUNT(*) AS c FROM x": (
        "SELECT LIST_EXTRACT(LIST_TRANSFORM([{'v0': SUM(a), 'v1': COUNT(*)}], "
        "LAMBDA row_ : BQ_DIVIDE(STRUCT_EXTRACT(row_, 'v0'), STRUCT_EXTRACT(row_, 'v1'))), 1) AS c FROM x"
    ),
    "SELECT CAST(a AS NUMERIC) AS n, CAST(a AS BIGNUMERIC) AS b": (
        "SELECT CAST(a AS DECIMAL(38, 9)) AS n, CAST(a AS DECIMAL(38, 18)) AS b"
    ),
    "SELECT CAST(a AS NUMERIC(10, 2)) AS n": "SELECT CAST(a AS DECIMAL(10, 2)) AS n",
    "SELECT SAFE_CAST(a AS INT64) AS n": "SELECT TRY(BQ_INT64(a)) AS n",
    "SELECT DATE_TRUNC(d, MONTH) AS m": "SELECT BQ_TRUNC('month', d) AS m",
    "SELECT DATE_TRUNC(d, WEEK) AS m": "SELECT BQ_TRUNC_WEEK(d, 1) AS m",
    "SELECT DATE_ADD(d, INTERVAL 1 DAY) AS e": "SELECT CAST(d + INTERVAL '1' DAY AS DATE) AS e",
    "SELECT EXTRACT(DAYOFWEEK FROM d) AS w": "SELECT (DATE_PART('dayofweek', d) + 1) AS w",
    "SELECT TIMESTAMP_DIFF(a, b, HOUR) AS h": "SELECT DATE_SUB('hour', b, a) AS h",
    "SELECT * EXCEPT (a) FROM t": "SELECT * EXCLUDE (a) FROM t",
    "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY b) = 1": (
        "SELECT a FROM t QUALIFY ROW_NUMBER() OVER (ORDER BY b NULLS FIRST) = 1"
    ),
    "SELECT x FROM UNNEST(@list) AS x": "SELECT x FROM UNNEST($list) AS _t0(x)",
    "SELECT x, o FROM UNNEST(l) AS x WITH OFFSET AS o": (
        "SELECT x, o FROM (SELECT UNNEST(l) AS x, UNNEST(RANGE(LEN(l))) AS o) AS unnested_o"
    ),
    "SELECT a -- said\nFROM t": "SELECT a FROM t",
}


@pytest.mark.parametrize(("bigquery", "duckdb"), PAIRS.items())
def test_pair(bigquery: str, duckdb: str) -> None:
    assert to_duckdb(bigquery) == duckdb


def test_parameters_are_cast_to_their_types() -> None:
    text = to_duckdb("SELECT @a AS a, @b AS b, @c AS c", (("a", "DECIMAL(38,18)"), ("b", "DATE[]")))
    assert text == "SELECT CAST($a AS DECIMAL(38, 18)) AS a, CAST($b AS DATE[]) AS b, $c AS c"
