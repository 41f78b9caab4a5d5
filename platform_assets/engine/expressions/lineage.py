"""Which input columns each output column of a metric comes from. Series are the inputs; every one has two columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from platform_assets.engine.expressions.nodes import Expression, series_codes

TIME, VALUE = "obs_time", "value"


@dataclass(frozen=True, order=True)
class InputColumn:
    """A column of one series of one dataset."""

    dataset: str
    series: str
    column: str


def column_lineage(expression: Expression, datasets: Mapping[str, str]) -> dict[str, tuple[InputColumn, ...]]:
    """``datasets``: series code → dataset id. The output's columns → what each is made of, sorted.

    ``value`` also depends on the timestamps: they decide which rows meet, and what a window holds.
    """
    codes = series_codes(expression)
    times = tuple(InputColumn(datasets[code], code, TIME) for code in codes)
    values = tuple(InputColumn(datasets[code], code, VALUE) for code in codes)
    return {TIME: tuple(sorted(times)), VALUE: tuple(sorted(times + values))}
