"""What there is to tell about a run: from its rows in the history, tenant by tenant.

A run over many tenants fails as a whole where one slice does; its rows say for whom. So a tenant is told about its own
pipelines only, and success where they succeeded.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from platform_assets.engine import errors
from platform_assets.engine.notifications.events import Event, Severity
from platform_assets.engine.notifications.occurrence import Occurrence

Row = Mapping[str, Any]
_ON_PURPOSE = frozenset(
    name
    for name, kind in vars(errors).items()
    if isinstance(kind, type) and issubclass(kind, errors.PlatformError)
) | {"CriticalExpectationFailed"}
_BAD = ("FAILED", "TIMEOUT", "BLOCKED")
NOT_AUDITED = (
    "not audited: "  # … and of a check whose slice never came so far: its pipeline's failure says it all
)
NOT_RUN = "not run: "  # how the history begins the reason of what waited for a table that failed
MOST_NAMED = 10


@dataclass(frozen=True)
class Run:
    """A Dagster run as it began or ended. ``name``: the pipeline that it was asked for, else its job. ``refused``: by
    the queue."""

    run_id: str
    status: Literal["STARTED", "SUCCESS", "FAILURE", "CANCELED"]
    at: datetime
    name: str
    error: str = ""
    refused: bool = False


@dataclass(frozen=True)
class RunRows:
    """One tenant's rows of a run. ``runs``: pipeline_id, run_date, status, error_message, and worker_instance, which is
    null where nobody began. ``steps``: the failed ones,
    with step_name, error_type. ``checks``: the failed ones, with target_table, expectation_id, severity."""

    runs: Sequence[Row] = field(default_factory=tuple)
    steps: Sequence[Row] = field(default_factory=tuple)
    checks: Sequence[Row] = field(default_factory=tuple)


def started(run: Run, tenant: str) -> Occurrence:
    """One per tenant: its pipelines' rows may not be there yet."""
    title = f"{run.name} started"
    return _occurrence(
        run, tenant, Event.PIPELINE_STARTED, run.name, title, f"{run.name} has started for {tenant}."
    )


def ended(run: Run, tenant: str, rows: RunRows) -> tuple[Occurrence, ...]:
    """Everything that a run's end has to say to one tenant, also of a run that died before it could write a row."""
    return (*_pipelines(run, tenant, rows), *_steps(run, tenant, rows), *_checks(run, tenant, rows))


# --- Pipelines ------------------------------------------------------------------------------------------------------


def _pipelines(run: Run, tenant: str, rows: RunRows) -> Iterator[Occurrence]:
    """One per pipeline; but what only waited for another is told with that, and a process that died is told once."""
    if not any(row["worker_instance"] for row in rows.runs):
        yield from _never_begun(run, tenant)
        return
    groups = _by(rows.runs, "pipeline_id")
    kinds = {pipeline: _fate(run, group) for pipeline, group in groups.items()}
    if "failed" not in kinds.values():  # what it waited for was in another run
        kinds = {p: "failed" if kind == "blocked" else kind for p, kind in kinds.items()}
    blocked = [pipeline for pipeline, kind in kinds.items() if kind == "blocked"]
    yield from _unfinished(run, tenant, {p: groups[p] for p, kind in kinds.items() if kind == "unfinished"})
    for pipeline, kind in kinds.items():
        if kind == "failed":
            yield _failed(run, tenant, pipeline, groups[pipeline], blocked)
        if kind == "succeeded":
            text = f"{len(groups[pipeline])} day(s) completed ({_days(groups[pipeline])})."
            yield _occurrence(run, tenant, Event.PIPELINE_SUCCESS, pipeline, f"{pipeline} succeeded", text)


def _never_begun(run: Run, tenant: str) -> Iterator[Occurrence]:
    """The same whether or not the rows of what never began have been written yet."""
    name = run.name
    if run.refused:
        text = f"The run of {name} was refused: {run.error}"
        yield _occurrence(run, tenant, Event.PIPELINE_FAILURE, name, f"{name} was refused", text)
    elif run.status == "FAILURE":
        text = f"The run of {name} failed before it had done anything: {run.error}"
        yield _occurrence(run, tenant, Event.SYSTEM_ERROR, name, f"{name} died", text)
    elif run.status == "CANCELED":
        text = f"The run of {name} was cancelled: {run.error}"
        yield _occurrence(run, tenant, Event.PIPELINE_WARNING, name, f"{name} was cancelled", text)


def _fate(run: Run, group: Sequence[Row]) -> str:
    """failed, blocked (it waited for what failed), unfinished, succeeded: the worst of a pipeline's days."""
    if any(row["status"] in _BAD and not _waited(row) and not _left(run, row) for row in group):
        return "failed"
    if any(_left(run, row) for row in group):
        return "unfinished"
    return "blocked" if any(row["status"] in _BAD for row in group) else "succeeded"


def _left(run: Run, row: Row) -> bool:
    """Left behind by a process that died, whether or not its row has been completed with the run's own error since."""
    completed = bool(run.error) and row["error_message"] == run.error
    return row["status"] in ("PENDING", "RUNNING", "CANCELLED") or (row["status"] in _BAD and completed)


