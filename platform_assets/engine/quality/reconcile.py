"""Two tables, or two layers of one flow, must tell the same total: raw against silver, silver against gold.

Money is summed exactly (BIGNUMERIC), group by group where asked, so that two errors cannot cancel each other and
currencies are never added together.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.values import NUMBERS
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope

Types = frozenset[FieldType] | None


@kind("expect_column_sum_to_equal_other_table")
class SumEqualOther(Expectation):
    """The sum of ``column`` equals the sum of ``other_column`` in ``other_table``, in every group.

    ``group_by`` maps columns of this table to columns of the other. A group that only one side has counts as 0 on
    the other. ``tolerance`` is absolute. ``other_row_condition`` picks the other table's rows.
    """

    family: ClassVar[str] = "reconciliation"
    table_argument: ClassVar[str] = "other_table"
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)
    accepts: ClassVar[Types] = NUMBERS

    column: str
    other_table: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*\.[A-Za-z_][A-Za-z0-9_]*$")]
    other_column: str
    group_by: dict[str, str] = {}
    tolerance: Annotated[float, Field(ge=0)] = 0
    other_row_condition: str | None = None

    @property
    def tables(self) -> tuple[str, ...]:
        return (self.other_table,)

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        from platform_assets.engine.quality.condition import nearest_name

        for name in self.group_by:
            if schema.get(name) is None:
                yield "group_by", f"unknown column {name!r}", nearest_name(name, schema.names)

    def other_complaints(self, schemas: dict[str, TableSchema]) -> Iterator[Complaint]:
        other = schemas[self.other_table]
        yield from self._unknown(other, "other_column", self.other_column)
        for name in self.group_by.values():
            yield from self._unknown(other, "group_by", name)

    @staticmethod
    def _unknown(schema: TableSchema, argument: str, name: str) -> Iterator[Complaint]:
        from platform_assets.engine.quality.condition import nearest_name

        if schema.get(name) is None:
            yield argument, f"unknown column {name!r}", nearest_name(name, schema.names)

    def measures(self, on: Scope) -> Measures:
        other = on.other(self.other_table).where(self.other_row_condition)
        return on.over.reconciliation(
            other, self.column, self.other_column, self.group_by, Decimal(str(self.tolerance))
        )

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        wrong: int = seen["wrong"] or 0
        left, right = (_total(seen[side]) for side in ("left", "right"))
        observed = {"self": left, "other": right}
        details: dict[str, Any] = {"groups": seen["groups"], "groups_that_differ": wrong}
        if wrong:
            details["largest_difference"] = seen["largest"]
        return Judgement(success=wrong == 0, observed_value=observed, details=details)


def _total(value: Any) -> Any:
    return Decimal(0) if value is None else value
