"""A batch of changes of one tenant-day, from messages to points in the metric sink. No Dagster here.

All handlers of all messages together: tables looked up once, questions asked once and side by side, points written in
one go. What fails, fails for its handler and message alone. In this order, so that a repeat tells the same::

    questions → points → ledger → the inbox's own state

Nothing of a row's content is logged; reasons name variables, tables and columns.
"""

import logging
from collections import Counter as Tally
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Protocol

from platform_assets.engine.cdc.matching import handlers_for
from platform_assets.engine.cdc.monitor import Monitor
from platform_assets.engine.cdc.points import (
    Ledger,
    Point,
    Series,
    Spaced,
    counts,
    decode_ledger,
    encode_ledger,
    spaced,
)
from platform_assets.engine.cdc.queries import Question, Statement, bound, statements
from platform_assets.engine.cdc.record import read_record
from platform_assets.engine.cdc.settings import CdcSettings
from platform_assets.engine.cdc.spec import Counter, Gauge
from platform_assets.engine.cdc.tables import DataScope, SourceTable
from platform_assets.engine.cdc.telling import Prepared, Row, Task, count_series, prepare, questions, tell
from platform_assets.engine.errors import (
    AuthError,
    ConflictError,
    DataError,
    NotFoundError,
    PartialWriteError,
    PartialWriteRetryableError,
    PlatformError,
    QuotaError,
    RetryableError,
)
from platform_assets.engine.inbox.model import Dead, Done, Outcome, Retry, StoredMessage
from platform_assets.engine.sql.model import NUMBER
from platform_assets.ports import MetricKind, MetricPoint, MetricSink, QuerySource

FAILURE = "handler_execution_failure"
# A table that has just gone, a right or a quota may come back: these are tried again before the message is given up.
_MAY_PASS = (RetryableError, AuthError, QuotaError, NotFoundError)
LOGGER = logging.getLogger(__name__)


@dataclass
class Told:
    """What one monitor did for a partition: ``points`` as written, and counts for people."""

    points: list[Point] = field(default_factory=list)
    counts: Tally[str] = field(default_factory=Tally)
    failures: Tally[str] = field(default_factory=Tally)


@dataclass
class Report:
    """What a partition's batches did, by monitor; ``counts``: messages, ignored, questions, queries, look-ups."""

    monitors: dict[str, Told] = field(default_factory=lambda: defaultdict(Told))
    counts: Tally[str] = field(default_factory=Tally)


class Ledgers(Protocol):
    """Where a partition's ledger is kept: ``assets.inbox.store.Inbox``."""

    def ledger(self, partition: str) -> tuple[bytes | None, str | None]: ...

    def save_ledger(self, partition: str, data: bytes, etag: str | None) -> None: ...


