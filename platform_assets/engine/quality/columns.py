"""Expectations about which columns a table has and of which types: answered from its schema, without a query."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from platform_assets.engine.quality.expectation import Complaint, Expectation, Measures, Seen, kind
from platform_assets.engine.quality.model import Facts, Judgement
from platform_assets.engine.quality.ranges import inside, range_complaints
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope

# --- Columns ---


class OfSchema(Expectation):
    """Answered from the audited table's schema."""

    family: ClassVar[str] = "table"

    def measures(self, on: Scope) -> Measures:
        return {}


@kind("expect_table_column_count_to_be_between")
class ColumnCountBetween(OfSchema):
    min_value: int | None = None
    max_value: int | None = None

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        yield from range_complaints(self.min_value, self.max_value, FieldType.INT64)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        count = len(facts.schema.fields)
        return Judgement(success=inside(count, self.min_value, self.max_value), observed_value=count)


@kind("expect_table_column_count_to_equal")
class ColumnCountEqual(OfSchema):
    value: Annotated[int, Field(ge=0)]

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        count = len(facts.schema.fields)
        return Judgement(success=count == self.value, observed_value=count)


@kind("expect_table_columns_to_match_ordered_list")
class ColumnsOrdered(OfSchema):
    """Exactly these columns in this order."""

    column_list: tuple[str, ...]

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        names = facts.schema.names
        wrong = [
            {"position": i, "expected": want, "found": have}
            for i, (want, have) in enumerate(_zip_longest(self.column_list, names))
            if want != have
        ]
        details = {"mismatched": wrong} if wrong else {}
        return Judgement(success=not wrong, observed_value=list(names), details=details)


def _zip_longest(left: tuple[str, ...], right: tuple[str, ...]) -> list[tuple[str | None, str | None]]:
    length = max(len(left), len(right))
    return [(left[i] if i < len(left) else None, right[i] if i < len(right) else None) for i in range(length)]


@kind("expect_table_columns_to_match_set")
class ColumnsSet(OfSchema):
    """These columns in any order; with ``exact_match`` off, further ones may follow."""

    column_set: tuple[str, ...]
    exact_match: bool | None = True

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        names = facts.schema.names
        missing = sorted(set(self.column_set) - set(names))
        further = sorted(set(names) - set(self.column_set))
        success = not missing and not (further and self.exact_match)
        details = {k: v for k, v in {"missing": missing, "unexpected": further}.items() if v}
        return Judgement(
            success=success, observed_value=sorted(names), details={} if success else {"mismatched": details}
        )


@kind("expect_column_to_exist")
class ColumnExists(OfSchema):
    """The table has the column, at ``column_index`` (from 0) where given."""

    column: str
    column_index: Annotated[int, Field(ge=0)] | None = None

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        names = facts.schema.names
        index = names.index(self.column) if self.column in names else None
        success = index is not None and self.column_index in (None, index)
        return Judgement(success=success, observed_value=index)


# --- Types ------------------------------------------------------------------------------------------------------

_ALIASES = {
    "INTEGER": FieldType.INT64,
    "INT": FieldType.INT64,
    "BIGINT": FieldType.INT64,
    "FLOAT": FieldType.FLOAT64,
    "DOUBLE": FieldType.FLOAT64,
    "BOOLEAN": FieldType.BOOL,
    "DECIMAL": FieldType.NUMERIC,
    "BIGDECIMAL": FieldType.BIGNUMERIC,
    "RECORD": FieldType.STRUCT,
}


def type_named(name: str) -> FieldType | None:
    """BigQuery's name of a column type, aliases included, in any case."""
    upper = name.strip().upper()
    return _ALIASES.get(upper) or next((t for t in FieldType if t.value == upper), None)


class OfColumnType(OfSchema):
    column_arguments: ClassVar[tuple[str, ...]] = ("column",)

    column: str
    # A column has one type in a warehouse, so there are no single rows to tolerate.
    mostly: Annotated[float, Field(ge=0, le=1)] = 1.0

    def wanted(self) -> tuple[tuple[str, str], ...]:
        """(argument, type name) of each accepted type."""
        raise NotImplementedError

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        from platform_assets.engine.quality.condition import nearest_name

        known = (*(t.value for t in FieldType), *_ALIASES)
        for argument, name in self.wanted():
            if type_named(name) is None:
                yield argument, f"unknown column type {name!r}", nearest_name(name, known)

    def judge(self, seen: Seen, facts: Facts) -> Judgement:
        field = facts.schema.get(self.column)
        observed: Any = field.type.value if field else None
        wanted = {type_named(name) for _, name in self.wanted()}
        return Judgement(success=field is not None and field.type in wanted, observed_value=observed)


@kind("expect_column_values_to_be_of_type", "expect_column_type_to_be")
class OfType(OfColumnType):
    type_: str

    def wanted(self) -> tuple[tuple[str, str], ...]:
        return (("type_", self.type_),)


@kind("expect_column_values_to_be_in_type_list")
class InTypeList(OfColumnType):
    type_list: Annotated[tuple[str, ...], Field(min_length=1)]

    def wanted(self) -> tuple[tuple[str, str], ...]:
        return tuple(("type_list", name) for name in self.type_list)
