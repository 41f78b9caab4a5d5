"""Expectations about two columns of each row.

``ignore_row_if`` says which rows are not considered; in a row that is considered, a missing value (NULL, NaN)
meets no expectation.
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
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, ORDERED, Value, coerce
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

Types = frozenset[FieldType] | None


def considered_judgement(seen: Seen, mostly: float) -> Judgement:
    """Rows that were ignored are reported as missing."""
    # over no rows at all, a conditional sum is NULL
    rows, considered, unexpected = seen["rows"], int(seen["considered"] or 0), int(seen["unexpected"] or 0)
    return Judgement(
        success=mostly_success(considered, unexpected, mostly),
        element_count=rows,
        missing_count=rows - considered,
        unexpected_count=unexpected,
    )


def comparable(schema: TableSchema, columns: tuple[str, ...], argument: str) -> Iterator[Complaint]:
    """Complaint where columns are of types that cannot be compared in both warehouses."""
    types = {name: field.type for name in columns if (field := schema.get(name))}
    if len(set(types.values())) > 1 and not set(types.values()) <= NUMBERS:
        told = ", ".join(f"{name} is {kind}" for name, kind in types.items())
        yield argument, f"columns of different types cannot be compared: {told}", None


class ColumnPair(Expectation):
    """Two columns, row by row."""

    family: ClassVar[str] = "column_pair"
    row_wise: ClassVar[bool] = True
    column_arguments: ClassVar[tuple[str, ...]] = ("column_A", "column_B")
    accepts: ClassVar[Types] = EQUATABLE

    column_A: str
    column_B: str
    mostly: Annotated[float, Field(ge=0, le=1)] = 1.0
    ignore_row_if: Literal["both_values_are_missing", "either_value_is_missing", "neither"] = (
        "both_values_are_missing"
    )

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from comparable(schema, self.columns, "column_B")

    def considered(self, on: Scope) -> Expr | None:
        missing = [on.missing(name) for name in self.columns]
        if self.ignore_row_if == "neither":
            return None
        return on.negate(on.combine(missing, "all" if self.ignore_row_if[0] == "b" else "any"))

    def holds(self, on: Scope) -> Expr:
        """True where the pair is as expected; otherwise false or NULL."""
        raise NotImplementedError

    def unexpected(self, on: Scope) -> Expr:
        wrong, considered = on.unless_true(self.holds(on)), self.considered(on)
        return wrong if considered is None else on.combine([considered, wrong], "all")

    def measures(self, on: Scope) -> Measures:
        considered = self.considered(on)
        return {
            "rows": on.rows(),
            "considered": on.rows() if considered is None else on.count_if(considered),
            "unexpected": on.count_if(self.unexpected(on)),
        }

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        return considered_judgement(seen, self.mostly)


@kind("expect_column_pair_values_to_be_equal")
class PairEqual(ColumnPair):
    def holds(self, on: Scope) -> Expr:
        return on.equal(on.known(self.column_A), on.known(self.column_B))


@kind("expect_column_pair_values_a_to_be_greater_than_b")
class PairGreater(ColumnPair):
    """A > B, or A ≥ B with ``or_equal``."""

    accepts: ClassVar[Types] = ORDERED

    or_equal: bool | None = None

    def holds(self, on: Scope) -> Expr:
        return on.greater(on.known(self.column_A), on.known(self.column_B), or_equal=bool(self.or_equal))


@kind("expect_column_pair_values_to_be_in_set")
class PairInSet(ColumnPair):
    """(A, B) is one of ``value_pairs_set``; a null in a pair means a missing value."""

    value_pairs_set: Annotated[tuple[tuple[Value | None, Value | None], ...], Field(min_length=1)]

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        for pair in self.value_pairs_set:
            for name, value in zip(self.columns, pair, strict=True):
                field = schema.get(name)
                try:
                    coerce(value, field.type) if field and value is not None else None
                except ValueError as error:
                    yield "value_pairs_set", str(error), None

    def holds(self, on: Scope) -> Expr:
        return on.combine([self._pair(on, pair) for pair in self.value_pairs_set], "any")

    def _pair(self, on: Scope, pair: tuple[Value | None, Value | None]) -> Expr:
        return on.combine(
            [
                on.missing(name) if value is None else on.equal(on.known(name), on.value(value, name))
                for name, value in zip(self.columns, pair, strict=True)
            ],
            "all",
        )
