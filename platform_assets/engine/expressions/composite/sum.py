"""``sum``: of the values that are there; 0.0 where none is."""

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
    # A missing value shows itself as NaN in the plain sum, which is the common case's only pass.
    if not np.isnan(total).any():
        return total
    return reduce(add, (np.where(np.isnan(values), 0.0, values) for values in operands))


OPERATION = CombineOperation("sum", "sum of the values that are there, 0 where none is", _apply)
