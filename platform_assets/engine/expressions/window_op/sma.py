"""``sma``: mean of the last ``window`` rows, null unless all of them have a finite value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import Window, WindowOperation
from platform_assets.engine.expressions.window_op.rolling import Rolling

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Times, Values


class _Mean:
    def __init__(self, window: int) -> None:
        import numpy as np

        self._sum = Rolling(window, np.add)
        self._window = window

    def push(self, times: Times, values: Values) -> Values:
        return self._sum.push(times, values) / self._window


def _start(window: int) -> Window:
    return _Mean(window)


OPERATION = WindowOperation("sma", "mean of the last n rows", _start)
