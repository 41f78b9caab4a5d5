"""Running an expression: a flat program over slices of time, in memory that does not grow with the series.

All series advance together: each step takes from every series the rows up to the earliest time that all have
delivered, and every operation turns those rows into its own, keeping only the past that it still needs. A
sub-expression that occurs twice runs once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeAlias

from platform_assets.engine.errors import DataError
from platform_assets.engine.expressions import composite, series_math, window_op
from platform_assets.engine.expressions.nodes import (
    Composite,
    Expression,
    Series,
    SeriesMath,
    WindowOp,
    children,
    series_codes,
    walk,
)
from platform_assets.engine.expressions.series import Chunk, align

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Values

SLICE_ROWS = 65_536  # half a megabyte a column: a slice and its temporaries stay in the second-level cache

_Step: TypeAlias = Callable[[Sequence[Chunk]], Chunk]


def evaluate(
    expression: Expression, sources: Mapping[str, Iterable[Chunk]], *, slice_rows: int = SLICE_ROWS
) -> Iterator[Chunk]:
    """The expression's rows in time order. ``sources``: each series by its code, as chunks in time order.

    ``slice_rows`` never changes a result, only memory and speed. Raises DataError where a series is not there or
    does not advance in time.
    """
    codes = series_codes(expression)
    missing = [code for code in codes if code not in sources]
    if missing:
        raise DataError(f"no series given for {', '.join(missing)}")
    program = Program(expression)
    cursors = [_Cursor(code, iter(sources[code])) for code in codes]
    # A window is carried from slice to slice, so slices grow with it: then carrying costs a fraction.
    rows = max(slice_rows, 4 * _longest_window(expression))
    return (program.run(parts) for parts in _slices(cursors, rows))


def evaluate_whole(
    expression: Expression, series: Mapping[str, Chunk], *, slice_rows: int = SLICE_ROWS
) -> Chunk:
    """The same for series that are in memory already, as one chunk."""
    import numpy as np

    sources = {code: (chunk,) for code, chunk in series.items()}
    chunks = list(evaluate(expression, sources, slice_rows=slice_rows)) or [_empty()]
    return Chunk(np.concatenate([c.times for c in chunks]), np.concatenate([c.values for c in chunks]))


class Program:
    """The distinct nodes of an expression in working order, each with its state."""

    def __init__(self, expression: Expression) -> None:
        nodes = list(dict.fromkeys(walk(expression)))
        places = {node: i for i, node in enumerate(nodes)}
        self._steps = [
            (node.code, None, ()) if isinstance(node, Series) else ("", _step(node), _places(node, places))
            for node in nodes
        ]

    def run(self, parts: Mapping[str, Chunk]) -> Chunk:
        """The next slice: each series' rows of it → the result's rows."""
        import numpy as np

        results: list[Chunk] = []
        # x/0, 0/0 and overflow have meanings here (±inf, null), so numpy need not warn of them.
        with np.errstate(all="ignore"):
            for code, step, operands in self._steps:
                results.append(step([results[i] for i in operands]) if step else parts[code])
        return results[-1]


def _places(node: Expression, places: Mapping[Expression, int]) -> tuple[int, ...]:
    return tuple(places[child] for child in children(node))


def _step(node: SeriesMath | WindowOp | Composite) -> _Step:
    match node:
        case SeriesMath():
            return _series_math(node)
        case WindowOp():
            return _window_op(node)
        case Composite():
            return _composite(node)


def _series_math(node: SeriesMath) -> _Step:
    apply, scale = series_math.OPERATIONS[node.op].apply, node.scale

    def step(operands: Sequence[Chunk]) -> Chunk:
        times, (left, right) = align(operands)
        values = apply(left, right)
        return Chunk(times, values if scale is None else values * scale)

    return step


def _window_op(node: WindowOp) -> _Step:
    window = window_op.OPERATIONS[node.op].start(node.window)

    def step(operands: Sequence[Chunk]) -> Chunk:
        (chunk,) = operands
        return Chunk(chunk.times, window.push(chunk.times, chunk.values)) if len(chunk) else chunk

    return step


def _composite(node: Composite) -> _Step:
    apply: Callable[[Sequence[Values]], Values] = composite.OPERATIONS[node.op].apply

    def step(operands: Sequence[Chunk]) -> Chunk:
        times, values = align(operands)
        return Chunk(times, apply(values))

    return step


def _longest_window(expression: Expression) -> int:
    return max((node.window for node in walk(expression) if isinstance(node, WindowOp)), default=0)


class _Cursor:
    """How far one series has been used: the rest of the chunk that it is in."""

    def __init__(self, code: str, source: Iterator[Chunk]) -> None:
        self.code = code
        self._source = source
        self._last: int | None = None
        self.rest: Chunk | None = None

    def fill(self) -> bool:
        """Fetch the next chunk where this one is used up. False at the end of the series."""
        while self.rest is None or not len(self.rest):
            self.rest = next(self._source, None)
            if self.rest is None:
                return False
            self._check(self.rest)
        return True

    def _check(self, chunk: Chunk) -> None:
        if len(chunk):
            if self._last is not None and chunk.times[0] <= self._last:
                raise DataError(f"series {self.code!r} does not advance in time from chunk to chunk")
            self._last = int(chunk.times[-1])

    def available_until(self, rows: int) -> int:
        """The time of the last row at hand, at most ``rows`` ahead."""
        assert self.rest is not None
        return int(self.rest.times[min(rows, len(self.rest)) - 1])

    def take_until(self, time: int) -> Chunk:
        """The rows up to and including ``time``; they are gone from here."""
        rest = self.rest
        if rest is None:
            return _empty()
        count = int(rest.times.searchsorted(time, "right"))
        self.rest = Chunk(rest.times[count:], rest.values[count:])
        return Chunk(rest.times[:count], rest.values[:count])


def _slices(cursors: Sequence[_Cursor], rows: int) -> Iterator[dict[str, Chunk]]:
    while live := [cursor for cursor in cursors if cursor.fill()]:
        until = min(cursor.available_until(rows) for cursor in live)
        yield {cursor.code: cursor.take_until(until) for cursor in cursors}


def _empty() -> Chunk:
    import numpy as np

    return Chunk(np.empty(0, np.int64), np.empty(0))
