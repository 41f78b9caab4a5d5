"""Expectations about every value of one column: a row is missing, expected, or unexpected.

Missing rows (NULL, NaN) are neither; ``mostly`` is the share of the non-missing rows that must be expected.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from platform_assets.engine.quality.expectation import Complaint, Expectation, kind
from platform_assets.engine.quality.model import Judgement
from platform_assets.engine.quality.ranges import range_complaints
from platform_assets.engine.quality.values import ORDERED, Value
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Expr, Scope

Mostly = Annotated[float, Field(ge=0, le=1)]


def mostly_success(considered: int, unexpected: int, mostly: float) -> bool:
    """Great Expectations' rule: nothing to consider is a success; otherwise the share, as a float."""
    return considered == 0 or (float(considered) - float(unexpected)) / float(considered) >= mostly


class ColumnMap(Expectation):
    """One column, row by row."""

    family: ClassVar[str] = "column_map"
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)

    column: str
    mostly: Mostly = 1.0

    def measures(self, on: Scope) -> Mapping[str, Expr]:
        return {
            "rows": on.rows(),
            "known": on.count_known(self.column),
            "unexpected": on.count_if(self.unexpected(on)),
        }

    def unexpected(self, on: Scope) -> Expr:
        """True for unexpected rows; false or NULL for the others, missing ones among them."""
        raise NotImplementedError

    def judge(self, seen: Mapping[str, Any]) -> Judgement:
        rows, known, unexpected = seen["rows"], seen["known"], seen["unexpected"] or 0
        return Judgement(
            success=mostly_success(known, unexpected, self.mostly),
            element_count=rows,
            missing_count=rows - known,
            unexpected_count=unexpected,
        )


class NullMap(ColumnMap):
    """Whether values are there at all: no row is missing, all are considered."""

    def judge(self, seen: Mapping[str, Any]) -> Judgement:
        rows, unexpected = seen["rows"], self.blamed(seen)
        return Judgement(
            success=mostly_success(rows, unexpected, self.mostly),
            element_count=rows,
            unexpected_count=unexpected,
        )

    def measures(self, on: Scope) -> Mapping[str, Expr]:
        return {"rows": on.rows(), "known": on.count_known(self.column)}

    def blamed(self, seen: Mapping[str, Any]) -> int:
        raise NotImplementedError


@kind("expect_column_values_to_not_be_null")
class NotNull(NullMap):
    """Every value is there."""

    def unexpected(self, on: Scope) -> Expr:
        return on.missing(self.column)

    def blamed(self, seen: Mapping[str, Any]) -> int:
        return int(seen["rows"] - seen["known"])


@kind("expect_column_values_to_be_between")
class Between(ColumnMap):
    """``min_value`` ≤ value ≤ ``max_value``; ``strict_min`` and ``strict_max`` exclude the ends."""

    accepts: ClassVar[frozenset[FieldType] | None] = ORDERED

    min_value: Value | None = None
    max_value: Value | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        field = schema.get(self.column)
        yield from range_complaints(self.min_value, self.max_value, field.type if field else None)

    def unexpected(self, on: Scope) -> Expr:
        from platform_assets.engine.quality.scope import negate

        low, high = (
            None if v is None else on.value(v, self.column) for v in (self.min_value, self.max_value)
        )
        inside = on.within(
            on.column(self.column), low, high, strict_min=self.strict_min, strict_max=self.strict_max
        )
        return on.unless_nan(self.column, negate(inside))
