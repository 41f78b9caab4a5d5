"""Runs one table for many tenant-days: stage → audit → publish, slice by slice. No Dagster in here.

Owns that slices are independent: whatever goes wrong with one tenant's day is that day's outcome and nobody else's.
Refuses to publish rows that a critical expectation rejects; the slice that was there before then stays as it is.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from datetime import datetime
from queue import Empty, SimpleQueue

from platform_assets.assets.filling import Doors, Job, fill
from platform_assets.assets.graph import Node, Part
from platform_assets.assets.keys import SliceKey
from platform_assets.assets.outcomes import Audited, PartOutcome, SliceOutcome, Status
from platform_assets.assets.staging import Stage, staging_token
from platform_assets.assets.surroundings import Surroundings
from platform_assets.engine.errors import PlatformError, RetryableError
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.engine.names import TableName
from platform_assets.engine.quality.results import crashed, verdict
from platform_assets.engine.tenancy import TenantSpec

LOGGER = logging.getLogger(__name__)
BAD = (Status.FAILED, Status.BLOCKED)
Statuses = dict[tuple[TableName, SliceKey], Status]


@dataclass(frozen=True)
class RunContext:
    """What one run knows: its id (``pipeline_logging_id``), its clock, and where its progress is told."""

    run_id: str
    now: Callable[[], datetime]
    tell: Callable[[str], None]
    slices_in_flight: int = 4


@dataclass(frozen=True)
class SliceRunner:
    """Fills slices through the ports, several at once. ``selected`` are the tables of this run."""

    doors: Doors
    run: RunContext
    tenants: Mapping[str, TenantSpec]
    providers: Mapping[str, ProviderSpec]
    selected: frozenset[TableName]
    around: Surroundings
    _progress: "SimpleQueue[str]" = field(default_factory=SimpleQueue)
    _ready: set[tuple[str, TableName]] = field(default_factory=set)

    def run_node(self, node: Node, keys: Sequence[SliceKey], earlier: Statuses) -> Iterator[SliceOutcome]:
        """Run one table's slices and yield their outcomes in key order.

        ``earlier`` is what became of the tables before this one in the same run; it decides what is blocked.
        Days that share one slice (``grain: month``) are computed once.
        """
        groups = _group(node, keys, earlier)
        with ThreadPoolExecutor(self.run.slices_in_flight, thread_name_prefix=str(node.table)) as pool:
            futures = [pool.submit(self._slice, node, group, earlier) for group in groups]
            try:
                for group, future in zip(groups, futures, strict=True):
                    parts = self._wait(future)
                    for key in group:
                        yield SliceOutcome(node.table, key, parts, days_covered=len(group))
            finally:  # a cancelled run finishes the slices it is in, and begins no more
                pool.shutdown(wait=False, cancel_futures=True)

    def _wait(self, future: "Future[tuple[PartOutcome, ...]]") -> tuple[PartOutcome, ...]:
        # Progress is told from the run's own thread: Dagster's loggers are not made for several.
        while not wait([future], timeout=0.5).done:
            self._tell()
        self._tell()
        return future.result()

    def _tell(self) -> None:
        while True:
            try:
                self.run.tell(self._progress.get_nowait())
            except Empty:
                return

    def _slice(self, node: Node, group: Sequence[SliceKey], earlier: Statuses) -> tuple[PartOutcome, ...]:
        tenant = self.tenants[group[0].tenant]
        return tuple(self._part(node, part, group, earlier) for part in node.parts(tenant, self.selected))

    def _part(self, node: Node, part: Part, group: Sequence[SliceKey], earlier: Statuses) -> PartOutcome:
        """One writer's outcome. Never raises: an error is an outcome."""
        outcome = self._begun(part)
        if blockers := _blockers(part, group[0], earlier):
            return replace(outcome, status=Status.BLOCKED, error=f"not run: {', '.join(blockers)}")
        try:
            outcome = self._write(node, part, group[0], outcome)
        except PlatformError as error:
            outcome = _failed(outcome, error)
        except Exception as error:  # a bug, too, is this slice's outcome; its traceback goes to the log
            LOGGER.exception("%s %s failed", node.table, group[0])
            outcome = _failed(outcome, error)
        return replace(outcome, ended=self.run.now())

    def _begun(self, part: Part) -> PartOutcome:
        started = self.run.now()
        return PartOutcome(
            pipeline_id=part.step.pipeline_id,
            step_id=part.step.spec.step_id,
            step_type=part.step.spec.type,
            credential=part.credential.id if part.credential else None,
            status=Status.PUBLISHED,
            started=started,
            ended=started,
        )

    def _write(self, node: Node, part: Part, key: SliceKey, outcome: PartOutcome) -> PartOutcome:
        warehouse, tenant = self.doors.warehouse, self.tenants[key.tenant]
        day = node.slice_date(key.day)
        changes = self._tables_ready(key.tenant, node, part)
        staging = warehouse.create_staging(key.tenant, node.spec, staging_token(self.run.run_id, part, day))
        job = Job(self.doors, node, part, tenant, day, self.run.run_id, self.run.now())
        stage = Stage(job, staging, self.around)
        try:
            pull = fill(job, staging, self.providers.get(part.step.provider), self._teller(node, key))
            outcome = _audited(replace(outcome, schema_changes=changes, pull=pull), stage, node)
            if outcome.status is not Status.PUBLISHED:
                return outcome
            written = stage.publish(outcome.audited.checks)
        finally:
            warehouse.drop(key.tenant, staging)
        return replace(outcome, rows_inserted=written.rows_inserted, rows_deleted=written.rows_deleted)

    def _tables_ready(self, tenant: str, node: Node, part: Part) -> tuple[str, ...]:
        """Bring the table and what it reads up to date, once per run; what changed of the table itself. A table that
        nothing has filled yet is read as empty, not missing: a tenant's reports come before some of its sources."""
        changes: tuple[str, ...] = ()
        nodes = self.around.nodes
        read = (nodes[name].spec for name in (*part.step.upstream, *node.compared) if name in nodes)
        for spec in (node.spec, *read):
            if (tenant, spec.name) in self._ready:
                continue
            made = self.doors.warehouse.ensure_table(tenant, spec)
            self._ready.add((tenant, spec.name))
            changes += made if spec is node.spec else ()
        return changes

    def _teller(self, node: Node, key: SliceKey) -> Callable[[str], None]:
        return lambda text: self._progress.put(f"{node.table} {key}: {text}")


