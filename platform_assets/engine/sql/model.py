"""A query ready for a warehouse: BigQuery dialect, physical table names, values bound by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from platform_assets.engine.schema.model import FieldType, Scalar

_NO_PARAMETERS: Mapping[str, tuple[FieldType, Scalar | tuple[Scalar, ...]]] = MappingProxyType({})


@dataclass(frozen=True)
class BoundSql:
    """``sql`` uses ``@name`` for every key of ``parameters``: name → (type, value); a tuple value is an ARRAY.

    Table names in ``sql`` are physical (``acme1281_raw_openai.costs``), which only ``engine.sql`` writes.
    """

    sql: str
    parameters: Mapping[str, tuple[FieldType, Scalar | tuple[Scalar, ...]]] = field(
        default_factory=lambda: _NO_PARAMETERS
    )
