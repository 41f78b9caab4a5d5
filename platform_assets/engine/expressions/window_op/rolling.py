"""The last ``window`` rows under an associative function (sum, max, min), in O(log window) passes.

A window's result is put together from results over 1, 2, 4, … rows, so it depends on the rows inside the window
only: unlike a running sum it keeps no rounding residue of values that have left, and cutting a series into pieces
never changes a bit. NaN inside the window gives NaN, which is the rule: null unless all values are there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.series import missing_where_infinite

if TYPE_CHECKING:
    import numpy as np

    from platform_assets.engine.expressions.operation import Times, Values


class Rolling:
    """State of one rolling operation: the ``window − 1`` rows before the next one."""

    def __init__(self, window: int, function: np.ufunc) -> None:
        self._window = window
        self._function = function
        self._past: Values | None = None

    def push(self, times: Times, values: Values) -> Values:
        """±inf counts as missing. Fewer than ``window`` rows so far give NaN."""
        import numpy as np

        values = missing_where_infinite(values)
        past = values[:0] if self._past is None else self._past
        rows = np.concatenate((past, values)) if len(past) else values
        self._past = rows[max(0, len(rows) - self._window + 1) :].copy()
        missing = self._window - 1 - len(past)
        if missing <= 0:
            return over_windows(rows, self._window, self._function)
        result = np.full(len(values), np.nan)
        if len(values) > missing:
            result[missing:] = over_windows(rows, self._window, self._function)
        return result


def over_windows(values: Values, window: int, function: np.ufunc) -> Values:
    """``function`` over each run of ``window`` values: ``len(values) − window + 1`` results."""
    count = len(values) - window + 1
    result: Values | None = None
    block, size, offset = values, 1, 0
    while True:
        if window & size:
            part = block[offset : offset + count]
            result = part.copy() if result is None else function(result, part, out=result)
            offset += size
        if size * 2 > window:
            assert result is not None
            return result
        block = function(block[:-size], block[size:])
        size *= 2
