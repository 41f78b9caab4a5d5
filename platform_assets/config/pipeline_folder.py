"""Reads one pipeline folder: ``pipeline.yml``, ``dq.yml`` and the schema and SQL files they refer to.

Owns what can be judged from the folder alone. What concerns other pipelines, tenants and providers is in ``checks``.
Refuses references that leave the folder, by ``..``, by an absolute path or by a link.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from platform_assets.config.document import (
    Location,
    read_document,
    read_text,
)
from platform_assets.config.draft import Draft, referred_file
from platform_assets.config.placeholders import unfilled
from platform_assets.config.query_cache import QueryCache
from platform_assets.config.reading import nearest, one_of, read_spec
from platform_assets.config.safety import find_unsafe
from platform_assets.config.sources import mapped_columns, source_problems
from platform_assets.config.tables import read_table
from platform_assets.config.tree import PipelineFolder, old_document, relative
from platform_assets.config.values import label_problems, owner_problems, timezone_problems
from platform_assets.engine.costs.functions import FUNCTIONS
from platform_assets.engine.cron import check_cron, spread
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.ingestion.spec import (
    ComputeStep,
    IngestStep,
    PipelineSpec,
    Schedule,
    SqlSource,
    Step,
    TransformStep,
)
from platform_assets.engine.quality.spec import DqFile

if TYPE_CHECKING:
    from platform_assets.engine.sql.checked import Transform


def read_pipeline_folder(
    root: Path, folder: PipelineFolder, problems: list[Problem], cache: QueryCache
) -> Draft | None:
    """Everything in the folder, checked by itself. None where ``pipeline.yml`` itself cannot be used."""
    file = folder.path / "pipeline.yml"
    document = read_document(file, relative(root, file), problems)
    if document is None:
        return None
    if old := list(old_document(document)):
        problems.extend(old)
        return None
    problems.extend(find_unsafe(document))
    problems.extend(unfilled(document))
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
        yield from label_problems(draft.document, (name,), given)
    yield from owner_problems(draft.document, ("owners",), spec.owners)
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
    else:
        yield from _jitter(draft, schedule)
    yield from timezone_problems(draft.document, ("schedule", "timezone"), schedule.timezone)


def _jitter(draft: Draft, schedule: Schedule) -> Iterator[Problem]:
    try:
        spread(schedule.cron, schedule.jitter_minutes)
    except ConfigError as error:
        yield draft.problem(("schedule", "jitter_minutes"), str(error))


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
        problems.extend(source_problems(draft, step, at))
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
        read_table(root, draft, index, step.destination, problems)
    if isinstance(step, IngestStep) and index in draft.tables:
        problems.extend(mapped_columns(draft, step, at, draft.tables[index].schema))


def _read_sql(
    root: Path, draft: Draft, at: Location, name: str, problems: list[Problem], *, elsewhere: bool = False
) -> Transform | None:
    """A checked query of the folder. ``elsewhere``: it runs on another system, so only that one must know it."""
    path = referred_file(draft, at, name, problems)
    if path is None:
        return None
    file = relative(root, path)
    text = read_text(path, file, problems)
    if text is None:
        return None

    def parse() -> Transform:
        from platform_assets.engine.sql.transform import parse_transform

        return parse_transform(text, file=file, check_duckdb=not elsewhere)

    try:
        return draft.cache.transform(
            text, file, checks="elsewhere" if elsewhere else "transform", parse=parse
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
