"""A strict fake of Cloud Monitoring over real gRPC: it refuses what the documented service refuses.

Ours, so tests that rest on it say ``fake`` in their names. Sources: cloud.google.com/monitoring/quotas (200
series a call, one point per series and call, end times five seconds apart, 30 labels, key 100, value 1024),
TimeInterval (order, at most 25 hours back and 5 minutes ahead, start times), CreateTimeSeriesSummary; the texts
follow answers quoted in public issues of Google's own exporters.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
from google.api import metric_pb2
from google.cloud import monitoring_v3
from google.protobuf import any_pb2, empty_pb2
from google.rpc import code_pb2, status_pb2

Descriptor = metric_pb2.MetricDescriptor
SPACING = timedelta(seconds=5)
_TYPE = re.compile(r"custom\.googleapis\.com/[A-Za-z0-9_./-]{1,170}")
_LABEL = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")
_DENSE = "One or more points were written more frequently than the maximum sampling period configured for the metric."
_ORDER = (
    "Points must be written in order. One or more of the points specified had an older end time than the most "
    "recent point."
)


class Refused(Exception):
    """The whole request is refused; nothing of it was written."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Point:
    end: datetime
    start: datetime | None
    value: float | int


@dataclass
class FakeMonitoring:
    """What was accepted. ``calls`` holds the number of series of each write, ``series`` every point.

    ``fail`` queues failures for the next writes: before anything is stored, or after everything was.
    """

    address: str = ""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    descriptors: dict[str, Any] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    series: dict[tuple[str, tuple[tuple[str, str], ...]], list[Point]] = field(default_factory=dict)
    calls: list[int] = field(default_factory=list)
    _failures: list[tuple[grpc.StatusCode, bool]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fail(self, code: grpc.StatusCode, times: int = 1, *, after_effect: bool = False) -> None:
        self._failures += [(code, after_effect)] * times

    def points(self, name: str, **labels: str) -> list[Point]:
        return self.series.get((f"custom.googleapis.com/{name}", tuple(sorted(labels.items()))), [])

    # --- descriptors

    def create_descriptor(self, request: Any) -> Any:
        wanted = request.metric_descriptor
        if not _TYPE.fullmatch(wanted.type):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT, f"metricDescriptor.type {wanted.type!r} is invalid"
            )
        _check_labels({label.key: "" for label in wanted.labels})
        known = self.descriptors.get(wanted.type)
        if known and (known.metric_kind, known.value_type) != (wanted.metric_kind, wanted.value_type):
            raise Refused(
                grpc.StatusCode.INVALID_ARGUMENT,
                f"metric {wanted.type} exists with another kind or value type, which cannot be changed",
            )
        self.created.append(wanted.type)
        self.descriptors[wanted.type] = wanted
        return wanted

    def get_descriptor(self, request: Any) -> Any:
        name = request.name.split("/metricDescriptors/", 1)[1]
        if name not in self.descriptors:
            raise Refused(grpc.StatusCode.NOT_FOUND, f"Could not find descriptor for metric '{name}'.")
        return self.descriptors[name]

    # --- points

    def create_time_series(self, request: Any) -> Any:
        self.calls.append(len(request.time_series))
        code, after = self._failures.pop(0) if self._failures else (None, False)
        if code and not after:
            raise Refused(code, "injected before the effect")
        errors = self._write(request)
        if code:
            raise Refused(code, "injected after the effect")
        if errors:
            raise _partial(len(request.time_series), errors)
        return empty_pb2.Empty()

    def _write(self, request: Any) -> dict[int, str]:
        _check_request(request.time_series)
        errors: dict[int, str] = {}
        for index, series in enumerate(request.time_series):
            reason = self._reason(series)
            if reason:
                errors[index] = reason
            else:
                self.series.setdefault(_key(series), []).append(_point(series.points[0]))
        return errors

    def _reason(self, series: Any) -> str | None:
        point, known = _point(series.points[0]), self.series.get(_key(series), [])
        return (
            self._type_reason(series)
            or _interval_reason(series.metric_kind, point, self.now())
            or (_ORDER if known and point.end <= known[-1].end else None)
            or (_DENSE if known and point.end < known[-1].end + SPACING else None)
        )

    def _type_reason(self, series: Any) -> str | None:
        known = self.descriptors.get(series.metric.type)
        if known is None:
            return "the metric has no descriptor (this fake creates none by itself)"
        if (known.metric_kind, known.value_type) != (series.metric_kind, series.value_type):
            return "Metric kind or value type does not match the descriptor."
        if unknown := set(series.metric.labels) - {label.key for label in known.labels}:
            return f"unrecognized metric labels: {sorted(unknown)}"
        has = series.points[0].value.WhichOneof("value")
        wanted = "int64_value" if known.value_type == Descriptor.INT64 else "double_value"
        return None if has == wanted else f"value is {has}, not {wanted}"


