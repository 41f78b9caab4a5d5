"""The schema contract: columns with their types and modes, as another team relies on them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.quality.columns import OfSchema, type_named
from platform_assets.engine.quality.condition import nearest_name
from platform_assets.engine.quality.expectation import Complaint, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.schema.model import FieldType, TableSchema
from platform_assets.engine.spec import Spec


class ContractColumn(Spec):
    """``mode`` is checked only where given."""

    name: str
    type: str
    mode: Literal["NULLABLE", "REQUIRED", "REPEATED"] | None = None


@kind("expect_table_schema_to_match")
class SchemaContract(OfSchema):
    """The table has these columns with these types; with ``exact_match``, no others.

    What breaks the contract is listed column by column. Further columns are allowed by default: adding one breaks
    nobody.
    """

    family: ClassVar[str] = "table"

    columns_: Annotated[tuple[ContractColumn, ...], Field(min_length=1, alias="columns")]
    exact_match: bool = False

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        for column in self.columns_:
            if type_named(column.type) is None:
                known = tuple(t.value for t in FieldType)
                yield "columns", f"unknown column type {column.type!r}", nearest_name(column.type, known)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        broken = {c.name: reason for c in self.columns_ if (reason := _broken(c, facts.schema))}
        wanted = {c.name.lower() for c in self.columns_}
        further = [n for n in facts.schema.names if n.lower() not in wanted] if self.exact_match else []
        broken |= dict.fromkeys(further, "not in the contract")
        observed = {f.name: f.type.value for f in facts.schema.fields}
        return Judgement(success=not broken, observed_value=observed, details=broken)


def _broken(column: ContractColumn, schema: TableSchema) -> str | None:
    field = schema.get(column.name)
    if field is None:
        return "missing"
    if field.type is not type_named(column.type):
        return f"{field.type}, not {column.type}"
    if column.mode and field.mode != column.mode:
        return f"{field.mode}, not {column.mode}"
    return None
