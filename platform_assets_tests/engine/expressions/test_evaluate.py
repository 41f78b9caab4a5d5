from __future__ import annotations

import math
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets.engine.expressions import composite, series_math, window_op
from platform_assets.engine.expressions.evaluate import evaluate, evaluate_whole
from platform_assets.engine.expressions.grammar import parse
from platform_assets.engine.expressions.series import Chunk, tidy
from platform_assets_tests.engine.expressions import reference
from platform_assets_tests.engine.expressions.reference import DAY, Plain

NAN, INF = math.nan, math.inf


def chunk(plain: Plain) -> Chunk:
    times = np.array(sorted(plain), np.int64)
    return Chunk(times, np.array([NAN if plain[t] is None else plain[t] for t in sorted(plain)], np.float64))


def days(*values: float | None) -> Plain:
    return {i * DAY: value for i, value in enumerate(values)}


def ref(code: str) -> dict[str, str]:
    return {"series_code": code}


def kind_of(node: dict[str, Any]) -> str:
    return "window_op" if "window" in node else "composite" if "operands" in node else "series_math"


def run(node: dict[str, Any], slice_rows: int = 65_536, **series: Plain) -> list[float]:
    whole = {code: chunk(plain) for code, plain in series.items()}
    return evaluate_whole(parse(node, kind_of(node)), whole, slice_rows=slice_rows).values.tolist()


def same(found: list[float], expected: list[float | None]) -> bool:
    wanted = [NAN if value is None else value for value in expected]
    return len(found) == len(wanted) and np.allclose(found, wanted, rtol=1e-15, atol=0, equal_nan=True)


def identical(found: list[float], expected: list[float]) -> bool:
    return np.array_equal(found, expected, equal_nan=True)


# --- Known answers ---------------------------------------------------------------------------------------------

PAIRS = [
    ("add", days(1.0, 2.0), days(10.0, 20.0), None, [11.0, 22.0]),
    ("subtract", days(1.0, 2.0), days(10.0, 20.0), None, [-9.0, -18.0]),
    ("multiply", days(3.0), days(4.0), None, [12.0]),
    ("ratio", days(1.0, -1.0, 0.0), days(0.0, 0.0, 0.0), None, [INF, -INF, None]),
    ("ratio", days(1.0, -1.0), days(-0.0, -0.0), None, [-INF, INF]),
    ("ratio", days(1.0), days(4.0), 100, [25.0]),
    ("add", days(1.0), days(1.0), 0, [0.0]),
    ("add", days(1.0), days(1.0), -1.5, [-3.0]),
    ("add", days(1.0, None, 3.0), days(1.0, 2.0, None), None, [2.0, None, None]),
    ("add", {0: 1.0, 2 * DAY: 3.0}, {DAY: 2.0, 2 * DAY: 2.0}, None, [None, None, 5.0]),
    ("multiply", days(INF), days(2.0), None, [INF]),
    ("subtract", days(INF), days(INF), None, [None]),
    ("add", days(1.0), {}, None, [None]),
]


@pytest.mark.parametrize(("op", "left", "right", "scale", "expected"), PAIRS)
def test_series_math(op: str, left: Plain, right: Plain, scale: float | None, expected: list[float]) -> None:
    node = {"op": op, "left": ref("A"), "right": {"seriesCode": "B"}, "scale": scale}
    assert same(run(node, A=left, B=right), expected)


