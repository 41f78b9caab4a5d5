"""Tables as values: columns, partitioning, clustering. BigQuery's names and its JSON schema format.

Source: BigQuery REST reference, ``TableFieldSchema``. DuckDB and Arrow forms are derived from these, never declared.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import TypeAlias

from platform_assets.engine.names import TableName

Scalar: TypeAlias = str | int | float | bool | Decimal | date | datetime | None


class FieldType(StrEnum):
    """GoogleSQL column types; legacy aliases (INTEGER, FLOAT, BOOLEAN, RECORD) are resolved on reading."""

    STRING = "STRING"
    BYTES = "BYTES"
    INT64 = "INT64"
    FLOAT64 = "FLOAT64"
    NUMERIC = "NUMERIC"  # 38 digits, 9 after the point
    BIGNUMERIC = "BIGNUMERIC"  # money: 76 digits, 38 after the point
    BOOL = "BOOL"
    DATE = "DATE"
    DATETIME = "DATETIME"
    TIME = "TIME"
    TIMESTAMP = "TIMESTAMP"
    JSON = "JSON"
    STRUCT = "STRUCT"


class Mode(StrEnum):
    NULLABLE = "NULLABLE"
    REQUIRED = "REQUIRED"
    REPEATED = "REPEATED"


class Granularity(StrEnum):
    HOUR = "HOUR"
    DAY = "DAY"
    MONTH = "MONTH"


@dataclass(frozen=True)
class Field:
    """One column. ``fields`` is filled for STRUCT only. ``pii`` columns are masked in samples and previews."""

    name: str
    type: FieldType
    mode: Mode = Mode.NULLABLE
    description: str = ""
    fields: tuple[Field, ...] = ()
    pii: bool = False


@dataclass(frozen=True)
class TableSchema:
    """An ordered set of columns; names are unique regardless of case, as BigQuery demands."""

    fields: tuple[Field, ...]

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(f.name for f in self.fields)

    def get(self, name: str) -> Field | None:
        return next((f for f in self.fields if f.name.lower() == name.lower()), None)


@dataclass(frozen=True)
class Partitioning:
    """Time partitioning on a column of the table. ``expiration_days`` drops whole partitions, never the table."""

    column: str
    granularity: Granularity = Granularity.DAY
    expiration_days: int | None = None
    require_filter: bool = True


@dataclass(frozen=True)
class TableSpec:
    """Everything needed to create a table, or to bring an existing one up to date."""

    name: TableName
    schema: TableSchema
    partitioning: Partitioning | None = None
    cluster_by: tuple[str, ...] = ()
    description: str = ""
    labels: tuple[tuple[str, str], ...] = field(default=())


@dataclass(frozen=True)
class Slice:
    """The rows one run replaces: equality on columns, all of them, e.g.
    ``(("x_run_date", date(2026, 1, 31)), ("x_pipeline", "openai_costs"), ("x_credential", "default"))``.

    The partition column is among them, so that a warehouse prunes by literal.
    """

    equals: tuple[tuple[str, Scalar], ...]

    def __str__(self) -> str:
        return ", ".join(f"{column}={value}" for column, value in self.equals)