def _waited(row: Row) -> bool:
    return row["status"] == "BLOCKED" or (row["error_message"] or "").startswith(NOT_RUN)


def _failed(run: Run, tenant: str, pipeline: str, group: Sequence[Row], blocked: Sequence[str]) -> Occurrence:
    failed = [row for row in group if row["status"] in _BAD]
    reason = next((r["error_message"] for r in failed if r["error_message"] and not _waited(r)), None)
    reason = reason or next((r["error_message"] for r in failed if r["error_message"]), None) or run.error
    text = f"{len(failed)} of {len(group)} day(s) failed ({_days(failed)}): {reason}"
    more = {"Not run because of it": ", ".join(blocked)} if blocked else {}
    return _occurrence(run, tenant, Event.PIPELINE_FAILURE, pipeline, f"{pipeline} failed", text, **more)


def _unfinished(run: Run, tenant: str, groups: Mapping[str, Sequence[Row]]) -> Iterator[Occurrence]:
    """A row that still says RUNNING when its run is over is that of a process that died: one happening, however many
    pipelines it was running."""
    if not groups:
        return
    pipeline = run.name if run.name in groups else min(groups)
    days = _days([row for group in groups.values() for row in group])
    more = {"Pipelines": _some(sorted(groups))} if len(groups) > 1 else {}
    cancelled = run.status == "CANCELED" or any(
        r["status"] == "CANCELLED" for g in groups.values() for r in g
    )
    event = Event.PIPELINE_WARNING if cancelled else Event.PIPELINE_FAILURE
    title = f"{pipeline} was cancelled" if cancelled else f"{pipeline} failed"
    text = f"Not finished ({days}): {run.error or 'the run ended before its pipelines did'}"
    yield _occurrence(run, tenant, event, pipeline, title, text, **more)


# --- Steps ----------------------------------------------------------------------------------------------------------


def _steps(run: Run, tenant: str, rows: RunRows) -> Iterator[Occurrence]:
    for pipeline, group in _by(rows.steps, "pipeline_id").items():
        for name, steps in _by(group, "step_name").items():
            first = steps[0]
            text = f"{pipeline}.{name} failed for {_days(steps)}: {first['error_message']}"
            yield _occurrence(
                run,
                tenant,
                Event.STEP_FAILURE,
                pipeline,
                f"Step {name} of {pipeline} failed",
                text,
                part=name,
            )
            if _throttled(first):
                title = f"{pipeline} is being throttled"
                yield _occurrence(run, tenant, Event.RATE_LIMIT_EXCEEDED, pipeline, title, text, part=name)
            if first["error_type"] not in _ON_PURPOSE:
                title = f"{pipeline}: unexpected {first['error_type']}"
                yield _occurrence(run, tenant, Event.SYSTEM_ERROR, pipeline, title, text, part=name)


def _throttled(row: Row) -> bool:
    return row["error_type"] == "QuotaError" or "HTTP 429" in (row["error_message"] or "")


# --- Checks ---------------------------------------------------------------------------------------------------------


def _checks(run: Run, tenant: str, rows: RunRows) -> Iterator[Occurrence]:
    """One per table and gravity. ``info`` is not told; a check that could not be made is told as a failure."""
    made = [row for row in rows.checks if not (row["error_message"] or "").startswith(NOT_AUDITED)]
    for table, group in _by(made, "target_table").items():
        grave = [r for r in group if r["severity"] == "critical" or r["error_message"]]
        light = [r for r in group if r["severity"] == "warning" and r not in grave]
        for event, found in ((Event.DATA_QUALITY_FAILURE, grave), (Event.DATA_QUALITY_WARNING, light)):
            if found:
                names = sorted({r["expectation_id"] for r in found})
                text = f"{table}, {_days(found)}: {_some(names)}"
                title = f"{len(names)} check(s) of {table} failed"
                pipeline = found[0]["pipeline_id"]
                yield _occurrence(run, tenant, event, pipeline, title, text, part=table, Table=table)


# --- Common ---------------------------------------------------------------------------------------------------------


def _occurrence(
    run: Run, tenant: str, event: Event, pipeline: str, title: str, text: str, part: str = "", **details: str
) -> Occurrence:
    return Occurrence(
        key=":".join((run.run_id, pipeline, part)),
        tenant=tenant,
        event=event,
        title=title,
        message=text,
        at=run.at,
        subject=pipeline,
        severity=Severity.CRITICAL if event is Event.SYSTEM_ERROR else None,
        pipeline_id=pipeline,
        run_id=run.run_id,
        details=details,
    )


def _by(rows: Sequence[Row], column: str) -> dict[str, list[Row]]:
    groups: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        groups[str(row[column])].append(row)
    return dict(sorted(groups.items()))


def _days(rows: Sequence[Row]) -> str:
    return _some(sorted({str(row["run_date"]) for row in rows}))


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MOST_NAMED} more" if len(names) > MOST_NAMED else ""
    return ", ".join(names[:MOST_NAMED]) + more
