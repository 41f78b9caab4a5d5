"""Expectations about texts that stand for something else: a date in a format, a JSON document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from platform_assets.engine.quality.column_map import TEXT, ColumnMap
from platform_assets.engine.quality.expectation import Complaint, kind
from platform_assets.engine.quality.strftime import UnknownDirective, pattern_of
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

Types = frozenset[FieldType] | None


@kind("expect_column_values_to_match_strftime_format")
class MatchStrftime(ColumnMap):
    """Texts that Python's ``strptime`` reads with ``strftime_format``: digits, ranges and the calendar are checked,
    so ``2026-02-30`` is unexpected for ``%Y-%m-%d``."""

    accepts: ClassVar[Types] = TEXT

    strftime_format: Annotated[str, Field(min_length=1)]

    def complaints(self, schema: TableSchema) -> Iterator[Complaint]:
        try:
            pattern_of(self.strftime_format)
        except UnknownDirective as error:
            yield "strftime_format", str(error), None

    def unexpected(self, on: Scope) -> Expr:
        return on.negate(on.matches(on.column(self.column), pattern_of(self.strftime_format)))


@kind("expect_column_values_to_be_json_parseable")
class JsonParseable(ColumnMap):
    """Texts that are JSON documents."""

    accepts: ClassVar[Types] = TEXT

    def unexpected(self, on: Scope) -> Expr:
        return on.not_json(self.column)
