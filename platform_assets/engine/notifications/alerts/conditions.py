"""Rows for which all conditions hold. What is not there never holds, whichever way it is asked."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BeforeValidator, Field, model_validator

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.rule import Answer, Found, Moment, Question, Row
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.spec import Spec
from platform_assets.engine.tenancy import Currency

Operator = Literal["gt", "lt", "eq", "gte", "lte", "ne", "between", "not_between", "contains", "in"]


def exact(value: Any) -> Any:
    """Floats as they were written; everything else as it is."""
    if isinstance(value, list):
        return [exact(item) for item in value]
    return Decimal(str(value)) if isinstance(value, float) else value


Plain: TypeAlias = bool | int | Decimal | str
Value = Annotated[Plain | list[Plain], BeforeValidator(exact)]


class Condition(Spec):
    """``unit``: of money, its currency; of other decimals ``number`` or ``percent``. ``between`` takes two values, ends
    included; ``in`` a list."""

    field: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
    operator: Operator
    value: Value
    unit: Currency | Literal["number", "percent"] | None = None

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Condition:
        count = len(self.value) if isinstance(self.value, list) else None
        if self.operator in ("between", "not_between") and count != 2:
            raise ValueError(f"{self.operator} takes a list of two values")
        if self.operator == "in" and not count:
            raise ValueError("in takes a list of values")
        if self.operator not in ("between", "not_between", "in") and count is not None:
            raise ValueError(f"{self.operator} takes one value")
        return self


class Conditions(Spec):
    """Rows of a table's slice. The names were looked up in the table's columns when the file was read."""

    on_gold: ClassVar[bool] = True
    event: ClassVar[Event] = Event.COST_THRESHOLD

    type: Literal["conditions"]
    table: str
    conditions: Annotated[list[Condition], Field(min_length=1)]

    def looks_at(self) -> TableName:
        return TableName.parse(self.table)

    def question(self, moment: Moment) -> Question:
        money = [name for name in moment.currencies if name]
        columns = ", ".join(dict.fromkeys([*(c.field for c in self.conditions), *money]))
        sql = f"SELECT {columns} FROM {self.table} WHERE x_run_date = @day"  # noqa: S608
        return Question(self.looks_at(), sql, {"day": (FieldType.DATE, moment.day)})

    def judge(self, answer: Answer, found: Found) -> None:
        for row in answer.rows:
            if all(self._holds(index, row, answer, found) for index in range(len(self.conditions))):
                pairs = zip(self.conditions, answer.currencies, strict=True)
                values = (
                    f"{c.field} = {_shown(row[c.field])}" + (f" {row[m]}" if m else "") for c, m in pairs
                )
                found.matches.append(", ".join(values))

    def _holds(self, index: int, row: Row, answer: Answer, found: Found) -> bool:
        condition, actual = self.conditions[index], row[self.conditions[index].field]
        money = answer.currencies[index]
        if money and actual is not None:
            currency, unit = row[money], str(condition.unit)
            if currency is None:  # of no known currency: compared with nothing
                return False
            actual = answer.rates.convert(Decimal(actual), currency, unit, answer.day)
            if actual is None:
                found.unjudged.append(f"{condition.field} in {currency}: no rate to {unit} for {answer.day}")
        return holds(condition.operator, actual, answer.wanted[index])


_OPERATORS: Mapping[str, Callable[[Any, Any], bool]] = {
    "gt": lambda actual, wanted: actual > wanted,
    "lt": lambda actual, wanted: actual < wanted,
    "eq": lambda actual, wanted: actual == wanted,
    "gte": lambda actual, wanted: actual >= wanted,
    "lte": lambda actual, wanted: actual <= wanted,
    "ne": lambda actual, wanted: actual != wanted,
    "between": lambda actual, wanted: wanted[0] <= actual <= wanted[1],
    "not_between": lambda actual, wanted: not wanted[0] <= actual <= wanted[1],
    "contains": lambda actual, wanted: wanted in actual,
    "in": lambda actual, wanted: actual in wanted,
}
_NUMBERS = (FieldType.INT64, FieldType.FLOAT64, FieldType.NUMERIC, FieldType.BIGNUMERIC)
_ORDERED = ("gt", "lt", "gte", "lte", "between", "not_between")


def holds(operator: str, actual: Any, wanted: Any) -> bool:
    """False for null and NaN, also of ``ne`` and ``not_between``."""
    if actual is None or (isinstance(actual, float | Decimal) and math.isnan(actual)):
        return False
    return _OPERATORS[operator](_comparable(actual), wanted)


def typed(condition: Condition, kind: FieldType, repeated: bool) -> Any:
    """The condition's value as the column's type has it. ValueError says why it cannot be compared."""
    if condition.operator == "contains" and not repeated and kind is not FieldType.STRING:
        raise ValueError(f"contains is for text and lists, not for {kind}")
    if repeated and condition.operator != "contains":
        raise ValueError(f"{condition.operator} is not for lists; use contains")
    if condition.operator in _ORDERED and kind in (FieldType.BOOL, FieldType.JSON, FieldType.BYTES):
        raise ValueError(f"{condition.operator} is not for {kind}")
    if isinstance(condition.value, list):
        return [_as(kind, item) for item in condition.value]
    return _as(kind, condition.value)


def _as(kind: FieldType, value: Any) -> Any:
    if kind in _NUMBERS:
        if isinstance(value, bool) or not isinstance(value, int | Decimal):
            raise ValueError(f"{value!r} is not a number")
        return Decimal(value)
    if kind is FieldType.BOOL and not isinstance(value, bool):
        raise ValueError(f"{value!r} is neither true nor false")
    if kind is FieldType.DATE:
        return date.fromisoformat(str(value))
    if kind is FieldType.TIMESTAMP:
        return datetime.fromisoformat(str(value))
    if kind is FieldType.STRING and not isinstance(value, str):
        raise ValueError(f"{value!r} is not text")
    return value


def _comparable(actual: Any) -> Any:
    """Numbers as decimals: 0.1 of a float column is what it prints as."""
    if isinstance(actual, float):
        try:
            return Decimal(repr(actual))
        except InvalidOperation:
            return actual
    return actual


def _shown(value: Any) -> str:
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
