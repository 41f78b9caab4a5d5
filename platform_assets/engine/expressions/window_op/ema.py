"""``ema``: exponential mean, alpha = 2 / (window + 1), recursive, from the first value on and without warm-up.

A missing (or infinite) value keeps the last result; the next value then weighs more, by the rows since the last one:
``y = ((1−a)^k · y + a · x) / ((1−a)^k + a)``, k = rows since the last value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import Window, WindowOperation
from platform_assets.engine.expressions.series import missing_where_infinite

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Times, Values


class _ExponentialMean:
    """State: the last result and how many rows ago its last value came."""

    def __init__(self, window: int) -> None:
        self._alpha = 2.0 / (window + 1)
        self._last: float | None = None
        self._rows_since = 0

    def push(self, times: Times, values: Values) -> Values:
        import numpy as np

        values = missing_where_infinite(values)
        present = ~np.isnan(values)
        if not present.any():
            self._rows_since += len(values)
            return np.full(len(values), np.nan if self._last is None else self._last)
        return self._advance(values, int(present.argmax()), int(present[::-1].argmax()))

    def _advance(self, values: Values, first: int, trailing: int) -> Values:
        """Rows before ``first`` have no value; neither have the last ``trailing`` ones."""
        import numpy as np

        result = np.empty(len(values))
        result[:first] = np.nan if self._last is None else self._last
        rest = values[first:].copy()
        rest[0] = self._next(float(rest[0]), first)
        result[first:] = _recursive_mean(rest, self._alpha)
        self._last, self._rows_since = float(result[-1]), trailing
        return result

    def _next(self, value: float, skipped: int) -> float:
        if self._last is None:
            return value
        weight = (1.0 - self._alpha) ** (self._rows_since + skipped + 1)
        # The same formula, written as Polars computes it, so that a cut between two rows does not change a bit.
        return self._last + self._alpha / (weight + self._alpha) * (value - self._last)


def _recursive_mean(values: Values, alpha: float) -> Values:
    """The recursion from its first value, which is not NaN; results carry over NaN."""
    import polars as pl

    column = pl.Series(values, nan_to_null=True)
    means = column.ewm_mean(alpha=alpha, adjust=False, ignore_nulls=False, min_samples=1)
    return means.fill_null(strategy="forward").to_numpy()


def _start(window: int) -> Window:
    return _ExponentialMean(window)


OPERATION = WindowOperation("ema", "exponential mean, alpha = 2 / (n + 1)", _start)
