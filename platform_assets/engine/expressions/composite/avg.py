"""``avg``: sum of the values that are there, divided by their number; null where none is."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import CombineOperation

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Values


def _apply(operands: Sequence[Values]) -> Values:
    import numpy as np

    total = reduce(add, operands)
    if not np.isnan(total).any():
        return total / len(operands)
    missing = [np.isnan(values) for values in operands]
    total = reduce(add, (np.where(gone, 0.0, values) for gone, values in zip(missing, operands, strict=True)))
    present = len(operands) - reduce(add, (gone.astype(np.float64) for gone in missing))
    return total / np.where(present > 0, present, np.nan)


OPERATION = CombineOperation("avg", "mean of the values that are there", _apply)
