"""What expressions mean, as plainly as it can be written: dictionaries from timestamp to float or None.

Slow, and shares no code with the engine; the oracle of the property tests.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

Plain: TypeAlias = dict[int, float | None]
DAY = 86_400_000_000_000


def evaluate(node: dict[str, Any], series: dict[str, Plain]) -> Plain:
    if "op" not in node:
        return dict(sorted(series[node.get("series_code") or node["seriesCode"]].items()))
    if "window" in node:
        return _window(node["op"], evaluate(node["series"], series), node["window"])
    if "operands" in node:
        return _composite(node["op"], [evaluate(operand, series) for operand in node["operands"]])
    left, right = evaluate(node["left"], series), evaluate(node["right"], series)
    times = sorted(left.keys() | right.keys())
    return {t: _null(_pair(node["op"], left.get(t), right.get(t), node.get("scale"))) for t in times}


def _null(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else value


def _pair(op: str, left: float | None, right: float | None, scale: float | None) -> float | None:
    if left is None or right is None:
        return None
    result = {
        "add": lambda: left + right,
        "subtract": lambda: left - right,
        "multiply": lambda: left * right,
        "ratio": lambda: _divide(left, right),
    }[op]()
    return result if scale is None else result * scale


def _divide(left: float, right: float) -> float:
    if right != 0.0:
        return left / right
    if left == 0.0 or math.isnan(left):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _window(op: str, operand: Plain, window: int) -> Plain:
    if op == "lag":
        return {t: _latest(operand, t - window * DAY) for t in operand}
    values = [None if v is None or math.isinf(v) else v for v in operand.values()]
    results = (
        _ema(values, window) if op == "ema" else [_rolling(op, values, i, window) for i in range(len(values))]
    )
    return dict(zip(operand, results, strict=True))


def _latest(operand: Plain, until: int) -> float | None:
    earlier = [t for t in operand if t <= until]
    return operand[max(earlier)] if earlier else None


def _rolling(op: str, values: list[float | None], i: int, window: int) -> float | None:
    inside = values[max(0, i - window + 1) : i + 1]
    if len(inside) < window or None in inside:
        return None
    present = [v for v in inside if v is not None]
    return {"sum": math.fsum, "max": max, "min": min, "sma": lambda v: math.fsum(v) / window}[op](present)


def _ema(values: list[float | None], window: int) -> list[float | None]:
    alpha = 2 / (window + 1)
    results: list[float | None] = []
    last, rows = None, 0
    for value in values:
        rows += 1
        if value is not None:
            weight = (1 - alpha) ** rows
            last = value if last is None else (weight * last + alpha * value) / (weight + alpha)
            rows = 0
        results.append(last)
    return results


def _composite(op: str, operands: list[Plain]) -> Plain:
    return {t: _null(_combine(op, [o.get(t) for o in operands])) for t in sorted(set().union(*operands))}


def _combine(op: str, values: list[float | None]) -> float | None:
    present = [v for v in values if v is not None]
    if not present:
        return 0.0 if op == "sum" else None
    return {"sum": sum, "max": max, "min": min, "avg": lambda v: sum(v) / len(v)}[op](present)
