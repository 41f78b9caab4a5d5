"""What a re-pulled slice changes: rows and money, per currency and per service, before the old slice is replaced.

Owns one query over the published slice and the staged rows, and the summary of its answer. Currencies stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import ConfigError
from platform_assets.engine.ingestion.spec import Measure
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, Scalar, Slice
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    from sqlglot import exp


@dataclass(frozen=True)
class Change:
    """One dimension value in one currency; ``dimension`` and ``currency`` are None where the measure has none."""

    currency: str | None
    dimension: str | None
    amount_before: Decimal
    amount_after: Decimal
    rows_before: int
    rows_after: int

    @property
    def difference(self) -> Decimal:
        return self.amount_after - self.amount_before

    @property
    def changed(self) -> bool:
        return self.difference != 0 or self.rows_before != self.rows_after


@dataclass(frozen=True)
class Restatement:
    """``changes`` are those that changed something, by the size of the difference; ``first_time`` means that
    there was no slice before."""

    rows_before: int
    rows_after: int
    changes: tuple[Change, ...]

    @property
    def first_time(self) -> bool:
        return self.rows_before == 0

    def by_currency(self) -> Mapping[str | None, Decimal]:
        """Differences per currency, by its name."""
        sums: dict[str | None, Decimal] = {}
        for change in sorted(self.changes, key=lambda c: c.currency or ""):
            sums[change.currency] = sums.get(change.currency, Decimal(0)) + change.difference
        return sums


def changes_query(target: TableName, staging: TableName, replaced: Slice, measure: Measure) -> BoundSql:
    """Both tables by their physical names; the slice's values are bound, so the published table is pruned."""
    from sqlglot import exp

    before = _side(target, measure, 1).where(*(_equal(column) for column, _ in replaced.equals))
    both = exp.union(before, _side(staging, measure, 0), distinct=False)

    def total(column: str, old: int) -> exp.Expr:
        amount = exp.Case(ifs=[exp.If(this=exp.column("old").eq(old), true=exp.column(column))])
        return exp.Sum(this=exp.Coalesce(this=amount, expressions=[exp.Literal.number(0)]))

    sums = [
        exp.alias_(total("amount", 1), "amount_before"),
        exp.alias_(total("amount", 0), "amount_after"),
        exp.alias_(total("one", 1), "rows_before"),
        exp.alias_(total("one", 0), "rows_after"),
    ]
    tree = (
        exp.select("currency", "dimension", *sums)
        .from_(both.subquery("both"))
        .group_by("1", "2")
        .order_by("1", "2")
    )
    values = {f"slice_{column}": (_type(value), value) for column, value in replaced.equals}
    return BoundSql(tree.sql("bigquery"), values)


def _side(table: TableName, measure: Measure, old: int) -> exp.Select:
    from sqlglot import exp

    def text(name: str | None) -> exp.Expr:
        return exp.cast(exp.column(name, quoted=True) if name else exp.null(), "STRING")

    return exp.select(
        exp.alias_(text(measure.currency), "currency"),
        exp.alias_(text(measure.by), "dimension"),
        exp.alias_(exp.column(measure.column, quoted=True), "amount"),
        exp.alias_(exp.Literal.number(1), "one"),
        exp.alias_(exp.Literal.number(old), "old"),
    ).from_(exp.table_(table.table, db=table.dataset, quoted=True))


def _equal(column: str) -> exp.Expr:
    from sqlglot import exp

    return exp.column(column, quoted=True).eq(exp.Parameter(this=exp.var(f"slice_{column}")))


def _type(value: Scalar) -> FieldType:
    if isinstance(value, datetime):
        return FieldType.TIMESTAMP
    if isinstance(value, date):
        return FieldType.DATE
    if isinstance(value, str):
        return FieldType.STRING
    raise ConfigError(f"a slice is named by dates and texts, not by {value!r}")


def summarise(rows: Iterable[Mapping[str, Any]]) -> Restatement:
    """The answer of ``changes_query`` in words' reach."""
    found = [Change(**{**row, "amount_before": row["amount_before"] or Decimal(0)}) for row in rows]
    changed = sorted(
        (change for change in found if change.changed),
        key=lambda c: (-abs(c.difference), c.currency or "", c.dimension or ""),
    )
    return Restatement(
        sum(change.rows_before for change in found),
        sum(change.rows_after for change in found),
        tuple(changed),
    )
