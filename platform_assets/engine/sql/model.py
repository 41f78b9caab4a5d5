"""A query ready for a warehouse: BigQuery dialect, physical table names, values bound by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeAlias

from platform_assets.engine.schema.model import FieldType, Scalar

Value: TypeAlias = Scalar | tuple[Scalar, ...]
Parameters: TypeAlias = Mapping[str, tuple[FieldType, Value]]
_NO_PARAMETERS: Parameters = MappingProxyType({})

NUMBER = "part_number"


def numbered(number: int, query: str) -> str:
    """A query as one of several put together by UNION ALL: its rows begin with its number. In any dialect."""
    return f"SELECT {number} AS {NUMBER}, answer.* FROM ({query}) AS answer"  # noqa: S608 - query is checked


@dataclass(frozen=True)
class SqlPart:
    """One query with slots: ``text`` names ``tables`` (slot → project, dataset, table) and parameters (slot → name) by
    words that stand for them. The same text for other tables is translated once."""

    text: str
    tables: tuple[tuple[str, tuple[str, str, str]], ...]
    parameters: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class BoundSql:
    """``sql`` uses ``@name`` for every key of ``parameters``: name → (type, value); a tuple value is an ARRAY.

    Table names in ``sql`` are physical (``acme1281_raw_openai.costs``), which only ``engine.sql`` writes.
    ``parts``: where ``sql`` is numbered queries put together, those queries, for an adapter that has to translate.
    """

    sql: str
    parameters: Parameters = field(default_factory=lambda: _NO_PARAMETERS)
    parts: tuple[SqlPart, ...] = ()
