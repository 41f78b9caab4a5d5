"""Runs compiled audits in a real DuckDB, on tables made from Python rows."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import duckdb

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import AuditPlan, CheckOutcome
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.schema.model import Field, FieldType, Slice, TableSchema
from platform_assets.engine.sql.dialect import DUCKDB_MACROS, DUCKDB_TYPES, to_duckdb
from platform_assets.engine.sql.model import BoundSql

TABLE = TableName("acme1281_raw_test", "t")


def schema_of(**columns: str) -> TableSchema:
    """``schema_of(a="INT64", email="STRING pii")``."""
    return TableSchema(
        tuple(Field(name, FieldType(t.split()[0]), pii="pii" in t) for name, t in columns.items())
    )


@cache
def connection() -> duckdb.DuckDBPyConnection:
    """One database for all tests of a process: defining the macros takes longer than most tests."""
    made = duckdb.connect(config={"threads": 1})
    for macro in DUCKDB_MACROS:
        made.execute(macro)
    return made


class Duck:
    """A table in memory. Making another one of the same name replaces it."""

    def __init__(
        self, schema: TableSchema, rows: Sequence[Mapping[str, Any]], table: TableName = TABLE
    ) -> None:
        self.schema, self.table = schema, table
        self.connection = connection()
        columns = ", ".join(f'"{f.name}" {DUCKDB_TYPES[f.type]}' for f in schema.fields)
        self.connection.execute(f'CREATE SCHEMA IF NOT EXISTS "{table.dataset}"')
        self.connection.execute(f'CREATE OR REPLACE TABLE "{table.dataset}"."{table.table}" ({columns})')
        if rows:
            marks = ", ".join(f"({', '.join('?' for _ in schema.fields)})" for _ in rows)
            values = [row.get(name) for row in rows for name in schema.names]
            self.connection.execute(f'INSERT INTO "{table.dataset}"."{table.table}" VALUES {marks}', values)

    def rows(self, query: BoundSql) -> list[dict[str, Any]]:
        types = {
            name: DUCKDB_TYPES[kind] + ("[]" if isinstance(value, tuple) else "")
            for name, (kind, value) in query.parameters.items()
        }
        sql = to_duckdb(query.sql, tuple(types.items()))
        cursor = self.connection.execute(sql, {name: value for name, (_, value) in query.parameters.items()})
        names = [d[0] for d in cursor.description]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]

    def plan(self, raw: Sequence[dict[str, Any]], slice_: Slice | None = None) -> AuditPlan:
        suite, problems = parse_suite(raw, self.schema)
        assert problems == []
        return compile_audit(suite, self.schema, self.table, slice_)

    def check(self, *raw: dict[str, Any], slice_: Slice | None = None) -> tuple[CheckOutcome, ...]:
        plan = self.plan(raw, slice_)
        (row,) = self.rows(plan.query)
        return judge(plan, row)

    def one(self, type: str, **arguments: Any) -> CheckOutcome:
        (outcome,) = self.check({"type": type, **arguments})
        return outcome
