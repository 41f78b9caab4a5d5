"""The rows to blame: samples for people, quarantine for the pipeline.

Row-wise expectations say which rows break them; expectations about a whole column or table have no such rows.
Columns declared as personal data are masked in samples, never in the quarantine table, which is as private as the
table itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from platform_assets.engine.quality.audit import blamed_rows
from platform_assets.engine.quality.model import MASK, AuditPlan, CheckOutcome, PlannedCheck
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    from sqlglot import exp

    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

CHECK_COLUMN = "failed_check"
QUARANTINE_FIELDS = (
    Field("quarantine_reason", FieldType.STRING, Mode.REQUIRED, "Expectations which the row breaks, by id."),
    Field("quarantine_run_id", FieldType.STRING, Mode.REQUIRED, "The run that put the row aside."),
    Field("quarantined_at", FieldType.TIMESTAMP, Mode.REQUIRED, "When."),
)
_UNSORTABLE = frozenset({FieldType.JSON, FieldType.STRUCT})


# --- Samples ----------------------------------------------------------------------------------------------------


def compile_samples(
    plan: AuditPlan, failed: Iterable[CheckOutcome], *, limit: int = 5, also: Sequence[str] = ()
) -> BoundSql | None:
    """One query for at most ``limit`` rows of every failed row-wise check; ``None`` where no failed check has rows.

    Result: ``failed_check`` (the expectation's id), then the columns of the failed checks and ``also`` (keys, for
    example) in the table's order, personal data as ``***``.
    """
    scope, checks = _scope(plan), _checks(plan, {o.expectation_id for o in failed if not o.success})
    blamed = [(c, rows) for c in checks if (rows := blamed_rows(c.expectation, scope)) is not None]
    if not blamed:
        return None
    wanted = {name.lower() for c, _ in blamed for name in c.expectation.columns} | {n.lower() for n in also}
    fields = [f for f in plan.schema.fields if f.name.lower() in wanted]
    branches = [_sample(scope, check, rows, fields, limit) for check, rows in blamed]
    return BoundSql(_union(branches).sql("bigquery"), dict(scope.binder.parameters))


def _sample(scope: Scope, check: PlannedCheck, rows: Expr, fields: Sequence[Field], limit: int) -> exp.Select:
    from sqlglot import exp

    name = exp.alias_(scope.bind(check.expectation.name, FieldType.STRING), CHECK_COLUMN)
    query = scope.select([name, *(_shown(scope, f) for f in fields)], [rows])
    order = [
        scope.column(f.name) for f in fields if f.type not in _UNSORTABLE and f.mode is not Mode.REPEATED
    ]
    return (query.order_by(*order) if order else query).limit(limit)


def _shown(scope: Scope, field: Field) -> Expr:
    from sqlglot import exp

    from platform_assets.engine.quality.tree import identifier, iff, is_null

    column = scope.column(field.name)
    if not _private(field):
        return column
    masked = iff(is_null(column), exp.Null(), exp.Literal.string(MASK))
    return exp.alias_(masked, identifier(field.name))


def _private(field: Field) -> bool:
    return field.pii or any(_private(inner) for inner in field.fields)


def _union(branches: Sequence[exp.Select]) -> exp.Query:
    from sqlglot import exp

    selects = [exp.select("*").from_(b.subquery(f"s{i}", copy=False)) for i, b in enumerate(branches)]
    return exp.union(*selects, distinct=False, copy=False) if len(selects) > 1 else selects[0]


# --- Quarantine -------------------------------------------------------------------------------------------------


def quarantine_schema(schema: TableSchema) -> TableSchema:
    """The schema of ``{table}_quarantine``: the table's columns, none of them required, and why, by whom, when."""
    relaxed = tuple(_relaxed(f) for f in schema.fields)
    return TableSchema((*relaxed, *QUARANTINE_FIELDS))


def _relaxed(field: Field) -> Field:
    if field.mode is not Mode.REQUIRED:
        return field
    return Field(field.name, field.type, Mode.NULLABLE, field.description, field.fields, field.pii)


def quarantine_query(
    plan: AuditPlan, outcomes: Iterable[CheckOutcome], *, run_id: str, now: datetime
) -> BoundSql | None:
    """The slice's rows to put aside: those that break a failed check with ``on_failure: quarantine``. Columns are
    those of ``quarantine_schema``. ``None`` where there is nothing to put aside."""
    from sqlglot import exp

    scope = _scope(plan)
    blamed = _quarantined(plan, outcomes, scope)
    if not blamed:
        return None
    stamps = [
        exp.alias_(_reason(scope, blamed), "quarantine_reason"),
        exp.alias_(scope.bind(run_id, FieldType.STRING), "quarantine_run_id"),
        exp.alias_(scope.bind(now, FieldType.TIMESTAMP), "quarantined_at"),
    ]
    query = scope.select([exp.Star(), *stamps], [scope.combine([rows for _, rows in blamed], "any")])
    return BoundSql(query.sql("bigquery"), dict(scope.binder.parameters))


def kept_query(plan: AuditPlan, outcomes: Iterable[CheckOutcome]) -> BoundSql | None:
    """The slice without the rows that ``quarantine_query`` puts aside; ``None`` where it puts none aside."""
    from sqlglot import exp

    scope = _scope(plan)
    blamed = _quarantined(plan, outcomes, scope)
    if not blamed:
        return None
    put_aside = scope.combine([rows for _, rows in blamed], "any")
    query = scope.select([exp.Star()], [scope.unless_true(put_aside)])
    return BoundSql(query.sql("bigquery"), dict(scope.binder.parameters))


def _quarantined(
    plan: AuditPlan, outcomes: Iterable[CheckOutcome], scope: Scope
) -> list[tuple[PlannedCheck, Expr]]:
    failed = {o.expectation_id for o in outcomes if o.quarantine and not o.success and not o.error}
    return [
        (check, rows)
        for check in _checks(plan, failed)
        if (rows := blamed_rows(check.expectation, scope)) is not None
    ]


def _reason(scope: Scope, blamed: Sequence[tuple[PlannedCheck, Expr]]) -> Expr:
    """``id1; id2``: a text of the ids whose predicate is true for the row."""
    from sqlglot import exp

    from platform_assets.engine.quality.tree import iff

    names = [
        iff(rows.copy(), scope.bind(f"{check.expectation.name}; ", FieldType.STRING), exp.Literal.string(""))
        for check, rows in blamed
    ]
    joined = names[0] if len(names) == 1 else exp.Concat(expressions=names, safe=True, coalesce=False)
    return exp.Anonymous(this="RTRIM", expressions=[joined, exp.Literal.string("; ")])


def _checks(plan: AuditPlan, ids: set[str]) -> list[PlannedCheck]:
    return [check for check in plan.checks if check.expectation.name in ids]


def _scope(plan: AuditPlan) -> Scope:
    from platform_assets.engine.quality.scope import Binder, Scope, Source

    return Scope(Source(plan.table, plan.schema, plan.slice), Binder(), None, plan.others)
