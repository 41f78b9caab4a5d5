"""One metric run, from its request to the event that tells how it ended. No Dagster here: an asset is a shell of it.

In this order, so that dying between any two steps loses nothing and shows no half-written output::

    data → version manifest → both read again → marker → ``current`` alias → SUCCESS

A redelivered run whose marker is there computes nothing: it makes sure of the alias and says SUCCESS again. The alias
moves by compare-and-set and only to a newer request, so overlapping runs cannot turn it back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeAlias

from platform_assets.assets.metrics_objects import MetricObjects
from platform_assets.engine.errors import (
    PlatformError,
    RetryableError,
)
from platform_assets.engine.expressions.evaluate import evaluate
from platform_assets.engine.expressions.nodes import series_codes
from platform_assets.engine.expressions.series import Chunk
from platform_assets.engine.metrics.ahead import ahead
from platform_assets.engine.metrics.events import EventType, RunEvent, RunEvents
from platform_assets.engine.metrics.exposition import RunRecord
from platform_assets.engine.metrics.failures import (
    ErrorCode,
    EvaluationError,
    MetricError,
    code_of,
    failing_as,
)
from platform_assets.engine.metrics.inputs import Inputs, locate
from platform_assets.engine.metrics.layout import OutputLayout, output_layout
from platform_assets.engine.metrics.manifest import (
    Marker,
    OutputManifest,
    Outputs,
    Written,
    expression_text,
    inputs_of,
)
from platform_assets.engine.metrics.output import FILE_NAMES, Tally, encode, measured
from platform_assets.engine.metrics.request import MetricRequest, RequestError, parse_request
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.ports import ObjectStore, OutboundMessage, Topic

Clock: TypeAlias = Callable[[], datetime]
_LARGE_ROWS = 500_000
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class MetricTopics:
    """Where each kind of event goes."""

    started: Topic
    heartbeat: Topic
    completed: Topic

    def publish(self, event: RunEvent) -> None:
        topic = {
            EventType.STARTED: self.started,
            EventType.HEARTBEAT: self.heartbeat,
            EventType.COMPLETED: self.completed,
        }[event.type]
        topic.publish([OutboundMessage(event.body, event.attributes, event.group, event.deduplication_id)])


@dataclass(frozen=True)
class MetricOutcome:
    """How a run ended, as it was published. ``dead_letter``: the message is no usable request and belongs aside.

    ``computed`` is false for a redelivered run, ``alias_moved`` where a newer request had the alias already.
    """

    run_id: str
    metric_code: str
    status: Literal["SUCCESS", "FAILURE"]
    version_ts: str = ""
    output_manifest: str = ""
    row_count: int = 0
    manifest: OutputManifest | None = None
    error_code: ErrorCode | None = None
    error_message: str = ""
    computed: bool = False
    alias_moved: bool = False
    dead_letter: bool = False
    record: RunRecord | None = None


def handle_message(
    body: bytes,
    attributes: Mapping[str, str],
    published_at: datetime | None,
    store: ObjectStore,
    topics: MetricTopics,
    clock: Clock,
    settings: MetricSettings,
    *,
    progress: Callable[[float], None] = lambda fraction: None,
    final_attempt: bool = True,
    readers: Executor | None = None,
) -> MetricOutcome:
    """One delivered message: run it, or say FAILURE where it is broken but tells its run id. See ``run_metric``."""
    try:
        request = parse_request(body, attributes, published_at=published_at)
    except RequestError as error:
        return _refuse(error, topics, clock, settings)
    return run_metric(
        request, store, topics, clock, settings, progress, final_attempt=final_attempt, readers=readers
    )


def run_metric(
    request: MetricRequest,
    store: ObjectStore,
    topics: MetricTopics,
    clock: Clock,
    settings: MetricSettings,
    progress: Callable[[float], None] = lambda fraction: None,
    *,
    final_attempt: bool = True,
    readers: Executor | None = None,
) -> MetricOutcome:
    """Run a request and publish its events. A failed run is an outcome, already published, not an exception.

    RetryableError where the same request may succeed later: with ``final_attempt=False`` for any passing fault, and
    always where an event could not be published. Nothing is lost then: hand the request in again.
    ``readers``: threads to read with, for callers with many small runs; by default each run starts its own.
    """
    return _Run(request, store, topics, clock, settings, progress, readers).run(final_attempt)


def _refuse(
    error: RequestError, topics: MetricTopics, clock: Clock, settings: MetricSettings
) -> MetricOutcome:
    _log.warning("metric request refused", extra={"run_id": error.run_id, "error": str(error)})
    if error.run_id:
        events = RunEvents(error.run_id, error.metric_code, clock(), settings.error_form)
        topics.publish(events.failed(error.code, str(error)))
    return MetricOutcome(
        run_id=error.run_id or "",
        metric_code=error.metric_code,
        status="FAILURE",
        error_code=error.code,
        error_message=str(error),
        dead_letter=True,
    )


class _Run:
    """One attempt at one run: its parts share the request, the ports and when it began."""

    def __init__(
        self,
        request: MetricRequest,
        store: ObjectStore,
        topics: MetricTopics,
        clock: Clock,
        settings: MetricSettings,
        progress: Callable[[float], None],
        readers: Executor | None,
    ) -> None:
        self._request, self._store, self._topics = request, store, topics
        self._clock, self._settings, self._report, self._readers = clock, settings, progress, readers
        self._began = clock()
        self._events = RunEvents(request.run_id, request.metric_code, self._began, settings.error_form)
        self._inputs: Inputs | None = None
        self._bytes_written = 0

    def run(self, final_attempt: bool) -> MetricOutcome:
        try:
            outcome = self._attempt()
        except PublishError:
            raise
        except Exception as error:
            if not final_attempt and _may_pass(error):
                raise RetryableError(str(error)) from error
            return self._failure(error)
        self._report(1.0)
        return outcome

    def _attempt(self) -> MetricOutcome:
        objects = MetricObjects(self._store, self._layout())
        if marker := objects.finished(self._request.run_id):
            return self._success(objects, marker, None)
        self._publish(self._events.started())
        self._keep_record("started")
        with _Heartbeat(self._beat, self._settings.heartbeat_seconds):
            manifest = self._produce(objects)
        return self._success(objects, objects.mark(manifest), manifest)

    def _layout(self) -> OutputLayout:
        settings = self._settings
        return output_layout(
            self._request.base_path,
            legacy_bucket_prefix=settings.legacy_bucket_prefix,
            roots=settings.output_roots,
        )

    # --- Computing -------------------------------------------------------------------------------------

    def _produce(self, objects: MetricObjects) -> OutputManifest:
        """Data and manifest of a new version, written and read again."""
        with _readers(self._readers, self._settings.read_threads) as readers:
            request = self._request
            codes = series_codes(request.expression)
            files = locate(codes, request.inputs, request.datasets, self._store, readers)
            with Inputs(files, self._store, readers) as inputs:
                self._inputs = inputs
                manifest, written = self._write(objects, inputs)
        objects.write_manifest(manifest)
        objects.verify(written, self._settings.verify_bytes)
        return manifest

    def _write(self, objects: MetricObjects, inputs: Inputs) -> tuple[OutputManifest, Written]:
        form, tally = self._settings.output_format, Tally()
        version = objects.free_version(self._clock())
        key = objects.layout.data(version, FILE_NAMES[form])
        rows = _evaluated(self._request, inputs)
        # Evaluating and encoding in one thread, hashing and uploading in another: worth it for large runs only.
        large = inputs.rows_planned > _LARGE_ROWS
        with (
            closing(encode(rows, tally, form, self._settings.compression)) as encoded,
            closing(ahead(encoded) if large else encoded) as pieces,
        ):
            objects.write_data(key, measured(pieces, tally))
        self._bytes_written = tally.byte_count
        written = Written(key, tally.byte_count, tally.sha256, tally.row_count, form)
        outputs = Outputs(data_prefix=objects.layout.data_prefix(version), files=(FILE_NAMES[form],))
        return self._manifest(version, outputs, tally, inputs), written

    def _manifest(self, version: str, outputs: Outputs, tally: Tally, inputs: Inputs) -> OutputManifest:
        series = inputs_of(inputs.summaries)
        return OutputManifest(
            run_id=self._request.run_id,
            metric_code=self._request.metric_code,
            version_ts=version,
            created_at=self._clock(),
            row_count=tally.row_count,
            outputs=outputs,
            requested_at=self._request.requested_at or self._began,
            format=self._settings.output_format,
            byte_count=tally.byte_count,
            sha256=tally.sha256,
            null_count=tally.null_count,
            inf_count=tally.inf_count,
            duplicate_count=sum(one.duplicate_count for one in series),
            expression=expression_text(self._request.expression),
            inputs=series,
        )

    # --- Telling ---------------------------------------------------------------------------------------

    def _success(
        self, objects: MetricObjects, marker: Marker, manifest: OutputManifest | None
    ) -> MetricOutcome:
        """Move the alias if it is due, then say SUCCESS. ``manifest``: of what this attempt computed."""
        version, key, rows = marker.version_ts or "", marker.output_manifest or "", marker.row_count or 0
        moved = objects.move_alias(key)
        self._publish(self._events.succeeded(version, key, rows))
        _log.info(
            "metric run succeeded", extra=self._log_fields | {"version_ts": version, "alias_moved": moved}
        )
        return MetricOutcome(
            run_id=self._request.run_id,
            metric_code=self._request.metric_code,
            status="SUCCESS",
            version_ts=version,
            output_manifest=key,
            row_count=rows,
            manifest=manifest,
            computed=manifest is not None,
            alias_moved=moved,
            record=self._keep_record("succeeded") if manifest else None,
        )

    def _failure(self, error: Exception) -> MetricOutcome:
        code = code_of(error)
        message = str(error) if isinstance(error, PlatformError) else f"{type(error).__name__}: {error}"
        _log.error("metric run failed", exc_info=error, extra=self._log_fields | {"error_code": code.value})
        self._publish(self._events.failed(code, message))
        return MetricOutcome(
            run_id=self._request.run_id,
            metric_code=self._request.metric_code,
            status="FAILURE",
            error_code=code,
            error_message=message,
            record=self._keep_record("failed", code),
        )

    # --- Being watched ---------------------------------------------------------------------------------

    def _beat(self, number: int) -> None:
        """One heartbeat. A lost one is only logged: the run matters more."""
        progress = self._inputs.progress if self._inputs else 0.0
        try:
            self._topics.publish(self._events.heartbeat(number, progress, self._clock()))
        except PlatformError as error:
            _log.warning("heartbeat not published: %s", error, extra=self._log_fields)
        self._report(progress)

    def _publish(self, event: RunEvent) -> None:
        try:
            self._topics.publish(event)
        except PlatformError as error:
            raise PublishError(
                f"{event.type} of run {self._request.run_id!r} not published: {error}"
            ) from error

    def _keep_record(
        self, phase: Literal["started", "succeeded", "failed"], code: ErrorCode | None = None
    ) -> RunRecord:
        """Leave a record for the exporter. Losing one is only logged."""
        now = self._clock()
        record = RunRecord(
            run_id=self._request.run_id,
            metric_code=self._request.metric_code,
            started_at=self._began,
            recorded_at=now,
            phase=phase,
            error_code=code,
            duration_seconds=(now - self._began).total_seconds(),
            read_bytes=self._inputs.meter.bytes if self._inputs else 0,
            written_bytes=self._bytes_written,
        )
        if self._settings.records_prefix:
            try:
                self._store.put(record.key(self._settings.records_prefix), record.encode())
            except PlatformError as error:
                _log.warning("run record not kept: %s", error, extra=self._log_fields)
        return record

    @property
    def _log_fields(self) -> dict[str, str]:
        return {"run_id": self._request.run_id, "metric_code": self._request.metric_code}


class PublishError(RetryableError):
    """An event could not be published: the message must come again."""


class _Heartbeat:
    """Calls ``beat(1)``, ``beat(2)``, … every so many seconds while the ``with`` block runs, also while it reads."""

    def __init__(self, beat: Callable[[int], None], seconds: float) -> None:
        self._beat, self._seconds = beat, seconds
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metric-heartbeat", daemon=True)

    def _run(self) -> None:
        number = 0
        while not self._done.wait(self._seconds):
            number += 1
            self._beat(number)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        """No heartbeat comes after this, so none can follow the completed event."""
        self._done.set()
        self._thread.join()


def _evaluated(request: MetricRequest, inputs: Inputs) -> Iterator[Chunk]:
    with failing_as(EvaluationError, "evaluating"):
        yield from evaluate(request.expression, inputs.sources)


@contextmanager
def _readers(given: Executor | None, threads: int) -> Iterator[Executor]:
    """Threads for reading: the caller's, or some that end with the run."""
    if given is not None:
        yield given
        return
    executor = ThreadPoolExecutor(threads, thread_name_prefix="metric-read")
    try:
        yield executor
    finally:
        executor.shutdown(cancel_futures=True)


def _may_pass(error: Exception) -> bool:
    return isinstance(error, RetryableError) or (isinstance(error, MetricError) and error.retryable)
