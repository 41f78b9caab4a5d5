"""``subtract``: left − right, null where either side is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from platform_assets.engine.expressions.operation import PairOperation

if TYPE_CHECKING:
    from platform_assets.engine.expressions.operation import Values


def _apply(left: Values, right: Values) -> Values:
    return left - right


OPERATION = PairOperation("subtract", "left − right", _apply)
