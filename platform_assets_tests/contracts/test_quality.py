"""The same expectations, one query, every warehouse: the outcomes are those of DuckDB in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest

from platform_assets.engine.names import TableName, physical
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.rows import compile_samples, kept_query
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.schema.model import TableSpec
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
