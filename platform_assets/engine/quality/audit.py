"""One query for all expectations of a slice, and the judgement of its single row.

Equal measures are asked for once: fifty expectations over ten columns share their row and null counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.condition import parse_condition
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import (
    AuditPlan,
    CheckOutcome,
    Judgement,
    PlannedCheck,
    Severity,
    Verdict,
)
from platform_assets.engine.schema.model import Slice, TableSchema
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Expr, Scope


class _Scan:
    """The audit's select list: one result column per distinct measure."""

    def __init__(self) -> None:
        self.columns: dict[str, tuple[str, Expr]] = {}

    def add(self, measure: Expr) -> str:
        text = measure.sql("bigquery")
        alias, _ = self.columns.setdefault(text, (f"m{len(self.columns)}", measure))
        return alias


def compile_audit(
    suite: Sequence[Expectation], schema: TableSchema, table: TableName, slice: Slice | None = None
) -> AuditPlan:
    """Compile a parsed suite for one slice of one physical table (staging or target).

    The query returns exactly one row, whatever the slice holds; feed it to ``judge``.
    """
    from platform_assets.engine.quality.scope import Binder, Scope

    scope, scan = Scope(table, schema, slice, Binder()), _Scan()
    checks = tuple(_plan_check(expectation, scope, scan) for expectation in suite)
    return AuditPlan(table, schema, slice, checks, _query(scope, scan))


def scope_of(expectation: Expectation, scope: Scope) -> Scope:
    """The slice as one expectation sees it: under its row condition."""
    if expectation.row_condition is None:
        return scope
    return scope.under(parse_condition(expectation.row_condition, scope.schema))


def _plan_check(expectation: Expectation, scope: Scope, scan: _Scan) -> PlannedCheck:
    measures = expectation.measures(scope_of(expectation, scope))
    return PlannedCheck(expectation, {name: scan.add(measure) for name, measure in measures.items()})


def _query(scope: Scope, scan: _Scan) -> BoundSql:
    from sqlglot import exp

    if not scan.columns:
        scan.add(scope.rows())
    projections = [exp.alias_(measure, alias) for alias, measure in scan.columns.values()]
    return BoundSql(scope.select(projections).sql("bigquery"), dict(scope.binder.parameters))


def judge(plan: AuditPlan, row: Mapping[str, Any]) -> tuple[CheckOutcome, ...]:
    """One outcome per expectation, in the suite's order, from the audit query's row (column → value)."""
    return tuple(_outcome(check, row) for check in plan.checks)


def _outcome(check: PlannedCheck, row: Mapping[str, Any]) -> CheckOutcome:
    expectation = check.expectation
    found = expectation.judge({name: row[alias] for name, alias in check.measures.items()})
    return CheckOutcome(
        expectation_id=expectation.name,
        type=expectation.type,
        column=", ".join(expectation.columns) or None,
        severity=expectation.severity,
        success=found.success,
        element_count=found.element_count,
        missing_count=found.missing_count,
        unexpected_count=found.unexpected_count,
        unexpected_percent=_percent(found),
        observed_value=found.observed_value,
        details=found.details,
        sql=check.sql,
    )


def _percent(found: Judgement) -> float | None:
    """Share of the considered rows, 0-100; ``None`` where there are none."""
    if found.unexpected_count is None or not found.element_count:
        return None
    considered = found.element_count - (found.missing_count or 0)
    return found.unexpected_count / considered * 100 if considered else None


def verdict(outcomes: Sequence[CheckOutcome]) -> Verdict:
    """Which failures block, warn, or are only recorded."""
    failed = {
        severity: tuple(o.expectation_id for o in outcomes if not o.success and o.severity is severity)
        for severity in Severity
    }
    return Verdict(failed[Severity.CRITICAL], failed[Severity.WARNING], failed[Severity.INFO])


def check_name(expectation: Expectation) -> str:
    """The Dagster asset check's name: ``[A-Za-z0-9_]+``, stable while type, columns and ``name`` stay."""
    return expectation.name
