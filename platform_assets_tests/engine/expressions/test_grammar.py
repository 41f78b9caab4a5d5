from __future__ import annotations

from typing import Any

import pytest

from platform_assets.engine.expressions.explain import explain, formula
from platform_assets.engine.expressions.faults import ExpressionError
from platform_assets.engine.expressions.grammar import Limits, parse
from platform_assets.engine.expressions.lineage import InputColumn, column_lineage
from platform_assets.engine.expressions.nodes import (
    Composite,
    Series,
    SeriesMath,
    WindowOp,
    series_codes,
)

A, B = {"series_code": "A"}, {"seriesCode": "B"}
ADD = {"op": "add", "left": A, "right": B}
SMA = {"op": "sma", "series": A, "window": 3}
SUM = {"op": "sum", "operands": [A, B]}


def test_nested_kinds_are_told_by_their_fields() -> None:
    raw = {"op": "ratio", "left": SMA, "right": {"op": "avg", "operands": [ADD, SUM]}, "scale": 100}
    expected = SeriesMath(
        "ratio",
        WindowOp("sma", Series("A"), 3),
        Composite(
            "avg", (SeriesMath("add", Series("A"), Series("B")), Composite("sum", (Series("A"), Series("B"))))
        ),
        100.0,
    )
    assert parse(raw, "series_math") == expected
    assert series_codes(expected) == ("A", "B")


def test_unknown_fields_are_ignored() -> None:
    raw = {"op": "add", "left": {**A, "unit": "USD"}, "right": B, "note": "x", "scale": None}
    assert parse(raw, "series_math") == SeriesMath("add", Series("A"), Series("B"))


def test_both_spellings_of_one_code_are_fine() -> None:
    raw = {"op": "sma", "series": {"series_code": "A", "seriesCode": "A"}, "window": 1}
    assert parse(raw, "window_op") == WindowOp("sma", Series("A"), 1)


def nest(levels: int) -> dict[str, Any]:
    node: dict[str, Any] = SMA
    for _ in range(levels - 1):
        node = {"op": "sma", "series": node, "window": 1}
    return node


FAULTS: list[tuple[object, str, str]] = [
    # the root
    (ADD, "ratio", "$: expressionType 'ratio' is none of series_math, window_op, composite"),
    (ADD, "Series_Math", "$: expressionType 'Series_Math' is none of"),
    (SMA, "window_ops", "(did you mean 'window_op'?)"),
    (None, "series_math", "$: must be an object, not null"),
    ([ADD], "series_math", "$: must be an object, not a list"),
    ("A + B", "series_math", "$: must be an object, not 'A + B'"),
    ({}, "composite", "$: has no op; a composite is one of avg, max, min, sum"),
    (A, "series_math", "$: has no op"),
    (ADD, "window_op", "$: expressionType says window_op, but the fields are those of a series_math"),
    (SUM, "series_math", "$: expressionType says series_math, but the fields are those of a composite"),
    ({"op": "add"}, "series_math", "$: has no operands"),
    ({**ADD, **SUM}, "series_math", "$: has fields of composite and series_math"),
    ({**ADD, "window": 3}, "series_math", "$: has fields of window_op and series_math"),
    # op
    (
        {**ADD, "op": "ADD"},
        "series_math",
        "$.op: 'ADD' is no series_math operation; known: add, multiply, ratio",
    ),
    ({**ADD, "op": "divide"}, "series_math", "$.op: 'divide' is no series_math operation"),
    ({**ADD, "op": "multipl"}, "series_math", "(did you mean 'multiply'?)"),
    ({**ADD, "op": "sma"}, "series_math", "$.op: 'sma' is no series_math operation"),
    ({**ADD, "op": None}, "series_math", "$.op: null is no series_math operation"),
    ({**ADD, "op": ["add"]}, "series_math", "$.op: a list is no series_math operation"),
    ({**SMA, "op": "avg"}, "window_op", "$.op: 'avg' is no window_op operation"),
    ({**SUM, "op": "mean"}, "composite", "$.op: 'mean' is no composite operation"),
    # series_math
    ({"op": "add", "left": A}, "series_math", "$.right: is missing"),
    ({"op": "add", "right": A}, "series_math", "$.left: is missing"),
    ({**ADD, "left": None}, "series_math", "$.left: must be a series reference or an operation, not null"),
    ({**ADD, "left": "A"}, "series_math", "$.left: must be a series reference or an operation, not 'A'"),
    ({**ADD, "right": 5}, "series_math", "$.right: must be a series reference or an operation, not 5"),
    (
        {**ADD, "right": {}},
        "series_math",
        "$.right: is neither a reference (series_code) nor an operation (op)",
    ),
    ({**ADD, "right": {"series_code": ""}}, "series_math", "$.right.series_code: must be a text of 1 to 300"),
    ({**ADD, "right": {"series_code": 7}}, "series_math", "$.right.series_code: must be a text of 1 to 300"),
    (
        {**ADD, "right": {"seriesCode": "x" * 301}},
        "series_math",
        "$.right.seriesCode: must be a text of 1 to 300",
    ),
    (
        {**ADD, "right": {"series_code": "A", "seriesCode": "B"}},
        "series_math",
        "$.right: has two different codes",
    ),
    ({**ADD, "scale": "2"}, "series_math", "$.scale: must be a number, not '2'"),
    ({**ADD, "scale": True}, "series_math", "$.scale: must be a number, not true"),
    ({**ADD, "scale": {}}, "series_math", "$.scale: must be a number, not an object"),
    ({**ADD, "scale": float("nan")}, "series_math", "$.scale: must be a finite number"),
    ({**ADD, "scale": float("inf")}, "series_math", "$.scale: must be a finite number"),
    ({**ADD, "scale": 10**400}, "series_math", "$.scale: must be a finite number"),
    # window_op
    ({"op": "sma", "series": A}, "window_op", "$.window: is missing"),
    ({"op": "sma", "window": 3}, "window_op", "$.series: is missing"),
    ({**SMA, "window": 3.0}, "window_op", "$.window: must be a whole number of at least 1, not 3.0"),
    ({**SMA, "window": "3"}, "window_op", "$.window: must be a whole number of at least 1, not '3'"),
    ({**SMA, "window": None}, "window_op", "$.window: must be a whole number of at least 1, not null"),
    ({**SMA, "window": True}, "window_op", "$.window: must be a whole number of at least 1, not true"),
    ({**SMA, "window": 0}, "window_op", "$.window: must be from 1 to 10,000,000, not 0"),
    ({**SMA, "window": -1}, "window_op", "$.window: must be from 1 to 10,000,000, not -1"),
    ({**SMA, "window": 10**9}, "window_op", "$.window: must be from 1 to 10,000,000, not 1000000000"),
    (
        {**SMA, "window": 10**5000},
        "window_op",
        "$.window: must be from 1 to 10,000,000, not a number of more than",
    ),
    ({**SMA, "series": [A]}, "window_op", "$.series: must be a series reference or an operation, not a list"),
    # composite
    ({"op": "sum", "operands": []}, "composite", "$.operands: needs two operands or more, has 0"),
    ({"op": "sum", "operands": [A]}, "composite", "$.operands: needs two operands or more, has 1"),
    ({"op": "sum", "operands": A}, "composite", "$.operands: must be a list, not an object"),
    ({"op": "sum", "operands": None}, "composite", "$.operands: must be a list, not null"),
    ({"op": "sum", "operands": [A, None]}, "composite", "$.operands[1]: must be a series reference"),
    # positions inside
    (
        {"op": "add", "left": {"op": "sum", "operands": [A, {**SMA, "window": 0}]}, "right": B},
        "series_math",
        "$.left.operands[1].window: must be from 1",
    ),
    (
        {**SMA, "series": {**ADD, "left": {**SUM, "op": "x"}}},
        "window_op",
        "$.series.left.op: 'x' is no composite",
    ),
    # size
    (nest(33), "window_op", "is nested deeper than 32 levels"),
    ({"op": "sum", "operands": [A] * 1001}, "composite", "$.operands[1000]: is one operand too many"),
]


