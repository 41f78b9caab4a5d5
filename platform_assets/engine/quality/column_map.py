"""Expectations about every value of one column: a row is missing, expected, or unexpected.

Missing rows (NULL, NaN) are neither; ``mostly`` is the share of the non-missing rows that must be expected.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

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
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, ORDERED, Value, coerce
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


class ManyPatterns(Patterned):
    regex_list: Annotated[tuple[str, ...], Field(min_length=1)]

    def patterns(self) -> tuple[tuple[str, str], ...]:
        return tuple(("regex_list", regex) for regex in self.regex_list)


@kind("expect_column_values_to_match_regex_list")
class MatchRegexList(ManyPatterns):
    """``match_on``: any or all of the patterns."""

    match_on: Literal["any", "all"] = "any"

    def unexpected(self, on: Scope) -> Expr:
        return on.negate(on.combine(self.found(on), self.match_on))


@kind("expect_column_values_to_not_match_regex_list")
class NotMatchRegexList(ManyPatterns):
    """None of the patterns."""

    def unexpected(self, on: Scope) -> Expr:
        return on.combine(self.found(on), "any")


class Liked(ColumnMap):
    """SQL LIKE: ``%`` any text, ``_`` one character; ``escape`` names a character that makes them literal.
    Without ``escape`` no character is special, a backslash included."""

    accepts: ClassVar[Types] = TEXT

    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None

    def likes(self) -> tuple[str, ...]:
        raise NotImplementedError

    def found(self, on: Scope) -> list[Expr]:
        return [on.like(on.column(self.column), pattern, self.escape) for pattern in self.likes()]


class OneLike(Liked):
    like_pattern: str

    def likes(self) -> tuple[str, ...]:
        return (self.like_pattern,)


@kind("expect_column_values_to_match_like_pattern")
class MatchLike(OneLike):
    def unexpected(self, on: Scope) -> Expr:
        return on.negate(self.found(on)[0])


@kind("expect_column_values_to_not_match_like_pattern")
class NotMatchLike(OneLike):
    def unexpected(self, on: Scope) -> Expr:
        return self.found(on)[0]


class ManyLikes(Liked):
    like_pattern_list: Annotated[tuple[str, ...], Field(min_length=1)]

    def likes(self) -> tuple[str, ...]:
        return self.like_pattern_list


@kind("expect_column_values_to_match_like_pattern_list")
class MatchLikeList(ManyLikes):
    """``match_on``: any or all of the patterns."""

    match_on: Literal["any", "all"] = "any"

    def unexpected(self, on: Scope) -> Expr:
        return on.negate(on.combine(self.found(on), self.match_on))


@kind("expect_column_values_to_not_match_like_pattern_list")
class NotMatchLikeList(ManyLikes):
    """None of the patterns."""

    def unexpected(self, on: Scope) -> Expr:
        return on.combine(self.found(on), "any")


# --- Rows against the whole column ------------------------------------------------------------------------------


@kind("expect_column_values_to_be_unique")
class Unique(ColumnMap):
    """No value occurs twice; every row of a repeated value is unexpected."""

    accepts: ClassVar[Types] = EQUATABLE

    def measures(self, on: Scope) -> Measures:
        repeated = on.over.repeated_rows([self.column], [on.present(self.column)])
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": repeated}

    def unexpected(self, on: Scope) -> Expr:
        return on.over.is_repeated(self.column)


class AgainstColumn(ColumnMap):
    """Values against statistics of their own column, which are subqueries of the same query."""

    accepts: ClassVar[Types] = NUMBERS

    def measures(self, on: Scope) -> Measures:
        unexpected = on.over.count_over([self.unexpected(on)])
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": unexpected}


@kind("expect_column_value_z_scores_to_be_less_than")
class ZScore(AgainstColumn):
    """(value - mean) / standard deviation < ``threshold``; ``double_sided`` compares its absolute value.
    A column without spread (one value, all equal, or an infinity among them) has no unexpected rows."""

    threshold: float
    double_sided: bool = False

    def unexpected(self, on: Scope) -> Expr:
        score = on.over.z_score(self.column)
        limit = abs(self.threshold) if self.double_sided else self.threshold
        return on.at_least(on.absolute(score) if self.double_sided else score, limit)


@kind("expect_column_values_to_not_be_outliers")
class NotOutliers(AgainstColumn):
    """``iqr``: within ``multiplier`` interquartile ranges of the quartiles; ``std``: nearer to the mean than
    ``multiplier`` standard deviations. A column that offers no such window has no outliers."""

    method: Literal["iqr", "std"] = "iqr"
    multiplier: Annotated[float, Field(gt=0)] = 1.5

    def unexpected(self, on: Scope) -> Expr:
        if self.method == "iqr":
            return on.over.outside_quartiles(self.column, self.multiplier)
        return on.at_least(on.absolute(on.over.z_score(self.column)), self.multiplier)


class Sequenced(ColumnMap):
    """Values in the order of ``order_by``: a table has no order of its own, so it must be named."""

    accepts: ClassVar[Types] = ORDERED
    column_arguments: ClassVar[tuple[str, ...]] = ("column", "order_by")
    row_wise: ClassVar[bool] = False
    # The relation to the value before it that is wrong: (strictly, otherwise).
    wrong: ClassVar[tuple[str, str]]

    strictly: bool | None = None
    order_by: Annotated[tuple[str, ...], Field(min_length=1)]

    def measures(self, on: Scope) -> Measures:
        comparison = self.wrong[0] if self.strictly else self.wrong[1]
        unexpected = on.over.count_steps(self.column, self.order_by, comparison)
        return {"rows": on.rows(), "known": on.count_known(self.column), "unexpected": unexpected}

    def unexpected(self, on: Scope) -> Expr:
        return on.never()


@kind("expect_column_values_to_be_increasing")
class Increasing(Sequenced):
    wrong: ClassVar[tuple[str, str]] = ("<=", "<")


@kind("expect_column_values_to_be_decreasing")
class Decreasing(Sequenced):
    wrong: ClassVar[tuple[str, str]] = (">=", ">")
