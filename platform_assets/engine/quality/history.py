"""Expectations about a slice against the time, or against the same check's earlier values.

The values come from outside (``Facts``): earlier ``observed_value``s of the check from ``dq_results``, oldest first.
Unusual is measured from the median in robust standard deviations (1.4826 × median absolute deviation), so that the
odd days of the past do not widen what is usual. Too little history proves nothing: the check succeeds and says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from statistics import median
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.ranges import is_missing
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope

Types = frozenset[FieldType] | None
_NORMAL = 1.4826  # standard deviation of a normal distribution ÷ its median absolute deviation
_DATED = frozenset({FieldType.DATE, FieldType.DATETIME, FieldType.TIMESTAMP})


# --- Freshness --------------------------------------------------------------------------------------------------


@kind("freshness_check")
class Freshness(Expectation):
    """The newest value of ``column`` is at most ``max_age_hours`` old. A DATE is old from its end on (a day that is
    not over is fresh). An empty slice is not fresh."""

    family: ClassVar[str] = "column_aggregate"
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)
    accepts: ClassVar[Types] = _DATED

    column: str
    max_age_hours: Annotated[float, Field(gt=0)]

    def measures(self, on: Scope) -> Measures:
        return {"newest": on.aggregate("MAX", self.column)}

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        newest = seen["newest"]
        if facts.now is None:
            return Judgement(success=False, observed_value=newest, error="the audit was given no time")
        if newest is None:
            return Judgement(success=False, details={"max_age_hours": self.max_age_hours})
        age = max(0.0, (facts.now - _end_of(newest)).total_seconds() / 3600)
        details = {"age_hours": round(age, 3), "max_age_hours": self.max_age_hours}
        return Judgement(success=age <= self.max_age_hours, observed_value=newest, details=details)


def _end_of(value: Any) -> datetime:
    if isinstance(value, datetime):
        return value if value.tzinfo else value.replace(tzinfo=UTC)
    day: date = value
    return datetime.fromordinal(day.toordinal() + 1).replace(tzinfo=UTC)


# --- Anomalies --------------------------------------------------------------------------------------------------


class AgainstHistory(Expectation):
    """The slice's number is within ``max_deviations`` robust standard deviations of the median of its history.

    One deviation is never less than ``min_change_percent`` of the median, so that a series which never moved
    tolerates a little. Fewer than ``min_history`` earlier values prove nothing.
    """

    max_deviations: Annotated[float, Field(gt=0)] = 4.0
    min_change_percent: Annotated[float, Field(ge=0)] = 1.0
    min_history: Annotated[int, Field(ge=2)] = 7

    def number(self, seen: Seen) -> Any:
        return seen["number"]

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        number = self.number(seen)
        observed = None if is_missing(number) else float(number)
        earlier = facts.earlier
        if len(earlier) < self.min_history:
            told = f"{len(earlier)} of {self.min_history} earlier values: too few to judge"
            return Judgement(success=True, observed_value=observed, details={"history": told})
        if observed is None:
            return Judgement(success=False, details={"history": "nothing to compare with it"})
        return self._compared(observed, earlier)

    def _compared(self, observed: float, earlier: tuple[float, ...]) -> Judgement:
        centre = median(earlier)
        spread = _NORMAL * median(abs(value - centre) for value in earlier)
        reach = self.max_deviations * max(spread, abs(centre) * self.min_change_percent / 100)
        details = {
            "expected": centre,
            "lowest": centre - reach,
            "highest": centre + reach,
            "values": len(earlier),
        }
        return Judgement(success=abs(observed - centre) <= reach, observed_value=observed, details=details)


@kind("expect_table_row_count_to_match_history")
class UsualRowCount(AgainstHistory):
    """Volume: as many rows as usual."""

    family: ClassVar[str] = "table"

    def measures(self, on: Scope) -> Measures:
        return {"number": on.rows()}


_OF_NUMBERS = frozenset({"mean", "sum", "stdev", "min", "max", "median"})


@kind("expect_column_statistic_to_match_history")
class UsualStatistic(AgainstHistory):
    """Distribution: a column's statistic is as usual. ``null_percent`` and ``unique_percent`` are 0-100."""

    family: ClassVar[str] = "column_aggregate"
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)

    column: str
    statistic: Literal[
        "mean", "sum", "stdev", "min", "max", "median", "null_percent", "unique_count", "unique_percent"
    ]

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        field = schema.get(self.column)
        accepted = NUMBERS if self.statistic in _OF_NUMBERS else EQUATABLE
        if field and field.type not in accepted:
            yield "statistic", f"a {field.type} column has no {self.statistic}", None

    def measures(self, on: Scope) -> Measures:
        if self.statistic in ("mean", "sum", "min", "max"):
            function = "AVG" if self.statistic == "mean" else self.statistic.upper()
            return {"number": on.aggregate(function, self.column)}
        if self.statistic == "stdev":
            return {"number": on.deviation(self.column)}
        if self.statistic == "median":
            return {"number": on.over.quantile_measure(self.column, [0.5], 0, exact_value=False)}
        return self._shares(on)

    def _shares(self, on: Scope) -> Measures:
        counts: Measures = {"rows": on.rows(), "known": on.count_known(self.column)}
        if self.statistic == "null_percent":
            return counts
        return {**counts, "distinct": on.over.distinct(self.column)}

    def number(self, seen: Seen) -> Any:
        if self.statistic == "null_percent":
            return (seen["rows"] - seen["known"]) / seen["rows"] * 100 if seen["rows"] else None
        if self.statistic == "unique_count":
            return seen["distinct"]
        if self.statistic == "unique_percent":
            return seen["distinct"] / seen["known"] * 100 if seen["known"] else None
        return seen["number"]
