"""Reads one pipeline folder: ``pipeline.yml``, ``dq.yml`` and the schema and SQL files they refer to.

Owns what can be judged from the folder alone. What concerns other pipelines, tenants and providers is in ``checks``.
Refuses references that leave the folder, by ``..``, by an absolute path or by a link.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, available_timezones

from platform_assets.config.document import (
    Document,
    Location,
    read_document,
    read_json_document,
    read_text,
)
from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.config.safety import find_unsafe, texts
from platform_assets.config.templates import template_problems
from platform_assets.config.tree import PipelineFolder, relative
from platform_assets.engine.costs.functions import FUNCTIONS
from platform_assets.engine.cron import check_cron
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.ingestion.decoders import DECODERS
from platform_assets.engine.ingestion.paths import path_problems
from platform_assets.engine.ingestion.spec import (
    ComputeStep,
    Destination,
    IngestStep,
    PipelineSpec,
    RestSource,
    Schedule,
    SqlSource,
    Step,
    TransformStep,
)
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.spec import DqFile, SuiteSpec
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

if TYPE_CHECKING:
    from platform_assets.engine.sql.transform import Transform

_SLICE_COLUMNS = frozenset({"ingestion_date", "x_run_date"})
_UNKEYED_TYPES = frozenset({FieldType.STRUCT, FieldType.JSON, FieldType.FLOAT64, FieldType.BYTES})
_NUMBERS = frozenset({FieldType.NUMERIC, FieldType.BIGNUMERIC, FieldType.INT64})
_NO_TEMPLATE = frozenset({"records_path"})


@dataclass
class Draft:
    """A pipeline folder as far as it could be read. By step index: the table it owns, the SQL it runs (of a
    ``sql`` source, what it asks the other system), the queries a computation gets."""

    folder: PipelineFolder
    document: Document
    spec: PipelineSpec
    cache: QueryCache
    tables: dict[int, TableSpec] = field(default_factory=dict)
    transforms: dict[int, Transform] = field(default_factory=dict)
    inputs: dict[int, dict[str, Transform]] = field(default_factory=dict)
    suites: list[tuple[int, SuiteSpec]] = field(default_factory=list)
    dq: Document | None = None

    def problem(self, at: Location, reason: str, hint: str | None = None) -> Problem:
        return self.document.problem(at, reason, hint)


def read_pipeline_folder(
    root: Path, folder: PipelineFolder, problems: list[Problem], cache: QueryCache
) -> Draft | None:
    """Everything in the folder, checked by itself. None where ``pipeline.yml`` itself cannot be used."""
    file = folder.path / "pipeline.yml"
    document = read_document(file, relative(root, file), problems)
    if document is None:
        return None
    problems.extend(find_unsafe(document))
    spec = read_spec(PipelineSpec, document, problems)
    if spec is None:
        return None
    draft = Draft(folder, document, spec, cache)
    problems.extend(_identity(draft))
    problems.extend(_schedule(draft, spec.schedule))
    for index, step in enumerate(spec.steps):
        _read_step(root, draft, index, step, problems)
    _read_suites(root, draft, problems)
    return draft


def _identity(draft: Draft) -> Iterator[Problem]:
    folder, spec = draft.folder, draft.spec
    for name, wanted, given in (
        ("pipeline_id", folder.name, spec.pipeline_id),
        ("provider", folder.provider, spec.provider),
        ("domain", folder.domain, spec.domain),
    ):
        if given != wanted:
            yield draft.problem((name,), f"is {given!r}, but the folder says {wanted!r}", wanted)
    seen: dict[str, int] = {}
    for index, step in enumerate(spec.steps):
        if seen.setdefault(step.step_id, index) != index:
            reason = f"{step.step_id!r} is the id of steps[{seen[step.step_id]}] too"
            yield draft.problem(("steps", index, "step_id"), reason)


def _schedule(draft: Draft, schedule: Schedule | None) -> Iterator[Problem]:
    if schedule is None:
        return
    try:
        check_cron(schedule.cron)
    except ConfigError as error:
        yield draft.problem(("schedule", "cron"), str(error))
    yield from timezone_problems(draft.document, ("schedule", "timezone"), schedule.timezone)


def timezone_problems(document: Document, at: Location, name: str) -> Iterator[Problem]:
    """A problem where ``name`` is no IANA time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; folders raise OSError
        yield document.problem(at, f"{name!r} is not a time zone", nearest(name, available_timezones()))


