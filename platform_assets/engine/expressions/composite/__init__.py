"""``composite``: all operands at equal timestamps, missing ones skipped. One module per operation, and a line here."""

from __future__ import annotations

from platform_assets.engine.expressions.composite import avg
from platform_assets.engine.expressions.composite import max as max_
from platform_assets.engine.expressions.composite import min as min_
from platform_assets.engine.expressions.composite import sum as sum_
from platform_assets.engine.expressions.operation import CombineOperation

OPERATIONS: dict[str, CombineOperation] = {
    module.OPERATION.name: module.OPERATION for module in (avg, max_, min_, sum_)
}
