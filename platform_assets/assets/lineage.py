"""What Dagster shows of a table beyond its rows: its columns, how it is written, and where each column comes from."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import dagster as dg

from platform_assets.assets.graph import Node
from platform_assets.assets.keys import table_key
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Field, Mode, TableSchema


def table_metadata(node: Node) -> dict[str, Any]:
    """Definition metadata of one table: read in every process, so nothing here is dear."""
    partitioning = node.spec.partitioning
    metadata: dict[str, Any] = {
        "dagster/table_name": str(node.table),
        "dagster/column_schema": dg.TableSchema(
            columns=[_column(field) for field in node.spec.schema.fields]
        ),
        "written_by": ", ".join(f"{w.pipeline_id}.{w.spec.step_id}" for w in node.writers),
    }
    if partitioning:
        metadata["partitioned_by"] = f"{partitioning.column} ({partitioning.granularity})"
    return metadata


def _column(field: Field) -> dg.TableColumn:
    repeated = f"ARRAY<{field.type}>" if field.mode is Mode.REPEATED else str(field.type)
    return dg.TableColumn(
        field.name,
        repeated,
        description=field.description or None,
        constraints=dg.TableColumnConstraints(nullable=field.mode is not Mode.REQUIRED),
        tags={"pii": "true"} if field.pii else {},
    )


def column_lineage(node: Node, schemas: Mapping[TableName, TableSchema]) -> dg.TableColumnLineage | None:
    """Columns by their source columns, over all writers; a fact of the parsed SQL. None where nothing is parsed.

    Worked out once per run and table, at the first materialization: tracing every column takes too long for
    a process that only loads definitions.
    """
    sources: dict[str, set[tuple[TableName, str]]] = defaultdict(set)
    for writer in node.writers:
        if writer.transform is not None and writer.spec.type == "transform":
            for column, origins in writer.transform.column_lineage(schemas).items():
                sources[_spelled(node.spec.schema, column)] |= {
                    (table, _spelled(schemas.get(table), name)) for table, name in origins
                }
    if not sources:
        return None
    return dg.TableColumnLineage(
        {
            column: [dg.TableColumnDep(table_key(table), name) for table, name in sorted(origins)]
            for column, origins in sorted(sources.items())
        }
    )


def _spelled(schema: TableSchema | None, name: str) -> str:
    """The column as its schema spells it: SQL does not tell upper from lower case, people and Dagster do."""
    field = schema.get(name) if schema else None
    return field.name if field else name
