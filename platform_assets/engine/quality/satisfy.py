"""Rules of one's own: a SQL condition that every row must meet, or a query that must find nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from platform_assets.engine.quality.column_map import ColumnMap
from platform_assets.engine.quality.condition import parse_condition
from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr


@kind("expect_column_values_to_satisfy")
class Satisfy(ColumnMap):
    """``condition`` (SQL over the row's columns) is true wherever ``column`` is not missing. NULL is not true."""

    condition: Annotated[str, Field(min_length=1)]

    @property
    def conditions(self) -> tuple[tuple[str, str], ...]:
        return (*super().conditions, ("condition", self.condition))

    def unexpected(self, on: Scope) -> Expr:
        holds = parse_condition(self.condition, on.schema)
        return on.combine([on.present(self.column), on.unless_true(holds)], "all")


@kind("unexpected_rows_expectation")
class UnexpectedRows(Expectation):
    """``unexpected_rows_query`` finds no row. ``{batch}`` stands for the audited slice; other tables are named as in
    transforms, and of them too the slice is read: the same tenant and day."""

    family: ClassVar[str] = "table"
    table_argument: ClassVar[str] = "unexpected_rows_query"

    unexpected_rows_query: Annotated[str, Field(min_length=1)]

    @property
    def own_query(self) -> str:
        return self.unexpected_rows_query

    @cached_property
    def tables(self) -> tuple[str, ...]:
        return ()

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        if self.row_condition is not None:
            yield "row_condition", "belongs into the query's own WHERE", None

    def measures(self, on: Scope) -> Measures:
        from platform_assets.engine.quality.custom import count_of

        return {"found": count_of(self.unexpected_rows_query, on)}

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        found: int = seen["found"] or 0
        return Judgement(success=found == 0, observed_value=found, unexpected_count=found)