# --- Steps --------------------------------------------------------------------------------------------


def _read_step(
    root: Path,
    draft: Draft,
    index: int,
    step: Step,
    problems: list[Problem],
) -> None:
    at: Location = ("steps", index)
    if isinstance(step, IngestStep):
        problems.extend(_source(draft, step, at))
        _read_source_sql(root, draft, index, step, problems)
    if isinstance(step, TransformStep):
        if (step.destination is None) == (step.contributes_to is None):
            problems.append(draft.problem(at, "needs exactly one of destination and contributes_to"))
        transform = _read_sql(root, draft, (*at, "sql_file"), step.sql_file, problems)
        if transform:
            draft.transforms[index] = transform
    if isinstance(step, ComputeStep):
        _read_computation(root, draft, index, step, problems)
    if step.destination is not None:
        _read_table(root, draft, index, step.destination, problems)
    if isinstance(step, IngestStep) and index in draft.tables:
        problems.extend(_mapped_columns(draft, step, at, draft.tables[index].schema))


def _source(draft: Draft, step: IngestStep, at: Location) -> Iterator[Problem]:
    source = step.source
    yield from _templates(draft, (*at, "source"))
    if isinstance(source, RestSource):
        yield from _rest_source(draft, source, at)


def _rest_source(draft: Draft, source: RestSource, at: Location) -> Iterator[Problem]:
    if source.decoder is not None and source.decoder not in DECODERS:
        reason = f"there is no decoder {source.decoder!r}; there are {one_of(DECODERS)}"
        yield draft.problem((*at, "source", "decoder"), reason, nearest(source.decoder, DECODERS))
    if not re.match(r"/(?!/)", source.path) or ".." in source.path.split("/"):
        reason = f"{source.path!r} must start with one / and stay below the provider's base_url"
        yield draft.problem((*at, "source", "path"), reason)
    for reason in path_problems(
        source.records_path, dict(source.columns), list(getattr(source, "ignore", []))
    ):
        name, _, text = reason.partition(": ")
        place = (name,) if name == "records_path" else ("columns", name)
        yield draft.problem((*at, "source", *place), text)


def _templates(draft: Draft, at: Location) -> Iterator[Problem]:
    for place, text in texts(_value(draft.document, at), at):
        if "{" in text and not _NO_TEMPLATE.intersection(map(str, place)):
            for found in template_problems(text):
                yield draft.problem(place, found.reason, found.nearest)


def _value(document: Document, at: Location) -> Any:
    value = document.value
    for part in at:
        value = value[part]
    return value


def _mapped_columns(draft: Draft, step: IngestStep, at: Location, schema: TableSchema) -> Iterator[Problem]:
    for name in getattr(step.source, "columns", {}):
        if schema.get(name) is None:
            reason = f"is not a column of {step.destination.schema_file}"
            yield draft.problem((*at, "source", "columns", name), reason, nearest(name, schema.names))


def _read_sql(
    root: Path, draft: Draft, at: Location, name: str, problems: list[Problem], *, elsewhere: bool = False
) -> Transform | None:
    """A checked query of the folder. ``elsewhere``: it runs on another system, so only that one must know it."""
    path = _inside(draft, at, name, problems)
    if path is None:
        return None
    file = relative(root, path)
    text = read_text(path, file, problems)
    if text is None:
        return None
    from platform_assets.engine.sql.transform import parse_transform

    try:
        return draft.cache.transform(
            text,
            file,
            check_duckdb=not elsewhere,
            parse=lambda: parse_transform(text, file=file, check_duckdb=not elsewhere),
        )
    except ConfigError as error:
        problems.extend(error.problems or (Problem(file, 1, "", str(error)),))
        return None


