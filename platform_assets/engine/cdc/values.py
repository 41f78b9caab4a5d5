"""The value of a gauge: arithmetic over columns of query results, with rules for what is missing.

``u.total / (u.total + p.total)``: names are ``query.column``, operators ``+ - * /``, numbers, brackets. A division by
0 or less is not a number but a rule of the gauge, and so is a null.
"""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

_MOST_CHARACTERS = 500


@dataclass(frozen=True)
class Number:
    value: float


@dataclass(frozen=True, order=True)
class Column:
    """``column`` of the result of ``query``."""

    query: str
    column: str

    def __str__(self) -> str:
        return f"{self.query}.{self.column}"


@dataclass(frozen=True)
class Operation:
    operator: str
    left: Expression
    right: Expression


Expression: TypeAlias = Number | Column | Operation


class NullOperand(Exception):
    """A column that the value needs is null."""


class NoDenominator(Exception):
    """A denominator is 0 or less."""


_OPERATORS: Mapping[type[ast.operator], str] = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/"}
_MEANING: Mapping[str, Callable[[float, float], float]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}


@lru_cache(maxsize=1024)
def parse_value(text: str) -> Expression:
    """ValueError says what is wrong with the text."""
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"is longer than {_MOST_CHARACTERS} characters")
    try:
        return _node(ast.parse(text.strip(), mode="eval").body)
    except (SyntaxError, RecursionError):
        raise ValueError("is not arithmetic over query.column") from None


def _node(node: ast.expr) -> Expression:
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return Number(float(value))
        case ast.Attribute(value=ast.Name(id=query), attr=column):
            return Column(query, column)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
            return Operation(_OPERATORS[type(op)], _node(left), _node(right))
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return Operation("-", Number(0.0), _node(operand))
        case _:
            raise ValueError(f"{ast.unparse(node)!r} is not query.column, a number, + - * / or brackets")


def columns_of(expression: Expression) -> Iterator[Column]:
    """Every column the value reads, in reading order."""
    match expression:
        case Column():
            yield expression
        case Operation(left=left, right=right):
            yield from columns_of(left)
            yield from columns_of(right)


def evaluate(expression: Expression, columns: Mapping[Column, float | None]) -> float:
    """Raises NullOperand and NoDenominator where a rule has to say what the value is."""
    match expression:
        case Number(value=value):
            return value
        case Column():
            found = columns[expression]
            if found is None:
                raise NullOperand(str(expression))
            return found
        case Operation(operator=sign, left=left, right=right):
            first, second = evaluate(left, columns), evaluate(right, columns)
            if sign == "/" and second <= 0:
                raise NoDenominator
            return _MEANING[sign](first, second)
