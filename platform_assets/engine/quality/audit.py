"""One query for all expectations of a slice, and the judgement of its single row.

Equal measures are asked for once: fifty expectations over ten columns share their row and null counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.expectation import Expectation
from platform_assets.engine.quality.model import MASK, AuditPlan, CheckOutcome, Facts, Judgement, PlannedCheck
from platform_assets.engine.quality.results import check_name, plain, verdict
from platform_assets.engine.schema.model import Slice, TableSchema
from platform_assets.engine.sql.model import BoundSql

__all__ = ["blamed_rows", "check_name", "check_sql", "compile_audit", "judge", "scope_of", "verdict"]

if TYPE_CHECKING:
    from sqlglot import exp

    from platform_assets.engine.quality.scope import Scope, Source
    from platform_assets.engine.quality.tree import Expr, Measure


class _Scan:
    """The audit's measures, each distinct one once, grouped by what they are taken over: ``None`` is the slice."""

    def __init__(self) -> None:
        self.sources: dict[exp.Select | None, dict[Expr, str]] = {None: {}}
        self._count = 0

    def add(self, measure: Expr | Measure) -> str:
        """The measure's result column; trees that say the same are one measure."""
        aggregate, source = _parts(measure)
        columns = self.sources.setdefault(source, {})
        if aggregate not in columns:
            columns[aggregate] = f"m{self._count}"
            self._count += 1
        return columns[aggregate]


def _parts(measure: Expr | Measure) -> tuple[Expr, exp.Select | None]:
    from platform_assets.engine.quality.tree import Measure

    return (measure.aggregate, measure.source) if isinstance(measure, Measure) else (measure, None)


def compile_audit(
    suite: Sequence[Expectation],
    schema: TableSchema,
    table: TableName,
    slice: Slice | None = None,
    others: Mapping[str, Source] | None = None,
) -> AuditPlan:
    """Compile a parsed suite for one slice of one physical table (staging or target).

    ``others`` gives the physical slice of every other table that the suite names (``Expectation.tables``).
    The query returns exactly one row, whatever the slice holds; feed it to ``judge``.
    """
    from platform_assets.engine.quality.scope import Binder, Scope, Source

    scope, scan = Scope(Source(table, schema, slice), Binder(), None, others), _Scan()
    checks = tuple(_plan_check(expectation, scope, scan) for expectation in suite)
    return AuditPlan(table, schema, slice, checks, _query(scope, scan), dict(others or {}))


def scope_of(expectation: Expectation, scope: Scope) -> Scope:
    """The slice as one expectation sees it: under its row condition."""
    return scope.where(expectation.row_condition)


def _plan_check(expectation: Expectation, scope: Scope, scan: _Scan) -> PlannedCheck:
    measures = expectation.measures(scope_of(expectation, scope))
    return PlannedCheck(expectation, {name: scan.add(measure) for name, measure in measures.items()})


def _query(scope: Scope, scan: _Scan) -> BoundSql:
    """One row: the slice's own aggregates, joined with those of every subquery."""
    scan.add(scope.rows())
    blocks = [_block(scope, columns, source) for source, columns in scan.sources.items()]
    query = blocks[0] if len(blocks) == 1 else _side_by_side(blocks)
    return BoundSql(query.sql("bigquery"), dict(scope.binder.parameters))


def _block(scope: Scope, columns: Mapping[Expr, str], source: exp.Select | None) -> exp.Select:
    from sqlglot import exp

    projections: list[Expr] = [
        exp.Alias(this=aggregate, alias=exp.to_identifier(alias)) for aggregate, alias in columns.items()
    ]
    if source is None:
        return scope.select(projections)
    return exp.select(*projections, copy=False).from_(source.subquery("rows_", copy=False), copy=False)


def _side_by_side(blocks: Sequence[exp.Select]) -> exp.Select:
    from sqlglot import exp

    query = exp.select("*").from_(blocks[0].subquery("b0", copy=False), copy=False)
    for index, block in enumerate(blocks[1:], start=1):
        query = query.join(block.subquery(f"b{index}", copy=False), join_type="cross", copy=False)
    return query


def judge(plan: AuditPlan, row: Mapping[str, Any], facts: Facts | None = None) -> tuple[CheckOutcome, ...]:
    """One outcome per expectation, in the suite's order, from the audit query's row (column → value).

    ``facts`` brings what no query knows: the time, and each check's earlier values.
    """
    known = replace(facts or Facts(), schema=plan.schema)
    return tuple(_outcome(plan, check, row, known) for check in plan.checks)


def _outcome(plan: AuditPlan, check: PlannedCheck, row: Mapping[str, Any], facts: Facts) -> CheckOutcome:
    expectation = check.expectation
    seen = {name: row[alias] for name, alias in check.measures.items()}
    found = expectation.judge(seen, facts.of(expectation.name))
    return CheckOutcome(
        quarantine=expectation.on_failure == "quarantine",
        expectation_id=expectation.name,
        type=expectation.type,
        column=", ".join(expectation.columns) or None,
        severity=expectation.severity,
        success=found.success,
        element_count=found.element_count,
        missing_count=found.missing_count,
        unexpected_count=found.unexpected_count,
        unexpected_percent=_percent(found),
        observed_value=_shown(expectation, found.observed_value, plan.schema),
        details=plain(found.details),
        write_sql=partial(check_sql, plan, check),
        error=found.error,
    )


def _shown(expectation: Expectation, observed: Any, schema: TableSchema) -> Any:
    """Personal data is not quoted: of such a column, a value that some row holds is shown as ``***``."""
    if observed is None or not expectation.quotes_rows:
        return observed
    private = any(field.pii for name in expectation.columns if (field := schema.get(name)))
    return MASK if private else observed


def _percent(found: Judgement) -> float | None:
    """Share of the considered rows, 0-100; ``None`` where there are none."""
    if found.unexpected_count is None or not found.element_count:
        return None
    considered = found.element_count - (found.missing_count or 0)
    return found.unexpected_count / considered * 100 if considered else None


# --- One check on its own ---------------------------------------------------------------------------------------


def blamed_rows(expectation: Expectation, scope: Scope) -> Expr | None:
    """Row predicate of the rows that break an expectation, its row condition included; ``None`` if it has none."""
    from sqlglot import exp

    under = scope_of(expectation, scope)
    predicate = expectation.unexpected(under)
    if predicate is None or isinstance(predicate, exp.Boolean):
        return None
    condition = [] if under.condition is None else [exp.Paren(this=under.condition.copy())]
    return under.combine([*condition, exp.Paren(this=predicate)], "all")


def check_sql(plan: AuditPlan, check: PlannedCheck) -> str:
    """A query for people, values written out: the rows to blame, else what the check measures."""
    from platform_assets.engine.quality.scope import Inline, Scope, Source

    scope = Scope(Source(plan.table, plan.schema, plan.slice), Inline(), None, plan.others)
    rows = blamed_rows(check.expectation, scope)
    if rows is not None:
        from sqlglot import exp

        return scope.select([exp.Star()], [rows]).sql("bigquery")
    scan = _Scan()
    _plan_check(check.expectation, scope, scan)
    return _query(scope, scan).sql if check.measures else ""
