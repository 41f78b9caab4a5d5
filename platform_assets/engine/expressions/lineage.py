"""Which input columns each output column of a metric comes from. Series are the inputs; every one has two columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

TIME, VALUE = "obs_time", "value"


@dataclass(frozen=True, order=True)
class InputColumn:
    """A column of one series of one dataset."""

    dataset: str
    series: str
    column: str


def column_lineage(datasets: Mapping[str, str]) -> dict[str, tuple[InputColumn, ...]]:
    """``datasets``: series code → dataset id, for all series of an expression. The output's columns → what each is
    made of, sorted.

    ``value`` also depends on the timestamps: they decide which rows meet, and what a window holds.
    """
    times = tuple(InputColumn(dataset, code, TIME) for code, dataset in datasets.items())
    values = tuple(InputColumn(dataset, code, VALUE) for code, dataset in datasets.items())
    return {TIME: tuple(sorted(times)), VALUE: tuple(sorted(times + values))}
