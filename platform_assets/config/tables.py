"""The table that a step fills: its schema file, and whether its destination fits that schema.

Refuses datasets that are not the layers' (``raw_…``, ``silver_…``, ``gold_…``), partition columns that do not hold
the slice's own date, keys and cluster columns that no warehouse can compare.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from platform_assets.config.document import Location, read_json_document
from platform_assets.config.draft import Draft, referred_file
from platform_assets.config.reading import nearest, one_of
from platform_assets.config.tree import relative
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.ingestion.spec import Destination, IngestStep
from platform_assets.engine.names import TableName, valid_dataset
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.schema.reading import inspect_schema, with_standard_columns

_LAYERS = ("raw_", "silver_", "gold_")
_SLICE_COLUMNS = frozenset({"ingestion_date", "x_run_date"})
_UNKEYED_TYPES = frozenset({FieldType.STRUCT, FieldType.JSON, FieldType.FLOAT64, FieldType.BYTES})
_NUMBERS = frozenset({FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.INT64})


def read_table(
    root: Path, draft: Draft, index: int, destination: Destination, problems: list[Problem]
) -> None:
    at: Location = ("steps", index, "destination")
    path = referred_file(draft, (*at, "schema_file"), destination.schema_file, problems)
    schema = read_schema_file(root, path, problems) if path else None
    if path is None or schema is None:
        return
    ingests = isinstance(draft.spec.steps[index], IngestStep)
    try:
        schema = with_standard_columns(
            schema, "ingest" if ingests else "transform", file=relative(root, path)
        )
    except ConfigError as error:
        problems.extend(error.problems)
        return
    table = _table_spec(draft.spec.pipeline_id, destination, schema, ingests=ingests)
    problems.extend(_table_problems(draft, at, destination, table))
    draft.tables[index] = table


def read_schema_file(root: Path, path: Path, problems: list[Problem]) -> TableSchema | None:
    """A ``*_schema.json`` file, or None with the reasons in ``problems``."""
    document = read_json_document(path, relative(root, path), problems)
    if document is None:
        return None
    schema, found = inspect_schema(document.value)
    for wrong in found:
        place = _location(wrong.path)
        problems.append(
            Problem(document.file, document.line(place[1:]), wrong.path, wrong.reason, wrong.nearest)
        )
    return None if found else schema


def _location(path: str) -> Location:
    """``fields[2].type`` → ``("fields", 2, "type")``."""
    return tuple(int(p) if p.isdigit() else p for p in re.findall(r"[^.\[\]]+", path))


def _table_spec(pipeline: str, destination: Destination, schema: TableSchema, *, ingests: bool) -> TableSpec:
    named = "partition_field" in destination.model_fields_set or ingests
    column = destination.partition_field if named else "x_run_date"
    partitioning = Partitioning(
        column,
        Granularity(destination.partition_granularity),
        destination.partition_expiration_days,
    )
    return TableSpec(
        TableName.parse(destination.table),
        schema,
        partitioning,
        tuple(destination.cluster_by),
        destination.description,
        (("pipeline", pipeline.lower()),),
    )


def _table_problems(
    draft: Draft, at: Location, destination: Destination, table: TableSpec
) -> Iterator[Problem]:
    yield from _layer_problems(draft, (*at, "table"), table.name)
    yield from _partition_problems(draft, (*at, "partition_field"), table)
    for name in ("cluster_by", "keys"):
        for index, column in enumerate(getattr(destination, name)):
            types = frozenset(FieldType) - _UNKEYED_TYPES
            yield from _column_problems(draft, (*at, name, index), column, table.schema, types)
        yield from _repeated(draft, (*at, name), getattr(destination, name))
    if destination.write != "replace" and not destination.keys:
        what = "the business keys" if destination.write == "merge" else "the idempotency key"
        yield draft.problem((*at, "write"), f"{destination.write} needs keys: {what}")
    yield from _measure_problems(draft, (*at, "measure"), destination, table.schema)


def _layer_problems(draft: Draft, at: Location, table: TableName) -> Iterator[Problem]:
    """Sources fill raw tables; what is shared by all tenants, or written by every run, is not a pipeline's to fill."""
    ingests = isinstance(draft.spec.steps[int(at[1])], IngestStep)
    layers = _LAYERS[:1] if ingests else _LAYERS
    if not table.dataset.startswith(layers) or not valid_dataset(table.dataset):
        reason = f"the dataset must be {' or '.join(layers)} and a name in a-z 0-9 _, not {table.dataset!r}"
        guess = nearest(table.dataset, {f"{layer}{draft.spec.provider}" for layer in layers})
        yield draft.problem(at, reason, guess)
    if table.table.endswith("_quarantine") or "__stage_" in table.table:
        yield draft.problem(at, f"{table.table!r} is a name that the platform keeps for itself")


def _partition_problems(draft: Draft, at: Location, table: TableSpec) -> Iterator[Problem]:
    """A slice is found by the partition column, so that column must hold the slice's own date."""
    column = table.partitioning.column if table.partitioning else ""
    known = sorted(_SLICE_COLUMNS.intersection(table.schema.names))
    if column not in known:
        yield draft.problem(at, f"must be {' or '.join(known)}, not {column!r}", nearest(column, known))


def _measure_problems(
    draft: Draft, at: Location, destination: Destination, schema: TableSchema
) -> Iterator[Problem]:
    measure = destination.measure
    if measure is None:
        return
    yield from _column_problems(draft, (*at, "column"), measure.column, schema, _NUMBERS)
    for name in ("currency", "by"):
        column = getattr(measure, name)
        if column is not None:
            yield from _column_problems(draft, (*at, name), column, schema, frozenset(FieldType))


def _column_problems(
    draft: Draft, at: Location, name: str, schema: TableSchema, types: frozenset[FieldType]
) -> Iterator[Problem]:
    column: Field | None = schema.get(name)
    if column is None:
        yield draft.problem(at, f"{name!r} is not a column of the table", nearest(name, schema.names))
    elif column.type not in types or column.mode is Mode.REPEATED:
        kind = f"a list of {column.type}" if column.mode is Mode.REPEATED else str(column.type)
        yield draft.problem(at, f"{name!r} is {kind}; it must be one of {one_of(map(str, types))}")


def _repeated(draft: Draft, at: Location, names: Iterable[str]) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        if name.lower() in seen:
            yield draft.problem((*at, index), f"{name!r} stands twice")
        seen.add(name.lower())
