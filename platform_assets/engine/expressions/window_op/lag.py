"""``lag``: the value ``window`` calendar days ago: that of the latest row at or before ``time − window days``.

No limit on how far back that row is; a null there is returned as null, nothing earlier gives null. The time of day
counts. Days, not rows: the rows form ended on 2025-11-15, before this project took over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import Window, WindowOperation

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Times, Values

DAY_NS = 86_400_000_000_000
_BLOCK = 8192  # small enough that a binary search inside a block's range stays in the first-level cache
_MIN_TIME = -(2**63)
_MAX_SHIFT = 2**63 - 1


class _Lag:
    def __init__(self, window: int) -> None:
        self._shift = min(window * DAY_NS, _MAX_SHIFT)
        self._history = _History()

    def push(self, times: Times, values: Values) -> Values:
        import numpy as np

        self._history.append(times, values)
        # Clipped first: a time before 1677 does not fit into 64 bits of nanoseconds.
        wanted = np.maximum(times, _MIN_TIME + self._shift) - self._shift
        result, oldest = _latest_at_or_before(*self._history.rows(), wanted)
        self._history.forget(oldest)
        return result


class _History:
    """Rows that later rows may still ask for. Grows by doubling, so appending costs O(rows) overall."""

    def __init__(self) -> None:
        self._times: Times | None = None
        self._values: Values | None = None
        self._start = self._end = 0

    def append(self, times: Times, values: Values) -> None:
        all_times, all_values = self._room_for(len(times))
        end = self._end + len(times)
        all_times[self._end : end] = times
        all_values[self._end : end] = values
        self._end = end

    def rows(self) -> tuple[Times, Values]:
        assert self._times is not None and self._values is not None
        return self._times[self._start : self._end], self._values[self._start : self._end]

    def forget(self, count: int) -> None:
        self._start += count

    def _room_for(self, more: int) -> tuple[Times, Values]:
        import numpy as np

        if self._times is not None and self._values is not None and self._end + more <= len(self._times):
            return self._times, self._values
        live = self._end - self._start
        times, values = np.empty(2 * (live + more), np.int64), np.empty(2 * (live + more))
        if live:
            times[:live], values[:live] = self.rows()
        self._times, self._values, self._start, self._end = times, values, 0, live
        return times, values


def _latest_at_or_before(times: Times, values: Values, wanted: Times) -> tuple[Values, int]:
    """For each wanted time (ascending) the value of the latest row not after it, NaN where there is none;
    and the first row that a later wanted time can still need."""
    import numpy as np

    result = np.empty(len(wanted))
    low = 0
    for start in range(0, len(wanted), _BLOCK):
        block = wanted[start : start + _BLOCK]
        low = max(0, int(times.searchsorted(block[0], "right")) - 1)
        high = int(times.searchsorted(block[-1], "right"))
        result[start : start + len(block)] = _block(times[low:high], values[low:high], block)
        low = max(0, high - 1)
    return result, low


def _block(times: Times, values: Values, wanted: Times) -> Values:
    """The same inside one block, where ``times`` starts with the row for ``wanted[0]``, if there is one."""
    import numpy as np

    # Evenly spaced series: row i answers time i. True if each row is at its time, or before it with the next one after.
    if len(times) == len(wanted) and (times <= wanted).all() and (times[1:] > wanted[:-1]).all():
        return values
    rows = times.searchsorted(wanted, "right") - 1
    found = rows >= 0
    if found.all():
        return values[rows]
    result = np.full(len(wanted), np.nan)
    result[found] = values[rows[found]]
    return result


def _start(window: int) -> Window:
    return _Lag(window)


OPERATION = WindowOperation(
    "lag", "value n calendar days ago, or the latest before that", _start, unit="days"
)
