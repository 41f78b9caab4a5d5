"""The same expectations, one query, every warehouse: the outcomes are those of DuckDB in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import product
from typing import Any

import pyarrow as pa
import pytest

from platform_assets.engine.names import TableName, physical
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.rows import compile_samples, kept_query
from platform_assets.engine.quality.scope import Source
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Slice, TableSchema, TableSpec
from platform_assets.ports import Warehouse
from platform_assets_tests.contracts.warehouse_rigs import WarehouseRig
from platform_assets_tests.differential.cases import SCHEMA, TABLES, Case, arrow, cases
from platform_assets_tests.engine.quality.duck import Duck

TENANT = "acme1281"
TABLE = TableName("raw_test", "values")
ROWS = TABLES["other_mix"]


def _suite(kind: str) -> tuple[Expectation, ...]:
    """Two expectations of every type; they share one query, so more of them prove no more."""
    times: Counter[str] = Counter()
    raw: list[dict[str, Any]] = []
    for case in cases():
        times[case.type] += 1
        if times[case.type] <= 2 and not (kind == "bigquery" and _emulator_cannot(case)):
            raw.append({"type": case.type, **case.ours, "name": f"c{len(raw)}"})
    raw.append({"type": "expect_column_values_to_not_be_null", "column": "s", "on_failure": "quarantine"})
    suite, problems = parse_suite(raw, SCHEMA)
    assert problems == []
    return suite


def _emulator_cannot(case: Case) -> bool:
    """It has no SAFE.PARSE_JSON, and its DuckDB fails on a deviation that BigQuery would call infinite."""
    deviation = any(word in case.type for word in ("stdev", "z_scores", "outliers"))
    return "json" in case.type or (deviation and case.ours["column"] == "f")


def _told(outcomes: Sequence[CheckOutcome]) -> list[tuple[Any, ...]]:
    return [(o.type, o.success, o.element_count, o.missing_count, o.unexpected_count) for o in outcomes]


@pytest.fixture
def filled(warehouse: Warehouse) -> Warehouse:
    warehouse.ensure_table(TENANT, TableSpec(TABLE, SCHEMA))
    warehouse.load(TENANT, TABLE, arrow(ROWS).to_batches())
    return warehouse


def test_every_expectation_in_one_query(filled: Warehouse, warehouse_rig: WarehouseRig) -> None:
    suite = _suite(warehouse_rig.kind)
    plan = compile_audit(suite, SCHEMA, physical(TENANT, TABLE))
    found = judge(plan, filled.query(TENANT, plan.query).to_pylist()[0])
    duck = Duck(SCHEMA, ROWS)
    known = compile_audit(suite, SCHEMA, duck.table)
    assert _told(found) == _told(judge(known, duck.rows(known.query)[0]))


def test_samples_and_quarantine(filled: Warehouse, warehouse_rig: WarehouseRig) -> None:
    suite = _suite(warehouse_rig.kind)
    plan = compile_audit((*suite[:20], suite[-1]), SCHEMA, physical(TENANT, TABLE))
    outcomes = judge(plan, filled.query(TENANT, plan.query).to_pylist()[0])
    samples, kept = compile_samples(plan, outcomes, limit=2), kept_query(plan, outcomes)
    assert samples is not None
    assert kept is not None
    shown = filled.query(TENANT, samples).to_pylist()
    assert {row["failed_check"] for row in shown} <= {o.expectation_id for o in outcomes if not o.success}
    assert len(shown) > 10
    left = filled.query(TENANT, kept).to_pylist()
    assert len(left) == sum(row["s"] is not None for row in ROWS)


def test_other_tables_are_read_in_their_own_slice(warehouse: Warehouse) -> None:
    """Reconciliation, counts and a query of one's own, of a day and of a month's days."""
    schema = TableSchema(
        (
            Field("day", FieldType.DATE),
            Field("currency", FieldType.STRING),
            Field("amount", FieldType.BIGNUMERIC),
        )
    )
    here, there = TableName("raw_test", "here"), TableName("raw_test", "there")
    days = [date(2026, 1, 1), date(2026, 1, 31), date(2026, 2, 1)]
    for table in (here, there):
        warehouse.ensure_table(TENANT, TableSpec(table, schema))
        rows = [
            {"day": day, "currency": currency, "amount": Decimal(n) / 8}
            for n, (day, currency) in enumerate(product(days, ("USD", "EUR")))
        ]
        batch = pa.RecordBatch.from_pylist(rows, schema=arrow_schema(schema))
        warehouse.load(TENANT, table, [batch])
    raw: list[dict[str, Any]] = [
        {
            "type": "expect_column_sum_to_equal_other_table",
            "column": "amount",
            "other_table": str(there),
            "other_column": "amount",
            "group_by": {"currency": "currency"},
        },
        {"type": "expect_table_row_count_to_equal_other_table", "other_table_name": str(there)},
        {
            "type": "unexpected_rows_expectation",
            "unexpected_rows_query": f"SELECT b.day FROM {{batch}} AS b LEFT JOIN {there} AS t "
            "ON t.day = b.day AND t.currency = b.currency WHERE t.day IS NULL",
        },
    ]
    suite, problems = parse_suite(raw, schema, {str(there): schema})
    assert problems == []

    def verdicts(other: Source) -> list[bool]:
        of_day = Slice((("day", days[0]),))
        plan = compile_audit(suite, schema, physical(TENANT, here), of_day, {str(there): other})
        return [o.success for o in judge(plan, warehouse.query(TENANT, plan.query).to_pylist()[0])]

    table = physical(TENANT, there)
    assert verdicts(Source(table, schema, Slice((("day", days[0]),)))) == [True, True, True]
    assert verdicts(Source(table, schema, Slice((("day", days[1]),)))) == [False, True, False]
    month = Source(table, schema, Slice(()), ("day", days[0], days[1]))
    assert verdicts(month) == [False, False, True]
    assert "'2026-01-31'" in compile_audit(suite, schema, table, None, {str(there): month}).query.sql
