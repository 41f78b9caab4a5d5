"""What an operation of each kind has to say for itself: its name, its meaning in words, and its meaning in numbers.

Values are float64 arrays in which NaN is null. Functions get arrays of equal length and never change them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Times: TypeAlias = npt.NDArray[np.int64]
    Values: TypeAlias = npt.NDArray[np.float64]


@dataclass(frozen=True)
class PairOperation:
    """``series_math``: left and right at one timestamp. NaN on either side gives NaN."""

    name: str
    meaning: str
    apply: Callable[[Values, Values], Values]


class Window(Protocol):
    """The running state of one window operation over one series."""

    def push(self, times: Times, values: Values) -> Values:
        """Results for the next rows, one each. Rows come in time order over all calls."""


@dataclass(frozen=True)
class WindowOperation:
    """``window_op``: ``start(window)`` gives fresh state. ``unit`` says what the window counts."""

    name: str
    meaning: str
    start: Callable[[int], Window]
    unit: str = "rows"


@dataclass(frozen=True)
class CombineOperation:
    """``composite``: all operands at one timestamp, missing ones (NaN) skipped."""

    name: str
    meaning: str
    apply: Callable[[Sequence[Values]], Values]
