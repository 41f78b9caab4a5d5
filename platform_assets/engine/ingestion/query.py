"""What a ``sql`` source needs from the world: somebody who runs one query elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Protocol

from platform_assets.engine.sql.model import BoundSql

if TYPE_CHECKING:
    import pyarrow as pa


class QuerySource(Protocol):
    """Another system's SQL tables for one credential, read-only."""

    def query(self, query: BoundSql, *, maximum_bytes_billed: int) -> Iterator[pa.RecordBatch]:
        """The rows, in batches. QuotaError where it would read more than that."""

    def present(self, project: str, dataset: str, tables: Sequence[str]) -> frozenset[str]:
        """Those of ``tables`` that exist; none where there is no such dataset."""

    def estimate(self, query: BoundSql) -> int:
        """Bytes it would read, by dry run; nothing is read."""
