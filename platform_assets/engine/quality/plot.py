"""A check's history as a small picture: one point per slice, failures in red.

Written here because every evaluation carries one: pygal's are 14 KB (sparkline) to 35 KB each, these 2 to 6.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from html import escape

_WIDTH, _HEIGHT, _MARGIN = 320, 80, 8
_GOOD, _BAD, _LINE = "#2e7d32", "#c62828", "#90a4ae"


@dataclass(frozen=True)
class Point:
    """One slice's result. ``value`` is what the check observed, or its unexpected percentage."""

    day: date
    value: float | None
    success: bool


def history_svg(points: Sequence[Point], title: str = "") -> str:
    """An SVG image of the points in order of day; a day without a value is a gap with a mark at the bottom."""
    ordered = sorted(points, key=lambda p: p.day)
    places = [(p, _x(i, len(ordered)), _y(p.value, ordered)) for i, p in enumerate(ordered)]
    path = " ".join(f"{x:.1f},{y:.1f}" for p, x, y in places if p.value is not None)
    dots = "".join(_dot(p, x, y) for p, x, y in places)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{_HEIGHT}" '
        f'viewBox="0 0 {_WIDTH} {_HEIGHT}"><title>{escape(title)}</title>'
        f'<polyline fill="none" stroke="{_LINE}" stroke-width="1" points="{path}"/>{dots}</svg>'
    )


def history_image(points: Sequence[Point], title: str = "") -> str:
    """The same as a Markdown image that carries its own data."""
    data = b64encode(history_svg(points, title).encode()).decode()
    return f"![{title or 'history'}](data:image/svg+xml;base64,{data})"


def _x(index: int, count: int) -> float:
    return _WIDTH / 2 if count == 1 else _MARGIN + index * (_WIDTH - 2 * _MARGIN) / (count - 1)


def _y(value: float | None, points: Sequence[Point]) -> float:
    if value is None:
        return _HEIGHT - _MARGIN / 2
    known = [p.value for p in points if p.value is not None]
    low, high = min(known), max(known)
    share = 0.5 if high == low else (value - low) / (high - low)
    return _HEIGHT - _MARGIN - share * (_HEIGHT - 2 * _MARGIN)


def _dot(point: Point, x: float, y: float) -> str:
    told = "no value" if point.value is None else f"{point.value:g}"
    colour = _GOOD if point.success else _BAD
    return (
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"><title>{point.day}: {told}</title></circle>'
    )