def _check_request(series: Any) -> None:
    if len(series) > 200:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{len(series)} TimeSeries, the maximum is 200")
    keys = [_key(one) for one in series]
    if len(set(keys)) != len(keys):
        raise Refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            "Duplicate TimeSeries encountered. Only one point can be written per TimeSeries per request.",
        )
    for one in series:
        if len(one.points) != 1:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, "each TimeSeries must have exactly one point")
        _check_labels(dict(one.metric.labels))


def _check_labels(labels: dict[str, str]) -> None:
    if len(labels) > 30:
        raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"{len(labels)} labels, the maximum is 30")
    for key, value in labels.items():
        if not _LABEL.fullmatch(key):
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"label key {key!r} is invalid")
        if len(value.encode()) > 1024:
            raise Refused(grpc.StatusCode.INVALID_ARGUMENT, f"value of label {key!r} is longer than 1024")


def _interval_reason(kind: int, point: Point, now: datetime) -> str | None:
    if point.end < now - timedelta(hours=25):
        return "Data points cannot be written more than 25 hours in the past."
    if point.end > now + timedelta(minutes=5):
        return "Data points cannot be written more than 5 minutes in the future."
    if kind == Descriptor.GAUGE and point.start not in (None, point.end):
        return "The start time must be equal to the end time for the gauge metric."
    if kind == Descriptor.CUMULATIVE and not (point.start and point.start < point.end):
        return "The start time must be before the end time for the cumulative metric."
    return None


def _partial(total: int, errors: dict[int, str]) -> Refused:
    reasons: dict[str, list[int]] = {}
    for index, reason in errors.items():
        reasons.setdefault(reason, []).append(index)
    text = "; ".join(
        f"timeSeries[{','.join(map(str, at))}]: write for resource=global{{}} failed with: {reason}"
        for reason, at in reasons.items()
    )
    refused = Refused(
        grpc.StatusCode.INVALID_ARGUMENT, f"One or more TimeSeries could not be written: {text}"
    )
    summary = monitoring_v3.CreateTimeSeriesSummary(
        total_point_count=total,
        success_point_count=total - len(errors),
        errors=[
            {
                "status": status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=reason),
                "point_count": len(at),
            }
            for reason, at in reasons.items()
        ],
    )
    detail = any_pb2.Any()
    detail.Pack(monitoring_v3.CreateTimeSeriesSummary.pb(summary))
    status = status_pb2.Status(code=code_pb2.INVALID_ARGUMENT, message=str(refused), details=[detail])
    refused.add_note(status.SerializeToString().hex())
    return refused


def _key(series: Any) -> tuple[str, tuple[tuple[str, str], ...]]:
    return series.metric.type, tuple(sorted(series.metric.labels.items()))


def _point(point: Any) -> Point:
    interval = point.interval
    start = interval.start_time.ToDatetime(UTC) if interval.HasField("start_time") else None
    value = getattr(point.value, point.value.WhichOneof("value"))
    return Point(interval.end_time.ToDatetime(UTC), start, value)


@contextmanager
def serving(now: Callable[[], datetime] | None = None) -> Iterator[FakeMonitoring]:
    """Serve one fresh fake at 127.0.0.1; its ``address`` is host:port for an insecure channel."""
    fake = FakeMonitoring(**({"now": now} if now else {}))
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=2))
    server.add_generic_rpc_handlers((_handlers(fake),))
    fake.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield fake
    finally:
        server.stop(None).wait()


def _handlers(fake: FakeMonitoring) -> Any:
    types = monitoring_v3.types

    def unary(request: Any, answer: Any, call: Callable[[Any], Any]) -> Any:
        def handle(message: Any, context: Any) -> Any:
            with fake._lock:
                try:
                    return call(message)
                except Refused as refused:
                    failure = refused
            for note in getattr(failure, "__notes__", ()):
                context.set_trailing_metadata((("grpc-status-details-bin", bytes.fromhex(note)),))
            context.abort(failure.code, str(failure))

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=request.pb().FromString, response_serializer=answer.SerializeToString
        )

    methods = {
        "CreateMetricDescriptor": (
            types.CreateMetricDescriptorRequest,
            Descriptor,
            fake.create_descriptor,
        ),
        "GetMetricDescriptor": (types.GetMetricDescriptorRequest, Descriptor, fake.get_descriptor),
        "CreateTimeSeries": (types.CreateTimeSeriesRequest, empty_pb2.Empty, fake.create_time_series),
    }
    return grpc.method_handlers_generic_handler(
        "google.monitoring.v3.MetricService", {name: unary(*parts) for name, parts in methods.items()}
    )
