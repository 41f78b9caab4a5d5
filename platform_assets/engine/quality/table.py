"""Expectations about how many rows a table has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.ranges import inside, range_complaints
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope


class RowCount(Expectation):
    """The number of rows that meet ``row_condition``."""

    family: ClassVar[str] = "table"

    def measures(self, on: Scope) -> Measures:
        return {"rows": on.rows()}


@kind("expect_table_row_count_to_be_between")
class RowCountBetween(RowCount):
    """``min_value`` ≤ number of rows ≤ ``max_value``."""

    min_value: int | None = None
    max_value: int | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from range_complaints(self.min_value, self.max_value, FieldType.INT64)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        rows = seen["rows"]
        success = inside(
            rows, self.min_value, self.max_value, strict_min=self.strict_min, strict_max=self.strict_max
        )
        return Judgement(success=success, observed_value=rows)


@kind("expect_table_row_count_to_equal")
class RowCountEqual(RowCount):
    value: Annotated[int, Field(ge=0)]

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        return Judgement(success=seen["rows"] == self.value, observed_value=seen["rows"])


@kind("expect_table_row_count_to_equal_other_table")
class RowCountEqualOther(RowCount):
    """As many rows as the same slice of ``other_table_name`` (a logical table)."""

    table_argument: ClassVar[str] = "other_table_name"

    other_table_name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$")]

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.other_table_name,)

    def measures(self, on: Scope) -> Measures:
        return {"rows": on.rows(), "other": on.other(self.other_table_name).over.counted()}

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        observed = {"self": seen["rows"], "other": seen["other"]}
        return Judgement(success=seen["rows"] == seen["other"], observed_value=observed)
