"""Expectations about a table as a whole: how many rows, which columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from platform_assets.engine.quality.expectation import Complaint, Expectation, kind
from platform_assets.engine.quality.model import Judgement
from platform_assets.engine.quality.ranges import range_complaints
from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Expr, Scope


def inside(value: Any, low: Any, high: Any, *, strict_min: bool = False, strict_max: bool = False) -> bool:
    """Is a measured value within the ends? ``None`` (nothing measured) never is."""
    if value is None:
        return False
    above = low is None or (value > low if strict_min else value >= low)
    return bool(above and (high is None or (value < high if strict_max else value <= high)))


class TableCount(Expectation):
    """A count of the table's rows."""

    family: ClassVar[str] = "table"

    def measures(self, on: Scope) -> Mapping[str, Expr]:
        return {"rows": on.rows()}


@kind("expect_table_row_count_to_be_between")
class RowCountBetween(TableCount):
    """``min_value`` ≤ number of rows ≤ ``max_value``, of those that meet ``row_condition``."""

    min_value: int | None = None
    max_value: int | None = None
    strict_min: bool = False
    strict_max: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from range_complaints(self.min_value, self.max_value, None)

    def judge(self, seen: Mapping[str, Any]) -> Judgement:
        rows = seen["rows"]
        success = inside(
            rows, self.min_value, self.max_value, strict_min=self.strict_min, strict_max=self.strict_max
        )
        return Judgement(success=success, observed_value=rows)
