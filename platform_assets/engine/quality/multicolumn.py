"""Expectations about several columns of each row, and about their combination over all rows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.quality.column_pair import comparable, considered_judgement
from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, bound_type, coerce
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

Types = frozenset[FieldType] | None
_WIDENING = (FieldType.FLOAT64, FieldType.BIGNUMERIC, FieldType.NUMERIC, FieldType.INT64)


class Multicolumn(Expectation):
    """Several columns, row by row. ``ignore_row_if`` says which rows are not considered."""

    family: ClassVar[str] = "multicolumn"
    row_wise: ClassVar[bool] = True
    column_arguments: ClassVar[tuple[str, ...]] = ("column_list",)
    accepts: ClassVar[Types] = EQUATABLE

    column_list: Annotated[tuple[str, ...], Field(min_length=2)]
    mostly: Annotated[float, Field(ge=0, le=1)] = 1.0
    ignore_row_if: Literal["all_values_are_missing", "any_value_is_missing", "never"] = (
        "all_values_are_missing"
    )

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from comparable(schema, self.columns, "column_list")

    def considered(self, on: Scope) -> Expr | None:
        if self.ignore_row_if == "never":
            return None
        missing = [on.missing(name) for name in self.column_list]
        return on.negate(on.combine(missing, "all" if self.ignore_row_if[:3] == "all" else "any"))

    def wrong(self, on: Scope) -> Expr:
        """True for an unexpected row among those considered. Never NULL."""
        raise NotImplementedError

    def unexpected(self, on: Scope) -> Expr:
        considered, wrong = self.considered(on), self.wrong(on)
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


@kind("expect_multicolumn_sum_to_equal")
class SumEqual(Multicolumn):
    """The columns' sum is ``sum_total``; a row with a missing value has no sum."""

    accepts: ClassVar[Types] = NUMBERS

    sum_total: float | int

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        try:
            coerce(self.sum_total, _widest(schema, self.column_list))
        except ValueError as error:
            yield "sum_total", str(error), None

    def wrong(self, on: Scope) -> Expr:
        kind_ = _widest(on.schema, self.column_list)
        total = coerce(self.sum_total, kind_)
        return on.unless_true(on.equal(on.total(self.column_list), on.bind(total, bound_type(total, kind_))))


def _widest(schema: TableSchema, columns: tuple[str, ...]) -> FieldType:
    types = {field.type for name in columns if (field := schema.get(name))}
    return next(kind_ for kind_ in _WIDENING if kind_ in types)


@kind("expect_multicolumn_values_to_be_equal")
class ValuesEqual(Multicolumn):
    """All columns hold the same value; missing values equal one another and nothing else."""

    def wrong(self, on: Scope) -> Expr:
        first, *rest = self.column_list
        return on.combine([on.negate(on.same(on.known(first), on.known(other))) for other in rest], "any")


@kind("expect_select_column_values_to_be_unique_within_record")
class UniqueWithinRecord(Multicolumn):
    """No two of the columns hold the same value; two missing values are the same."""

    def wrong(self, on: Scope) -> Expr:
        pairs = combinations(self.column_list, 2)
        return on.combine([on.same(on.known(a), on.known(b)) for a, b in pairs], "any")


@kind("expect_compound_columns_to_be_unique")
class CompoundUnique(Multicolumn):
    """No combination of the columns' values occurs twice; missing values equal one another."""

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from ()

    def _rows(self, on: Scope) -> list[Expr]:
        considered = self.considered(on)
        return [] if considered is None else [considered]

    def unexpected(self, on: Scope) -> Expr:
        return on.over.is_repeated(*self.column_list, where=self._rows(on))

    def measures(self, on: Scope) -> Measures:
        considered = self.considered(on)
        return {
            "rows": on.rows(),
            "considered": on.rows() if considered is None else on.count_if(considered),
            "unexpected": on.over.repeated_rows(self.column_list, self._rows(on)),
        }
