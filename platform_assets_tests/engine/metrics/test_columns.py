from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from platform_assets.engine.errors import DataError
from platform_assets.engine.metrics.columns import to_times, to_values

HOUR = 3_600_000_000_000
T = 1_704_103_200_000_000_000  # 2024-01-01T10:00:00Z
DAY_START = T - 10 * HOUR

TIMES: list[tuple[Any, int]] = [
    (pa.array([T // 10**9], pa.timestamp("s")), T),
    (pa.array([T // 10**6], pa.timestamp("ms")), T),
    (pa.array([T // 10**3], pa.timestamp("us")), T),
    (pa.array([T], pa.timestamp("ns")), T),
    (pa.array([T + 1], pa.timestamp("ns", "UTC")), T + 1),
    (pa.array([T // 1000], pa.timestamp("us", "America/Argentina/Buenos_Aires")), T),
    (pa.array([dt.date(2024, 1, 1)], pa.date32()), DAY_START),
    (pa.array([dt.date(2024, 1, 1)], pa.date64()), DAY_START),
    (pa.array(["2024-01-01"]), DAY_START),
    (pa.array(["2024-01-01T10:00:00"]), T),
    (pa.array(["2024-01-01 10:00:00.000000001"]), T + 1),
    (pa.array(["2024-01-01T10:00:00Z"]), T),
    (pa.array(["2024-01-01T07:00:00-03:00"]), T),
    (pa.array(["2024-01-01T10:00:00"], pa.large_string()), T),
    (pa.array(["2024-01-01T10:00:00"], pa.string_view()), T),
    (pa.array(["2024-01-01T10:00:00"]).dictionary_encode(), T),
]


@pytest.mark.parametrize(("column", "expected"), TIMES, ids=lambda v: str(getattr(v, "type", "")))
def test_times_become_utc_nanoseconds(column: pa.Array, expected: int) -> None:
    found = to_times(column)
    assert found.dtype == np.int64
    assert found.tolist() == [expected]


def test_texts_with_and_without_zone_may_be_mixed() -> None:
    texts = pa.array(["2024-01-01", "2024-01-01T12:00:00+02:00", "2024-01-01T10:00"])
    assert to_times(texts).tolist() == [DAY_START, T, T]


BAD_TIMES = [
    (pa.array([1, 2]), "type int64"),
    (pa.array([1.0]), "type double"),
    (pa.array([True]), "type bool"),
    (pa.array([None, 1], pa.timestamp("ns")), "null in 1 rows"),
    (pa.array(["yesterday"]), "yesterday"),
    (pa.array(["2024-13-01"]), "2024-13-01"),
    (pa.array([253_402_300_799], pa.timestamp("s")), "out of bounds"),
    (pa.array([dt.date(9999, 12, 31)]), "out of bounds"),
]


@pytest.mark.parametrize(("column", "message"), BAD_TIMES)
def test_other_times_are_refused(column: pa.Array, message: str) -> None:
    with pytest.raises(DataError, match=message):
        to_times(column)


VALUES = [
    pa.array([1, None, 3], pa.int8()),
    pa.array([1, None, 3], pa.uint64()),
    pa.array([1, None, 3], pa.int64()),
    pa.array([1, None, 3], pa.float16()),
    pa.array([1, None, 3], pa.float32()),
    pa.array([1, None, 3], pa.float64()),
    pa.array([Decimal(1), None, Decimal(3)], pa.decimal128(38, 9)),
    pa.array([Decimal(1), None, Decimal(3)], pa.decimal256(50, 9)),
    pa.array([Decimal(1), None, Decimal(3)], pa.decimal64(9, 2)),
    pa.array([1.0, None, 3.0]).dictionary_encode(),
]


@pytest.mark.parametrize("column", VALUES, ids=lambda c: str(c.type))
def test_every_numeric_type_becomes_doubles(column: pa.Array) -> None:
    found = to_values(column)
    assert found.dtype == np.float64
    assert found[[0, 2]].tolist() == [1.0, 3.0]
    assert math.isnan(found[1])


def test_values_beyond_exact_integers_are_rounded_and_all_null_is_nan() -> None:
    assert to_values(pa.array([2**63 + 5], pa.uint64())).tolist() == [2.0**63]
    assert np.isnan(to_values(pa.nulls(2))).all()
    assert to_values(pa.array([math.inf, -math.inf])).tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("nulls", [True, False])
def test_parts_of_columns_and_empty_ones(nulls: bool) -> None:
    values = pa.array([1.0, None if nulls else 2.0, 3.0, 4.0])
    assert to_values(values[2:]).tolist() == [3.0, 4.0]
    assert to_values(values[4:]).tolist() == to_values(pa.nulls(0)).tolist() == []
    times = pa.array([T, T + 1, T + 2], pa.timestamp("ns"))
    assert to_times(times[1:]).tolist() == [T + 1, T + 2]
    assert to_times(times[3:]).tolist() == []


@pytest.mark.parametrize("column", [pa.array(["1"]), pa.array([True]), pa.array([b"1"])], ids=str)
def test_other_values_are_refused(column: pa.Array) -> None:
    with pytest.raises(DataError, match="which is no number"):
        to_values(column)
