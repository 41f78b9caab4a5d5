"""Small pieces of SQL trees, in BigQuery's meaning. Nothing here pastes text into a query."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

from sqlglot import exp

from platform_assets.engine.names import TableName

Expr: TypeAlias = exp.Expr
COMPARISONS: dict[str, type[exp.Binary]] = {"<": exp.LT, "<=": exp.LTE, ">": exp.GT, ">=": exp.GTE}
AGGREGATES: dict[str, type[exp.AggFunc]] = {"MAX": exp.Max, "MIN": exp.Min, "SUM": exp.Sum, "AVG": exp.Avg}


@dataclass(frozen=True)
class Measure:
    """One aggregate: over the slice's rows, or over ``source``, a subquery of them."""

    aggregate: Expr
    source: exp.Select | None = None


def identifier(name: str) -> exp.Identifier:
    return exp.to_identifier(name, quoted=True)


def name_of(name: str) -> Expr:
    """A column of a subquery, by the name it was given there."""
    return exp.Column(this=identifier(name))


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


def number(value: float) -> Expr:
    return exp.Literal.number(repr(value))


def like_as_regex(pattern: str, escape: str | None) -> str:
    """A LIKE pattern as a regular expression over the whole text, in words that RE2 knows."""
    out, literal = [], False
    for character in pattern:
        if literal or character not in ("%", "_", escape):
            out.append(_quoted(character))
            literal = False
        elif character == escape:
            literal = True
        else:
            out.append(".*" if character == "%" else ".")
    return f"^(?s:{''.join(out)})$"


def _quoted(character: str) -> str:
    return f"\\{character}" if character in r"\.+*?()|[]{}^$" else character
