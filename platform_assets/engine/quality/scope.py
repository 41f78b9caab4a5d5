"""The vocabulary in which expectations say what they measure: columns, bound values, aggregates, subqueries.

Builds sqlglot trees in BigQuery's meaning; nothing here pastes text. A ``Scope`` is one slice of one physical
table, narrowed by at most one row condition. Values in SQL are always bound; only the dates of the slice
are literal, because partition pruning asks for literals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import TypeAlias

from sqlglot import exp

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.subquery import Subqueries
from platform_assets.engine.quality.tree import (
    AGGREGATES,
    Expr,
    all_of,
    any_of,
    identifier,
    iff,
    is_null,
    like_as_regex,
    negate,
    number,
    table_node,
)
from platform_assets.engine.quality.values import Value, bound_type, coerce
from platform_assets.engine.schema.model import Field, FieldType, Scalar, Slice, TableSchema

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

    def bind_all(self, values: tuple[Scalar, ...], kind: FieldType) -> Expr:
        """One ARRAY parameter."""
        key = (kind, repr(values))
        name = self._names.setdefault(key, f"{self._prefix}{len(self._names)}")
        self.parameters[name] = (kind, values)
        return exp.Parameter(this=exp.var(name))


class Inline(Binder):
    """Writes values out as literals, for queries that people read; never for queries that are run."""

    def bind(self, value: Scalar, kind: FieldType) -> Expr:
        if value is None or isinstance(value, bool):
            return exp.convert(value)
        if isinstance(value, int | float):
            return number(value)
        text = value.isoformat() if isinstance(value, date) else str(value)
        literal = exp.Literal.string(text)
        return literal if kind is FieldType.STRING else exp.cast(literal, kind.value, dialect="bigquery")

    def bind_all(self, values: tuple[Scalar, ...], kind: FieldType) -> Expr:
        return exp.Array(expressions=[self.bind(value, kind) for value in values])


_LONGEST_LIST = 8  # beyond it a set travels as one ARRAY parameter, which DuckDB looks up by hash (measured)


@dataclass(frozen=True)
class Source:
    """A slice of a physical table; other tables of a suite are given as ``others``: logical name → source.

    ``days`` (column, first, last) picks further by a range of dates: a month of a daily table.
    """

    table: TableName
    schema: TableSchema
    slice: Slice | None = None
    days: tuple[str, date, date] | None = None


class Scope:
    """One slice of one table, under one row condition. All row predicates below are over its columns."""

    def __init__(
        self,
        source: Source,
        binder: Binder,
        condition: Expr | None = None,
        others: Mapping[str, Source] | None = None,
    ) -> None:
        self.table, self.schema, self.slice = source.table, source.schema, source.slice
        self.source, self.binder, self.condition, self.others = source, binder, condition, others or {}

    @property
    def over(self) -> Subqueries:
        """What needs more than the row at hand."""
        return Subqueries(self)

    def under(self, condition: Expr | None) -> Scope:
        """The same slice, counting only rows for which ``condition`` is true."""
        return Scope(self.source, self.binder, condition, self.others)

    def where(self, condition: str | None) -> Scope:
        """The same slice under a row condition as it is written in a suite."""
        from platform_assets.engine.quality.condition import parse_condition

        return self if condition is None else self.under(parse_condition(condition, self.schema))

    def other(self, logical: str) -> Scope:
        """Another table of the same tenant. KeyError where the caller gave no source for it."""
        return Scope(self.others[logical], self.binder, None, self.others)

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

    def as_float(self, name: str) -> Expr:
        """The column as FLOAT64, NaN turned into NULL."""
        known = self.known(name)
        return known if self.field(name).type is FieldType.FLOAT64 else exp.cast(known, "DOUBLE")

    def among(self, subject: Expr, values: Iterable[Value], column: str) -> Expr:
        """``subject IN (values)``, the values bound as the column's type."""
        distinct = list(dict.fromkeys(values))
        if len(distinct) <= _LONGEST_LIST:
            return exp.In(this=subject, expressions=[self.value(v, column) for v in distinct])
        kind = self.field(column).type
        array = self.binder.bind_all(tuple(coerce(v, kind) for v in distinct), kind)
        return exp.In(this=subject, unnest=exp.Unnest(expressions=[array]))

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

    # --- predicates ---

    @staticmethod
    def negate(predicate: Expr) -> Expr:
        return negate(predicate)

    @staticmethod
    def combine(predicates: Sequence[Expr], match_on: str) -> Expr:
        return exp.Paren(this=any_of(predicates) if match_on == "any" else all_of(predicates))

    @staticmethod
    def unless_true(predicate: Expr) -> Expr:
        """True where ``predicate`` is false or NULL."""
        return exp.Not(this=exp.Coalesce(this=predicate, expressions=[exp.false()]))

    @staticmethod
    def never() -> Expr:
        return exp.false()

    @staticmethod
    def equal(left: Expr, right: Expr) -> Expr:
        return exp.EQ(this=left, expression=right)

    @staticmethod
    def differ(left: Expr, right: Expr) -> Expr:
        return exp.NEQ(this=left, expression=right)

    @staticmethod
    def same(left: Expr, right: Expr) -> Expr:
        """Equal, two NULLs included. Never NULL."""
        return exp.Paren(this=exp.NullSafeEQ(this=left, expression=right))

    @staticmethod
    def greater(left: Expr, right: Expr, *, or_equal: bool) -> Expr:
        return (exp.GTE if or_equal else exp.GT)(this=left, expression=right)

    def at_least(self, subject: Expr, limit: float) -> Expr:
        return exp.GTE(this=subject, expression=self.bind(limit, FieldType.FLOAT64))

    @staticmethod
    def absolute(value: Expr) -> Expr:
        return exp.Abs(this=value)

    def length(self, name: str) -> Expr:
        """Characters of a STRING, bytes of BYTES."""
        # By name: sqlglot writes its own node for both as LENGTH, which DuckDB cannot tell apart.
        function = "BYTE_LENGTH" if self.field(name).type is FieldType.BYTES else "CHAR_LENGTH"
        return exp.Anonymous(this=function, expressions=[self.column(name)])

    def matches(self, subject: Expr, regex: str) -> Expr:
        return exp.RegexpLike(this=subject, expression=self.bind(regex, FieldType.STRING))

    def like(self, subject: Expr, pattern: str, escape: str | None) -> Expr:
        """LIKE. BigQuery's backslash escapes and DuckDB's does not, so patterns with either become expressions."""
        if escape is None and "\\" not in pattern:
            return exp.Like(this=subject, expression=self.bind(pattern, FieldType.STRING))
        return self.matches(subject, like_as_regex(pattern, escape))

    def not_json(self, name: str) -> Expr:
        """The text is no JSON document."""
        parsed = exp.SafeFunc(this=exp.ParseJSON(this=self.column(name)))
        return all_of([negate(is_null(self.column(name))), is_null(parsed)])

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

    def aggregate(self, function: str, name: str) -> Expr:
        """MAX, MIN, SUM or AVG of the column's known values."""
        return AGGREGATES[function](this=self.narrowed(self.known(name)))

    def deviation(self, name: str) -> Expr:
        """Sample standard deviation of the finite values; what an infinity leaves of it differs by warehouse."""
        value = self.as_float(name)
        if self.field(name).type is FieldType.FLOAT64:
            value = iff(exp.IsInf(this=self.column(name)), exp.Null(), value)
        return exp.StddevSamp(this=self.narrowed(value))

    def infinities(self, name: str) -> Expr:
        return self.count_if(exp.IsInf(this=self.column(name)))

    def total(self, names: Sequence[str]) -> Expr:
        """The row's sum over several columns."""
        columns = [self.known(name) for name in names]
        total = columns[0]
        for column in columns[1:]:
            total = exp.Add(this=total, expression=column)
        return total

    def approximate_quantile(self, name: str, quantile: float) -> Expr:
        """An estimate with BigQuery's APPROX_QUANTILES, of the quantile to the nearest thousandth."""
        share = Fraction(quantile).limit_denominator(1000)
        estimates = exp.ApproxQuantiles(
            this=self.narrowed(self.as_float(name)), expression=number(share.denominator)
        )
        return exp.Bracket(this=estimates, expressions=[number(share.numerator)], offset=0, safe=False)

    def histogram(self, name: str, edges: Sequence[float]) -> dict[str, Expr]:
        """``known``, ``below``, ``bin0 … bin(n-1)``, ``above``: rows by where they fall between rising edges; the last
        bin has both its edges."""
        value, last = self.as_float(name), len(edges) - 2
        ends = [self.bind(edge, FieldType.FLOAT64) for edge in edges]
        bins = {
            f"bin{i}": self.count_if(self.within(value, ends[i], ends[i + 1], strict_max=i < last))
            for i in range(last + 1)
        }
        below, above = exp.LT(this=value, expression=ends[0]), exp.GT(this=value.copy(), expression=ends[-1])
        return {
            "known": self.count_known(name),
            "below": self.count_if(below),
            **bins,
            "above": self.count_if(above),
        }

    # --- subqueries ---

    def select(self, projections: Sequence[Expr], where: Sequence[Expr] = ()) -> exp.Select:
        """``SELECT … FROM table WHERE slice AND row condition AND where``."""
        query = exp.Select(expressions=list(projections), from_=exp.From(this=table_node(self.table)))
        condition = [] if self.condition is None else [exp.Paren(this=self.condition.copy())]
        clauses = [*self.slice_filter(), *condition, *where]
        return query.where(*clauses, copy=False) if clauses else query

    def scalar(self, projection: Expr, where: Sequence[Expr] = ()) -> Expr:
        """One aggregate of the slice as a scalar subquery."""
        return exp.Subquery(this=self.select([projection], where))

    def slice_filter(self) -> list[Expr]:
        """Equality on the slice's columns, and the range of days: dates as literals, the rest bound."""
        equals = self.slice.equals if self.slice else ()
        terms = [self._slice_term(name, value) for name, value in equals]
        if self.source.days is not None:
            column, first, last = self.source.days
            ends = {"low": _date_literal(first), "high": _date_literal(last)}
            terms.append(exp.Between(this=exp.Column(this=identifier(column)), **ends))
        return terms

    def _slice_term(self, name: str, value: Scalar) -> Expr:
        column = exp.Column(this=identifier(name))
        if value is None:
            return is_null(column)
        if isinstance(value, date) and not isinstance(value, datetime):
            return exp.EQ(this=column, expression=_date_literal(value))
        return exp.EQ(this=column, expression=self.binder.bind(value, _type_of(value)))


def _date_literal(value: date) -> Expr:
    return exp.cast(exp.Literal.string(value.isoformat()), "DATE")


_PYTHON_TYPES: tuple[tuple[type, FieldType], ...] = (
    (bool, FieldType.BOOL),
    (int, FieldType.INT64),
    (float, FieldType.FLOAT64),
    (str, FieldType.STRING),
    (datetime, FieldType.TIMESTAMP),
)


def _type_of(value: Scalar) -> FieldType:
    return next((kind for cls, kind in _PYTHON_TYPES if isinstance(value, cls)), FieldType.BIGNUMERIC)