@dataclass(frozen=True)
class CdcHandler:
    """Applies a partition's messages; see ``inbox.apply.Handler``. ``scope``: what its tenant may read, None where
    the messages are nobody's. ``replay`` tells again what has been told, for the given monitors only."""

    partition: str
    tenant: str
    monitors: Sequence[Monitor]
    scope: DataScope | None
    source: Callable[[], QuerySource]
    sink: MetricSink
    inbox: Ledgers
    settings: CdcSettings
    now: Callable[[], datetime]
    report: Report
    replay: bool = False

    @cached_property
    def metrics(self) -> Mapping[str, Gauge | Counter]:
        """Metric name → what is declared of it."""
        return {
            m.name: m for monitor in self.monitors for m in (*monitor.spec.gauges, *monitor.spec.counters)
        }

    @cached_property
    def owners(self) -> Mapping[str, str]:
        """Metric name → its monitor."""
        return {
            m.name: monitor.name
            for monitor in self.monitors
            for m in (*monitor.spec.gauges, *monitor.spec.counters)
        }

    def __call__(self, messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        stored, etag = self.inbox.ledger(self.partition)
        batch = _Batch(self, decode_ledger(stored) if stored else Ledger(), messages)
        batch.read()
        batch.ask()
        batch.write()
        batch.tell_failures()
        self._keep(batch.ledger, etag)
        if batch.nothing_answers:
            raise batch.nothing_answers
        return {message.id: batch.outcome(message) for message in messages}

    def _keep(self, ledger: Ledger, etag: str | None) -> None:
        try:
            self.inbox.save_ledger(self.partition, encode_ledger(ledger), etag)
        except ConflictError as error:
            raise RetryableError(f"another run tells {self.partition}: {error}") from error


@dataclass
class _Batch:
    """One batch's work. ``failed``: message id → handler → why; ``closed``: (project, dataset) → why nobody could look
    into it; ``counted``: as the ledger's; ``made_by``: series → whom its points are of."""

    run: CdcHandler
    ledger: Ledger
    messages: Sequence[StoredMessage]
    tasks: list[Task] = field(default_factory=list)
    unreadable: dict[str, str] = field(default_factory=dict)
    failed: dict[str, dict[str, PlatformError]] = field(default_factory=lambda: defaultdict(dict))
    closed: dict[tuple[str, str], PlatformError] = field(default_factory=dict)
    gauges: list[Point] = field(default_factory=list)
    counted: dict[str, tuple[tuple[Series, datetime], ...]] = field(default_factory=dict)
    made_by: dict[Series, list[Task]] = field(default_factory=lambda: defaultdict(list))
    nothing_answers: RetryableError | None = None

    # --- messages → tasks ---

    def read(self) -> None:
        for message in self.messages:
            try:
                record = read_record(
                    message.body, message.attributes, id=message.id, published_at=message.published_at
                )
            except DataError as error:
                self.unreadable[message.id] = str(error)
                continue
            found = [Task(message.id, record, *taken) for taken in handlers_for(self.run.monitors, record)]
            self.run.report.counts["ignored"] += not found
            self.tasks += [task for task in found if not self._is_through(task)]
        self.run.report.counts["messages"] += len(self.messages)
        for task in self.tasks:
            self._told(task).counts["changes"] += 1

    def _is_through(self, task: Task) -> bool:
        return not self.run.replay and task.name in self.ledger.through.get(task.message_id, ())

    def _told(self, task: Task) -> Told:
        return self.run.report.monitors[task.monitor.name]

    def _fail(self, task: Task, error: PlatformError) -> None:
        self.failed[task.message_id][task.name] = error

    # --- tasks → points ---

    def ask(self) -> None:
        prepared = list(self._prepared())
        present = self._present({table for one in prepared for table in one.tables.values()})
        prepared = [one for one in prepared if not self._failed(one)]
        asked = {id(one): questions(one, present) for one in prepared}
        answers = self._answers({q: None for found in asked.values() for q in found.values()})
        good = {question: rows for question, rows in answers.items() if not isinstance(rows, PlatformError)}
        for one in prepared:
            faults = [answers[q] for q in asked[id(one)].values() if isinstance(answers[q], PlatformError)]
            if faults:
                self._fail(one.task, faults[0])  # type: ignore[arg-type]
                continue
            try:
                points = tell(one, present, good)
            except DataError as error:
                self._fail(one.task, error)
                continue
            self.gauges += points
            for series in {point.series for point in points}:
                self.made_by[series].append(one.task)
            self._count(one.task)

    def _prepared(self) -> Iterator[Prepared]:
        for task in self.tasks:
            try:
                yield prepare(task, self.run.scope)
            except DataError as error:
                self._fail(task, error)

    def _present(self, tables: Iterable[SourceTable]) -> frozenset[SourceTable]:
        datasets: dict[tuple[str, str], list[str]] = defaultdict(list)
        for table in sorted(tables):
            datasets[table.project, table.dataset].append(table.table)
        found: set[SourceTable] = set()
        for (project, dataset), names in datasets.items():
            self.run.report.counts["look-ups"] += 1
            try:
                there = self.run.source().present(project, dataset, names)
            except PlatformError as error:
                self.closed[project, dataset] = error
            else:
                found |= {SourceTable(project, dataset, name) for name in there}
        self._nothing_answers(self.closed, len(datasets))
        return frozenset(found)

    def _failed(self, prepared: Prepared) -> bool:
        """Whether the handler reads a dataset into which nobody could look."""
        places = [(table.project, table.dataset) for table in prepared.tables.values()]
        faults = [self.closed[place] for place in places if place in self.closed]
        if faults:
            self._fail(prepared.task, faults[0])
        return bool(faults)

    def _nothing_answers(self, faults: Mapping[Any, PlatformError], asked: int) -> None:
        """Where all that was asked may be asked again, it is the warehouse's fault and no message's."""
        passing = [error for error in faults.values() if isinstance(error, RetryableError)]
        if passing and len(passing) == asked:
            self.nothing_answers = passing[0]

    def _answers(self, asked: Iterable[Question]) -> dict[Question, Sequence[Row] | PlatformError]:
        """Every distinct question's rows, or why there are none."""
        found = statements(asked, self.run.settings.tables_per_query)
        if not found:
            return {}
        source = self.run.source()
        with ThreadPoolExecutor(min(len(found), self.run.settings.queries_at_once)) as pool:
            parts = list(pool.map(lambda statement: self._answer(source, statement), found))
        answers = {question: rows for part in parts for question, rows in part.items()}
        self.run.report.counts["questions"] += len(answers)
        faults = {question: rows for question, rows in answers.items() if isinstance(rows, PlatformError)}
        self._nothing_answers(faults, len(answers))
        return answers

    def _answer(
        self, source: QuerySource, statement: Statement
    ) -> dict[Question, Sequence[Row] | PlatformError]:
        """What cannot be asked together is asked in halves, until the question that is at fault stands alone."""
        self.run.report.counts["queries"] += 1
        rows: dict[int, list[dict[str, Any]]] = defaultdict(list)
        try:
            limit = self.run.settings.maximum_bytes_billed
            for batch in source.query(bound(statement), maximum_bytes_billed=limit):
                for row in batch.to_pylist():
                    rows[row.pop(NUMBER)].append(row)
        except RetryableError as error:
            return dict.fromkeys(statement.questions, error)
        except PlatformError as error:
            if len(statement.questions) == 1:
                return {statement.questions[0]: error}
            first, second = statement.halves
            return self._answer(source, first) | self._answer(source, second)
        return {question: rows[number] for number, question in enumerate(statement.questions)}

    def _count(self, task: Task) -> None:
        entries = [(series, task.record.at) for series in count_series(task)]
        if entries:
            known = self.counted.get(task.message_id, self.ledger.counted.get(task.message_id, ()))
            self.counted[task.message_id] = tuple(dict.fromkeys((*known, *entries)))
        for series, _ in entries:
            self.made_by[series].append(task)

    # --- points → sink ---

    def write(self) -> None:
        self.ledger = replace(self.ledger, counted={**self.ledger.counted, **self.counted})
        newest = {} if self.run.replay else self.ledger.newest
        gauges = spaced(self.gauges, newest)
        counted = self.made_by.keys() - {point.series for point in self.gauges}
        points = [*gauges.points, *counts(self.ledger, counted, again=self.run.replay)]
        refused = self._written(points) if points else {}
        written = [point for point in points if str(point.series) not in refused]
        self._note(gauges, written, refused)
        ends = dict(self.ledger.newest)
        for point in written:
            ends[point.series] = max(point.end, ends.get(point.series, point.end))
        self.ledger = replace(self.ledger, newest=ends, through=self._through())

    def _through(self) -> Mapping[str, frozenset[str]]:
        """Handlers that are through, of messages that will come again; of the others nothing need be known."""
        tried: dict[str, set[str]] = defaultdict(set)
        for task in self.tasks:
            tried[task.message_id].add(task.name)
        known = dict(self.ledger.through)
        for id_, names in tried.items():
            through = known.pop(id_, frozenset()) | (names - self.failed.get(id_, {}).keys())
            if self.failed.get(id_) or self.nothing_answers:
                known[id_] = through
        return known

    def _written(self, points: Sequence[Point]) -> Mapping[str, PlatformError]:
        """Series in words → why the sink did not take it. RetryableError where it takes nothing."""
        try:
            self.run.sink.write(
                [_metric_point(point, self.run.metrics[point.series.name]) for point in points]
            )
        except AuthError as error:
            raise RetryableError(f"the metric sink refuses us: {error}") from error
        except (PartialWriteError, PartialWriteRetryableError) as error:
            every = {str(point.series) for point in points} <= error.failures.keys()
            if every and all(isinstance(found, _MAY_PASS) for found in error.failures.values()):
                raise RetryableError(f"the metric sink takes nothing: {error}") from error
            for series, tasks in self.made_by.items():
                found = error.failures.get(str(series))
                if found is not None and not isinstance(found, ConflictError):
                    for task in tasks:
                        self._fail(task, found)
            return error.failures
        return {}

    def _note(self, gauges: Spaced, points: Sequence[Point], refused: Mapping[str, PlatformError]) -> None:
        for point in points:
            told = self.run.report.monitors[self.run.owners[point.series.name]]
            told.points.append(point)
            told.counts["points"] += 1
        found = self.run.report.counts
        found["superseded"] += gauges.superseded
        found["late"] += gauges.late
        found["refused"] += len(refused)
        for series, error in list(refused.items())[:5]:
            LOGGER.warning("%s: %s was not taken: %s", self.run.partition, series, error)

    # --- failures ---

    def tell_failures(self) -> None:
        """One point per failing handler, with the number of messages it failed for. Losing it is only logged."""
        failing = Tally(name for names in self.failed.values() for name in names)
        for task in self.tasks:
            if error := self.failed.get(task.message_id, {}).get(task.name):
                self._told(task).failures[f"{task.name}: {error}"] += 1
        if not failing:
            return
        for name, count in sorted(failing.items()):
            LOGGER.warning("%s: %s failed for %d messages", self.run.partition, name, count)
        at = self.run.now()
        try:
            self.run.sink.write(
                [
                    MetricPoint(FAILURE, float(n), {"handler_class": name, "partner": self.run.tenant}, at)
                    for name, n in sorted(failing.items())
                ]
            )
        except PlatformError as error:
            LOGGER.warning("%s: %s was not taken: %s", self.run.partition, FAILURE, error)

    def outcome(self, message: StoredMessage) -> Outcome:
        """A message with anything that may pass is tried again; one with nothing else wrong is given up."""
        if message.id in self.unreadable:
            return Dead(self.unreadable[message.id])
        faults = self.failed.get(message.id)
        if not faults:
            return Done()
        reason = "; ".join(f"{name}: {error}" for name, error in sorted(faults.items()))
        passing = any(isinstance(error, _MAY_PASS) for error in faults.values())
        return Retry(reason) if passing else Dead(reason)


def _metric_point(point: Point, metric: Gauge | Counter) -> MetricPoint:
    kind = MetricKind.GAUGE if point.start is None else MetricKind.CUMULATIVE
    told = dict(point.series.labels), point.end, kind, point.start
    return MetricPoint(point.series.name, point.value, *told, metric.unit, metric.description)
