"""What every metric sink does. ``cloud_monitoring-fake`` rests on our strict fake of the service."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from platform_assets.engine.errors import DataError
from platform_assets.ports import MetricKind, MetricPoint, MetricSink
from platform_assets.resources.bindings import ADAPTERS, create
from platform_assets_tests.servers.monitoring import serving

NOW = datetime.now(UTC).replace(microsecond=0)
Seen: TypeAlias = tuple[str, dict[str, str], float, datetime, datetime | None]


@dataclass(frozen=True)
class Rig:
    """A sink, and what arrived: name, labels, value, end, start of each point."""

    sink: MetricSink
    seen: Callable[[], list[Seen]]


def _log(folder: Path) -> Iterator[Rig]:
    path = folder / "metrics.log"

    def seen() -> list[Seen]:
        records = [json.loads(line.partition(" ")[2]) for line in path.read_text().splitlines()]
        return [
            (r["name"], r["labels"], r["value"], _time(r["timestamp"]), _time(r.get("start")))
            for r in records
        ]  # type: ignore[misc]

    yield Rig(create("metric_sink", "log", {"path": str(path)}), seen)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _cloud_monitoring(folder: Path) -> Iterator[Rig]:
    with serving() as fake:

        def seen() -> list[Seen]:
            return [
                (kind.removeprefix("custom.googleapis.com/"), dict(labels), p.value, p.end, p.start)
                for (kind, labels), points in fake.series.items()
                for p in points
            ]

        settings = {"project_id": "p", "endpoint": fake.address, "insecure": True, "max_attempts": 1}
        sink: Any = create("metric_sink", "cloud_monitoring", settings)
        yield Rig(sink, seen)
        sink.close()


RIGS = {"cloud_monitoring": _cloud_monitoring, "log": _log}


@pytest.fixture(params=[k + "-fake" * (k == "cloud_monitoring") for k in sorted(ADAPTERS["metric_sink"])])
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from RIGS[request.param.removesuffix("-fake")](tmp_path)


def gauge(value: float, ago: int = 0, **labels: str) -> MetricPoint:
    return MetricPoint("cdc/ratio", value, labels, NOW - timedelta(seconds=ago))


def in_order(seen: Sequence[Seen]) -> list[Seen]:
    return sorted(seen, key=lambda s: (s[0], sorted(s[1].items()), s[3]))


def test_points_arrive_with_labels_values_and_times(rig: Rig) -> None:
    started = NOW - timedelta(minutes=1)
    total = MetricPoint("cdc/total", 7, {}, NOW, MetricKind.CUMULATIVE, started, "{record}", "Seen.")
    rig.sink.write(
        [gauge(0.25, partner="a"), gauge(0.5, ago=20, partner="a"), gauge(1.5, partner="b"), total]
    )
    assert in_order(rig.seen()) == [
        ("cdc/ratio", {"partner": "a"}, 0.5, NOW - timedelta(seconds=20), None),
        ("cdc/ratio", {"partner": "a"}, 0.25, NOW, None),
        ("cdc/ratio", {"partner": "b"}, 1.5, NOW, None),
        ("cdc/total", {}, 7, NOW, started),
    ]


def test_many_series_in_one_write(rig: Rig) -> None:
    rig.sink.write([gauge(float(n), agent=str(n)) for n in range(450)])
    assert sorted(value for _, _, value, _, _ in rig.seen()) == [float(n) for n in range(450)]


def test_one_write_after_another(rig: Rig) -> None:
    for number in range(3):
        rig.sink.write([gauge(float(number), ago=60 - 10 * number)])
    assert [value for _, _, value, _, _ in in_order(rig.seen())] == [0.0, 1.0, 2.0]


def test_nothing_to_write_is_fine(rig: Rig) -> None:
    rig.sink.write([])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_refused_by_name(rig: Rig, value: float) -> None:
    with pytest.raises(DataError, match="cdc/ratio"):
        rig.sink.write([gauge(1.0, agent="1"), gauge(value, agent="2")])


def test_offsets_of_times_are_honoured(rig: Rig) -> None:
    from datetime import timezone

    local = NOW.astimezone(timezone(timedelta(hours=-3)))
    rig.sink.write([MetricPoint("cdc/ratio", 1.0, {}, local)])
    assert rig.seen()[0][3] == NOW
