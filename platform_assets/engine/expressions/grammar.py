"""JSON → nodes. Every mistake is told with its position; nothing is guessed and nothing is evaluated.

A reference is ``{"series_code": "X"}`` or ``{"seriesCode": "X"}``; whatever has ``op`` is an operation, whose kind
shows in its fields: ``series`` + ``window``, ``operands``, or ``left`` + ``right``. Fields that an operation does not
know are ignored, since senders add their own. Source: the control plane's expression format.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from platform_assets.engine.expressions import composite, series_math, window_op
from platform_assets.engine.expressions.faults import ExpressionError, Fault, Location, nearest
from platform_assets.engine.expressions.nodes import (
    Composite,
    Expression,
    Kind,
    Series,
    SeriesMath,
    WindowOp,
)

OPERATIONS: Mapping[Kind, Mapping[str, Any]] = {
    Kind.SERIES_MATH: series_math.OPERATIONS,
    Kind.WINDOW_OP: window_op.OPERATIONS,
    Kind.COMPOSITE: composite.OPERATIONS,
}
_FIELDS: Mapping[Kind, tuple[str, ...]] = {
    Kind.WINDOW_OP: ("series", "window"),
    Kind.COMPOSITE: ("operands",),
    Kind.SERIES_MATH: ("left", "right"),
}
Node = TypeVar("Node")

_CODE_FIELDS = ("series_code", "seriesCode")
_MAX_CODE = 300
_MAX_FAULTS = 20


@dataclass(frozen=True)
class Limits:
    """How large an expression may be: levels of operations, nodes in all, rows or days of one window."""

    depth: int = 32
    nodes: int = 1000
    window: int = 10_000_000


DEFAULT_LIMITS = Limits()


def parse(raw: object, kind: str, limits: Limits = DEFAULT_LIMITS) -> Expression:
    """An expression object as JSON gives it → nodes. ``kind`` is the request's ``expressionType``.

    Raises ExpressionError with every fault, each at its position (``$.left.operands[1].window: …``).
    """
    parser = _Parser(limits)
    node = parser.root(raw, kind)
    if node is None or parser.faults:
        raise ExpressionError(tuple(parser.faults))
    return node


@dataclass
class _Parser:
    """One parse: collects faults and counts nodes. Methods return None where they have told a fault."""

    limits: Limits
    faults: list[Fault] = field(default_factory=list)
    nodes: int = 0

    def root(self, raw: object, kind: str) -> Expression | None:
        if kind not in set(Kind):
            known = ", ".join(Kind)
            return self.fault(
                (), f"expressionType {kind!r} is none of {known}", nearest(kind, map(str, Kind))
            )
        if not isinstance(raw, Mapping):
            return self.fault((), f"must be an object, not {_what(raw)}")
        if "op" not in raw:
            return self.fault((), f"has no op; a {kind} is one of {_known(Kind(kind))}")
        found = self.kind_of(raw, ())
        if found is not None and found != kind:
            return self.fault((), f"expressionType says {kind}, but the fields are those of a {found}")
        return self.operation(raw, (), Kind(kind)) if found else None

    def fault(self, at: Location, reason: str, hint: str | None = None) -> Node | None:
        """Note a fault; always None, typed so that any parse method can end with it."""
        if len(self.faults) < _MAX_FAULTS:
            self.faults.append(Fault(at, reason, hint))
        return None

    def operand(self, raw: object, at: Location) -> Expression | None:
        """A reference, or a nested operation of any kind."""
        self.nodes += 1
        if self.nodes > self.limits.nodes:
            first = self.nodes == self.limits.nodes + 1  # telling it once is enough
            return (
                self.fault(at, f"is one operand too many; the limit is {self.limits.nodes:,}")
                if first
                else None
            )
        if not isinstance(raw, Mapping):
            return self.fault(at, f"must be a series reference or an operation, not {_what(raw)}")
        if "op" not in raw:
            return self.reference(raw, at)
        kind = self.kind_of(raw, at)
        return self.operation(raw, at, kind) if kind else None

    def reference(self, raw: Mapping[str, object], at: Location) -> Series | None:
        names = [name for name in _CODE_FIELDS if name in raw]
        if not names:
            return self.fault(at, "is neither a reference (series_code) nor an operation (op)")
        code = raw[names[0]]
        if any(raw[name] != code for name in names):
            return self.fault(at, "has two different codes in series_code and seriesCode")
        if not isinstance(code, str) or not 0 < len(code) <= _MAX_CODE:
            reason = f"must be a text of 1 to {_MAX_CODE} characters, not {_what(code)}"
            return self.fault((*at, names[0]), reason)
        return Series(code)

    def kind_of(self, raw: Mapping[str, object], at: Location) -> Kind | None:
        """The kind by its fields. Fields of two kinds are refused: there is no telling which was meant."""
        kinds = [kind for kind, fields in _FIELDS.items() if any(name in raw for name in fields)]
        if len(kinds) == 1:
            return kinds[0]
        if kinds:
            return self.fault(at, f"has fields of {' and '.join(kinds)}; an operation is of one kind")
        return self.fault(at, "has no operands: expected left and right, series and window, or operands")

    def operation(self, raw: Mapping[str, object], at: Location, kind: Kind) -> Expression | None:
        if len([part for part in at if isinstance(part, str)]) >= self.limits.depth:
            return self.fault(at, f"is nested deeper than {self.limits.depth} levels")
        op = self.op(raw["op"], at, kind)
        return _PARSERS[kind](self, raw, at, op)

    def op(self, op: object, at: Location, kind: Kind) -> str | None:
        if isinstance(op, str) and op in OPERATIONS[kind]:
            return op
        shown = repr(op) if isinstance(op, str) else _what(op)
        reason = f"{shown} is no {kind} operation; known: {_known(kind)}"
        return self.fault((*at, "op"), reason, nearest(op, OPERATIONS[kind]) if isinstance(op, str) else None)

    def required(self, raw: Mapping[str, object], name: str, at: Location) -> Expression | None:
        if name not in raw:
            return self.fault((*at, name), "is missing")
        return self.operand(raw[name], (*at, name))

    def series_math(self, raw: Mapping[str, object], at: Location, op: str | None) -> SeriesMath | None:
        left, right = self.required(raw, "left", at), self.required(raw, "right", at)
        scale = self.scale(raw.get("scale"), (*at, "scale"))
        return SeriesMath(op, left, right, scale) if op and left and right else None

    def scale(self, raw: object, at: Location) -> float | None:
        if raw is None:
            return None
        if isinstance(raw, bool) or not isinstance(raw, int | float):
            return self.fault(at, f"must be a number, not {_what(raw)}")
        try:
            scale = float(raw)
        except OverflowError:
            scale = math.inf
        return scale if math.isfinite(scale) else self.fault(at, "must be a finite number")

    def window_op(self, raw: Mapping[str, object], at: Location, op: str | None) -> WindowOp | None:
        series, window = self.required(raw, "series", at), self.window(raw, at)
        return WindowOp(op, series, window) if op and series and window else None

    def window(self, raw: Mapping[str, object], at: Location) -> int | None:
        window, at = raw.get("window"), (*at, "window")
        if "window" not in raw:
            return self.fault(at, "is missing")
        if isinstance(window, bool) or not isinstance(window, int):
            return self.fault(at, f"must be a whole number of at least 1, not {_what(window)}")
        if not 1 <= window <= self.limits.window:
            return self.fault(at, f"must be from 1 to {self.limits.window:,}, not {_shown(window)}")
        return window

    def composite(self, raw: Mapping[str, object], at: Location, op: str | None) -> Composite | None:
        operands, at = raw["operands"], (*at, "operands")
        if not isinstance(operands, list | tuple):
            return self.fault(at, f"must be a list, not {_what(operands)}")
        if len(operands) < 2:
            return self.fault(at, f"needs two operands or more, has {len(operands)}")
        parsed = [self.operand(operand, (*at, i)) for i, operand in enumerate(operands)]
        whole = tuple(node for node in parsed if node is not None)
        return Composite(op, whole) if op and len(whole) == len(parsed) else None


_PARSERS: Mapping[
    Kind, Callable[[_Parser, Mapping[str, object], Location, str | None], Expression | None]
] = {
    Kind.SERIES_MATH: _Parser.series_math,
    Kind.WINDOW_OP: _Parser.window_op,
    Kind.COMPOSITE: _Parser.composite,
}


def _known(kind: Kind) -> str:
    return ", ".join(sorted(OPERATIONS[kind]))


def _what(value: object) -> str:
    """A wrong value, short enough for a message; its contents are not shown where they may be long."""
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int():
            return _shown(value)
        case float():
            return repr(value)
        case str():
            return repr(value if len(value) <= 40 else value[:40] + "…")
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
    return type(value).__name__


def _shown(number: int) -> str:
    return str(number) if abs(number) < 10**20 else "a number of more than 20 digits"
