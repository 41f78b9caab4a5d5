"""Expectations about texts: lists of patterns, LIKE, and texts that stand for something else (dates, JSON)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from platform_assets.engine.quality.column_map import TEXT, ColumnMap, Patterned, Types
from platform_assets.engine.quality.expectation import Complaint, kind
from platform_assets.engine.quality.strftime import UnknownDirective, pattern_of
from platform_assets.engine.schema.model import TableSchema

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

# --- Lists of patterns ---


class ManyPatterns(Patterned):
    regex_list: Annotated[tuple[str, ...], Field(min_length=1)]

    def patterns(self) -> tuple[tuple[str, str], ...]:
        return tuple(("regex_list", regex) for regex in self.regex_list)


@kind("expect_column_values_to_match_regex_list")
class MatchRegexList(ManyPatterns):
    """``match_on``: any or all of the patterns."""

    match_on: Literal["any", "all"] = "any"

    def unexpected(self, on: Scope) -> Expr:
        return on.negate(on.combine(self.found(on), self.match_on))


@kind("expect_column_values_to_not_match_regex_list")
class NotMatchRegexList(ManyPatterns):
    """None of the patterns."""

    def unexpected(self, on: Scope) -> Expr:
        return on.combine(self.found(on), "any")


class Liked(ColumnMap):
    """SQL LIKE: ``%`` any text, ``_`` one character; ``escape`` names a character that makes them literal.
    Without ``escape`` no character is special, a backslash included."""

    accepts: ClassVar[Types] = TEXT

    escape: Annotated[str, Field(min_length=1, max_length=1)] | None = None

    def likes(self) -> tuple[str, ...]:
        raise NotImplementedError

    def found(self, on: Scope) -> list[Expr]:
        return [on.like(on.column(self.column), pattern, self.escape) for pattern in self.likes()]


class OneLike(Liked):
    like_pattern: str

    def likes(self) -> tuple[str, ...]:
        return (self.like_pattern,)


@kind("expect_column_values_to_match_like_pattern")
class MatchLike(OneLike):
    def unexpected(self, on: Scope) -> Expr:
        return on.negate(self.found(on)[0])


@kind("expect_column_values_to_not_match_like_pattern")
class NotMatchLike(OneLike):
    def unexpected(self, on: Scope) -> Expr:
        return self.found(on)[0]


class ManyLikes(Liked):
    like_pattern_list: Annotated[tuple[str, ...], Field(min_length=1)]

    def likes(self) -> tuple[str, ...]:
        return self.like_pattern_list


@kind("expect_column_values_to_match_like_pattern_list")
class MatchLikeList(ManyLikes):
    """``match_on``: any or all of the patterns."""

    match_on: Literal["any", "all"] = "any"

    def unexpected(self, on: Scope) -> Expr:
        return on.negate(on.combine(self.found(on), self.match_on))


@kind("expect_column_values_to_not_match_like_pattern_list")
class NotMatchLikeList(ManyLikes):
    """None of the patterns."""

    def unexpected(self, on: Scope) -> Expr:
        return on.combine(self.found(on), "any")


# --- Texts that stand for something else ---


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
