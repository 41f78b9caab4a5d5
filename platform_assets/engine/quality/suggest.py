"""A first suite for a table, from a look at its rows. A proposal to review: it says what is, not what should be.

Two queries: ``profile_query`` (one row of counts and extremes), then ``values_query`` for the columns that turned out
to hold few values. Columns declared as personal data are counted, never quoted.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.values import EQUATABLE, NUMBERS, ORDERED
from platform_assets.engine.schema.model import Field, FieldType, Mode, Slice, TableSchema
from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    from platform_assets.engine.quality.scope import Scope
    from platform_assets.engine.quality.tree import Expr

FEW_VALUES = 20
_ENOUGH_ROWS = 10
# Written by the platform itself; the audit need not tell it what it wrote.
_STANDARD = frozenset(
    {"ingestion_date", "ingestion_timestamp", "pipeline_logging_id"}
    | {"x_tenant", "x_pipeline", "x_credential", "x_run_date"}
)


@dataclass(frozen=True)
class ColumnProfile:
    """What one column holds. ``low``/``high`` are values, or lengths for text."""

    field: Field
    known: int
    distinct: int
    low: Any = None
    high: Any = None
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Profile:
    table: str
    rows: int
    columns: tuple[ColumnProfile, ...]


# --- Queries ----------------------------------------------------------------------------------------------------


def profile_query(schema: TableSchema, table: TableName, slice: Slice | None = None) -> BoundSql:
    """One row: ``rows``, then per column ``known_i``, ``distinct_i``, ``low_i``, ``high_i``."""
    from sqlglot import exp

    from platform_assets.engine.quality.scope import Binder, Scope, Source

    scope = Scope(Source(table, schema, slice), Binder())
    projections = [exp.alias_(scope.rows(), "rows_")]
    for index, field in enumerate(profiled(schema)):
        for word, expression in _statistics(scope, field).items():
            projections.append(exp.alias_(expression, f"{word}_{index}"))
    return BoundSql(scope.select(projections).sql("bigquery"), dict(scope.binder.parameters))


def profiled(schema: TableSchema) -> list[Field]:
    """The columns that are looked at: scalar ones, without those which the platform writes."""
    return [
        f
        for f in schema.fields
        if f.type in EQUATABLE and f.mode is not Mode.REPEATED and f.name not in _STANDARD
    ]


def _statistics(scope: Scope, field: Field) -> dict[str, Expr]:
    from sqlglot import exp

    known = scope.known(field.name)
    found: dict[str, Expr] = {
        "known": scope.count_known(field.name),
        "distinct": exp.Count(this=exp.Distinct(expressions=[known])),
    }
    subject = scope.length(field.name) if field.type is FieldType.STRING else known.copy()
    if field.type in ORDERED:
        found |= {"low": exp.Min(this=subject), "high": exp.Max(this=subject.copy())}
    return found


def read_profile(table: str, schema: TableSchema, row: Mapping[str, Any]) -> Profile:
    """The profile from ``profile_query``'s row."""
    columns = tuple(
        ColumnProfile(
            field, row[f"known_{i}"], row[f"distinct_{i}"], row.get(f"low_{i}"), row.get(f"high_{i}")
        )
        for i, field in enumerate(profiled(schema))
    )
    return Profile(table, row["rows_"], columns)


def values_query(
    profile: Profile, schema: TableSchema, table: TableName, slice: Slice | None = None
) -> BoundSql | None:
    """``column_name``, ``value_`` for the text columns that hold few values; ``None`` where there are none."""
    from sqlglot import exp

    from platform_assets.engine.quality.scope import Binder, Scope, Source
    from platform_assets.engine.quality.tree import name_of

    scope = Scope(Source(table, schema, slice), Binder())
    branches: list[exp.Select] = []
    for column in profile.columns:
        if _closed(column, profile.rows):
            counted = scope.over.value_counts([column.field.name], [scope.present(column.field.name)])
            name = exp.alias_(scope.bind(column.field.name, FieldType.STRING), "column_name")
            selected = exp.select(name, exp.alias_(name_of("v0"), "value_"))
            branches.append(selected.from_(counted.subquery(f"c{len(branches)}", copy=False)))
    if not branches:
        return None
    tree = exp.union(*branches, distinct=False, copy=False) if len(branches) > 1 else branches[0]
    return BoundSql(tree.sql("bigquery"), dict(scope.binder.parameters))


