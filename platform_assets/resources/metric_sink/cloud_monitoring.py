"""Metric points in Cloud Monitoring: ``custom.googleapis.com/<name>`` on one monitored resource.

Owns what the service demands of a writer: at most 200 series a call, one point per series and call, points of
a series in time order with end times at least five seconds apart, label limits, and a descriptor that fixes
kind, value type and unit. Sources: cloud.google.com/monitoring/quotas, CreateTimeSeriesRequest, TimeInterval.

Refuses what would change a meaning: points older than what was written, a metric under another kind. Points
closer than five seconds are moved to five seconds after the one before, waiting where that is the future.
"""

from __future__ import annotations

import hashlib
import math
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import Field

from platform_assets.engine.errors import (
    ConflictError,
    DataError,
    NotFoundError,
    PartialWriteError,
    PartialWriteRetryableError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.spec import Spec
from platform_assets.ports import MetricKind, MetricPoint
from platform_assets.resources.google_errors import translate, translated
from platform_assets.resources.retrying import retried, wait_seconds

if TYPE_CHECKING:
    from google.api.metric_pb2 import MetricDescriptor
    from google.cloud.monitoring_v3 import MetricServiceClient

MAX_SERIES_PER_CALL = 200
MAX_LABELS = 30
MAX_LABEL_KEY = 100
MAX_LABEL_VALUE = 1024
SPACING = timedelta(seconds=5)
_LABEL_KEY = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
# The service's words for points that come too late: behind a newer one, too close to it, or older than it keeps.
_TIME_HAS_PASSED = re.compile(r"in order|more frequently|in the past")
_FAILED_SERIES = re.compile(r"timeSeries\[([\d,\- ]+)\]")

SeriesKey: TypeAlias = tuple[str, tuple[tuple[str, str], ...]]


class CloudMonitoringSinkSettings(Spec):
    """``endpoint`` with ``insecure`` speaks plain gRPC to an emulator. ``max_wait_seconds`` bounds how long
    one write may wait for spacing; the points of a series that would need more are refused."""

    project_id: str
    endpoint: str | None = None
    insecure: bool = False
    resource_type: str = "global"
    resource_labels: dict[str, str] = {}
    long_labels: Literal["truncate", "refuse"] = "truncate"
    timeout_seconds: Annotated[float, Field(gt=0)] = 10.0
    max_attempts: Annotated[int, Field(ge=1, le=10)] = 4
    backoff_seconds: Annotated[float, Field(ge=0)] = 1.0
    max_wait_seconds: Annotated[float, Field(ge=0)] = 60.0


@dataclass(frozen=True)
class _Written:
    """The newest point of a series that the service accepted, as asked for and as written."""

    asked: datetime
    value: float | int
    end: datetime


class CloudMonitoringSink:
    """See ``ports.MetricSink``. Remembers the newest point of each series for as long as it lives. Thread-safe:
    writes take turns, because the points of a series have an order."""

    def __init__(
        self,
        settings: CloudMonitoringSinkSettings,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.settings = settings
        self._now, self._sleep = now, sleep
        self._opened: MetricServiceClient | None = None
        self._descriptors: dict[str, MetricDescriptor] = {}
        self._newest: dict[SeriesKey, _Written] = {}
        self._lock = Lock()

    def write(self, points: Sequence[MetricPoint]) -> None:
        """Raises DataError before anything is sent, where a point can never be written; afterwards
        PartialWriteError or PartialWriteRetryableError with every series that was not accepted: ConflictError where
        it has a newer point or one too close. Writing the same points again skips what this sink had accepted."""
        series = _by_series(self._checked(point) for point in points)
        failures: dict[str, PlatformError] = {}
        with self._lock:
            self._describe(series, failures)
            until = self._now() + timedelta(seconds=self.settings.max_wait_seconds)
            for round_points in _rounds(series):
                self._write_round(round_points, until, failures)
        if any(isinstance(error, RetryableError) for error in failures.values()):
            raise PartialWriteRetryableError(failures)
        if failures:
            raise PartialWriteError(failures)

    def close(self) -> None:
        """Close the channel; the next write opens a new one."""
        if self._opened is not None:
            self._opened.transport.close()
            self._opened = None

    # --- points ---

    def _checked(self, point: MetricPoint) -> MetricPoint:
        if not math.isfinite(point.value):
            raise DataError(f"metric {point.name}: {point.value} is not a finite number")
        if point.end.tzinfo is None:
            raise DataError(f"metric {point.name}: end time {point.end} has no timezone")
        if point.kind is MetricKind.CUMULATIVE and not (point.start and point.start < point.end):
            raise DataError(f"metric {point.name}: a cumulative point must start before its end {point.end}")
        return replace(point, labels=self._labels(point))

    def _labels(self, point: MetricPoint) -> dict[str, str]:
        if len(point.labels) > MAX_LABELS:
            names = ", ".join(sorted(point.labels))
            raise DataError(f"metric {point.name}: more than {MAX_LABELS} labels: {names}")
        return {key: self._label(point.name, key, point.labels[key]) for key in sorted(point.labels)}

    def _label(self, metric: str, key: str, value: str) -> str:
        if not _LABEL_KEY.fullmatch(key) or len(key) > MAX_LABEL_KEY:
            raise DataError(
                f"metric {metric}: label {key!r} is not up to {MAX_LABEL_KEY} letters, digits and _, "
                "the first one a letter"
            )
        if len(value.encode()) <= MAX_LABEL_VALUE:
            return value
        if self.settings.long_labels == "refuse":
            raise DataError(
                f"metric {metric}: label {key!r} has {len(value.encode())} bytes of {MAX_LABEL_VALUE}"
            )
        # The digest keeps series apart whose values differ only behind the cut.
        digest = hashlib.sha256(value.encode()).hexdigest()[:16]
        kept = value.encode()[: MAX_LABEL_VALUE - len(digest) - 1].decode(errors="ignore")
        return f"{kept}~{digest}"

    # --- descriptors ---

    def _describe(
        self, series: dict[SeriesKey, list[MetricPoint]], failures: dict[str, PlatformError]
    ) -> None:
        """Make every metric's descriptor fit, or take its series out of ``series`` and into ``failures``."""
        metrics: dict[str, list[MetricPoint]] = {}
        for (name, _), points in series.items():
            metrics.setdefault(name, []).extend(points)
        for name, points in sorted(metrics.items()):
            try:
                self._describe_one(name, points)
            except (RejectedError, RetryableError) as error:
                for key in [k for k in series if k[0] == name]:
                    failures[_words(key)] = error
                    del series[key]

    def _describe_one(self, name: str, points: list[MetricPoint]) -> None:
        labels = sorted({key for point in points for key in point.labels})
        found = self._descriptors.get(name) or self._fetch(name)
        if found is None:
            found = self._create(name, points, labels)
        elif missing := set(labels) - {label.key for label in found.labels}:
            found = self._create(name, points, sorted({*(x.key for x in found.labels), *missing}), found)
        self._descriptors[name] = found
        for point in points:
            _require_fit(point, found)

    def _fetch(self, name: str) -> MetricDescriptor | None:
        path = f"projects/{self.settings.project_id}/metricDescriptors/{_metric_type(name)}"
        try:
            return self._retried(
                f"read metric {name}",
                lambda: self._client().get_metric_descriptor(
                    name=path, retry=None, timeout=self.settings.timeout_seconds
                ),
            )
        except NotFoundError:
            return None

    def _create(
        self, name: str, points: list[MetricPoint], labels: list[str], known: MetricDescriptor | None = None
    ) -> MetricDescriptor:
        """New, or the known one with more labels. Creating the same descriptor twice is no error."""
        wanted = _new_descriptor(name, points, labels)
        if known is not None:
            wanted.metric_kind, wanted.value_type = known.metric_kind, known.value_type
        return self._retried(
            f"create metric {name}",
            lambda: self._client().create_metric_descriptor(
                name=f"projects/{self.settings.project_id}",
                metric_descriptor=wanted,
                retry=None,
                timeout=self.settings.timeout_seconds,
            ),
        )

    # --- writing ---

    def _write_round(
        self,
        round_points: list[tuple[SeriesKey, MetricPoint]],
        until: datetime,
        failures: dict[str, PlatformError],
    ) -> None:
        """One point of each series. A series that failed gets no further point: order would be lost."""
        ready = []
        for key, point in round_points:
            if _words(key) in failures or self._is_repeat(key, point):
                continue
            placed = self._placed(key, point)
            if placed.end > until and placed.end != point.end:
                failures[_words(key)] = ConflictError(
                    f"the point of {point.end.isoformat()} would have to wait until {placed.end.isoformat()}; "
                    "aggregate points that are less than five seconds apart"
                )
                continue
            ready.append((key, point, placed))
        for start in range(0, len(ready), MAX_SERIES_PER_CALL):
            self._write_call(ready[start : start + MAX_SERIES_PER_CALL], failures)

    def _is_repeat(self, key: SeriesKey, point: MetricPoint) -> bool:
        """This very point was accepted before: the caller repeats a write that failed in part."""
        newest = self._newest.get(key)
        return newest is not None and (newest.asked, newest.value) == (point.end, point.value)

    def _placed(self, key: SeriesKey, point: MetricPoint) -> MetricPoint:
        """The point, moved later where it follows its predecessor too closely."""
        newest = self._newest.get(key)
        if newest is None or point.end < newest.asked or point.end >= newest.end + SPACING:
            return point
        return replace(point, end=newest.end + SPACING)

    def _write_call(
        self, entries: list[tuple[SeriesKey, MetricPoint, MetricPoint]], failures: dict[str, PlatformError]
    ) -> None:
        latest = max(placed.end for _, _, placed in entries)
        wait = (latest - self._now()).total_seconds()
        if wait > 0 and any(placed.end != point.end for _, point, placed in entries):
            self._sleep(wait)
        refused = self._send([placed for _, _, placed in entries])
        for index, (key, point, placed) in enumerate(entries):
            if index in refused:
                failures[_words(key)] = refused[index]
            else:
                self._newest[key] = _Written(point.end, point.value, placed.end)

    def _send(self, points: list[MetricPoint]) -> dict[int, PlatformError]:
        """Index of each point that was not written → why. Throttling and lost calls are retried."""
        request = [self._time_series(point) for point in points]
        unknown, attempt = False, 1
        while (error := self._try(request)) is not None:
            if not isinstance(error, RetryableError):
                return _refusals(error, len(points), after_unknown=unknown)
            if attempt == self.settings.max_attempts:
                return dict.fromkeys(range(len(points)), error)
            unknown = unknown or error.effect_unknown
            self._sleep(wait_seconds(attempt, error, self.settings.backoff_seconds))
            attempt += 1
        return {}

    def _try(self, request: list[Any]) -> PlatformError | None:
        try:
            self._client().create_time_series(
                name=f"projects/{self.settings.project_id}",
                time_series=request,
                retry=None,
                timeout=self.settings.timeout_seconds,
            )
        except Exception as error:
            known = translate(error, f"write {len(request)} series")
            if known is None:
                raise
            return known
        return None

    def _time_series(self, point: MetricPoint) -> Any:
        from google.api import metric_pb2, monitored_resource_pb2
        from google.cloud.monitoring_v3 import types

        descriptor = self._descriptors[point.name]
        is_integer = descriptor.value_type == metric_pb2.MetricDescriptor.INT64
        value = {"int64_value": int(point.value)} if is_integer else {"double_value": float(point.value)}
        interval = {"end_time": point.end} | ({"start_time": point.start} if _is_cumulative(point) else {})
        return types.TimeSeries(
            metric=metric_pb2.Metric(type=_metric_type(point.name), labels=point.labels),
            resource=monitored_resource_pb2.MonitoredResource(
                type=self.settings.resource_type,
                labels={"project_id": self.settings.project_id} | self.settings.resource_labels,
            ),
            metric_kind=descriptor.metric_kind,
            value_type=descriptor.value_type,
            points=[types.Point(interval=types.TimeInterval(interval), value=types.TypedValue(value))],
        )

    # --- calls ---

    def _retried(self, what: str, call: Callable[[], Any]) -> Any:
        def once() -> Any:
            with translated(what):
                return call()

        settings = self.settings
        return retried(
            once, attempts=settings.max_attempts, backoff_seconds=settings.backoff_seconds, sleep=self._sleep
        )

    def _client(self) -> MetricServiceClient:
        if self._opened is None:
            with translated("open Cloud Monitoring"):
                self._opened = self._open()
        return self._opened

    def _open(self) -> MetricServiceClient:
        from google.cloud.monitoring_v3 import MetricServiceClient

        if self.settings.endpoint is None:
            return MetricServiceClient()
        if not self.settings.insecure:
            return MetricServiceClient(client_options={"api_endpoint": self.settings.endpoint})
        import grpc
        from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport

        channel = grpc.insecure_channel(self.settings.endpoint)
        return MetricServiceClient(transport=MetricServiceGrpcTransport(channel=channel))


def _by_series(points: Iterable[MetricPoint]) -> dict[SeriesKey, list[MetricPoint]]:
    """Series in sorted order, the points of each by time."""
    series: dict[SeriesKey, list[MetricPoint]] = {}
    for point in points:
        series.setdefault((point.name, tuple(sorted(point.labels.items()))), []).append(point)
    return {key: sorted(series[key], key=lambda point: point.end) for key in sorted(series)}


def _rounds(
    series: Mapping[SeriesKey, list[MetricPoint]],
) -> Iterator[list[tuple[SeriesKey, MetricPoint]]]:
    """The first points of all series, then the second ones, …: a call takes one point of a series only."""
    for number in range(max((len(points) for points in series.values()), default=0)):
        yield [(key, points[number]) for key, points in series.items() if number < len(points)]


def _new_descriptor(name: str, points: list[MetricPoint], labels: list[str]) -> MetricDescriptor:
    """Counters of whole numbers are INT64. A gauge is always DOUBLE: its first value may be whole by chance,
    and the type can never be changed."""
    from google.api import label_pb2, metric_pb2

    first = points[0]
    whole = _is_cumulative(first) and all(isinstance(point.value, int) for point in points)
    kinds, types = metric_pb2.MetricDescriptor.MetricKind, metric_pb2.MetricDescriptor.ValueType
    return metric_pb2.MetricDescriptor(
        type=_metric_type(name),
        metric_kind=kinds.Value(first.kind.value),
        value_type=types.INT64 if whole else types.DOUBLE,
        unit=first.unit,
        description=first.description,
        labels=[label_pb2.LabelDescriptor(key=key) for key in labels],
    )


def _require_fit(point: MetricPoint, descriptor: MetricDescriptor) -> None:
    """RejectedError where the metric exists with another kind, or holds whole numbers only."""
    from google.api import metric_pb2

    kind = metric_pb2.MetricDescriptor.MetricKind.Name(descriptor.metric_kind)
    if kind != point.kind.value:
        raise RejectedError(f"metric {point.name} exists as {kind}, the point is {point.kind.value}")
    is_integer = descriptor.value_type == metric_pb2.MetricDescriptor.INT64
    if is_integer and point.value != int(point.value):
        raise RejectedError(f"metric {point.name} exists with whole numbers, the point has {point.value}")


def _refusals(error: PlatformError, count: int, *, after_unknown: bool) -> dict[int, PlatformError]:
    """Which series the service's text names (``timeSeries[0-2,5]``), each with its own reason; all of them where
    it names none.

    After an attempt whose answer was lost, "in order" only says that the lost attempt did write the point.
    """
    refused: dict[int, PlatformError] = {}
    named = False
    for part in str(error).split("; "):
        for found in _FAILED_SERIES.findall(part):
            named = True
            if not (after_unknown and "in order" in part):
                kind = ConflictError if _TIME_HAS_PASSED.search(part) else RejectedError
                refused |= {index: kind(part) for index in _indices(found) if index < count}
    return refused if named else dict.fromkeys(range(count), error)


def _indices(text: str) -> Iterator[int]:
    for part in text.replace(" ", "").split(","):
        first, _, last = part.partition("-")
        yield from range(int(first), int(last or first) + 1)


def _metric_type(name: str) -> str:
    return f"custom.googleapis.com/{name}"


def _is_cumulative(point: MetricPoint) -> bool:
    return point.kind is MetricKind.CUMULATIVE


def _words(key: SeriesKey) -> str:
    return f"{key[0]}{{{', '.join(f'{k}={v}' for k, v in key[1])}}}"
