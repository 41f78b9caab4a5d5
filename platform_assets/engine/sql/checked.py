"""A query that has passed its checks, and what is known of it without reading it again.

Parsing SQL is most of what loading costs, and every run is a new process: this module loads no parser. What a query
may say is ``transform``'s to know.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, TableSchema

if TYPE_CHECKING:
    from sqlglot import exp

TRANSFORM_PARAMETERS: Mapping[str, FieldType] = {
    "run_date": FieldType.DATE,
    "next_date": FieldType.DATE,
    "month_start": FieldType.DATE,
    "month_end": FieldType.DATE,
    "tenant": FieldType.STRING,
    "pipeline": FieldType.STRING,
    "fiscal_year_start_month": FieldType.INT64,
}
# Names the tables of another system in a source's query; no tenant has such a dataset, so nothing else can read it.
SOURCE_DATASET = "source"
Lineage: TypeAlias = Mapping[str, tuple[tuple[TableName, str], ...]]


@dataclass(frozen=True)
class Transform:
    """A checked query. Made by ``parse_transform``, or from what was remembered of it (``checked_before``)."""

    file: str
    text: str

    @classmethod
    def checked_before(
        cls, file: str, text: str, tables: tuple[TableName, ...], columns: tuple[str, ...]
    ) -> Transform:
        """A query that passed ``parse_transform`` in another process; it is parsed again only where it is run."""
        transform = cls(file, text)
        vars(transform).update(tables=tables, columns=columns)
        return transform

    @cached_property
    def tree(self) -> exp.Query:
        """The parsed statement; treat it as read-only (``copy()`` before changing)."""
        from sqlglot import exp

        from platform_assets.engine.sql.statement import parse_query

        tree, _ = parse_query(self.text)
        assert isinstance(tree, exp.Query)
        return tree

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """Names of the result's columns as written; ``*`` stands for itself."""
        return tuple(self.tree.named_selects)

    @cached_property
    def tables(self) -> tuple[TableName, ...]:
        """The logical tables read, sorted, each once."""
        from platform_assets.engine.sql.transform import dataset_tables

        return tuple(sorted({TableName(t.db, t.name) for t in dataset_tables(self.tree)}))

    @cached_property
    def parameters(self) -> tuple[str, ...]:
        """The names after ``@``, sorted, each once."""
        from sqlglot import exp

        return tuple(sorted({p.name for p in self.tree.find_all(exp.Parameter)}))

    def output_columns(self, schemas: Mapping[TableName, TableSchema]) -> tuple[str, ...]:
        """Names of the result's columns, ``*`` expanded by ``schemas`` (needed for every table that a ``*`` covers).

        ConfigError names a column or table that ``schemas`` does not have."""
        from platform_assets.engine.sql.lineage import output_columns

        return output_columns(self, schemas)

    def column_lineage(self, schemas: Mapping[TableName, TableSchema]) -> Lineage:
        """Result column → the table columns it is computed from, sorted. Cached by ``schemas``."""
        from platform_assets.engine.sql.lineage import column_lineage

        return column_lineage(self, schemas)
