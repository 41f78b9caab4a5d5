"""The parsed expression: four frozen node types. Kinds are decided once, by the grammar; nothing re-infers them.

Equal nodes are equal values, so that a sub-expression written twice is evaluated once.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias


class Kind(StrEnum):
    """The three kinds of operation, by the names that requests use (``expressionType``)."""

    SERIES_MATH = "series_math"
    WINDOW_OP = "window_op"
    COMPOSITE = "composite"


@dataclass(frozen=True)
class Series:
    """A reference to an input series by its code."""

    code: str


@dataclass(frozen=True)
class SeriesMath:
    """Two operands, joined on equal timestamps. ``scale`` multiplies the result; None means absent."""

    kind: ClassVar[Kind] = Kind.SERIES_MATH
    op: str
    left: Expression
    right: Expression
    scale: float | None = None


@dataclass(frozen=True)
class WindowOp:
    """One operand looked at over the past: ``window`` rows, or calendar days for ``lag``."""

    kind: ClassVar[Kind] = Kind.WINDOW_OP
    op: str
    series: Expression
    window: int


@dataclass(frozen=True)
class Composite:
    """Two operands or more, joined on equal timestamps; missing values are skipped."""

    kind: ClassVar[Kind] = Kind.COMPOSITE
    op: str
    operands: tuple[Expression, ...]


Operation: TypeAlias = SeriesMath | WindowOp | Composite
Expression: TypeAlias = Series | Operation


def children(node: Expression) -> tuple[Expression, ...]:
    """The operands, in the order in which they are written."""
    match node:
        case Series():
            return ()
        case SeriesMath():
            return (node.left, node.right)
        case WindowOp():
            return (node.series,)
        case Composite():
            return node.operands


def walk(node: Expression) -> Iterator[Expression]:
    """Every node, operands before the operation that uses them."""
    for child in children(node):
        yield from walk(child)
    yield node


def series_codes(node: Expression) -> tuple[str, ...]:
    """The distinct series that an expression reads, sorted."""
    return tuple(sorted({found.code for found in walk(node) if isinstance(found, Series)}))
