"""Arrow columns → the arrays that expressions work on.

Times: timestamps of every unit, with or without zone (converted to UTC), dates, ISO strings → int64 nanoseconds.
Values: every numeric type → float64, null → NaN. Anything else is refused: a guess would be a wrong metric.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.expressions.operation import Times, Values

_ZONE = r"(Z|[+-]\d\d(:?\d\d)?)$"


def to_times(column: pa.Array) -> Times:
    """DataError for other types, for null and for times outside 1677 to 2262, which 64 bits cannot hold."""
    import numpy as np
    import pyarrow as pa

    if column.null_count:
        raise DataError(f"obs_time is null in {column.null_count:,} rows")
    try:
        times: Times = _memory(_nanoseconds(column), np.int64)
    except pa.ArrowException as error:
        raise DataError(f"obs_time: {error}") from error
    return times


def to_values(column: pa.Array) -> Values:
    """DataError for a type that is not numeric."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc
    from pyarrow import types

    column = _plain(column)
    kind = column.type
    if not (
        types.is_integer(kind) or types.is_floating(kind) or types.is_decimal(kind) or types.is_null(kind)
    ):
        raise DataError(f"value has type {kind}, which is no number")
    floats = column if types.is_float64(kind) else column.cast(pa.float64(), safe=False)
    values: Values = _memory(pc.fill_null(floats, _nan()) if floats.null_count else floats, np.float64)
    return values


def _nan() -> pa.Scalar:
    """Not by ``pa.scalar``, for the reason that ``_memory`` gives."""
    import numpy as np
    import pyarrow as pa

    return pa.Array.from_buffers(pa.float64(), 1, [None, pa.py_buffer(np.array([np.nan]))])[0]


def _memory(column: pa.Array, kind: type) -> Any:
    """An array of 8-byte items without nulls, as numpy sees it. ``to_numpy`` would import pandas for that, which
    takes longer than most runs and more memory."""
    import numpy as np

    if not len(column):
        return np.empty(0, kind)
    return np.frombuffer(column.buffers()[1], kind, len(column), column.offset * 8)


def _nanoseconds(column: pa.Array) -> Any:
    import pyarrow as pa
    from pyarrow import types

    column = _plain(column)
    kind = column.type
    if types.is_timestamp(kind):
        return column if kind.unit == "ns" else column.cast(pa.timestamp("ns", kind.tz))
    if types.is_date(kind):
        return column.cast(pa.timestamp("ns"))
    if types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return _parsed(column.cast(pa.string()))
    raise DataError(f"obs_time has type {kind}; expected a timestamp, date or ISO text")


def _parsed(column: pa.Array) -> Any:
    """ISO texts, each with or without a zone; those without are UTC."""
    import pyarrow as pa
    import pyarrow.compute as pc

    # The time's own zone only: "2024-01-01" ends in something that looks like one.
    has_zone = pc.and_(pc.match_substring_regex(column, _ZONE), pc.match_substring_regex(column, ":|Z$"))
    nothing = pa.scalar(None, column.type)
    zoned = pc.if_else(has_zone, column, nothing).cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns"))
    return pc.coalesce(zoned, pc.if_else(has_zone, nothing, column).cast(pa.timestamp("ns")))


def _plain(column: pa.Array) -> Any:
    from pyarrow import types

    return column.dictionary_decode() if types.is_dictionary(column.type) else column
