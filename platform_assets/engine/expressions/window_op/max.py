"""``max``: largest value of the last ``window`` rows, null unless all of them have a finite value."""

from __future__ import annotations

from platform_assets.engine.expressions.operation import Window, WindowOperation
from platform_assets.engine.expressions.window_op.rolling import Rolling


def _start(window: int) -> Window:
    import numpy as np

    return Rolling(window, np.maximum)


OPERATION = WindowOperation("max", "largest value of the last n rows", _start)
