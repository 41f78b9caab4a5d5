"""Tables as BigQuery's client sees them: fields both ways, creation, and what has to change on an existing one.

Owns the mapping between ``engine.schema.model`` and the REST resource. What may change in columns is decided by
``engine.schema.planning``; here stands how: patch for adding, relaxing and describing, DDL for widening.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from platform_assets.engine.errors import RejectedError
from platform_assets.engine.schema.model import Field, FieldType, Mode, Partitioning, TableSchema, TableSpec
from platform_assets.engine.schema.planning import (
    AddColumn,
    Change,
    DescribeColumn,
    RelaxColumn,
    SchemaPlan,
    WidenColumn,
    apply_plan,
)
from platform_assets.resources.warehouse.bigquery.statements import column_type, quoted

if TYPE_CHECKING:
    from google.cloud.bigquery import Table

DAY_MS = 86_400_000
# The REST API answers with the old names whichever it was given.
_REST_NAMES: Mapping[FieldType, str] = {
    FieldType.INT64: "INTEGER",
    FieldType.FLOAT64: "FLOAT",
    FieldType.BOOL: "BOOLEAN",
    FieldType.STRUCT: "RECORD",
}
_TYPES: Mapping[str, FieldType] = {t.value: t for t in FieldType} | {v: k for k, v in _REST_NAMES.items()}
_LABEL = re.compile(r"[^a-z0-9_-]")


def to_rest(field: Field) -> dict[str, Any]:
    """One column as REST's ``TableFieldSchema``."""
    resource: dict[str, Any] = {
        "name": field.name,
        "type": _REST_NAMES.get(field.type, field.type.value),
        "mode": field.mode.value,
    }
    if field.description:
        resource["description"] = field.description
    if field.fields:
        resource["fields"] = [to_rest(f) for f in field.fields]
    return resource


def from_rest(resource: Mapping[str, Any]) -> Field:
    """The reverse. RejectedError for a type that no table of ours can have (GEOGRAPHY, RANGE, INTERVAL)."""
    kind = _TYPES.get(str(resource["type"]).upper())
    if kind is None:
        raise RejectedError(f"column {resource['name']}: type {resource['type']} is not supported")
    return Field(
        name=str(resource["name"]),
        type=kind,
        mode=Mode(resource.get("mode") or "NULLABLE"),
        description=str(resource.get("description") or ""),
        fields=tuple(from_rest(f) for f in resource.get("fields", ())),
    )


def rest_fields(schema: TableSchema) -> list[Any]:
    """The client's ``SchemaField`` objects."""
    from google.cloud.bigquery import SchemaField

    return [SchemaField.from_api_repr(to_rest(field)) for field in schema.fields]


def table_schema(fields: Iterable[Any]) -> TableSchema:
    """Of the client's ``SchemaField`` objects."""
    return TableSchema(tuple(from_rest(f.to_api_repr()) for f in fields))


def relaxed(schema: TableSchema) -> TableSchema:
    """Without REQUIRED on the outside: a staging table takes every row, so that the audit can see the nulls."""
    return TableSchema(
        tuple(replace(f, mode=Mode.NULLABLE) if f.mode is Mode.REQUIRED else f for f in schema.fields)
    )


def label(value: str) -> str:
    """A label's key or value: lower case, digits, ``_`` and ``-``, at most 63 characters."""
    return _LABEL.sub("_", value.lower())[:63]


