"""``metadata/schemas/*.json``: the tables of each tenant's own run history, dataset ``metadata``."""

from __future__ import annotations

from pathlib import Path

from platform_assets.config.reading import nearest, one_of
from platform_assets.config.tables import read_schema_file
from platform_assets.config.tree import relative
from platform_assets.engine.errors import Problem
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType, Partitioning, TableSpec

REQUIRED_TABLES = (
    "audit_logs",
    "dq_results",
    "notification_history",
    "pipeline_runs",
    "state_transitions",
    "step_logs",
)
_PARTITION_COLUMN = "ingestion_date"
_CLUSTER_BY = ("pipeline_id", "pipeline_logging_id")


def metadata_tables(root: Path, problems: list[Problem]) -> dict[str, TableSpec]:
    """Table name → spec, sorted. The tables that runs write to must all be there."""
    folder = root / "metadata" / "schemas"
    files = {path.stem: path for path in sorted(folder.glob("*.json"))}
    for name in REQUIRED_TABLES:
        if name not in files:
            place = f"metadata/schemas/{name}.json"
            reason = f"is missing; runs write to {one_of(REQUIRED_TABLES)}"
            problems.append(Problem(place, 1, "", reason, nearest(name, set(files) - set(REQUIRED_TABLES))))
    read = {name: _table(root, path, problems) for name, path in files.items()}
    return {name: table for name, table in read.items() if table}


def _table(root: Path, path: Path, problems: list[Problem]) -> TableSpec | None:
    schema = read_schema_file(root, path, problems)
    if schema is None:
        return None
    column = schema.get(_PARTITION_COLUMN)
    if column is None or column.type is not FieldType.DATE:
        reason = f"needs a column {_PARTITION_COLUMN} of type DATE: the table is partitioned by it"
        problems.append(Problem(relative(root, path), 1, "", reason))
        return None
    return TableSpec(
        TableName("metadata", path.stem),
        schema,
        # Histories are read without knowing the day, so no filter is demanded.
        Partitioning(_PARTITION_COLUMN, require_filter=False),
        tuple(c for c in _CLUSTER_BY if schema.get(c)),
        labels=(("kind", "metadata"),),
    )
