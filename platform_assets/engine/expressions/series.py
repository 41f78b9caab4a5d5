"""Series as arrays: timestamps (int64 nanoseconds since 1970, UTC, strictly increasing) and values (NaN is null).

Sorting and de-duplicating what was read, and lining several series up on their common timestamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from platform_assets.engine.expressions.operation import Times, Values

    Rows: TypeAlias = npt.NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Chunk:
    """Consecutive rows of one series. Both arrays have one length; neither is ever changed."""

    times: Times
    values: Values

    def __len__(self) -> int:
        return len(self.times)


def tidy(times: Times, values: Values) -> tuple[Chunk, int]:
    """Rows in any order → sorted, one per timestamp, the last given wins; and how many rows lost."""
    import numpy as np

    if (times[1:] > times[:-1]).all():
        return Chunk(times, values), 0
    order = np.argsort(times, kind="stable")
    times = times[order]
    last = np.append(times[1:] != times[:-1], True)
    kept = Chunk(times[last], values[order[last]])
    return kept, len(times) - len(kept)


def align(chunks: Sequence[Chunk]) -> tuple[Times, list[Values]]:
    """Full outer join on the timestamp: all timestamps, and each chunk's values on them, NaN where it has none."""
    times = chunks[0].times
    if all(_same(chunk.times, times) for chunk in chunks[1:]):
        return times, [chunk.values for chunk in chunks]
    distinct = {id(chunk.times): chunk.times for chunk in chunks}  # one series used twice is one array
    times, rows = _join(list(distinct.values()))
    place = dict(zip(distinct, rows, strict=True))
    return times, [_spread(chunk.values, place[id(chunk.times)], len(times)) for chunk in chunks]


def _same(left: Times, right: Times) -> bool:
    """Equal timestamps. Two looks at one array, which is the common case, need not be compared."""
    import numpy as np

    if len(left) != len(right):
        return False
    here, there = left.__array_interface__["data"][0], right.__array_interface__["data"][0]
    return here == there or np.array_equal(left, right)


def _join(many: Sequence[Times]) -> tuple[Times, list[Rows]]:
    """All timestamps of several arrays, and at which rows of the result each array's own are."""
    import numpy as np

    joined, rows = many[0], [np.arange(len(many[0]))]
    for times in many[1:]:
        joined, old, new = _join_two(joined, times)
        rows = [*(old[found] for found in rows), new]
    return joined, rows


def _join_two(left: Times, right: Times) -> tuple[Times, Rows, Rows]:
    """Both are sorted, so one search places every right row; a hash join would be several times slower."""
    import numpy as np

    place = left.searchsorted(right)
    new = left[np.minimum(place, len(left) - 1)] != right if len(left) else np.ones(len(right), bool)
    right_rows = place + np.cumsum(new) - new
    is_left = np.ones(len(left) + int(np.count_nonzero(new)), bool)
    is_left[right_rows[new]] = False
    left_rows = np.flatnonzero(is_left)
    times = np.empty(len(is_left), np.int64)
    times[right_rows], times[left_rows] = right, left
    return times, left_rows, right_rows


def _spread(values: Values, rows: Rows, length: int) -> Values:
    import numpy as np

    if len(values) == length:
        return values
    spread = np.full(length, np.nan)
    spread[rows] = values
    return spread


def missing_where_infinite(values: Values) -> Values:
    """±inf → NaN; the same array where there is none."""
    import numpy as np

    infinite = np.isinf(values)
    return np.where(infinite, np.nan, values) if infinite.any() else values
