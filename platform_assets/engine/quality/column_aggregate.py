"""Expectations about one number, or the set of distinct values, of a column.

Missing values (NULL, NaN) take no part. A number that cannot be had (no rows, an infinity in a deviation) fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from platform_assets.engine.quality.column_map import set_complaints
from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.ranges import inside, is_missing, range_complaints
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, ORDERED, Value, coerce
from platform_assets.engine.schema.model import FieldType, TableSchema
from platform_assets.engine.spec import Spec

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr, Measure

Types = frozenset[FieldType] | None
_CLOSE = 1e-4  # Great Expectations' tolerance at the ends of quantile ranges


class ColumnAggregate(Expectation):
    family: ClassVar[str] = "column_aggregate"
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)

    column: str


# --- One number in a range --------------------------------------------------------------------------------------


class Ranged(ColumnAggregate):
    """``min_value`` ≤ the column's number ≤ ``max_value``; ``strict_…`` excludes an end.
    Without any end the number only has to exist."""

    accepts: ClassVar[Types] = NUMBERS
    number_type: ClassVar[FieldType | None] = None  # None: the column's own

    min_value: Value | None = None
    max_value: Value | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        field = schema.get(self.column)
        if self.min_value is None and self.max_value is None:
            return
        yield from range_complaints(
            self.min_value, self.max_value, self.number_type or (field.type if field else None)
        )

    def number(self, seen: Seen) -> Any:
        return seen["number"]

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        number = self.number(seen)
        observed = None if is_missing(number) else number
        low, high = (self._end(value, facts) for value in (self.min_value, self.max_value))
        success = inside(observed, low, high, strict_min=self.strict_min, strict_max=self.strict_max)
        return Judgement(success=success, observed_value=observed)

    def _end(self, value: Value | None, facts: Facts) -> Any:
        field = facts.schema.get(self.column)
        kind_ = self.number_type or (field.type if field else None)
        return value if value is None or kind_ is None else coerce(value, kind_)


@kind("expect_column_max_to_be_between")
class MaxBetween(Ranged):
    quotes_rows: ClassVar[bool] = True
    accepts: ClassVar[Types] = ORDERED

    def measures(self, on: Scope) -> Measures:
        return {"number": on.aggregate("MAX", self.column)}


@kind("expect_column_min_to_be_between")
class MinBetween(Ranged):
    quotes_rows: ClassVar[bool] = True
    accepts: ClassVar[Types] = ORDERED

    def measures(self, on: Scope) -> Measures:
        return {"number": on.aggregate("MIN", self.column)}


@kind("expect_column_sum_to_be_between")
class SumBetween(Ranged):
    def measures(self, on: Scope) -> Measures:
        return {"number": on.aggregate("SUM", self.column)}


@kind("expect_column_mean_to_be_between")
class MeanBetween(Ranged):
    number_type: ClassVar[FieldType | None] = FieldType.FLOAT64

    def measures(self, on: Scope) -> Measures:
        return {"number": on.aggregate("AVG", self.column)}


@kind("expect_column_stdev_to_be_between")
class StdevBetween(Ranged):
    """Sample standard deviation; fewer than two values, or an infinity among them, have none."""

    number_type: ClassVar[FieldType | None] = FieldType.FLOAT64

    def measures(self, on: Scope) -> Measures:
        spread = {"number": on.deviation(self.column)}
        if on.field(self.column).type is not FieldType.FLOAT64:
            return spread
        return {**spread, "infinities": on.infinities(self.column)}

    def number(self, seen: Seen) -> Any:
        return None if seen.get("infinities") else seen["number"]


@kind("expect_column_median_to_be_between")
class MedianBetween(Ranged):
    """The middle value, or the mean of the two middle ones."""

    quotes_rows: ClassVar[bool] = True
    number_type: ClassVar[FieldType | None] = FieldType.FLOAT64

    def measures(self, on: Scope) -> Measures:
        return {"number": on.over.quantile_measure(self.column, [0.5], 0, exact_value=False)}


@kind("expect_column_unique_value_count_to_be_between")
class UniqueCountBetween(Ranged):
    accepts: ClassVar[Types] = EQUATABLE
    number_type: ClassVar[FieldType | None] = FieldType.INT64

    def measures(self, on: Scope) -> Measures:
        return {"number": on.over.distinct(self.column)}


@kind("expect_column_proportion_of_unique_values_to_be_between")
class UniqueShareBetween(Ranged):
    """Distinct values ÷ non-missing rows; 0 where there are none."""

    accepts: ClassVar[Types] = EQUATABLE
    number_type: ClassVar[FieldType | None] = FieldType.FLOAT64

    def measures(self, on: Scope) -> Measures:
        return {"distinct": on.over.distinct(self.column), "known": on.count_known(self.column)}

    def number(self, seen: Seen) -> Any:
        return seen["distinct"] / seen["known"] if seen["known"] else 0


@kind("expect_column_proportion_of_non_null_values_to_be_between")
class KnownShareBetween(Ranged):
    """Non-missing rows ÷ rows; 0 where there are none."""

    accepts: ClassVar[Types] = None
    number_type: ClassVar[FieldType | None] = FieldType.FLOAT64

    def measures(self, on: Scope) -> Measures:
        return {"rows": on.rows(), "known": on.count_known(self.column)}

    def number(self, seen: Seen) -> Any:
        return seen["known"] / seen["rows"] if seen["rows"] else 0


# --- Quantiles --------------------------------------------------------------------------------------------------


class QuantileRanges(Spec):
    """``value_ranges[i]`` is the [low, high] allowed for ``quantiles[i]``; null leaves an end open."""

    quantiles: Annotated[tuple[Annotated[float, Field(ge=0, le=1)], ...], Field(min_length=1)]
    value_ranges: tuple[tuple[float | None, float | None], ...]


@kind("expect_column_quantile_values_to_be_between")
class QuantilesBetween(ColumnAggregate):
    """Each quantile is a value of the column (the first whose cumulative share reaches it).
    ``allow_relative_error: true`` lets the warehouse estimate, for slices too large to be sorted."""

    quotes_rows: ClassVar[bool] = True
    accepts: ClassVar[Types] = NUMBERS

    quantile_ranges: QuantileRanges
    allow_relative_error: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        ranges = self.quantile_ranges
        if len(ranges.quantiles) != len(ranges.value_ranges):
            yield "quantile_ranges", "quantiles and value_ranges differ in length", None
        for low, high in ranges.value_ranges:
            if low is not None and high is not None and low > high:
                yield "quantile_ranges", f"{low} is greater than {high}", None

    def measures(self, on: Scope) -> Measures:
        quantiles = self.quantile_ranges.quantiles
        return {f"q{i}": self._measure(on, quantiles, i) for i in range(len(quantiles))}

    def _measure(self, on: Scope, quantiles: tuple[float, ...], index: int) -> Any:
        if self.allow_relative_error:
            return on.approximate_quantile(self.column, quantiles[index])
        return on.over.quantile_measure(self.column, quantiles, index, exact_value=True)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        ranges = self.quantile_ranges
        values = [seen[f"q{i}"] for i in range(len(ranges.quantiles))]
        met = [_quantile_met(v, *ends) for v, ends in zip(values, ranges.value_ranges, strict=True)]
        observed = {"quantiles": list(ranges.quantiles), "values": values}
        return Judgement(success=all(met), observed_value=observed, details={"success_details": met})


def _quantile_met(value: Any, low: float | None, high: float | None) -> bool:
    if is_missing(value):
        return False
    number = float(value)
    close = any(end is not None and abs(number - end) <= 1e-8 + _CLOSE * abs(end) for end in (low, high))
    return close or inside(number, low, high)


# --- Sets of distinct values ------------------------------------------------------------------------------------


class DistinctSet(ColumnAggregate):
    """The set of a column's distinct values against ``value_set``."""

    accepts: ClassVar[Types] = EQUATABLE

    value_set: Annotated[tuple[Value | None, ...], Field(min_length=1)]

    @property
    def members(self) -> tuple[Value, ...]:
        return tuple(v for v in self.value_set if v is not None)

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from set_complaints(self.members, self.column, schema)

    def strangers(self, on: Scope) -> Measure:
        """How many distinct values are not members."""
        return on.over.distinct_outside(self.column, self.members)

    def occurring(self, on: Scope) -> dict[str, Measure]:
        """For each member, whether it occurs."""
        return {f"member{i}": on.over.occurs(self.column, m) for i, m in enumerate(self.members)}

    def absent(self, seen: Seen) -> list[Value]:
        return [m for i, m in enumerate(self.members) if not seen[f"member{i}"]]

    def unexpected(self, on: Scope) -> Expr:
        inside = on.among(on.column(self.column), self.members, self.column)
        return on.unless_nan(self.column, on.negate(inside))


