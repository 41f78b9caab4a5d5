"""``ratio``: left ÷ right. x/0 is ±inf, by the sign of x and of the zero; 0/0 is null."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import PairOperation

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Values


def _apply(left: Values, right: Values) -> Values:
    return left / right


OPERATION = PairOperation("ratio", "left ÷ right", _apply)
