"""Cloud Monitoring sink. ``fake`` in a name: rests on our strict gRPC fake (servers/monitoring.py).
``drongo`` in a name: rests on a gRPC server nobody here wrote, which knows no limits.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from google.api.metric_pb2 import MetricDescriptor
from google.cloud.monitoring_v3 import ListTimeSeriesRequest, MetricServiceClient, TimeInterval
from google.cloud.monitoring_v3.services.metric_service.transports import MetricServiceGrpcTransport
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import AuthError, DataError, RejectedError, RetryableError
from platform_assets.ports import MetricKind, MetricPoint
from platform_assets.resources.metric_sink.cloud_monitoring import (
    CloudMonitoringSink,
    CloudMonitoringSinkSettings,
    PartialWriteError,
    PartialWriteRetryableError,
)
from platform_assets_tests.servers.drongo import monitoring_serving
from platform_assets_tests.servers.monitoring import FakeMonitoring, serving

NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Clock:
    """The sink's and the fake's clock: sleeping moves it."""

    def __init__(self) -> None:
        self.time, self.slept = NOON, []

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def fake(clock: Clock) -> Iterator[FakeMonitoring]:
    with serving(clock.now) as server:
        yield server


def sink_for(fake: FakeMonitoring, clock: Clock, **settings: Any) -> CloudMonitoringSink:
    given = {"project_id": "p", "endpoint": fake.address, "insecure": True} | settings
    return CloudMonitoringSink(CloudMonitoringSinkSettings(**given), now=clock.now, sleep=clock.sleep)


@pytest.fixture
def sink(fake: FakeMonitoring, clock: Clock) -> Iterator[CloudMonitoringSink]:
    opened = sink_for(fake, clock)
    yield opened
    opened.close()


def at(seconds: float, value: float = 1.0, name: str = "cdc/count", **labels: str) -> MetricPoint:
    return MetricPoint(name, value, labels, NOON + timedelta(seconds=seconds))


def total(seconds: float, value: float, start: float = -60) -> MetricPoint:
    return MetricPoint(
        "cdc/total",
        value,
        {},
        NOON + timedelta(seconds=seconds),
        MetricKind.CUMULATIVE,
        NOON + timedelta(seconds=start),
        unit="{record}",
        description="Records seen.",
    )


def test_fake_a_gauge_is_written_with_its_labels_and_time(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 0.25, partner="athena", approved="true")])
    (point,) = fake.points("cdc/count", partner="athena", approved="true")
    assert (point.end, point.start, point.value) == (NOON, None, 0.25)


def test_fake_nothing_to_write_makes_no_call(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([])
    assert fake.calls == []


def test_fake_a_descriptor_is_created_once_with_kind_type_unit_and_labels(
    sink: Any, fake: FakeMonitoring, clock: Clock
) -> None:
    sink.write([total(0, 3)])
    sink.write([total(10, 5)])
    sink_for(fake, clock).write([total(20, 8)])
    descriptor = fake.descriptors["custom.googleapis.com/cdc/total"]
    assert fake.created == ["custom.googleapis.com/cdc/total"]
    assert descriptor.metric_kind == MetricDescriptor.CUMULATIVE
    assert descriptor.value_type == MetricDescriptor.INT64
    assert (descriptor.unit, descriptor.description) == ("{record}", "Records seen.")


def test_fake_a_gauge_is_double_even_if_its_first_value_is_whole(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 1)])
    sink.write([at(10, 0.5)])
    assert [p.value for p in fake.points("cdc/count")] == [1.0, 0.5]


def test_fake_new_labels_are_added_to_the_descriptor(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 1.0, partner="a")])
    sink.write([at(0, 1.0, agent="7")])
    labels = [label.key for label in fake.descriptors["custom.googleapis.com/cdc/count"].labels]
    assert labels == ["agent", "partner"]
    assert len(fake.points("cdc/count", agent="7")) == 1


def test_fake_a_cumulative_keeps_its_start_over_its_points(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([total(0, 3), total(10, 7)])
    assert [(p.start, p.value) for p in fake.points("cdc/total")] == [
        (NOON - timedelta(seconds=60), 3),
        (NOON - timedelta(seconds=60), 7),
    ]


def test_fake_at_most_200_series_go_into_one_call(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 1.0, agent=str(n)) for n in range(450)])
    assert fake.calls == [200, 200, 50]
    assert len(fake.series) == 450


def test_fake_points_of_one_series_go_into_successive_calls_in_time_order(
    sink: Any, fake: FakeMonitoring, clock: Clock
) -> None:
    sink.write([at(-10, 3.0), at(-30, 1.0), at(-20, 2.0), at(-30, 9.0, partner="b")])
    assert [p.value for p in fake.points("cdc/count")] == [1.0, 2.0, 3.0]
    assert fake.calls == [2, 1, 1]
    assert clock.slept == []


def test_fake_dense_points_of_the_past_are_moved_without_waiting(
    sink: Any, fake: FakeMonitoring, clock: Clock
) -> None:
    sink.write([at(-60, 1.0), at(-59, 2.0), at(-59, 3.0)])
    ends = [(p.end - NOON).total_seconds() for p in fake.points("cdc/count")]
    assert ends == [-60.0, -55.0, -50.0]
    assert clock.slept == []


def test_fake_dense_points_of_now_wait_for_their_time(sink: Any, fake: FakeMonitoring, clock: Clock) -> None:
    sink.write([at(0, 1.0), at(1, 2.0), at(2, 3.0)])
    assert [p.value for p in fake.points("cdc/count")] == [1.0, 2.0, 3.0]
    assert clock.slept == [5.0, 5.0]


def test_fake_spacing_holds_over_writes(sink: Any, fake: FakeMonitoring, clock: Clock) -> None:
    sink.write([at(-1, 1.0)])
    sink.write([at(0, 2.0)])
    assert [p.value for p in fake.points("cdc/count")] == [1.0, 2.0]
    assert clock.slept == [4.0]


def test_fake_a_series_too_dense_to_wait_for_is_refused_alone(fake: FakeMonitoring, clock: Clock) -> None:
    sink = sink_for(fake, clock, max_wait_seconds=6)
    burst = [at(n / 100, float(n), agent="x") for n in range(4)]
    with pytest.raises(PartialWriteError, match="aggregate") as raised:
        sink.write([*burst, at(0, 1.0, agent="y")])
    assert list(raised.value.failures) == ["cdc/count{agent=x}"]
    assert [p.value for p in fake.points("cdc/count", agent="x")] == [0.0, 1.0]
    assert len(fake.points("cdc/count", agent="y")) == 1


def test_fake_a_repeated_write_is_skipped(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 1.0)])
    sink.write([at(0, 1.0)])
    assert len(fake.points("cdc/count")) == 1


def test_fake_partial_refusal_names_the_series_and_writes_the_rest(sink: Any, fake: FakeMonitoring) -> None:
    with pytest.raises(PartialWriteError, match="25 hours") as raised:
        sink.write([at(0, 1.0, agent="a"), at(-100_000, 1.0, agent="b"), at(400, 1.0, agent="c")])
    assert list(raised.value.failures) == ["cdc/count{agent=b}", "cdc/count{agent=c}"]
    assert "5 minutes" in str(raised.value.failures["cdc/count{agent=c}"])
    assert "5 minutes" not in str(raised.value.failures["cdc/count{agent=b}"])
    assert len(fake.points("cdc/count", agent="a")) == 1


def test_fake_a_point_older_than_another_writers_newest_is_refused(
    sink: Any, fake: FakeMonitoring, clock: Clock
) -> None:
    sink_for(fake, clock).write([at(0, 1.0)])
    with pytest.raises(PartialWriteError, match="in order"):
        sink.write([at(-30, 2.0)])
    assert len(fake.points("cdc/count")) == 1


def test_fake_a_metric_of_another_kind_is_refused_and_others_are_written(
    sink: Any, fake: FakeMonitoring
) -> None:
    sink.write([total(0, 3)])
    wrong = MetricPoint("cdc/total", 4.0, {}, NOON)
    with pytest.raises(RejectedError, match=r"cdc/total exists as CUMULATIVE, the point is GAUGE"):
        sink.write([wrong, at(0)])
    assert len(fake.points("cdc/count")) == 1


def test_fake_a_fraction_for_a_whole_number_counter_is_refused(sink: Any) -> None:
    sink.write([total(0, 3)])
    with pytest.raises(RejectedError, match=r"whole numbers, the point has 3\.5"):
        sink.write([total(10, 3.5)])


@pytest.mark.parametrize(
    ("point", "words"),
    [
        (at(0, float("nan")), "cdc/count: nan is not a finite number"),
        (at(0, float("inf")), "inf is not a finite number"),
        (MetricPoint("m", 1.0, {"a-b": "x"}, NOON), "metric m: label 'a-b'"),
        (MetricPoint("m", 1.0, {"x" * 101: "x"}, NOON), "letters, digits"),
        (MetricPoint("m", 1.0, {f"l{n}": "x" for n in range(31)}, NOON), "more than 30 labels: l0, l1"),
        (MetricPoint("m", 1.0, {}, NOON.replace(tzinfo=None)), "no timezone"),
        (MetricPoint("m", 1, {}, NOON, MetricKind.CUMULATIVE), "must start before its end"),
        (MetricPoint("m", 1, {}, NOON, MetricKind.CUMULATIVE, NOON), "must start before its end"),
    ],
)
def test_fake_points_that_can_never_be_written_are_named_before_any_call(
    sink: Any, fake: FakeMonitoring, point: MetricPoint, words: str
) -> None:
    with pytest.raises(DataError, match=words):
        sink.write([at(0), point])
    assert fake.calls == []


def test_fake_long_label_values_are_cut_and_stay_apart(sink: Any, fake: FakeMonitoring) -> None:
    sink.write([at(0, 1.0, path="é" * 600 + "1"), at(0, 2.0, path="é" * 600 + "2")])
    values = [dict(labels)["path"] for _, labels in fake.series]
    assert len(set(values)) == 2
    assert all(len(value.encode()) <= 1024 for value in values)


def test_fake_long_label_values_can_be_refused_by_name(fake: FakeMonitoring, clock: Clock) -> None:
    sink = sink_for(fake, clock, long_labels="refuse")
    with pytest.raises(DataError, match="label 'path' has 1025 bytes of 1024"):
        sink.write([at(0, 1.0, path="x" * 1025)])


@pytest.mark.parametrize(
    "code",
    [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.RESOURCE_EXHAUSTED],
)
def test_fake_passing_failures_are_retried_with_growing_waits(
    sink: Any, fake: FakeMonitoring, clock: Clock, code: grpc.StatusCode
) -> None:
    fake.fail(code, times=2)
    sink.write([at(0)])
    assert len(fake.points("cdc/count")) == 1
    assert clock.slept == [1.0, 2.0]


def test_fake_a_write_whose_answer_was_lost_counts_as_written(
    sink: Any, fake: FakeMonitoring, clock: Clock
) -> None:
    fake.fail(grpc.StatusCode.UNAVAILABLE, after_effect=True)
    sink.write([at(0, 1.0, agent="a"), at(0, 2.0, agent="b")])
    assert len(fake.points("cdc/count", agent="a")) == 1
    sink.write([at(10, 3.0, agent="a")])
    assert len(fake.points("cdc/count", agent="a")) == 2


def test_fake_lasting_failure_is_retryable_and_repeating_writes_only_the_rest(
    sink: Any, fake: FakeMonitoring
) -> None:
    points = [at(0, 1.0, agent=str(n)) for n in range(201)]
    sink.write([at(-20, 0.0, agent="0")])
    fake.fail(grpc.StatusCode.UNAVAILABLE, times=4)
    with pytest.raises(PartialWriteRetryableError) as raised:
        sink.write(points)
    assert len(raised.value.failures) == 200
    sink.write(points)
    assert sum(len(points) for points in fake.series.values()) == 202


@pytest.mark.parametrize("code", [grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED])
def test_fake_expired_credentials_are_not_retried(
    sink: Any, fake: FakeMonitoring, clock: Clock, code: grpc.StatusCode
) -> None:
    fake.fail(code)
    with pytest.raises(PartialWriteError) as raised:
        sink.write([at(0)])
    assert isinstance(raised.value.failures["cdc/count{}"], AuthError)
    assert clock.slept == []


def test_drongo_stores_descriptor_and_points(clock: Clock) -> None:
    with monitoring_serving() as address:
        settings = CloudMonitoringSinkSettings(project_id="p", endpoint=address, insecure=True)
        sink = CloudMonitoringSink(settings, now=clock.now, sleep=clock.sleep)
        sink.write([at(-10, 1.5, partner="a"), at(0, 2.5, partner="a"), total(0, 3)])
        client = MetricServiceClient(
            transport=MetricServiceGrpcTransport(channel=grpc.insecure_channel(address))
        )
        kinds = {d.type: d.metric_kind for d in client.list_metric_descriptors(name="projects/p")}
        (series,) = client.list_time_series(
            name="projects/p",
            filter='metric.type="custom.googleapis.com/cdc/count"',
            interval=TimeInterval(start_time=NOON - timedelta(hours=1), end_time=NOON + timedelta(hours=1)),
            view=ListTimeSeriesRequest.TimeSeriesView.FULL,
        )
        client.transport.close()
        sink.close()
    assert kinds == {
        "custom.googleapis.com/cdc/count": MetricDescriptor.GAUGE,
        "custom.googleapis.com/cdc/total": MetricDescriptor.CUMULATIVE,
    }
    assert sorted(p.value.double_value for p in series.points) == [1.5, 2.5]
    assert dict(series.metric.labels) == {"partner": "a"}


def test_missing_credentials_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    sink = CloudMonitoringSink(CloudMonitoringSinkSettings(project_id="p"))
    with pytest.raises(RejectedError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        sink.write([at(0)])


def test_nobody_listening_is_retryable(clock: Clock) -> None:
    settings = CloudMonitoringSinkSettings(
        project_id="p", endpoint="127.0.0.1:1", insecure=True, timeout_seconds=0.5, max_attempts=2
    )
    sink = CloudMonitoringSink(settings, now=clock.now, sleep=clock.sleep)
    with pytest.raises(RetryableError, match="cdc/count"):
        sink.write([at(0)])
    sink.close()
    assert clock.slept == [1.0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(-7200, 0), st.integers(0, 3), st.integers(0, 99)),
        max_size=40,
        unique_by=lambda entry: (entry[0], entry[1]),
    )
)
def test_fake_any_points_are_accepted_in_order_and_none_is_lost(entries: list[tuple[int, int, int]]) -> None:
    clock = Clock()
    with serving(clock.now) as fake:
        sink = sink_for(fake, clock, max_wait_seconds=1000)
        sink.write([at(second, float(value), agent=str(agent)) for second, agent, value in entries])
        sink.close()
    for agent in range(4):
        wanted = [float(v) for s, a, v in sorted(entries) if a == agent]
        assert [p.value for p in fake.points("cdc/count", agent=str(agent))] == wanted