def _group(node: Node, keys: Sequence[SliceKey], earlier: Statuses) -> list[list[SliceKey]]:
    """Keys by the slice that holds them. A blocked day leaves its month to the other days, and is told alone."""
    groups: dict[tuple[SliceKey, bool], list[SliceKey]] = {}
    for key in sorted(keys):
        blocked = any(earlier.get((table, key)) in BAD for table in node.upstream)
        name = key if blocked else SliceKey(node.slice_date(key.day), key.tenant)
        groups.setdefault((name, blocked), []).append(key)
    return list(groups.values())


def _blockers(part: Part, key: SliceKey, earlier: Statuses) -> list[str]:
    """Upstream slices of this run that did not publish."""
    statuses = ((table, earlier.get((table, key))) for table in part.step.upstream)
    return [f"{table} {status}" for table, status in statuses if status in BAD]


def _failed(outcome: PartOutcome, error: Exception) -> PartOutcome:
    return replace(
        outcome,
        status=Status.FAILED,
        error=str(error) or repr(error),
        error_type=type(error).__name__,
        passing=isinstance(error, RetryableError),
    )


def _audited(outcome: PartOutcome, stage: Stage, node: Node) -> PartOutcome:
    """The outcome with its audit: failed where a critical expectation is, or where the audit gave no answer."""
    try:
        audited = stage.audit()
    except Exception as error:
        # Told check by check, so that a check which crashed leaves its row as well.
        return _failed(replace(outcome, audited=Audited(crashed(node.suite, str(error)))), error)
    outcome = replace(outcome, audited=audited)
    critical = verdict(audited.checks).critical
    if not critical:
        return outcome
    return replace(
        outcome,
        status=Status.FAILED,
        error=f"critical expectation failed: {', '.join(critical)}; the slice stays as it was",
        error_type="CriticalExpectationFailed",
    )
