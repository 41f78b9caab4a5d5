"""The vocabulary in which expectations say what they measure: columns, bound values, aggregates, subqueries.

Builds sqlglot trees in BigQuery's meaning; nothing here pastes text. A ``Scope`` is one slice of one physical
table, narrowed by at most one row condition. Values in SQL are always bound; only the dates of the slice
are literal, because partition pruning asks for literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from typing import TypeAlias

from sqlglot import exp

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.values import Value, bound_type, coerce
from platform_assets.engine.schema.model import Field, FieldType, Scalar, Slice, TableSchema

Expr: TypeAlias = exp.Expr
Parameters: TypeAlias = dict[str, tuple[FieldType, Scalar | tuple[Scalar, ...]]]


class Binder:
    """Values → parameter names; equal values of one type share a parameter."""

    def __init__(self, prefix: str = "p") -> None:
        self.parameters: Parameters = {}
        self._names: dict[tuple[FieldType, str], str] = {}
        self._prefix = prefix

    def bind(self, value: Scalar, kind: FieldType) -> Expr:
        key = (kind, repr(value))
        name = self._names.setdefault(key, f"{self._prefix}{len(self._names)}")
        self.parameters[name] = (kind, value)
        return exp.Parameter(this=exp.var(name))


def identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def table_node(table: TableName) -> exp.Table:
    return exp.Table(this=identifier(table.table), db=identifier(table.dataset))


def all_of(predicates: Iterable[Expr]) -> Expr:
    return exp.and_(*predicates, copy=False)


def any_of(predicates: Iterable[Expr]) -> Expr:
    return exp.or_(*predicates, copy=False)


def negate(predicate: Expr) -> Expr:
    return exp.Not(this=exp.Paren(this=predicate))


def is_null(value: Expr) -> Expr:
    return exp.Is(this=value, expression=exp.Null())


def iff(condition: Expr, value: Expr, otherwise: Expr | None = None) -> Expr:
    return exp.If(this=condition, true=value, false=otherwise or exp.Null())


class Scope:
    """One slice of one table, under one row condition. All row predicates below are over its columns."""

    def __init__(
        self,
        table: TableName,
        schema: TableSchema,
        slice_: Slice | None,
        binder: Binder,
        condition: Expr | None = None,
    ) -> None:
        self.table, self.schema, self.slice = table, schema, slice_
        self.binder, self.condition = binder, condition

    def under(self, condition: Expr | None) -> Scope:
        """The same slice, counting only rows for which ``condition`` is true."""
        return Scope(self.table, self.schema, self.slice, self.binder, condition)

    # --- rows ---

    def field(self, name: str) -> Field:
        field = self.schema.get(name)
        if field is None:
            raise KeyError(name)
        return field

    def column(self, name: str) -> Expr:
        return exp.Column(this=identifier(self.field(name).name))

    def value(self, value: Value, column: str) -> Expr:
        """``value`` bound as the column's type."""
        kind = self.field(column).type
        scalar = coerce(value, kind)
        return self.binder.bind(scalar, bound_type(scalar, kind))

    def bind(self, value: Scalar, kind: FieldType) -> Expr:
        return self.binder.bind(value, kind)

    def missing(self, name: str) -> Expr:
        """NULL, or NaN: the two are one thing."""
        column = self.column(name)
        if self.field(name).type is not FieldType.FLOAT64:
            return is_null(column)
        return exp.Paren(this=any_of([is_null(column), exp.IsNan(this=column.copy())]))

    def present(self, name: str) -> Expr:
        """Neither NULL nor NaN. Never NULL itself."""
        column = self.column(name)
        known = negate(is_null(column))
        if self.field(name).type is not FieldType.FLOAT64:
            return known
        return all_of([known, negate(exp.IsNan(this=column.copy()))])

    def known(self, name: str) -> Expr:
        """The column's value with NaN turned into NULL, as aggregates want it."""
        column = self.column(name)
        if self.field(name).type is not FieldType.FLOAT64:
            return column
        return iff(exp.IsNan(this=column.copy()), exp.Null(), column)

    def unless_nan(self, name: str, predicate: Expr) -> Expr:
        """``predicate``, where the column is not NaN. (A NULL column makes a comparison NULL by itself.)"""
        if self.field(name).type is not FieldType.FLOAT64:
            return predicate
        return all_of([predicate, negate(exp.IsNan(this=self.column(name)))])

    def within(
        self,
        subject: Expr,
        low: Expr | None,
        high: Expr | None,
        *,
        strict_min: bool = False,
        strict_max: bool = False,
    ) -> Expr:
        """``low ≤ subject ≤ high``, each end open where asked. At least one end must be given."""
        ends: list[Expr] = []
        if low is not None:
            ends.append((exp.GT if strict_min else exp.GTE)(this=subject.copy(), expression=low))
        if high is not None:
            ends.append((exp.LT if strict_max else exp.LTE)(this=subject.copy(), expression=high))
        return all_of(ends)

    # --- aggregates under the row condition ---

    def rows(self) -> Expr:
        if self.condition is None:
            return exp.Count(this=exp.Star())
        return exp.CountIf(this=self.condition.copy())

    def count_if(self, predicate: Expr) -> Expr:
        """Rows for which ``predicate`` is true; NULL does not count."""
        if self.condition is None:
            return exp.CountIf(this=predicate)
        return exp.CountIf(this=all_of([exp.Paren(this=self.condition.copy()), exp.Paren(this=predicate)]))

    def narrowed(self, value: Expr) -> Expr:
        """``value``, NULL outside the row condition: what an aggregate must be given."""
        return value if self.condition is None else iff(self.condition.copy(), value)

    def count_known(self, name: str) -> Expr:
        """Rows whose column is neither NULL nor NaN."""
        return exp.Count(this=self.narrowed(self.known(name)))

    # --- subqueries ---

    def select(self, projections: Sequence[Expr], where: Sequence[Expr] = ()) -> exp.Select:
        """``SELECT … FROM table WHERE slice AND row condition AND where``."""
        query = exp.Select(expressions=list(projections), from_=exp.From(this=table_node(self.table)))
        condition = [] if self.condition is None else [exp.Paren(this=self.condition.copy())]
        clauses = [*self.slice_filter(), *condition, *where]
        return query.where(*clauses, copy=False) if clauses else query

    def slice_filter(self) -> list[Expr]:
        """Equality on the slice's columns: dates as literals, the rest bound."""
        equals = self.slice.equals if self.slice else ()
        return [self._slice_term(name, value) for name, value in equals]

    def _slice_term(self, name: str, value: Scalar) -> Expr:
        column = exp.Column(this=identifier(name))
        if value is None:
            return is_null(column)
        if isinstance(value, date) and not isinstance(value, datetime):
            literal = exp.Literal.string(value.isoformat())
            return exp.EQ(this=column, expression=exp.cast(literal, "DATE"))
        return exp.EQ(this=column, expression=self.binder.bind(value, _type_of(value)))


_PYTHON_TYPES: tuple[tuple[type, FieldType], ...] = (
    (bool, FieldType.BOOL),
    (int, FieldType.INT64),
    (float, FieldType.FLOAT64),
    (str, FieldType.STRING),
    (datetime, FieldType.TIMESTAMP),
)


def _type_of(value: Scalar) -> FieldType:
    return next((kind for cls, kind in _PYTHON_TYPES if isinstance(value, cls)), FieldType.BIGNUMERIC)
