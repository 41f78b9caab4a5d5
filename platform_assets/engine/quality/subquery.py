"""Measures and predicates that need more than the row at hand: statistics, repeats, quantiles, order.

Each is a subquery of the one audit query. Measures that share a subquery are taken from it together.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlglot import exp

from platform_assets.engine.quality.tree import (
    COMPARISONS,
    Expr,
    Measure,
    all_of,
    any_of,
    identifier,
    iff,
    name_of,
    negate,
    number,
)
from platform_assets.engine.quality.values import Value
from platform_assets.engine.schema.model import FieldType

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope


class Subqueries:
    """Subqueries over one slice under its row condition."""

    def __init__(self, on: Scope) -> None:
        self.on = on

    def z_score(self, name: str) -> Expr:
        """(value - mean) / standard deviation; NULL where there is no spread or an infinity takes part."""
        mean = self.on.scalar(exp.Avg(this=self.on.as_float(name)))
        distance = exp.Paren(this=exp.Sub(this=self.on.as_float(name), expression=mean))
        return exp.Div(this=distance, expression=self.on.scalar(self._spread(name)))

    def _spread(self, name: str) -> Expr:
        spread = exp.Nullif(this=self.on.deviation(name), expression=exp.Literal.number("0.0"))
        if self.on.field(name).type is not FieldType.FLOAT64:
            return spread
        finite = exp.EQ(this=self.on.infinities(name), expression=exp.Literal.number(0))
        return iff(finite, spread)

    def outside_quartiles(self, name: str, multiplier: float) -> Expr:
        """Row predicate: beyond ``multiplier`` interquartile ranges of the quartiles; NULL where one is infinite."""
        value = self.on.as_float(name)
        below = exp.LT(this=value, expression=self._fence(name, "q0", -multiplier))
        above = exp.GT(this=value.copy(), expression=self._fence(name, "q1", multiplier))
        return exp.Paren(this=any_of([below, above]))

    def _fence(self, name: str, quartile: str, multiplier: float) -> Expr:
        reach = exp.Mul(
            this=self.on.bind(multiplier, FieldType.FLOAT64),
            expression=exp.Paren(this=exp.Sub(this=name_of("q1"), expression=name_of("q0"))),
        )
        infinite = any_of([exp.IsInf(this=name_of("q0")), exp.IsInf(this=name_of("q1"))])
        fence = exp.AnyValue(
            this=iff(infinite, exp.Null(), exp.Add(this=name_of(quartile), expression=reach))
        )
        quartiles = self.quantiles(name, [0.25, 0.75], exact_value=False)
        return exp.Subquery(this=exp.select(fence).from_(quartiles.subquery("s_", copy=False)))

    def quantiles(self, name: str, quantiles: Sequence[float], *, exact_value: bool) -> exp.Select:
        """``q0, q1, …`` on every row: values of the column (``exact_value``), or interpolated between them."""
        cls = exp.PercentileDisc if exact_value else exp.PercentileCont
        subject = self.on.known(name) if exact_value else self.on.as_float(name)
        windows = [
            exp.alias_(exp.Window(this=cls(this=subject.copy(), expression=number(q)), over="OVER"), f"q{i}")
            for i, q in enumerate(quantiles)
        ]
        return self.on.select(windows, [self.on.present(name)])

    # --- measures over subqueries ---

    def counted(self) -> Measure:
        """Rows of this slice, for a query that is about another one."""
        return self.count_over([])

    def quantile_measure(
        self, name: str, quantiles: Sequence[float], index: int, *, exact_value: bool
    ) -> Measure:
        source = self.quantiles(name, quantiles, exact_value=exact_value)
        return Measure(exp.AnyValue(this=name_of(f"q{index}")), source)

    def distinct(self, name: str) -> Measure:
        return Measure(exp.Count(this=exp.Star()), self._counted_values(name))

    def _counted_values(self, name: str) -> exp.Select:
        """One subquery for all that concerns a column's distinct values, so that it is grouped once."""
        return self.value_counts([name], [self.on.present(name)])

    def distinct_outside(self, name: str, members: Iterable[Value]) -> Measure:
        inside = self.on.among(name_of("v0"), members, name)
        return Measure(exp.CountIf(this=negate(inside)), self._counted_values(name))

    def value_histogram(self, name: str, values: Sequence[Value]) -> dict[str, Measure | Expr]:
        """``known``; ``value0, …``: rows of each listed value; ``others``: rows of each further value, most first."""
        counted = self._counted_values(name)
        rows: dict[str, Measure | Expr] = {
            f"value{i}": Measure(
                self._rows_if(exp.EQ(this=name_of("v0"), expression=self.on.value(v, name))), counted
            )
            for i, v in enumerate(values)
        }
        other = negate(self.on.among(name_of("v0"), values, name))
        number_of = exp.CountIf(this=other)
        weighted = exp.Mul(this=name_of("n"), expression=exp.Ln(this=exp.cast(name_of("n"), "DOUBLE")))
        return {
            "known": self.on.count_known(name),
            **rows,
            "others": Measure(number_of, counted),
            "other_rows": Measure(self._rows_if(other.copy()), counted),
            "other_entropy": Measure(
                exp.Sum(this=iff(other.copy(), weighted, exp.Literal.number("0.0"))), counted
            ),
        }

    @staticmethod
    def _rows_if(predicate: Expr) -> Expr:
        return exp.Sum(this=iff(predicate, name_of("n"), exp.Literal.number(0)))

    def occurs(self, name: str, member: Value) -> Measure:
        """1 where a value occurs, else 0."""
        found = exp.EQ(this=name_of("v0"), expression=self.on.value(member, name))
        return Measure(exp.CountIf(this=found), self._counted_values(name))

    def most_common(self, name: str, members: Iterable[Value]) -> dict[str, Measure]:
        """How many values share the highest count (``ties``), how many of them are ``members``, and the least."""
        highest = exp.Window(this=exp.Max(this=name_of("n")), over="OVER")
        counted = exp.select(name_of("v0"), name_of("n"), exp.alias_(highest, "top")).from_(
            self._counted_values(name).subquery("c_", copy=False)
        )
        leads = exp.EQ(this=name_of("n"), expression=name_of("top"))
        member = all_of([leads.copy(), self.on.among(name_of("v0"), members, name)])
        return {
            "ties": Measure(exp.CountIf(this=leads), counted),
            "members": Measure(exp.CountIf(this=member), counted),
            "leader": Measure(exp.Min(this=iff(leads.copy(), name_of("v0"))), counted),
        }

    def count_over(self, where: Sequence[Expr]) -> Measure:
        """Rows that meet predicates which hold subqueries; those may not stand inside an aggregate."""
        one = exp.alias_(exp.Literal.number(1), "one")
        return Measure(exp.Count(this=exp.Star()), self.on.select([one], where))

    def repeated_rows(self, names: Sequence[str], where: Sequence[Expr] = ()) -> Measure:
        """Rows whose combination of values occurs more than once."""
        repeated = exp.GT(this=name_of("n"), expression=exp.Literal.number(1))
        total = exp.Sum(this=iff(repeated, name_of("n"), exp.Literal.number(0)))
        return Measure(total, self.value_counts(names, where))

    def is_repeated(self, *names: str, where: Sequence[Expr] = ()) -> Expr:
        """Row predicate: the combination of values occurs more than once."""
        key = self.on.known(names[0]) if len(names) == 1 else self._key(names)
        condition = [self.on.present(names[0])] if len(names) == 1 else list(where)
        repeated = exp.GT(this=exp.Count(this=exp.Star()), expression=exp.Literal.number(1))
        inner = self.on.select([exp.alias_(key.copy(), "k")], condition).group_by(key.copy()).having(repeated)
        return all_of([*condition, exp.In(this=key, query=exp.Subquery(this=inner))])

    def _key(self, names: Sequence[str]) -> Expr:
        """Several columns as one comparable text; NULLs are equal to one another."""
        members = [
            exp.PropertyEQ(this=identifier(f"k{i}"), expression=self.on.known(n)) for i, n in enumerate(names)
        ]
        return exp.JSONFormat(this=exp.Struct(expressions=members))

    def count_steps(self, name: str, order_by: Sequence[str], wrong: str) -> Measure:
        """Rows whose value stands in the ``wrong`` relation (``<``, ``<=``, …) to the one before it."""
        order = exp.Order(
            expressions=[exp.Ordered(this=self.on.column(o), nulls_first=True) for o in order_by]
        )
        previous = exp.Window(this=exp.Lag(this=self.on.known(name)), over="OVER", order=order)
        inner = self.on.select(
            [exp.alias_(self.on.known(name), "v"), exp.alias_(previous, "before")], [self.on.present(name)]
        )
        return Measure(
            exp.CountIf(this=COMPARISONS[wrong](this=name_of("v"), expression=name_of("before"))), inner
        )

    # --- subqueries ---

    def value_counts(self, names: Sequence[str], where: Sequence[Expr] = ()) -> exp.Select:
        """``v0, v1, …, n``: each distinct combination of the columns and its rows, one row each."""
        values = [exp.alias_(self.on.known(name), f"v{i}") for i, name in enumerate(names)]
        counted = exp.alias_(exp.Count(this=exp.Star()), "n")
        return self.on.select([*values, counted], where).group_by(
            *(self.on.known(n) for n in names), copy=False
        )

    # --- two tables ---

    def reconciliation(
        self, other: Scope, column: str, other_column: str, groups: Mapping[str, str], tolerance: Decimal
    ) -> dict[str, Measure]:
        """Sums of both sides per group: one subquery in which each side's rows carry zero for the other."""
        ours = _side(self.on, column, list(groups), "l", "r")
        theirs = _side(other, other_column, list(groups.values()), "r", "l")
        keys = [name_of(f"k{i}") for i in range(len(groups))]
        sums = [exp.alias_(exp.Sum(this=name_of(side)), side) for side in ("l", "r")]
        both = exp.union(ours, theirs, distinct=False, copy=False).subquery("u_", copy=False)
        source = exp.select(*keys, *sums).from_(both)
        source = source.group_by(*(k.copy() for k in keys)) if keys else source
        difference = exp.Abs(this=exp.Sub(this=name_of("l"), expression=name_of("r")))
        limit = self.on.bind(tolerance, FieldType.BIGNUMERIC)
        aggregates: dict[str, Expr] = {
            "groups": exp.Count(this=name_of("l")),
            "wrong": exp.CountIf(this=exp.GT(this=difference, expression=limit)),
            "largest": exp.Max(this=difference.copy()),
            "left": exp.Sum(this=name_of("l")),
            "right": exp.Sum(this=name_of("r")),
        }
        return {name: Measure(aggregate, source) for name, aggregate in aggregates.items()}


def _side(on: Scope, column: str, keys: Sequence[str], filled: str, empty: str) -> exp.Select:
    """``k0, …, l, r``: a table's rows with their amounts on one side and zero on the other."""
    zero = exp.cast(exp.Literal.number(0), "BIGNUMERIC", dialect="bigquery")
    amount = exp.cast(on.known(column), "BIGNUMERIC", dialect="bigquery")
    values = {filled: exp.Coalesce(this=amount, expressions=[zero.copy()]), empty: zero}
    columns = [exp.alias_(on.known(key), f"k{i}") for i, key in enumerate(keys)]
    return on.select([*columns, *(exp.alias_(values[side], side) for side in ("l", "r"))])
