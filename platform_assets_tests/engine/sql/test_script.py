"""Procedures and migrations: what they may say, each refusal with its line; bound to a tenant and nobody else's."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import pytest
from sqlglot import parse_one

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.procedures import (
    Procedure,
    call_problems,
    in_call_order,
    tables_of,
    typed_values,
)
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.script import (
    affected_rows,
    bound_migration,
    bound_procedure,
    parse_migration,
    parse_procedure,
    procedure_sql,
)

DAY = date(2026, 1, 31)
FORGET = """\
-- A comment; with a semicolon.
CREATE OR REPLACE PROCEDURE metadata.sp_forget(IN p_from DATE, p_id STRING)
OPTIONS(strict_mode=TRUE)
BEGIN
  BEGIN TRANSACTION;
  DELETE FROM raw_shop.orders WHERE ingestion_date >= p_from AND order_id = p_id;
  UPDATE silver_cost.lines AS l SET note = 'forgotten; by hand'
  WHERE l.day >= p_from AND l.order_id IN (SELECT order_id FROM raw_shop.orders WHERE order_id = p_id);
  COMMIT TRANSACTION;
END;
"""


def procedure(text: str, name: str) -> Procedure:
    script = parse_procedure(text, file=f"{name}.sql", name=name)
    return Procedure(
        name, "d", f"{name}.sql", text, script.parameters, script.writes, script.reads, script.calls
    )


def body(statement: str, parameters: str = "IN p_day DATE") -> str:
    return f"CREATE OR REPLACE PROCEDURE metadata.sp_x({parameters})\nBEGIN\n  {statement};\nEND"


def caller(name: str, called: str, *, parameters: str = "IN p_a DATE, IN p_b STRING") -> Procedure:
    text = f"CREATE OR REPLACE PROCEDURE metadata.{name}({parameters}) BEGIN CALL metadata.{called}; END;"
    return procedure(text, name)


def test_tables_and_parameters_are_read_from_the_text() -> None:
    found = procedure(FORGET, "sp_forget")
    assert found.parameters == {"p_from": FieldType.DATE, "p_id": FieldType.STRING}
    assert found.writes == (TableName("raw_shop", "orders"), TableName("silver_cost", "lines"))
    assert found.reads == (TableName("raw_shop", "orders"),)


def test_values_are_bound_and_tables_are_the_tenants() -> None:
    values: Any = {"p_from": (FieldType.DATE, DAY), "p_id": (FieldType.STRING, "x'; DROP TABLE y --")}
    first, second = bound_procedure(
        "sp_forget", {"sp_forget": procedure(FORGET, "sp_forget")}, "acme1281", values
    )
    assert first.sql == (
        "DELETE FROM `acme1281_raw_shop`.`orders` WHERE ingestion_date >= @p_from AND order_id = @p_id"
    )
    assert first.parameters == values
    assert "raw_shop.orders" not in second.sql.replace("acme1281_raw_shop", "")
    assert "DROP" not in second.sql


@pytest.mark.parametrize(
    ("text", "line", "reason"),
    [
        ("SELECT 1", 1, "CREATE OR REPLACE PROCEDURE"),
        ("CREATE PROCEDURE metadata.sp_x() BEGIN END", 1, "CREATE OR REPLACE PROCEDURE"),
        (body("DELETE FROM raw_a.b WHERE d = p_day") + "; DROP TABLE raw_a.b", 4, "nothing follows"),
        (body("DELETE FROM raw_a.b WHERE d = p_day").replace("sp_x", "sp_y"), 1, "file is named sp_x.sql"),
        (body("DELETE FROM raw_a.b WHERE d = p_day").replace("metadata.", "other."), 1, "metadata.<name>"),
        (body("EXECUTE IMMEDIATE CONCAT('DROP ', p_day)"), 3, "EXECUTE IMMEDIATE"),
        (body("EXECUTE IMMEDIATE p_day"), 3, "SQL made from values"),
        (body("CREATE TABLE raw_a.b AS SELECT 1"), 3, "CREATE is not allowed"),
        (body("DROP TABLE raw_a.b"), 3, "DROP is not allowed"),
        (body("TRUNCATE TABLE raw_a.b"), 3, "TRUNCATE is not allowed"),
        (body("GRANT `roles/x` ON TABLE raw_a.b TO 'user:x@example.com'"), 3, "GRANT is not allowed"),
        (body("EXPORT DATA OPTIONS(uri='gs://x') AS SELECT 1"), 3, "EXPORT is not allowed"),
        (body("DECLARE x INT64"), 3, "DECLARE is not allowed"),
        (body("LOOP DELETE FROM raw_a.b WHERE TRUE"), 3, "LOOP is not allowed"),
        (body("DELETE FROM raw_a.b"), 3, "needs a WHERE"),
        (body("UPDATE raw_a.b SET c = 1"), 3, "WHERE"),
        (body("DELETE FROM `{project_id}.raw_a`.b WHERE d = p_day"), 3, "names a project|not a table name"),
        (body("DELETE FROM {org}.b WHERE d = p_day"), 3, "placeholders are not filled"),
        (body("DELETE FROM raw_a.b WHERE d = {{ day }}"), 3, "placeholders are not filled"),
        (body("DELETE FROM raw_a.b WHERE d = p_dya"), 3, "p_dya is not a parameter"),
        (body("DELETE FROM raw_a.b WHERE d = @p_day"), 3, "without @"),
        (body("DELETE FROM other_project.raw_a.b WHERE d = p_day"), 3, "names a project"),
        (body("DELETE FROM acme1281_raw_a.b WHERE d = p_day"), 3, "a dataset is raw_"),
        (body("DELETE FROM organizations.b WHERE d = p_day"), 3, "shared by all tenants"),
        (body("INSERT INTO raw_a.b (x) SELECT NET.HOST(y) FROM raw_a.c"), 3, "not allowed"),
        (body("INSERT INTO raw_a.b (x) SELECT ST_AREA(y) FROM raw_a.c"), 3, "no twin in DuckDB"),
        (body("DELETE FROM raw_a.b WHERE d = p_day", "OUT p_rows INT64, IN p_day DATE"), 1, "no OUT"),
        (body("DELETE FROM raw_a.b WHERE d = day", "IN day DATE"), 1, "named p_"),
        (body("DELETE FROM raw_a.b WHERE d = p_day", "IN p_day GEOGRAPHY"), 1, "not a parameter's type"),
        (body("CALL other.sp_y(p_day)"), 3, "CALL metadata.<name>"),
        (body("CALL metadata.sp_y('2026-01-01')"), 3, "not a parameter of this procedure"),
        ("CREATE OR REPLACE PROCEDURE metadata.sp_x() BEGIN END", 1, "changes nothing"),
        ("", 1, "no statement"),
    ],
)
def test_refused_with_its_line(text: str, line: int, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        parse_procedure(text, file="sp_x.sql", name="sp_x")
    assert caught.value.problems[0].line == line


def test_all_problems_come_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        parse_procedure(body("DROP TABLE raw_a.b;\n  DELETE FROM raw_a.b"), file="sp_x.sql", name="sp_x")
    assert [p.line for p in caught.value.problems] == [3, 4]


def test_calls_are_inlined_under_the_callers_names_in_one_transaction() -> None:
    procedures = {
        "sp_forget": procedure(FORGET, "sp_forget"),
        "sp_all": caller("sp_all", "sp_forget(p_a, p_b)"),
    }
    assert call_problems(procedures) == []
    assert [p.name for p in in_call_order(procedures)] == ["sp_forget", "sp_all"]
    assert tables_of("sp_all", procedures)[0] == (
        TableName("raw_shop", "orders"),
        TableName("silver_cost", "lines"),
    )
    values: Any = {"p_a": (FieldType.DATE, DAY), "p_b": (FieldType.STRING, "7")}
    assert "ingestion_date >= @p_a" in bound_procedure("sp_all", procedures, "acme1281", values)[0].sql
    sql = procedure_sql("sp_all", procedures, "acme1281")
    assert sql.startswith(
        "CREATE OR REPLACE PROCEDURE `acme1281_metadata`.`sp_all`(IN p_a DATE, IN p_b STRING)"
    )
    assert "order_id = p_b" in sql and "@" not in sql and "CALL" not in sql
    assert sql.count("BEGIN TRANSACTION;") == sql.count("COMMIT TRANSACTION;") == 1


@pytest.mark.parametrize(
    ("called", "reason"),
    [
        ("sp_nothing(p_a)", "there is no procedure"),
        ("sp_forget(p_b, p_a)", r"takes \(DATE, STRING\), not \(STRING, DATE\)"),
        ("sp_all(p_a, p_b)", "calls itself"),
    ],
)
def test_calls_that_do_not_fit(called: str, reason: str) -> None:
    procedures = {"sp_forget": procedure(FORGET, "sp_forget"), "sp_all": caller("sp_all", called)}
    (problem,) = call_problems(procedures)
    assert (problem.file, problem.line) == ("sp_all.sql", 1)
    assert re.search(reason, problem.reason)


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("INT64", "3.0", 3),
        ("INT64", "3.5", None),
        ("DATE", "2026-01-31T10:00:00+00:00", DAY),
        ("DATE", "yesterday", None),
        ("BOOL", "YES", True),
        ("BOOL", "maybe", None),
        ("BIGNUMERIC", "NaN", None),
    ],
)
def test_values_come_as_text_and_are_typed(kind: str, text: str, value: Any) -> None:
    one = procedure(body("DELETE FROM raw_a.b WHERE d = p_v", f"IN p_v {kind}"), "sp_x")
    if value is None:
        with pytest.raises(ConfigError, match=f"is not a {kind}"):
            typed_values(one, {"p_v": text})
    else:
        assert typed_values(one, {"p_v": text}) == {"p_v": (FieldType(kind), value)}


def test_missing_and_unknown_values_are_named_together() -> None:
    with pytest.raises(ConfigError, match=r"p_day is missing[\s\S]*p_dya is not a parameter"):
        typed_values(procedure(body("DELETE FROM raw_a.b WHERE d = p_day"), "sp_x"), {"p_dya": "1"})


MIGRATION = """\
UPDATE silver_cost.lines SET currency = UPPER(currency) WHERE currency != UPPER(currency);
INSERT INTO silver_cost.lines (id) SELECT id FROM raw_shop.orders WHERE id > 3;
MERGE INTO silver_cost.lines AS t USING (SELECT 1 AS id) AS s ON t.id = s.id WHEN MATCHED THEN UPDATE SET note = 'x';
DELETE FROM silver_cost.lines WHERE id = 9
"""


def test_a_migration_shows_what_each_statement_would_touch() -> None:
    script = parse_migration(MIGRATION, file="0001_x.sql")
    assert len(bound_migration(script, "acme1281")) == 4
    shown = [affected_rows(change, "acme1281", {}, "m").sql for change in script.changes]
    assert shown == [
        "SELECT lines.* FROM `acme1281_silver_cost`.`lines` WHERE currency <> UPPER(currency)",
        "SELECT id FROM `acme1281_raw_shop`.`orders` WHERE id > 3",
        "SELECT * FROM (SELECT 1 AS id) AS s",
        "SELECT lines.* FROM `acme1281_silver_cost`.`lines` WHERE id = 9",
    ]
    assert all(parse_one(sql, dialect="bigquery") for sql in shown)


def test_a_migration_calls_nothing() -> None:
    with pytest.raises(ConfigError, match="calls no procedure"):
        parse_migration("CALL metadata.sp_x()", file="0001_x.sql")
