"""An expression in words, as a tree: for people who write one and for the asset's description."""

from __future__ import annotations

from collections.abc import Iterator

from platform_assets.engine.expressions.grammar import OPERATIONS
from platform_assets.engine.expressions.nodes import (
    Composite,
    Expression,
    Series,
    SeriesMath,
    WindowOp,
    children,
)


def explain(node: Expression) -> str:
    """One line per node, operands indented below their operation, each with its meaning."""
    return "\n".join(_lines(node, "", ""))


def formula(node: Expression) -> str:
    """The expression on one line: ``ratio(multiply(RESERVES, TC), sma(BASE, 30 rows)) × 2.0``."""
    if isinstance(node, Series):
        return node.code
    inner = ", ".join(map(formula, children(node)))
    if isinstance(node, WindowOp):
        return f"{node.op}({inner}, {node.window} {_unit(node)})"
    scale = node.scale if isinstance(node, SeriesMath) else None
    return f"{node.op}({inner})" + ("" if scale in (None, 1.0) else f" × {scale}")


def _lines(node: Expression, indent: str, role: str) -> Iterator[str]:
    yield indent + role + _line(node)
    for name, child in zip(_roles(node), children(node), strict=True):
        yield from _lines(child, indent + "  ", name)


def _line(node: Expression) -> str:
    if isinstance(node, Series):
        return f"series {node.code}"
    text = f"{node.kind} {node.op}"
    if isinstance(node, WindowOp):
        text += f", window {node.window} {_unit(node)}"
    if isinstance(node, SeriesMath) and node.scale is not None:
        text += f", scale {node.scale}"
    return f"{text}: {OPERATIONS[node.kind][node.op].meaning}"


def _roles(node: Expression) -> tuple[str, ...]:
    match node:
        case SeriesMath():
            return ("left: ", "right: ")
        case WindowOp():
            return ("series: ",)
        case Composite():
            return tuple(f"operands[{i}]: " for i in range(len(node.operands)))
    return ()


def _unit(node: WindowOp) -> str:
    return str(OPERATIONS[node.kind][node.op].unit)