def with_values(profile: Profile, rows: Iterable[Mapping[str, Any]]) -> Profile:
    """The profile with ``values_query``'s rows in it, sorted."""
    found: dict[str, list[Any]] = {}
    for row in rows:
        found.setdefault(row["column_name"], []).append(row["value_"])
    columns = tuple(
        ColumnProfile(c.field, c.known, c.distinct, c.low, c.high, tuple(sorted(found.get(c.field.name, ()))))
        for c in profile.columns
    )
    return Profile(profile.table, profile.rows, columns)


def _closed(column: ColumnProfile, rows: int) -> bool:
    """Few values, each met several times: probably a closed list."""
    text = column.field.type is FieldType.STRING and not column.field.pii
    return text and 0 < column.distinct <= min(FEW_VALUES, rows // _ENOUGH_ROWS)


# --- Proposal ---------------------------------------------------------------------------------------------------


def suggest(profile: Profile) -> dict[str, Any]:
    """A ``dq.yml`` with one suite, ready to be written as YAML: plain values only."""
    expectations = [*_of_table(profile), *(e for c in profile.columns for e in _of_column(c, profile.rows))]
    return {"suites": [{"table": profile.table, "expectations": expectations}]}


def _of_table(profile: Profile) -> Iterator[dict[str, Any]]:
    if profile.rows:
        yield {
            "type": "expect_table_row_count_to_be_between",
            "min_value": profile.rows // 2,
            "max_value": profile.rows * 2,
        }


def _of_column(column: ColumnProfile, rows: int) -> Iterator[dict[str, Any]]:
    yield from _presence(column, rows)
    if column.known < _ENOUGH_ROWS:
        return
    if column.distinct == column.known and column.field.type is not FieldType.FLOAT64:
        yield _entry("expect_column_values_to_be_unique", column)
    if column.values:
        yield _entry("expect_column_values_to_be_in_set", column, value_set=list(column.values))
    elif column.field.type is FieldType.STRING:
        yield _entry(
            "expect_column_value_lengths_to_be_between", column, min_value=column.low, max_value=column.high
        )
    elif column.field.type in NUMBERS and not column.field.pii:
        yield from _number_range(column)


def _presence(column: ColumnProfile, rows: int) -> Iterator[dict[str, Any]]:
    if not rows:
        return
    share = column.known / rows
    if column.known == rows:
        yield _entry("expect_column_values_to_not_be_null", column, severity="critical")
    elif column.known == 0:
        yield _entry("expect_column_values_to_be_null", column, severity="info")
    elif share >= 0.5:
        yield _entry("expect_column_values_to_not_be_null", column, mostly=math.floor(share * 100) / 100)


def _number_range(column: ColumnProfile) -> Iterator[dict[str, Any]]:
    ends: Sequence[Any] = (column.low, column.high)
    if any(isinstance(end, float) and not math.isfinite(end) for end in ends):
        return
    low, high = (_plain(end) for end in ends)
    # A column that never went below zero probably may not.
    yield _entry(
        "expect_column_values_to_be_between",
        column,
        min_value=min(0, low) if low >= 0 else low,
        max_value=high,
    )


def _plain(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value.isoformat() if isinstance(value, date) else value


def _entry(type_: str, column: ColumnProfile, **arguments: Any) -> dict[str, Any]:
    return {"type": type_, "column": column.field.name, **arguments}