@kind("expect_column_distinct_values_to_be_in_set")
class DistinctInSet(DistinctSet):
    def measures(self, on: Scope) -> Measures:
        return {"strangers": self.strangers(on)}

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        strangers = seen["strangers"] or 0
        return Judgement(success=strangers == 0, details={"unexpected_distinct_values": strangers})


@kind("expect_column_distinct_values_to_contain_set")
class DistinctContainsSet(DistinctSet):
    def measures(self, on: Scope) -> Measures:
        return self.occurring(on)

    def unexpected(self, on: Scope) -> Expr:
        return on.never()

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        absent = self.absent(seen)
        return Judgement(success=not absent, details={"missing_values": absent})


@kind("expect_column_distinct_values_to_equal_set")
class DistinctEqualsSet(DistinctSet):
    def measures(self, on: Scope) -> Measures:
        return {"strangers": self.strangers(on), **self.occurring(on)}

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        absent, strangers = self.absent(seen), seen["strangers"] or 0
        details = {"missing_values": absent, "unexpected_distinct_values": strangers}
        return Judgement(success=not absent and strangers == 0, details=details)


@kind("expect_column_most_common_value_to_be_in_set")
class MostCommonInSet(DistinctSet):
    """The most frequent value is a member. Of several equally frequent ones, none is the most common unless
    ``ties_okay``, when one member among them is enough."""

    quotes_rows: ClassVar[bool] = True

    ties_okay: bool | None = None

    def measures(self, on: Scope) -> Measures:
        return on.over.most_common(self.column, self.members)

    def unexpected(self, on: Scope) -> Expr:
        return on.never()

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        ties, members = seen["ties"] or 0, seen["members"] or 0
        success = members > 0 and (ties == 1 or bool(self.ties_okay))
        details = {"equally_common_values": ties}
        return Judgement(success=success, observed_value=seen["leader"], details=details)
