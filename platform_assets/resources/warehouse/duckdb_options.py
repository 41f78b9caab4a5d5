"""What of a table besides its columns may change: description, labels, partition expiry, clustering.

Refuses to move a table to another partition column or granularity: BigQuery cannot, so nothing here does.
"""

from __future__ import annotations

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.schema.model import Partitioning, TableSpec
from platform_assets.resources.warehouse.duckdb_schema import Stored


def option_changes(stored: Stored | None, spec: TableSpec) -> tuple[str, ...]:
    """In words, empty for a new table. RejectedError where the partitioning would have to move."""
    if stored is None:
        return ()
    _require_same_cut(stored.partitioning, spec)
    said = []
    if stored.partitioning != spec.partitioning and spec.partitioning:
        days = spec.partitioning.expiration_days
        said.append(f"expire partitions {f'after {days} days' if days else 'never'}")
    for name in ("description", "labels", "cluster_by"):
        if getattr(stored, name) != getattr(spec, name):
            said.append(f"set {name}")
    return tuple(said)


def _require_same_cut(old: Partitioning | None, spec: TableSpec) -> None:
    new = spec.partitioning
    if (old and (old.column, old.granularity)) != (new and (new.column, new.granularity)):
        raise RejectedError(
            f"{spec.name} is partitioned by {_words(old)} and cannot be moved to {_words(new)}"
        )


def _words(cut: Partitioning | None) -> str:
    return f"{cut.granularity} of {cut.column}" if cut else "nothing"