def labels(tenant: str, pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    return {label(key): label(value) for key, value in [*pairs, ("tenant", tenant)]}


# --- Tables -----------------------------------------------------------------------------------------------------


def new_table(table_id: str, tenant: str, spec: TableSpec, *, require_filter: bool) -> Table:
    """Everything the spec says, ready to be created."""
    from google.cloud.bigquery import Table

    table = Table(table_id, schema=rest_fields(spec.schema))
    table.description = spec.description or None
    table.labels = labels(tenant, spec.labels)
    if spec.partitioning:
        table.time_partitioning = time_partitioning(spec.partitioning)
        table.require_partition_filter = spec.partitioning.require_filter and require_filter
    if spec.cluster_by:
        table.clustering_fields = list(spec.cluster_by)
    return table


def time_partitioning(partitioning: Partitioning) -> Any:
    from google.cloud.bigquery import TimePartitioning

    days = partitioning.expiration_days
    return TimePartitioning(
        type_=partitioning.granularity.value,
        field=partitioning.column,
        expiration_ms=days * DAY_MS if days else None,
    )


def option_changes(
    table: Table, tenant: str, spec: TableSpec, *, require_filter: bool
) -> Iterator[tuple[str, str]]:
    """Set the table's properties to the spec's; yields (REST property, what changed in words).

    RejectedError where partitioning differs in a way that needs a rewrite.
    """
    wanted = new_table(str(table.reference), tenant, spec, require_filter=require_filter)
    _require_same_partitions(table, spec)
    if spec.partitioning and table.time_partitioning.expiration_ms != wanted.time_partitioning.expiration_ms:
        table.time_partitioning = wanted.time_partitioning
        days = spec.partitioning.expiration_days
        yield "time_partitioning", f"keep partitions {f'for {days} days' if days else 'for ever'}"
    if bool(table.require_partition_filter) != bool(wanted.require_partition_filter):
        table.require_partition_filter = wanted.require_partition_filter
        yield (
            "require_partition_filter",
            f"require a partition filter: {bool(wanted.require_partition_filter)}",
        )
    if list(table.clustering_fields or ()) != list(wanted.clustering_fields or ()):
        table.clustering_fields = wanted.clustering_fields
        yield "clustering_fields", f"cluster by {', '.join(spec.cluster_by) or 'nothing'}"
    if spec.description and table.description != spec.description:
        table.description = spec.description
        yield "description", "describe the table"
    if missing := {k: v for k, v in wanted.labels.items() if table.labels.get(k) != v}:
        table.labels = dict(table.labels) | missing
        yield "labels", f"label {', '.join(f'{k}={v}' for k, v in sorted(missing.items()))}"


def _require_same_partitions(table: Table, spec: TableSpec) -> None:
    has = table.time_partitioning
    old = f"{has.type_} of {has.field}" if has else "nothing"
    new = f"{spec.partitioning.granularity} of {spec.partitioning.column}" if spec.partitioning else "nothing"
    if old.lower() != new.lower():
        raise RejectedError(
            f"{spec.name} is partitioned by {old} and declared with {new}: rewrite the table under a new name"
        )


# --- Columns ----------------------------------------------------------------------------------------------------


def widening_statements(table: str, current: TableSchema, plan: SchemaPlan) -> list[str]:
    """``ALTER COLUMN … SET DATA TYPE``; a member of a STRUCT is widened by naming the whole STRUCT's new type."""
    widenings = tuple(change for change in plan.changes if isinstance(change, WidenColumn))
    after = apply_plan(current, SchemaPlan(widenings))
    roots = dict.fromkeys(change.path[0] for change in widenings)
    columns = [field for name in roots if (field := after.get(name))]
    return [
        f"ALTER TABLE {table} ALTER COLUMN {quoted(column.name)} SET DATA TYPE {column_type(column)}"
        for column in columns
    ]


def patched_fields(fields: Iterable[Any], plan: SchemaPlan) -> list[Any] | None:
    """The table's fields after the changes a patch can make, or None where there is none.

    Works on the REST resources, so that what we know nothing of (policy tags, defaults) stays as it is.
    """
    from google.cloud.bigquery import SchemaField

    changes = [c for c in plan.changes if isinstance(c, AddColumn | RelaxColumn | DescribeColumn)]
    if not changes:
        return None
    resources = [field.to_api_repr() for field in fields]
    for change in changes:
        _patch(resources, change.path, change)
    return [SchemaField.from_api_repr(resource) for resource in resources]


def _patch(resources: list[dict[str, Any]], path: tuple[str, ...], change: Change) -> None:
    if isinstance(change, AddColumn) and len(path) == 1:
        resources.append(to_rest(change.field))
        return
    column = next(r for r in resources if r["name"].lower() == path[0].lower())
    if len(path) > 1:
        _patch(column.setdefault("fields", []), path[1:], change)
    elif isinstance(change, RelaxColumn):
        column["mode"] = Mode.NULLABLE.value
    elif isinstance(change, DescribeColumn):
        column["description"] = change.description
