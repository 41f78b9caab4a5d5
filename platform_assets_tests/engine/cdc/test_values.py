"""Arithmetic of gauges."""

import pytest

from platform_assets.engine.cdc.values import (
    Column,
    NoDenominator,
    NullOperand,
    columns_of,
    evaluate,
    parse_value,
)

VALUES = {Column("u", "total"): 1500.0, Column("p", "total"): 8000.0, Column("n", "total"): None}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("u.total", 1500.0),
        ("u.total / p.total", 0.1875),
        ("p.total / (p.total + u.total)", 8000 / 9500),
        ("(u.total - p.total) * 2 + 1", -12999.0),
        ("-u.total", -1500.0),
        ("100 * u.total / p.total", 18.75),
    ],
)
def test_values(text: str, value: float) -> None:
    assert evaluate(parse_value(text), VALUES) == value


@pytest.mark.parametrize("text", ["u.total / (u.total - u.total)", "u.total / (0 - p.total)", "1 / 0"])
def test_a_denominator_of_zero_or_less_is_no_number(text: str) -> None:
    with pytest.raises(NoDenominator):
        evaluate(parse_value(text), VALUES)


def test_null_is_no_number() -> None:
    with pytest.raises(NullOperand, match=r"n\.total"):
        evaluate(parse_value("u.total + n.total"), VALUES)


@pytest.mark.parametrize(
    "text",
    ["", "u", "u.total +", "__import__('os')", "u.total ** 2", "u.a.b", "'x'", "True", "u[0]", "lambda: 1", "a.b" * 200,
     "(" * 300 + "u.t" + ")" * 300, "u.total if 1 else 2"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is "):
        parse_value(text)


def test_columns_are_told_in_reading_order() -> None:
    assert [str(c) for c in columns_of(parse_value("b.x / (a.y + b.x)"))] == ["b.x", "a.y", "b.x"]