def _read_source_sql(root: Path, draft: Draft, index: int, step: IngestStep, problems: list[Problem]) -> None:
    if not isinstance(step.source, SqlSource):
        return
    at: Location = ("steps", index, "source", "sql_file")
    query = _read_sql(root, draft, at, step.source.sql_file, problems, elsewhere=True)
    if query is None:
        return
    draft.transforms[index] = query
    known = [f"source.{name}" for name in step.source.tables]
    for table in query.tables:
        if str(table) not in known:
            reason = f"reads {table}; a source's query reads only its tables: {one_of(known)}"
            problems.append(draft.problem(at, reason, nearest(str(table), known)))


def _read_computation(
    root: Path, draft: Draft, index: int, step: ComputeStep, problems: list[Problem]
) -> None:
    at: Location = ("steps", index)
    if step.function not in FUNCTIONS:
        reason = f"there is no function {step.function!r}; there are {one_of(FUNCTIONS)}"
        problems.append(draft.problem((*at, "function"), reason, nearest(step.function, FUNCTIONS)))
    queries = {
        name: _read_sql(root, draft, (*at, "inputs", name), file, problems)
        for name, file in step.inputs.items()
    }
    draft.inputs[index] = {name: query for name, query in queries.items() if query is not None}


# --- Tables -------------------------------------------------------------------------------------------


def _read_table(
    root: Path, draft: Draft, index: int, destination: Destination, problems: list[Problem]
) -> None:
    at: Location = ("steps", index, "destination")
    path = _inside(draft, (*at, "schema_file"), destination.schema_file, problems)
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


def _inside(draft: Draft, at: Location, name: str, problems: list[Problem]) -> Path | None:
    """The file ``name`` of the pipeline's own folder, or None with the reason in ``problems``."""
    folder = draft.folder.path
    path = folder / name
    if name != Path(name).as_posix() or Path(name).is_absolute() or ".." in Path(name).parts or "\\" in name:
        problems.append(draft.problem(at, f"{name!r} must be a plain path inside the pipeline folder"))
        return None
    if not path.is_file():
        files = [p.relative_to(folder).as_posix() for p in sorted(folder.rglob("*")) if p.is_file()]
        same_kind = [f for f in files if Path(f).suffix == path.suffix]
        problems.append(
            draft.problem(at, f"there is no file {name!r} in the folder", nearest(name, same_kind))
        )
        return None
    if _leaves(folder, path):
        problems.append(draft.problem(at, f"{name!r} is a link that leads out of the pipeline folder"))
        return None
    return path


def _leaves(folder: Path, path: Path) -> bool:
    """Whether a path below ``folder`` leads out of it by a link. Only links are followed: most files are none."""
    parents = [p for p in path.parents if p.is_relative_to(folder) and p != folder]
    linked = any(p.is_symlink() for p in (path, *parents))
    return linked and not path.resolve().is_relative_to(folder.resolve())


# --- Data quality -------------------------------------------------------------------------------------


def _read_suites(root: Path, draft: Draft, problems: list[Problem]) -> None:
    path = draft.folder.path / "dq.yml"
    if not path.exists():
        return
    document = read_document(path, relative(root, path), problems)
    if document is None:
        return
    problems.extend(find_unsafe(document))
    dq = read_spec(DqFile, document, problems)
    if dq is not None:
        draft.dq = document
        draft.suites = list(enumerate(dq.suites))


def raw_tables(value: Any) -> Iterator[str]:
    """The tables that a file which could not be read would have filled, as far as one can see."""
    steps = value.get("steps") if isinstance(value, Mapping) else None
    for step in steps if isinstance(steps, list) else ():
        destination = step.get("destination") if isinstance(step, Mapping) else None
        table = destination.get("table") if isinstance(destination, Mapping) else None
        if isinstance(table, str):
            yield table
