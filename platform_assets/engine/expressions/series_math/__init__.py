"""``series_math``: two operands at equal timestamps. One module per operation; a new one needs a line here."""

from __future__ import annotations

from platform_assets.engine.expressions.operation import PairOperation
from platform_assets.engine.expressions.series_math import add, multiply, ratio, subtract

OPERATIONS: dict[str, PairOperation] = {
    module.OPERATION.name: module.OPERATION for module in (add, multiply, ratio, subtract)
}
