"""``min``: the smallest of the values that are there; null where none is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import CombineOperation

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Values


def _apply(operands: Sequence[Values]) -> Values:
    import numpy as np

    return reduce(np.fmin, operands)


OPERATION = CombineOperation("min", "smallest of the values that are there", _apply)