@pytest.mark.parametrize(("raw", "kind", "message"), FAULTS)
def test_faults_say_where_and_why(raw: object, kind: str, message: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        parse(raw, kind)
    assert message in str(caught.value)


def test_all_faults_are_told_at_once() -> None:
    raw = {"op": "ad", "left": {"op": "sma", "series": 1, "window": 0}, "scale": "x"}
    with pytest.raises(ExpressionError) as caught:
        parse(raw, "series_math")
    positions = [fault.position for fault in caught.value.faults]
    assert positions == ["$.op", "$.left.series", "$.left.window", "$.right", "$.scale"]
    assert caught.value.faults[1].location == ("left", "series")


def test_faults_are_limited() -> None:
    with pytest.raises(ExpressionError) as caught:
        parse({"op": "sum", "operands": [None] * 900}, "composite")
    assert len(caught.value.faults) == 20


def test_limits_are_inclusive() -> None:
    parse(nest(32), "window_op")
    parse({"op": "sum", "operands": [A] * 1000}, "composite")
    parse({**SMA, "window": 5}, "window_op", Limits(window=5))
    with pytest.raises(ExpressionError, match="nested deeper than 2"):
        parse(nest(3), "window_op", Limits(depth=2))


def test_explain_shows_every_node_with_its_meaning() -> None:
    node = parse({"op": "ratio", "left": ADD, "right": {**SMA, "op": "lag"}, "scale": 2}, "series_math")
    assert explain(node).splitlines() == [
        "series_math ratio, scale 2.0: left ÷ right",
        "  left: series_math add: left + right",
        "    left: series A",
        "    right: series B",
        "  right: window_op lag, window 3 days: value n calendar days ago, or the latest before that",
        "    series: series A",
    ]
    assert formula(node) == "ratio(add(A, B), lag(A, 3 days)) × 2.0"


def test_lineage_names_every_series_column() -> None:
    lineage = column_lineage({"B": "d2", "A": "d1"})
    assert lineage == {
        "obs_time": (InputColumn("d1", "A", "obs_time"), InputColumn("d2", "B", "obs_time")),
        "value": (
            InputColumn("d1", "A", "obs_time"),
            InputColumn("d1", "A", "value"),
            InputColumn("d2", "B", "obs_time"),
            InputColumn("d2", "B", "value"),
        ),
    }
