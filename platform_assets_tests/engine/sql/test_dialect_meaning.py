"""Translated SQL is run on DuckDB and must give what BigQuery documents. The expected values are those of the
GoogleSQL reference (examples there, or computed by its rules)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal, localcontext
from typing import Any

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import parse_one

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.sql.dialect import DUCKDB_MACROS, duckdb_problems, to_duckdb
from platform_assets.engine.sql.functions import DUCKDB_FUNCTIONS

D = Decimal


@pytest.fixture(scope="module")
def connection() -> Iterator[duckdb.DuckDBPyConnection]:
    connection = duckdb.connect(":memory:")
    connection.execute("SET TimeZone = 'UTC'")
    for macro in DUCKDB_MACROS:
        connection.execute(macro)
    yield connection
    connection.close()


def one(connection: duckdb.DuckDBPyConnection, expression: str, rest: str = "") -> Any:
    row = connection.execute(to_duckdb(f"SELECT {expression} {rest}")).fetchone()
    assert row is not None
    return row[0]


ARITHMETIC = [
    ("7 / 2", 3.5),
    ("6 / 3", 2.0),
    ("DIV(20, 3)", 6),
    ("DIV(-7, 2)", -3),
    ("MOD(25, 18)", 7),
    ("MOD(-25, 18)", -7),
    ("SAFE_DIVIDE(20, 4)", 5.0),
    ("SAFE_DIVIDE(0, 20)", 0.0),
    ("SAFE_DIVIDE(20, 0)", None),
    ("SAFE_DIVIDE(NULL, 2)", None),
    ("IEEE_DIVIDE(25, 0)", float("inf")),
    ("IEEE_DIVIDE(-25.0, 0.0)", float("-inf")),
    ("IEEE_DIVIDE(20.0, 4)", 5.0),
    ("SAFE_ADD(5, 4)", 9),
    ("SAFE_ADD(9223372036854775807, 1)", None),
    ("SAFE_SUBTRACT(5, 4)", 1),
    ("SAFE_MULTIPLY(20, 4)", 80),
    ("SAFE_MULTIPLY(9223372036854775807, 9223372036854775807)", None),
    ("SAFE_NEGATE(1)", -1),
    ("100000 * 100000", 10_000_000_000),
    ("3000000000 + 3000000000", 6_000_000_000),
    ("ROUND(2.5)", D("3")),
    ("ROUND(-2.5)", D("-3")),
    ("ROUND(123.7, -1)", D("120")),
    ("ROUND(1.235, 2)", D("1.24")),
    ("TRUNC(2.8)", D("2")),
    ("CEIL(2.3)", D("3")),
    ("FLOOR(-2.3)", D("-3")),
    ("GREATEST(3, 5, 1)", 5),
    ("GREATEST(3, NULL, 1)", None),
    ("LEAST(3, 5, 1)", 1),
    ("ABS(-25)", 25),
    ("SIGN(-25)", -1),
]

MONEY = [
    ("NUMERIC '10' / NUMERIC '4'", D("2.5")),
    ("BIGNUMERIC '10' / 3", D("3.333333333333333333")),
    ("BIGNUMERIC '20' / 3", D("6.666666666666666667")),
    ("BIGNUMERIC '-20' / 3", D("-6.666666666666666667")),
    ("BIGNUMERIC '99999999999.123456789' / 31", D("3225806451.584627638354838710")),
    ("BIGNUMERIC '100' * BIGNUMERIC '1.5'", D("150")),
    ("BIGNUMERIC '12345678901234.123456' * 1000", D("12345678901234123.456")),
    ("BIGNUMERIC '-1234567890.123456789012345678' * NUMERIC '3.1'", D("-3827160459.382716045938271602")),
    (
        "BIGNUMERIC '0.000000000000000001' * BIGNUMERIC '0.5'",
        D("0.000000000000000001"),
    ),  # half away from zero
    ("BIGNUMERIC '0.000000000000000001' * BIGNUMERIC '0.4'", D("0")),
    ("SAFE_DIVIDE(BIGNUMERIC '1', 0)", None),
    ("CAST('1.123456789' AS NUMERIC)", D("1.123456789")),
    ("CAST(1.0000000005 AS NUMERIC)", D("1.000000001")),
    ("CAST('0.123456789012345678' AS BIGNUMERIC)", D("0.123456789012345678")),
    ("PARSE_NUMERIC('1.5')", D("1.5")),
    ("PARSE_BIGNUMERIC('1.5')", D("1.5")),
]

CASTS = [
    ("CAST(2.5 AS INT64)", 3),
    ("CAST(-2.5 AS INT64)", -3),
    ("CAST(CAST(2.5 AS FLOAT64) AS INT64)", 3),
    ("CAST(CAST(3.5 AS FLOAT64) AS INT64)", 4),
    ("CAST('12' AS INT64)", 12),
    ("SAFE_CAST('apple' AS INT64)", None),
    ("SAFE_CAST('2026-02-30' AS DATE)", None),
    ("SAFE_CAST('x' AS BIGNUMERIC)", None),
    ("CAST(TRUE AS STRING)", "true"),
    ("CAST(TRUE AS INT64)", 1),
    ("CAST(10 AS STRING)", "10"),
    ("CAST(BIGNUMERIC '1.50' AS STRING)", "1.5"),
    ("CAST(BIGNUMERIC '100' AS STRING)", "100"),
    ("CAST(CAST(1 AS FLOAT64) AS STRING)", "1"),
    ("CAST(DATE '2026-01-31' AS STRING)", "2026-01-31"),
    ("CAST('2026-01-31' AS DATE)", date(2026, 1, 31)),
    ("CAST(NULL AS STRING)", None),
]

DATES = [
    ("DATE(2026, 1, 31)", date(2026, 1, 31)),
    ("DATE(TIMESTAMP '2026-01-31 23:30:00+00')", date(2026, 1, 31)),
    ("DATE(TIMESTAMP '2026-01-31 23:30:00+00', 'Europe/Berlin')", date(2026, 2, 1)),
    ("DATE(DATETIME '2026-01-31 23:30:00')", date(2026, 1, 31)),
    ("DATE_ADD(DATE '2026-01-31', INTERVAL 1 MONTH)", date(2026, 2, 28)),
    ("DATE_ADD(DATE '2026-12-25', INTERVAL 5 DAY)", date(2026, 12, 30)),
    ("DATE_SUB(DATE '2026-03-31', INTERVAL 1 MONTH)", date(2026, 2, 28)),
    ("DATE_SUB(DATE '2026-01-05', INTERVAL 1 WEEK)", date(2025, 12, 29)),
    ("DATE_DIFF(DATE '2026-02-01', DATE '2026-01-31', DAY)", 1),
    ("DATE_DIFF(DATE '2026-02-01', DATE '2026-01-31', MONTH)", 1),
    ("DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', WEEK)", 1),
    ("DATE_DIFF(DATE '2017-10-15', DATE '2017-10-14', ISOWEEK)", 0),
    ("DATE_DIFF(DATE '2017-12-18', DATE '2017-12-17', WEEK(MONDAY))", 1),
    ("DATE_TRUNC(DATE '2026-05-15', MONTH)", date(2026, 5, 1)),
    ("DATE_TRUNC(DATE '2026-05-15', QUARTER)", date(2026, 4, 1)),
    ("DATE_TRUNC(DATE '2026-05-15', YEAR)", date(2026, 1, 1)),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK(MONDAY))", date(2017, 10, 30)),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK)", date(2017, 11, 5)),
    ("DATE_TRUNC(DATE '2017-11-05', ISOWEEK)", date(2017, 10, 30)),
    ("DATE_TRUNC(DATE '2017-11-05', WEEK(WEDNESDAY))", date(2017, 11, 1)),
    ("LAST_DAY(DATE '2008-11-25')", date(2008, 11, 30)),
    ("LAST_DAY(DATE '2008-11-25', MONTH)", date(2008, 11, 30)),
    ("LAST_DAY(DATE '2008-11-25', YEAR)", date(2008, 12, 31)),
    ("FORMAT_DATE('%Y-%m', DATE '2026-01-31')", "2026-01"),
    ("FORMAT_DATE('%b %Y', DATE '2008-12-25')", "Dec 2008"),
    ("FORMAT_DATE('%Y%m%d', DATE '2008-12-25')", "20081225"),
    ("PARSE_DATE('%Y%m%d', '20081225')", date(2008, 12, 25)),
    ("PARSE_DATE('%F', '2008-12-25')", date(2008, 12, 25)),
    ("EXTRACT(YEAR FROM DATE '2026-01-31')", 2026),
    ("EXTRACT(QUARTER FROM DATE '2026-05-31')", 2),
    ("EXTRACT(DAYOFWEEK FROM DATE '2026-01-04')", 1),  # a Sunday
    ("EXTRACT(DAYOFWEEK FROM DATE '2026-01-10')", 7),
    ("EXTRACT(DAYOFYEAR FROM DATE '2026-02-01')", 32),
    ("EXTRACT(ISOWEEK FROM DATE '2015-01-01')", 1),
    ("EXTRACT(ISOYEAR FROM DATE '2017-01-01')", 2016),
    ("UNIX_DATE(DATE '2008-12-25')", 14238),
    ("DATE_FROM_UNIX_DATE(14238)", date(2008, 12, 25)),
    ("DATE '2026-01-31' + 1", date(2026, 2, 1)),
]

TIMES = [
    ("TIMESTAMP '2026-01-31 12:00:00+00'", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("TIMESTAMP('2026-01-31 12:00:00+02:00')", datetime(2026, 1, 31, 10, tzinfo=UTC)),
    ("TIMESTAMP(DATE '2026-01-31')", datetime(2026, 1, 31, tzinfo=UTC)),
    ("TIMESTAMP_TRUNC(TIMESTAMP '2008-12-25 15:30:00+00', DAY)", datetime(2008, 12, 25, tzinfo=UTC)),
    ("TIMESTAMP_TRUNC(TIMESTAMP '2008-12-25 15:30:00+00', HOUR)", datetime(2008, 12, 25, 15, tzinfo=UTC)),
    (
        "TIMESTAMP_TRUNC(TIMESTAMP '2008-12-25 15:30:00+00', DAY, 'America/Los_Angeles')",
        datetime(2008, 12, 25, 8, tzinfo=UTC),
    ),
    (
        "TIMESTAMP_ADD(TIMESTAMP '2008-12-25 15:30:00+00', INTERVAL 10 MINUTE)",
        datetime(2008, 12, 25, 15, 40, tzinfo=UTC),
    ),
    (
        "TIMESTAMP_SUB(TIMESTAMP '2008-12-25 15:30:00+00', INTERVAL 1 HOUR)",
        datetime(2008, 12, 25, 14, 30, tzinfo=UTC),
    ),
    ("TIMESTAMP_DIFF(TIMESTAMP '2010-07-07 10:20:00+00', TIMESTAMP '2008-12-25 15:30:00+00', HOUR)", 13410),
    ("TIMESTAMP_DIFF(TIMESTAMP '2018-08-14', TIMESTAMP '2018-10-14', DAY)", -61),
    ("TIMESTAMP_DIFF(TIMESTAMP '2001-02-01 01:00:00', TIMESTAMP '2001-02-01 00:00:01', HOUR)", 0),
    ("DATETIME_DIFF(DATETIME '2001-02-01 01:00:00', DATETIME '2001-02-01 00:00:01', HOUR)", 1),
    ("EXTRACT(DATE FROM TIMESTAMP '2026-01-31 23:00:00+00')", date(2026, 1, 31)),
    ("EXTRACT(HOUR FROM TIMESTAMP '2008-12-25 05:30:00+00')", 5),
    ("EXTRACT(MILLISECOND FROM TIMESTAMP '2026-01-31 12:00:07.250+00')", 250),
    ("UNIX_SECONDS(TIMESTAMP '2008-12-25 15:30:00+00')", 1230219000),
    ("UNIX_SECONDS(TIMESTAMP '1970-01-01 00:00:01.8+00')", 1),
    ("UNIX_SECONDS(TIMESTAMP '1969-12-31 23:59:59.5+00')", -1),
    ("UNIX_MILLIS(TIMESTAMP '2008-12-25 15:30:00+00')", 1230219000000),
    ("TIMESTAMP_SECONDS(1230219000)", datetime(2008, 12, 25, 15, 30, tzinfo=UTC)),
    ("TIMESTAMP_MILLIS(1230219000000)", datetime(2008, 12, 25, 15, 30, tzinfo=UTC)),
    ("TIMESTAMP_MICROS(1230219000000000)", datetime(2008, 12, 25, 15, 30, tzinfo=UTC)),
    ("FORMAT_TIMESTAMP('%F %H:%M', TIMESTAMP '2050-12-25 15:30:55+00')", "2050-12-25 15:30"),
    ("FORMAT_TIMESTAMP('%F %H:%M', TIMESTAMP '2050-12-25 15:30:55+00', 'Europe/Berlin')", "2050-12-25 16:30"),
    ("PARSE_TIMESTAMP('%Y-%m-%d %H:%M:%S', '2026-01-31 12:00:00')", datetime(2026, 1, 31, 12, tzinfo=UTC)),
    ("FORMAT_TIMESTAMP('%FT%H:%M:%E3SZ', TIMESTAMP '2026-01-31 12:00:07.25+00')", "2026-01-31T12:00:07.250Z"),
    ("FORMAT_TIMESTAMP('%E6S', TIMESTAMP '2026-01-31 12:00:07.25+00')", "07.250000"),
    ("DATETIME(TIMESTAMP '2008-12-25 05:30:00+00')", datetime(2008, 12, 25, 5, 30)),
    ("DATETIME(TIMESTAMP '2008-12-25 05:30:00+00', 'America/Los_Angeles')", datetime(2008, 12, 24, 21, 30)),
    ("DATETIME_TRUNC(DATETIME '2008-12-25 15:30:00', DAY)", datetime(2008, 12, 25)),
    ("CAST(TIMESTAMP '2026-01-31 12:00:00+00' AS DATE)", date(2026, 1, 31)),
]

TEXT = [
    ("CONCAT('a', NULL)", None),
    ("'a' || 'b'", "ab"),
    ("LOWER('FOO')", "foo"),
    ("SUBSTR('apple', 2)", "pple"),
    ("SUBSTR('apple', 2, 2)", "pp"),
    ("SUBSTR('apple', -2)", "le"),
    ("TRIM('  apple  ')", "apple"),
    ("TRIM('***apple***', '*')", "apple"),
    ("LENGTH('щит')", 3),
    ("STARTS_WITH('bar', 'b')", True),
    ("ENDS_WITH('apple', 'e')", True),
    ("STRPOS('foo@example.com', '@')", 4),
    ("STRPOS('foo', 'x')", 0),
    ("REPLACE('a-b', '-', '_')", "a_b"),
    ("SPLIT('a,b,c')", ["a", "b", "c"]),
    ("SPLIT('a/b', '/')[SAFE_OFFSET(5)]", None),
    ("SPLIT('a/b', '/')[OFFSET(1)]", "b"),
    ("REGEXP_CONTAINS('foo@example.com', r'@[a-z]+\\.com')", True),
    ("REGEXP_EXTRACT('foo@example.com', r'^[a-z]+')", "foo"),
    ("REGEXP_EXTRACT('gpt-4o-2024', r'-(\\d{4})$')", "2024"),
    ("REGEXP_EXTRACT('foo', r'x')", None),
    ("REGEXP_REPLACE('gpt-4o-2024-08-06', r'-\\d{4}-\\d{2}-\\d{2}$', '')", "gpt-4o"),
    ("FORMAT('%05d', 42)", "00042"),
    ("FORMAT('%s-%d', 'a', 1)", "a-1"),
    ("TO_HEX(MD5('abc'))", "900150983cd24fb0d6963f7d28e17f72"),
    ("TO_HEX(SHA256('abc'))", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
    ("UPPER(LEFT('apple', 3))", "APP"),
    ("BYTE_LENGTH('щит')", 6),
    ("BIT_COUNT(5) + (5 ^ 3)", 8),
    ("LPAD('7', 2, '0')", "07"),
    ("IFNULL(NULL, 'x')", "x"),
    ("IF(1 > 2, 'a', 'b')", "b"),
    ("NULLIF('', '')", None),
    ("CASE WHEN NULL THEN 1 ELSE 2 END", 2),
    ("'ABC' LIKE 'a%'", False),
]

JSON = [
    ('JSON_VALUE(\'{"a": {"b": "x"}}\', \'$.a.b\')', "x"),
    ("JSON_VALUE(JSON '{\"a\": 1}', '$.a')", "1"),
    ("JSON_VALUE(JSON '{\"a\": null}', '$.a')", None),
    ("JSON_VALUE(JSON '{\"a\": {\"b\": 1}}', '$.a')", None),
    ("JSON_VALUE(JSON '{\"a\": 1}', '$.z')", None),
    ("JSON_VALUE(JSON '{\"a\": true}', '$.a')", "true"),
    ("JSON_EXTRACT_SCALAR('{\"a\": \"x\"}', '$.a')", "x"),
    ("JSON_VALUE(JSON '[1, 2]', '$[1]')", "2"),
    ("CAST(JSON_VALUE(JSON '{\"a\": \"1.25\"}', '$.a') AS BIGNUMERIC)", D("1.25")),
]

NESTED = [
    ("[1, 2, 3][OFFSET(0)]", 1),
    ("[1, 2, 3][ORDINAL(1)]", 1),
    ("ARRAY_LENGTH([1, 2])", 2),
    (
        "ARRAY(SELECT AS STRUCT x, x * 2 AS y FROM UNNEST([1, 2]) AS x ORDER BY x)",
        [{"x": 1, "y": 2}, {"x": 2, "y": 4}],
    ),
    ("(SELECT AS VALUE 7)", 7),
    ("STRUCT(1 AS a, 'x' AS b).b", "x"),
    ("ARRAY_TO_STRING(['a', 'b'], ',')", "a,b"),
    ("ARRAY_CONCAT([1], [2, 3])", [1, 2, 3]),
    ("GENERATE_ARRAY(1, 3)", [1, 2, 3]),
    ("3 IN UNNEST([1, 2, 3])", True),
    ("ARRAY(SELECT x FROM UNNEST([3, 1, 2]) AS x ORDER BY x)", [1, 2, 3]),
    ("(SELECT COUNT(*) FROM UNNEST(GENERATE_DATE_ARRAY('2026-01-01', '2026-01-31')) AS d)", 31),
    (
        "(SELECT MAX(d) FROM UNNEST(GENERATE_DATE_ARRAY('2026-01-01', '2026-04-15', INTERVAL 1 MONTH)) AS d)",
        date(2026, 4, 1),
    ),
]

ALL = [*ARITHMETIC, *MONEY, *CASTS, *DATES, *TIMES, *TEXT, *JSON, *NESTED]


@pytest.mark.parametrize(("expression", "expected"), ALL, ids=[e for e, _ in ALL])
def test_scalar(connection: duckdb.DuckDBPyConnection, expression: str, expected: Any) -> None:
    found = one(connection, expression)
    assert found == expected
    assert isinstance(found, type(expected)) or isinstance(found, float) == isinstance(expected, float)


COSTS = """
WITH costs AS (
  SELECT 'a' AS service, BIGNUMERIC '1.25' AS amount, 2 AS quantity, DATE '2026-01-01' AS d, 1 AS id UNION ALL
  SELECT 'a', BIGNUMERIC '2.50', 3, DATE '2026-01-02', 2 UNION ALL
  SELECT 'b', BIGNUMERIC '0.000000000000000001', 5, DATE '2026-01-02', 3 UNION ALL
  SELECT NULL, NULL, NULL, DATE '2026-01-03', 4
)
"""

# ruff: noqa: E501 - one case a line
QUERIES: list[tuple[str, list[tuple[Any, ...]]]] = [
    ("SELECT SUM(amount), SUM(quantity), COUNT(*), COUNT(service) FROM costs", [(D("3.750000000000000001"), 10, 4, 3)]),
    ("SELECT AVG(amount), AVG(quantity) FROM costs", [(D("1.250000000000000000"), 10 / 3)]),
    ("SELECT SUM(amount * quantity) / COUNT(*) FROM costs", [(D("2.500000000000000001"),)]),
    ("SELECT SAFE_DIVIDE(SUM(amount), SUM(quantity)) FROM costs", [(D("0.375"),)]),
    ("SELECT SUM(quantity) / 4, SUM(quantity) * 2, -SUM(amount) FROM costs", [(2.5, 20, D("-3.750000000000000001"))]),
    ("SELECT COUNTIF(amount > 1), COUNTIF(service = 'z') FROM costs", [(2, 0)]),
    ("SELECT COUNTIF(amount > 1), COUNT(*) FROM costs WHERE id > 9", [(0, 0)]),
    ("SELECT MAX(amount) * COUNT(*), ROUND(SUM(amount) / 3, 2) FROM costs", [(D("10"), D("1.25"))]),
    ("SELECT service, SUM(amount) AS s FROM costs GROUP BY service ORDER BY service",
     [(None, None), ("a", D("3.75")), ("b", D("0.000000000000000001"))]),
    ("SELECT id FROM costs ORDER BY service DESC, id", [(3,), (1,), (2,), (4,)]),
    ("SELECT id FROM costs ORDER BY amount LIMIT 2", [(4,), (3,)]),
    ("SELECT service, id FROM costs WHERE TRUE QUALIFY ROW_NUMBER() OVER (PARTITION BY service ORDER BY id DESC) = 1 ORDER BY id",
     [("a", 2), ("b", 3), (None, 4)]),
    ("SELECT id, SUM(quantity) OVER (ORDER BY id ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM costs ORDER BY id",
     [(1, 2), (2, 5), (3, 8), (4, 5)]),
    ("SELECT id, AVG(amount) OVER (PARTITION BY service) FROM costs WHERE service = 'a' ORDER BY id",
     [(1, D("1.875")), (2, D("1.875"))]),
    ("SELECT id, amount / SUM(amount) OVER (PARTITION BY service) FROM costs WHERE service = 'a' ORDER BY id",
     [(1, D("0.333333333333333333")), (2, D("0.666666666666666667"))]),
    ("SELECT id, LAG(quantity) OVER (ORDER BY id), IFNULL(LAG(amount) OVER (ORDER BY id), 0) * 2 FROM costs ORDER BY id LIMIT 2",
     [(1, None, D("0")), (2, 2, D("2.5"))]),
    ("SELECT STRING_AGG(service, '|' ORDER BY id DESC) FROM costs", [("b|a|a",)]),
    ("SELECT ARRAY_AGG(service IGNORE NULLS ORDER BY id) FROM costs", [(["a", "a", "b"],)]),
    ("SELECT ARRAY_AGG(DISTINCT service IGNORE NULLS ORDER BY service) FROM costs", [(["a", "b"],)]),
    ("SELECT MAX_BY(id, quantity), MIN_BY(id, quantity), ANY_VALUE(id HAVING MAX d) FROM costs", [(3, 1, 4)]),
    ("SELECT LOGICAL_OR(amount > 2), LOGICAL_AND(amount > 2) FROM costs", [(True, False)]),
    ("SELECT COUNT(DISTINCT service), APPROX_COUNT_DISTINCT(service) FROM costs", [(2, 2)]),
    ("SELECT APPROX_QUANTILES(quantity, 2)[OFFSET(1)] FROM costs", [(3,)]),
    ("SELECT APPROX_QUANTILES(quantity, 100)[SAFE_OFFSET(50)] FROM costs", [(3,)]),
    ("SELECT * EXCEPT (amount, d) FROM costs WHERE id = 1", [("a", 2, 1)]),
    ("SELECT * REPLACE (quantity * 10 AS quantity) FROM costs WHERE id = 1", [("a", D("1.25"), 20, date(2026, 1, 1), 1)]),
    ("SELECT c.id, n FROM costs AS c, UNNEST([10, 20]) AS n WHERE c.id = 1 ORDER BY n", [(1, 10), (1, 20)]),
    ("SELECT x.k, o FROM UNNEST([STRUCT('a' AS k, 1 AS v), STRUCT('b', 2)]) AS x WITH OFFSET AS o ORDER BY o", [("a", 0), ("b", 1)]),
    ("SELECT c.id, n, o FROM costs AS c, UNNEST([c.quantity, 9]) AS n WITH OFFSET AS o WHERE c.id = 1 ORDER BY o", [(1, 2, 0), (1, 9, 1)]),
    ("SELECT c.id, n FROM costs AS c LEFT JOIN UNNEST(IF(c.id = 1, [7], [])) AS n WHERE c.id < 3 ORDER BY c.id", [(1, 7), (2, None)]),
    ("SELECT day, COUNT(c.id) FROM UNNEST(GENERATE_DATE_ARRAY('2026-01-01', '2026-01-04')) AS day "
     "LEFT JOIN costs AS c ON c.d = day GROUP BY day ORDER BY day",
     [(date(2026, 1, 1), 1), (date(2026, 1, 2), 2), (date(2026, 1, 3), 1), (date(2026, 1, 4), 0)]),
    ("SELECT DATE_TRUNC(d, MONTH) AS m, SUM(amount) FROM costs GROUP BY m", [(date(2026, 1, 1), D("3.750000000000000001"))]),
    ("SELECT id FROM costs AS c WHERE EXISTS (SELECT 1 FROM costs AS o WHERE o.service = c.service AND o.id <> c.id) ORDER BY id",
     [(1,), (2,)]),
    ("SELECT id FROM costs WHERE service NOT IN ('a') ORDER BY id", [(3,)]),
    ("SELECT 1 AS x UNION DISTINCT SELECT 1 UNION ALL SELECT 2 ORDER BY x", [(1,), (2,)]),
    ("SELECT id FROM costs EXCEPT DISTINCT SELECT id FROM costs WHERE id > 1", [(1,)]),
    ("SELECT * FROM (SELECT service, quantity FROM costs WHERE service IS NOT NULL) "
     "PIVOT (SUM(quantity) FOR service IN ('a', 'b'))", [(5, 5)]),
    ("SELECT IF(GROUPING(service) = 1, 'all', service), SUM(quantity) FROM costs WHERE service IS NOT NULL "
     "GROUP BY ROLLUP (service) ORDER BY 2, 1", [("a", 5), ("b", 5), ("all", 10)]),
    ("SELECT DISTINCT service FROM costs ORDER BY service", [(None,), ("a",), ("b",)]),
    ("SELECT PERCENTILE_CONT(quantity, 0.5) OVER () FROM costs WHERE id = 1", [(2.0,)]),
    ("SELECT VAR_SAMP(quantity), STDDEV(quantity) FROM costs WHERE id < 3", [(0.5, 0.5**0.5)]),
    ("SELECT CAST(SUM(amount) AS STRING), CAST(COUNT(*) AS STRING) FROM costs WHERE id < 3", [("3.75", "2")]),
    ("SELECT DATE_TRUNC(MAX(d), MONTH) FROM costs", [(date(2026, 1, 1),)]),
    # a guarded division fails nowhere
    ("SELECT CASE WHEN x <> 0 THEN 6 / x END AS guarded FROM UNNEST([0, 2]) AS x ORDER BY 1", [(None,), (3.0,)]),
    ("SELECT IF(x = 0, NULL, BIGNUMERIC '6' / x) FROM UNNEST([0, 2]) AS x ORDER BY 1", [(None,), (D("3"),)]),
    ("SELECT 6 / NULLIF(x, 0) FROM UNNEST([0, 2]) AS x ORDER BY 1", [(None,), (3.0,)]),
    ("SELECT SUM(amount * quantity * 2) * 3 - 1 FROM costs WHERE id < 3", [(D("59"),)]),
    ("SELECT service, COUNT(*) * 2 FROM costs GROUP BY service HAVING SUM(amount) * 2 > 7 ORDER BY 1", [("a", 4)]),
    ("SELECT service, SUM(amount) / COUNT(*) AS x FROM costs GROUP BY service HAVING x > 1 AND AVG(amount) > 1", [("a", D("1.875"))]),
    ("SELECT service FROM costs WHERE service IS NOT NULL GROUP BY service ORDER BY SUM(amount) * 2 DESC", [("a",), ("b",)]),
    ("SELECT id FROM costs ORDER BY amount * quantity DESC LIMIT 1", [(2,)]),
    ("SELECT a.id FROM costs AS a JOIN costs AS b ON a.quantity * 3 = b.quantity * 2 ORDER BY a.id", [(1,)]),
    ("SELECT amount * 2, COUNT(*) FROM costs WHERE id = 1 GROUP BY amount * 2", [(D("2.5"), 1)]),
    ("SELECT id, (SELECT SUM(o.amount * c.quantity) FROM costs AS o WHERE o.id <= c.id) FROM costs AS c WHERE id < 3 ORDER BY id",
     [(1, D("2.5")), (2, D("11.25"))]),
    ("SELECT RANK() OVER (ORDER BY amount * quantity DESC) FROM costs WHERE id < 3 ORDER BY id", [(2,), (1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "expected"), QUERIES, ids=[q[:60] for q, _ in QUERIES])
def test_query(connection: duckdb.DuckDBPyConnection, query: str, expected: list[tuple[Any, ...]]) -> None:
    sql = to_duckdb(f"{COSTS} {query}" if not query.startswith("WITH") else query)
    assert connection.execute(sql).fetchall() == expected


def test_a_list_parameter_keeps_its_type(connection: duckdb.DuckDBPyConnection) -> None:
    sql = to_duckdb(
        "SELECT DATE '2026-01-02' IN UNNEST(@days), @rate * 3",
        (("days", "DATE[]"), ("rate", "DECIMAL(38,18)")),
    )
    found = connection.execute(
        sql, {"days": [date(2026, 1, 1), date(2026, 1, 2)], "rate": D("0.1")}
    ).fetchall()
    assert found == [(True, D("0.3"))]
    assert connection.execute(sql, {"days": [], "rate": D(0)}).fetchall() == [(False, D(0))]


ERRORS = [
    "1 / 0",
    "BIGNUMERIC '1.5' / 0",
    "MOD(5, 0)",
    "9223372036854775807 + 1",
    "9223372036854775807 * 2",
    "BIGNUMERIC '99999999999999999999' * 10",
    "BIGNUMERIC '99999999999999999999' + BIGNUMERIC '99999999999999999999'",
    "CAST('apple' AS INT64)",
    "CAST('2026-02-30' AS DATE)",
]


@pytest.mark.parametrize("expression", ERRORS)
def test_what_bigquery_fails_fails_here_too(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    with pytest.raises(duckdb.Error):
        connection.execute(to_duckdb(f"SELECT {expression}")).fetchall()


def test_a_sum_that_leaves_its_digits_is_an_error(connection: duckdb.DuckDBPyConnection) -> None:
    big = "SELECT SUM(x) FROM UNNEST([BIGNUMERIC '99999999999999999999', BIGNUMERIC '99999999999999999999']) AS x"
    with pytest.raises(duckdb.Error, match=r"(?i)overflow|out of range"):
        connection.execute(to_duckdb(big)).fetchall()


money = st.decimals("-999999999999", "999999999999", places=18, allow_nan=False)


def rounded(value: Decimal) -> Decimal:
    with localcontext(prec=100):
        return value.quantize(D(1).scaleb(-18), ROUND_HALF_UP)


@settings(max_examples=150, deadline=None)
@given(a=money, b=st.decimals("-9999999", "9999999", places=18, allow_nan=False))
def test_products_are_exact_to_18_digits(
    connection: duckdb.DuckDBPyConnection, a: Decimal, b: Decimal
) -> None:
    with localcontext(prec=100):
        expected = rounded(a * b)
    assert one(connection, f"BIGNUMERIC '{a}' * BIGNUMERIC '{b}'") == expected


@settings(max_examples=150, deadline=None)
@given(a=money, b=st.decimals("-9999999", "9999999", places=6, allow_nan=False).filter(bool))
def test_quotients_are_exact_to_18_digits(
    connection: duckdb.DuckDBPyConnection, a: Decimal, b: Decimal
) -> None:
    with localcontext(prec=100):
        expected = rounded(a / b)
    assert one(connection, f"BIGNUMERIC '{a}' / BIGNUMERIC '{b}'") == expected


NO_TWIN = {
    "SELECT FARM_FINGERPRINT('a')": "FARM_FINGERPRINT",
    "SELECT SOUNDEX('a')": "SOUNDEX",
    "SELECT my_function(1)": "MY_FUNCTION",
    "SELECT\n  1,\n  foo(2)": "FOO",
    "SELECT CAST(DATE '2026-01-01' AS STRING FORMAT 'YYYY')": "FORMAT",
    "SELECT FORMAT('%t', 1)": "FORMAT",
    "SELECT EXTRACT(WEEK FROM DATE '2026-01-01')": "ISOWEEK",
    "SELECT EXTRACT(WEEK(MONDAY) FROM DATE '2026-01-01')": "ISOWEEK",
    "SELECT DATE_TRUNC(DATE '2026-01-01', ISOYEAR)": "ISOYEAR",
    "SELECT AS STRUCT 1 AS a": "STRUCT",
    "SELECT AS VALUE 1": "VALUE",
    "SELECT ARRAY_AGG(x ORDER BY x LIMIT 1) FROM UNNEST([1]) AS x": "LIMIT",
    "SELECT SESSION_USER()": "SESSION_USER",
    "SELECT FORMAT_DATE('%Q', DATE '2026-01-01')": "%Q",
    "SELECT FORMAT_DATE('%e', DATE '2026-01-01')": "FORMAT",
    "SELECT FORMAT_TIMESTAMP('%z', CURRENT_TIMESTAMP())": "%Z",
    "SELECT PARSE_TIMESTAMP('%E*S', '1')": "%E",
    "SELECT FORMAT_DATE(f, DATE '2026-01-01') FROM r.t": "LITERAL",
    "SELECT CURRENT_DATETIME()": "CURRENT_DATETIME",
    "SELECT a FROM r.t FOR SYSTEM_TIME AS OF CURRENT_TIMESTAMP()": "SYSTEM_TIME",
    "SELECT ERROR(SAFE.SUBSTR('a', 1))": "SAFE",
    "SELECT read_text('/etc/passwd')": "READ_TEXT",
    "SELECT getenv('HOME')": "GETENV",
}


@pytest.mark.parametrize(("query", "word"), NO_TWIN.items())
def test_what_cannot_be_carried_over_is_a_problem_with_its_line(query: str, word: str) -> None:
    problems = duckdb_problems(parse_one(query, dialect="bigquery"))
    assert [p.line for p in problems] == [query.count("\n") + 1]
    assert word in problems[0].reason.upper()
    with pytest.raises(ConfigError):
        to_duckdb(query)


def test_every_allowed_function_exists(connection: duckdb.DuckDBPyConnection) -> None:
    """Names of the grammar aside, the list must not promise what DuckDB does not have."""
    have = {
        name.upper()
        for (name,) in connection.execute("SELECT function_name FROM duckdb_functions()").fetchall()
    }
    grammar = {
        "CAST",
        "TRY_CAST",
        "TRY",
        "EXTRACT",
        "EXISTS",
        "FILTER",
        "UNNEST",
        "ARRAY",
        "DECIMAL",
        "STRUCT",
        "ANY",
    }
    grammar |= {"ALL", "PIVOT", "UNPIVOT", "IF", "COALESCE", "NULLIF", "GROUPING"}
    windows = {"CUME_DIST", "DENSE_RANK", "FIRST_VALUE", "LAG", "LAST_VALUE", "LEAD", "NTH_VALUE", "NTILE"}
    windows |= {"PERCENT_RANK", "RANK", "ROW_NUMBER"}
    assert sorted(DUCKDB_FUNCTIONS - have - grammar - windows) == []
