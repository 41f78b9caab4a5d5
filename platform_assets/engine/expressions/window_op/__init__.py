"""``window_op``: one series over its past. One module per operation; a new one is a module and a line here."""

from __future__ import annotations

from platform_assets.engine.expressions.operation import WindowOperation
from platform_assets.engine.expressions.window_op import ema, lag, sma
from platform_assets.engine.expressions.window_op import max as max_
from platform_assets.engine.expressions.window_op import min as min_
from platform_assets.engine.expressions.window_op import sum as sum_

OPERATIONS: dict[str, WindowOperation] = {
    module.OPERATION.name: module.OPERATION for module in (ema, lag, max_, min_, sma, sum_)
}