WINDOWS = [
    ("sum", 2, days(1.0, 2.0, 3.0), [None, 3.0, 5.0]),
    ("sma", 2, days(1.0, 2.0, 4.0), [None, 1.5, 3.0]),
    ("max", 2, days(3.0, 1.0, 2.0), [None, 3.0, 2.0]),
    ("min", 3, days(3.0, 1.0, 2.0), [None, None, 1.0]),
    ("sma", 1, days(1.0, None, 2.0), [1.0, None, 2.0]),
    ("sum", 2, days(1.0, None, 3.0, 4.0), [None, None, None, 7.0]),
    ("sum", 5, days(1.0, 2.0), [None, None]),
    ("max", 2, days(1.0, INF, 2.0, 3.0), [None, None, None, 3.0]),
    ("sum", 2, days(1e308, 1.0, 2.0, 3.0), [None, 1e308, 3.0, 5.0]),  # a running sum would say 0.0 and 2.0
    ("ema", 3, days(1.0, 2.0, 4.0), [1.0, 1.5, 2.75]),
    ("ema", 3, days(None, 1.0, None, None, 2.0, None), [None, 1.0, 1.0, 1.0, 1.8, 1.8]),
    ("ema", 3, days(INF, 1.0, -INF, 2.0), [None, 1.0, 1.0, (0.25 + 1.0) / 0.75]),
    ("ema", 1, days(1.0, 5.0), [1.0, 5.0]),
    ("lag", 1, days(1.0, 2.0, 3.0), [None, 1.0, 2.0]),
    ("lag", 2, days(1.0, None, 3.0, 4.0), [None, None, 1.0, None]),
    ("lag", 1, {0: 1.0, 10 * DAY: 2.0}, [None, 1.0]),  # no limit on how far back
    ("lag", 1, {0: 1.0, DAY - 1: 2.0, DAY: 3.0, 2 * DAY: 4.0}, [None, None, 1.0, 3.0]),
    (
        "lag",
        1,
        {0: 1.0, 36 * DAY // 24: 2.0, 59 * DAY // 24: 3.0},
        [None, 1.0, 1.0],
    ),  # the time of day counts
    ("lag", 10_000_000, days(1.0, 2.0), [None, None]),
    ("lag", 1, {-(2**63): 1.0, -(2**63) + DAY: 2.0}, [1.0, 1.0]),
    ("lag", 1, days(INF, 1.0), [None, INF]),
]


@pytest.mark.parametrize(("op", "window", "operand", "expected"), WINDOWS)
@pytest.mark.parametrize("slice_rows", [1, 2, 1000])
def test_window_op(op: str, window: int, operand: Plain, expected: list[float], slice_rows: int) -> None:
    node = {"op": op, "series": ref("A"), "window": window}
    expression = parse(node, "window_op")
    one_by_one = (chunk({time: value}) for time, value in sorted(operand.items()))
    pieces = evaluate(expression, {"A": one_by_one}, slice_rows=slice_rows)
    assert same([value for piece in pieces for value in piece.values.tolist()], expected)
    assert same(run(node, slice_rows, A=operand), expected)


COMPOSITES = [
    ("sum", [1.0, 2.0, 4.0], 7.0),
    ("sum", [1.0, None, 4.0], 5.0),
    ("sum", [None, None, None], 0.0),
    ("avg", [1.0, 2.0, 6.0], 3.0),
    ("avg", [1.0, None, 4.0], 2.5),
    ("avg", [None, None, None], None),
    ("max", [None, 2.0, 1.0], 2.0),
    ("min", [3.0, None, 1.0], 1.0),
    ("min", [None, None, None], None),
    ("sum", [INF, 1.0, 2.0], INF),
    ("sum", [INF, -INF, 2.0], None),
    ("max", [INF, 1.0, None], INF),
]


@pytest.mark.parametrize(("op", "values", "expected"), COMPOSITES)
def test_composite(op: str, values: list[float | None], expected: float | None) -> None:
    series = {code: days(value) for code, value in zip("ABC", values, strict=True)}
    node = {"op": op, "operands": [ref(code) for code in series]}
    assert same(run(node, **series), [expected])


def test_composite_joins_all_timestamps() -> None:
    node = {"op": "avg", "operands": [ref("A"), ref("B"), ref("C"), ref("A")]}
    series = {"A": days(1.0, None, 3.0), "B": {DAY: 5.0, 3 * DAY: 9.0}, "C": {4 * DAY: 8.0}}
    assert same(run(node, **series), [1.0, 5.0, 3.0, 9.0, 8.0])


def test_scale_is_ignored_where_it_has_no_meaning() -> None:
    assert run({"op": "sma", "series": ref("A"), "window": 1, "scale": 5}, A=days(2.0)) == [2.0]
    assert run({"op": "sum", "operands": [ref("A"), ref("A")], "scale": 5}, A=days(2.0)) == [4.0]


def test_single_row_and_no_rows() -> None:
    assert run({"op": "ema", "series": ref("A"), "window": 9}, A=days(2.0)) == [2.0]
    assert run({"op": "lag", "series": ref("A"), "window": 9}, A={}) == []


def test_missing_series_is_named() -> None:
    expression = parse({"op": "add", "left": ref("A"), "right": ref("B")}, "series_math")
    with pytest.raises(DataError, match="B"):
        evaluate(expression, {"A": [chunk(days(1.0))]})


def test_series_that_goes_back_in_time_is_refused() -> None:
    expression = parse({"op": "sma", "series": ref("A"), "window": 1}, "window_op")
    with pytest.raises(DataError, match="'A' does not advance"):
        list(evaluate(expression, {"A": [chunk(days(1.0, 2.0)), chunk(days(None, 3.0))]}))


def test_tidy_sorts_and_lets_the_last_row_win() -> None:
    times = np.array([3, 1, 3, 2, 1], np.int64)
    found, lost = tidy(times, np.array([1.0, 2.0, 3.0, 4.0, NAN]))
    assert found.times.tolist() == [1, 2, 3]
    assert same(found.values.tolist(), [None, 4.0, 3.0])
    assert lost == 2


# --- Properties ------------------------------------------------------------------------------------------------

VALUES = st.one_of(
    st.none(),
    st.floats(-1e6, 1e6).map(lambda x: round(x, 3)),
    st.sampled_from([0.0, -0.0, 1.0, INF, -INF]),
)
TIMES = st.integers(0, 40).map(lambda i: i * DAY // 3)
SERIES = st.dictionaries(TIMES, VALUES, max_size=30)
LEAVES = st.sampled_from(["A", "B", "C"]).map(ref)


def _deeper(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    scale = st.one_of(st.none(), st.sampled_from([0, -2, 0.5]))
    pair = {
        "op": st.sampled_from(sorted(series_math.OPERATIONS)),
        "left": inner,
        "right": inner,
        "scale": scale,
    }
    window = {
        "op": st.sampled_from(sorted(window_op.OPERATIONS)),
        "series": inner,
        "window": st.integers(1, 9),
    }
    operands = st.lists(inner, min_size=2, max_size=4)
    combine = {"op": st.sampled_from(sorted(composite.OPERATIONS)), "operands": operands}
    return st.one_of(*(st.fixed_dictionaries(fields) for fields in (pair, window, combine)))


EXPRESSIONS = _deeper(st.recursive(LEAVES, _deeper, max_leaves=8))


@settings(deadline=None, max_examples=300)
@given(EXPRESSIONS, st.tuples(SERIES, SERIES, SERIES))
def test_agrees_with_the_plain_reference(node: dict[str, Any], plain: tuple[Plain, Plain, Plain]) -> None:
    series = dict(zip("ABC", plain, strict=True))
    expected = reference.evaluate(node, series)
    whole = {code: chunk(rows) for code, rows in series.items()}
    found = evaluate_whole(parse(node, kind_of(node)), whole)
    assert found.times.tolist() == list(expected)
    wanted = np.array([NAN if v is None else v for v in expected.values()])
    largest = max([abs(v) for v in wanted if math.isfinite(v)], default=0.0)
    if not _ill_conditioned(node):
        np.testing.assert_allclose(found.values, wanted, rtol=1e-9, atol=1e-9 * max(1.0, largest))


def _ill_conditioned(node: dict[str, Any]) -> bool:
    """Division by a difference that rounds to about nothing: two right evaluations may differ at will."""
    inner = [v for v in node.values() if isinstance(v, dict)] + node.get("operands", [])
    return node.get("op") == "ratio" or any(_ill_conditioned(child) for child in inner)


@settings(deadline=None, max_examples=200)
@given(EXPRESSIONS, st.tuples(SERIES, SERIES, SERIES), st.integers(1, 7), st.data())
def test_cutting_changes_nothing(
    node: dict[str, Any], plain: tuple[Plain, Plain, Plain], slice_rows: int, data: st.DataObject
) -> None:
    series = {code: chunk(rows) for code, rows in zip("ABC", plain, strict=True)}
    whole = evaluate_whole(parse(node, kind_of(node)), series)
    pieces = {code: list(_cut(rows, data)) for code, rows in series.items()}
    found = list(evaluate(parse(node, kind_of(node)), pieces, slice_rows=slice_rows))
    assert [t for c in found for t in c.times.tolist()] == whole.times.tolist()
    values = np.array([v for c in found for v in c.values.tolist()])
    np.testing.assert_allclose(values, whole.values, rtol=1e-12, atol=1e-9)


def _cut(rows: Chunk, data: st.DataObject) -> Iterator[Chunk]:
    start = 0
    while start < len(rows):
        end = start + data.draw(st.integers(1, len(rows) - start))
        yield Chunk(rows.times[start:end], rows.values[start:end])
        start = end


@given(st.lists(st.floats(-1e12, 1e12), min_size=1, max_size=60), st.integers(1, 12), st.integers(1, 5))
def test_rolling_sums_do_not_depend_on_the_cut_at_all(values: list[float], window: int, rows: int) -> None:
    node = {"op": "sum", "series": ref("A"), "window": window}
    assert identical(run(node, rows, A=days(*values)), run(node, A=days(*values)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60), st.integers(1, 30), st.integers(1, 5))
def test_exponential_means_do_not_either(values: list[float], window: int, rows: int) -> None:
    node = {"op": "ema", "series": ref("A"), "window": window}
    assert identical(run(node, rows, A=days(*values)), run(node, A=days(*values)))


# --- Memory ----------------------------------------------------------------------------------------------------


def test_memory_does_not_grow_with_the_series() -> None:
    lagged = {"op": "lag", "series": ref("A"), "window": 30}
    mean = {"op": "sma", "series": ref("B"), "window": 30}
    node = {"op": "ratio", "left": {"op": "add", "left": lagged, "right": mean}, "right": ref("A")}
    assert _peak(node, 200) < 1.5 * _peak(node, 20)


def _peak(node: dict[str, Any], chunks: int) -> int:
    def source() -> Iterator[Chunk]:
        for i in range(chunks):
            times = np.arange(i * 4096, (i + 1) * 4096, dtype=np.int64) * (DAY // 24)
            yield Chunk(times, np.ones(4096))

    expression = parse(node, "series_math")
    tracemalloc.start()
    for _ in evaluate(expression, {"A": source(), "B": source()}, slice_rows=4096):
        pass
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak
