"""One metric run, from its request to the event that tells how it ended. No Dagster here: an asset is a shell of it.

In this order, so that dying between any two steps loses nothing and shows no half-written output::

    data → version manifest → both read again → marker → ``current`` alias → SUCCESS

A redelivered run whose marker is there computes nothing: it makes sure of the alias and says SUCCESS again. The alias
moves by compare-and-set and only to a newer request, so overlapping runs cannot turn it back.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, TypeAlias

from platform_assets.engine.errors import (
    ConflictError,
    NotFoundError,
    PlatformError,
    RetryableError,
)
from platform_assets.engine.expressions.evaluate import evaluate
from platform_assets.engine.expressions.explain import formula
from platform_assets.engine.expressions.nodes import series_codes
from platform_assets.engine.expressions.series import Chunk
from platform_assets.engine.metrics.ahead import ahead
from platform_assets.engine.metrics.events import EventType, RunEvent, RunEvents
from platform_assets.engine.metrics.exposition import RunRecord
from platform_assets.engine.metrics.failures import (
    ErrorCode,
    EvaluationError,
    ManifestError,
    MetricError,
    OutputWriteError,
    code_of,
    failing_as,
)
from platform_assets.engine.metrics.inputs import Inputs, locate
from platform_assets.engine.metrics.layout import OutputLayout, output_layout, version_ts
from platform_assets.engine.metrics.manifest import (
    Marker,
    OutputManifest,
    Outputs,
    ReadBack,
    Written,
    check_size,
    inputs_of,
    parse_marker,
    parse_output_manifest,
)
from platform_assets.engine.metrics.output import FILE_NAMES, Tally, encode, measured
from platform_assets.engine.metrics.request import MetricRequest, RequestError, parse_request
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.ports import ObjectStore, OutboundMessage, Topic

Clock: TypeAlias = Callable[[], datetime]
_ALIAS_TRIES = 50  # each lost try is another run's progress
_PIECE_BYTES = 8 * 1024 * 1024
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
        layout = self._layout()
        if marker := self._finished(layout):
            return self._success(layout, marker, None)
        self._publish(self._events.started())
        self._keep_record("started")
        with _Heartbeat(self._beat, self._settings.heartbeat_seconds):
            manifest = self._produce(layout)
        return self._success(layout, self._mark(layout, manifest), manifest)

    def _layout(self) -> OutputLayout:
        settings = self._settings
        return output_layout(
            self._request.base_path,
            legacy_bucket_prefix=settings.legacy_bucket_prefix,
            roots=settings.output_roots,
        )

    # --- Computing -------------------------------------------------------------------------------------

    def _produce(self, layout: OutputLayout) -> OutputManifest:
        """Data and manifest of a new version, written and read again."""
        with _readers(self._readers, self._settings.read_threads) as readers:
            request = self._request
            codes = series_codes(request.expression)
            files = locate(codes, request.inputs, request.datasets, self._store, readers)
            with Inputs(files, self._store, readers) as inputs:
                self._inputs = inputs
                version = self._free_version(layout)
                written, tally = self._write_data(layout, version, inputs)
        manifest = self._manifest(layout, version, written, tally, inputs)
        self._write_manifest(layout, manifest)
        self._verify(written)
        return manifest

    def _free_version(self, layout: OutputLayout) -> str:
        now = self._clock()
        with failing_as(OutputWriteError, "looking for a free version"):
            while self._store.stat(layout.manifest(version_ts(now))):
                now += timedelta(microseconds=1)
        return version_ts(now)

    def _write_data(self, layout: OutputLayout, version: str, inputs: Inputs) -> tuple[Written, Tally]:
        form, tally = self._settings.output_format, Tally()
        key = layout.data(version, FILE_NAMES[form])
        rows = _evaluated(self._request, inputs)
        encoded = encode(rows, tally, form, self._settings.compression)
        # Evaluating and encoding in one thread, hashing and uploading in another: a large run uses two cores more.
        large = inputs.rows_planned > _LARGE_ROWS
        pieces = _Pieces(measured(ahead(encoded) if large else encoded, tally))
        try:
            with failing_as(OutputWriteError, f"writing {key!r}"):
                self._store.put(key, pieces, if_absent=True)
        except Exception:
            # A store may dress up what its caller's iterator raised; what went wrong there is the reason.
            if pieces.error:
                raise pieces.error from None
            raise
        self._bytes_written = tally.byte_count
        return Written(key, tally.byte_count, tally.sha256, tally.row_count, form), tally

    def _manifest(
        self, layout: OutputLayout, version: str, written: Written, tally: Tally, inputs: Inputs
    ) -> OutputManifest:
        data_prefix = layout.data_prefix(version)
        series = inputs_of(inputs.summaries)
        return OutputManifest(
            run_id=self._request.run_id,
            metric_code=self._request.metric_code,
            version_ts=version,
            created_at=self._clock(),
            row_count=written.row_count,
            outputs=Outputs(data_prefix=data_prefix, files=(written.key.removeprefix(f"{data_prefix}/"),)),
            requested_at=self._request.requested_at or self._began,
            format=written.format,
            byte_count=written.byte_count,
            sha256=written.sha256,
            null_count=tally.null_count,
            inf_count=tally.inf_count,
            duplicate_count=sum(one.duplicate_count for one in series),
            expression=formula(self._request.expression),
            inputs=series,
        )

    def _write_manifest(self, layout: OutputLayout, manifest: OutputManifest) -> None:
        key, data = layout.manifest(manifest.version_ts), manifest.encode()
        with failing_as(OutputWriteError, f"writing {key!r}"):
            self._store.put(key, data, if_absent=True)
        with failing_as(ManifestError, f"reading {key!r} again"):
            found = self._store.get(key)
        if found != data or parse_output_manifest(found, key) != parse_output_manifest(data, key):
            raise ManifestError(f"{key!r} does not hold what was written")

    def _verify(self, written: Written) -> None:
        with failing_as(ManifestError, f"reading {written.key!r} again"):
            info = self._store.stat(written.key)
            check_size(written, info.size if info else None)
            if written.byte_count > self._settings.verify_bytes:
                return
            back = ReadBack(written)
            for start in range(0, written.byte_count, _PIECE_BYTES):
                back.add(self._store.get_range(written.key, start, _PIECE_BYTES))
            back.check()

    # --- Publishing ------------------------------------------------------------------------------------

    def _finished(self, layout: OutputLayout) -> Marker | None:
        """What an earlier attempt at this run left, if it came to an end."""
        key = layout.marker(self._request.run_id)
        with failing_as(OutputWriteError, f"looking for {key!r}"):
            data = _read(self._store, key)
        marker = parse_marker(data) if data is not None else None
        if marker is None or marker.output_manifest:
            return marker
        return self._old_marker(layout)

    def _old_marker(self, layout: OutputLayout) -> Marker | None:
        """The old worker's markers name no version; its last one may be the run's. Else the run is done anew."""
        current, _ = self._current(layout)
        if current is None or current.run_id != self._request.run_id:
            return None
        return _marker(layout, current)

    def _mark(self, layout: OutputLayout, manifest: OutputManifest) -> Marker:
        """Leave the marker. Where another attempt at the same run was faster, its version counts."""
        key, marker = layout.marker(manifest.run_id), _marker(layout, manifest)
        with failing_as(OutputWriteError, f"writing {key!r}"):
            try:
                self._store.put(key, marker.encode(), if_absent=True)
            except ConflictError:
                return self._replace_marker(key, marker)
        return marker

    def _replace_marker(self, key: str, marker: Marker) -> Marker:
        """There is one already: another attempt's, or one of the old worker's, which says too little to keep."""
        found = parse_marker(self._store.get(key))
        if found and found.output_manifest:
            return found
        self._store.put(key, marker.encode())
        return marker

    def _success(
        self, layout: OutputLayout, marker: Marker, manifest: OutputManifest | None
    ) -> MetricOutcome:
        """Move the alias if it is due, then say SUCCESS. ``manifest``: of what this attempt computed."""
        version, key, rows = marker.version_ts or "", marker.output_manifest or "", marker.row_count or 0
        moved = self._move_alias(layout, key)
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

    def _move_alias(self, layout: OutputLayout, key: str) -> bool:
        """``current/manifest.json`` := the version's manifest, unless it is of a newer request already."""
        with failing_as(OutputWriteError, f"moving {layout.current!r}"):
            data = _read(self._store, key)
            if data is None:  # removed since the run finished, by a retention rule
                return False
            manifest = parse_output_manifest(data, key)
            for _ in range(_ALIAS_TRIES):
                current, etag = self._current(layout)
                if current and current.order >= manifest.order:
                    return False
                if self._replace_alias(layout.current, data, etag):
                    return True
        raise OutputWriteError(f"{layout.current!r} is moved by others all the time", retryable=True)

    def _replace_alias(self, key: str, data: bytes, etag: str | None) -> bool:
        try:
            self._store.put(key, data, if_absent=etag is None, if_match=etag)
        except ConflictError:
            return False
        return True

    def _current(self, layout: OutputLayout) -> tuple[OutputManifest | None, str | None]:
        """What the alias shows and the etag to replace it by; (None, etag) for content that is no manifest."""
        # The etag first: if the alias moves in between, replacing it by the older etag fails, as it must.
        info = self._store.stat(layout.current)
        data = _read(self._store, layout.current) if info else None
        try:
            manifest = parse_output_manifest(data, layout.current) if data is not None else None
        except ManifestError as error:
            _log.warning("the alias is no manifest and will be replaced: %s", error)
            manifest = None
        return manifest, info.etag if info else None

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


class _Pieces:
    """An iterator that remembers what it raised."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as error:
            self.error = error
            raise


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


def _marker(layout: OutputLayout, manifest: OutputManifest) -> Marker:
    key = layout.manifest(manifest.version_ts)
    return Marker(
        run_id=manifest.run_id,
        version_ts=manifest.version_ts,
        output_manifest=key,
        row_count=manifest.row_count,
    )


def _read(store: ObjectStore, key: str) -> bytes | None:
    try:
        return store.get(key)
    except NotFoundError:
        return None


def _may_pass(error: Exception) -> bool:
    return isinstance(error, RetryableError) or (isinstance(error, MetricError) and error.retryable)
