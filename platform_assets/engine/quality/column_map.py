"""Expectations about every value of one column: a row is missing, expected, or unexpected.

Missing rows (NULL, NaN) are neither; ``mostly`` is the share of the non-missing rows that must be expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from platform_assets.engine.quality.expectation import (
    Complaint,
    Expectation,
    Measures,
    Seen,
    kind,
    mostly_success,
)
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.ranges import range_complaints
from platform_assets.engine.quality.regex import regex_problem
from platform_assets.engine.quality.values import EQUATABLE, ORDERED, Value, coerce
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

Mostly = Annotated[float, Field(ge=0, le=1)]
Types = frozenset[FieldType] | None
TEXT = frozenset({FieldType.STRING})
MEASURABLE = frozenset({FieldType.STRING, FieldType.BYTES})


class ColumnMap(Expectation):
    """One column, row by row."""

    family: ClassVar[str] = "column_map"
    row_wise: ClassVar[bool] = True
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)

    column: str
    mostly: Mostly = 1.0

    def measures(self, on: Scope) -> Measures:
        return {
            "rows": on.rows(),
            "known": on.count_known(self.column),
            "unexpected": on.count_if(self.unexpected(on)),
        }

    def unexpected(self, on: Scope) -> Expr:
        """True for unexpected rows; false or NULL for the others, missing ones among them."""
        raise NotImplementedError

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        rows, known, unexpected = seen["rows"], seen["known"], int(seen["unexpected"] or 0)
        return Judgement(
            success=mostly_success(known, unexpected, self.mostly),
            element_count=rows,
            missing_count=rows - known,
            unexpected_count=unexpected,
        )


# --- There or not -----------------------------------------------------------------------------------------------


@kind("expect_column_values_to_not_be_null")
class NotNull(ColumnMap):
    """Every value is there. Here missing rows are the unexpected ones, so every row is considered."""

    def measures(self, on: Scope) -> Measures:
        return {"rows": on.rows(), "known": on.count_known(self.column)}

    def unexpected(self, on: Scope) -> Expr:
        return on.missing(self.column)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        return _of_all_rows(seen["rows"], seen["rows"] - seen["known"], self.mostly)


@kind("expect_column_values_to_be_null")
class Null(ColumnMap):
    """No value is there. Every row is considered."""

    def measures(self, on: Scope) -> Measures:
        return {"rows": on.rows(), "known": on.count_known(self.column)}

    def unexpected(self, on: Scope) -> Expr:
        return on.present(self.column)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        return _of_all_rows(seen["rows"], seen["known"], self.mostly)


def _of_all_rows(rows: int, unexpected: int, mostly: float) -> Judgement:
    success = mostly_success(rows, unexpected, mostly)
    return Judgement(success=success, element_count=rows, unexpected_count=unexpected)


# --- Ranges and sets --------------------------------------------------------------------------------------------


@kind("expect_column_values_to_be_between")
class Between(ColumnMap):
    """``min_value`` ≤ value ≤ ``max_value``; ``strict_min`` and ``strict_max`` exclude the ends."""

    accepts: ClassVar[Types] = ORDERED

    min_value: Value | None = None
    max_value: Value | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        field = schema.get(self.column)
        yield from range_complaints(self.min_value, self.max_value, field.type if field else None)

    def unexpected(self, on: Scope) -> Expr:
        ends = [None if v is None else on.value(v, self.column) for v in (self.min_value, self.max_value)]
        inside = on.within(
            on.column(self.column), *ends, strict_min=self.strict_min, strict_max=self.strict_max
        )
        return on.unless_nan(self.column, on.negate(inside))


class OfSet(ColumnMap):
    """A closed list of values. A null in the list means nothing: missing rows are not considered."""

    accepts: ClassVar[Types] = EQUATABLE

    value_set: Annotated[tuple[Value | None, ...], Field(min_length=1)]

    @property
    def members(self) -> tuple[Value, ...]:
        return tuple(v for v in self.value_set if v is not None)

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from set_complaints(self.members, self.column, schema)

    def within(self, on: Scope) -> Expr:
        return on.among(on.column(self.column), self.members, self.column)


def set_complaints(values: tuple[Value, ...], column: str, schema: TableSchema) -> Iterator[Complaint]:
    """Complaints about a ``value_set``: nothing in it, or values which the column cannot hold."""
    if not values:
        yield "value_set", "holds no value", None
    field = schema.get(column)
    for value in values if field else ():
        try:
            coerce(value, field.type if field else FieldType.STRING)
        except ValueError as error:
            yield "value_set", str(error), None


@kind("expect_column_values_to_be_in_set")
class InSet(OfSet):
    """Every value is one of ``value_set``."""

    def unexpected(self, on: Scope) -> Expr:
        return on.unless_nan(self.column, on.negate(self.within(on)))


@kind("expect_column_values_to_not_be_in_set")
class NotInSet(OfSet):
    """No value is one of ``value_set``."""

    def unexpected(self, on: Scope) -> Expr:
        return self.within(on)


# --- Texts ------------------------------------------------------------------------------------------------------


@kind("expect_column_value_lengths_to_be_between")
class LengthBetween(ColumnMap):
    """Length in characters (bytes for BYTES)."""

    accepts: ClassVar[Types] = MEASURABLE

    min_value: int | None = None
    max_value: int | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from range_complaints(self.min_value, self.max_value, FieldType.INT64)

    def unexpected(self, on: Scope) -> Expr:
        ends = [None if v is None else on.bind(v, FieldType.INT64) for v in (self.min_value, self.max_value)]
        length = on.length(self.column)
        return on.negate(on.within(length, *ends, strict_min=self.strict_min, strict_max=self.strict_max))


@kind("expect_column_value_lengths_to_equal")
class LengthEqual(ColumnMap):
    """Length in characters (bytes for BYTES) is exactly ``value``."""

    accepts: ClassVar[Types] = MEASURABLE

    value: Annotated[int, Field(ge=0)]

    def unexpected(self, on: Scope) -> Expr:
        return on.differ(on.length(self.column), on.bind(self.value, FieldType.INT64))


class Patterned(ColumnMap):
    """Texts against patterns; a pattern may be found anywhere in the text."""

    accepts: ClassVar[Types] = TEXT

    def patterns(self) -> tuple[tuple[str, str], ...]:
        """(argument, regular expression) of each pattern."""
        raise NotImplementedError

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        for argument, pattern in self.patterns():
            problem = regex_problem(pattern)
            if problem:
                yield argument, problem, None

    def found(self, on: Scope) -> list[Expr]:
        return [on.matches(on.column(self.column), pattern) for _, pattern in self.patterns()]


class OnePattern(Patterned):
    regex: Annotated[str, Field(min_length=1)]

    def patterns(self) -> tuple[tuple[str, str], ...]:
        return (("regex", self.regex),)


@kind("expect_column_values_to_match_regex")
class MatchRegex(OnePattern):
    def unexpected(self, on: Scope) -> Expr:
        return on.negate(self.found(on)[0])


@kind("expect_column_values_to_not_match_regex")
class NotMatchRegex(OnePattern):
    def unexpected(self, on: Scope) -> Expr:
        return self.found(on)[0]
