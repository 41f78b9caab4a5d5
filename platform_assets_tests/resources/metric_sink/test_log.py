import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from platform_assets.engine.errors import DataError
from platform_assets.ports import MetricKind, MetricPoint
from platform_assets.resources.metric_sink.log import LogMetricSink, LogMetricSinkSettings

END = datetime(2026, 1, 31, 7, 0, 0, 123456, timezone(timedelta(hours=-3)))


def test_a_line_per_point_in_the_form_it_always_had(capsys: pytest.CaptureFixture[str]) -> None:
    labels = {"pipeline_uuid": "p", "partner": "a"}
    LogMetricSink(LogMetricSinkSettings()).write([MetricPoint("mageai/pipeline_run/count", 1.0, labels, END)])
    assert capsys.readouterr().out == (
        'METRIC: {"metric_type": "gauge", "project_id": "local-project", "name": "mageai/pipeline_run/count", '
        '"value": 1.0, "labels": {"partner": "a", "pipeline_uuid": "p"}, '
        '"timestamp": "2026-01-31T10:00:00.123456+00:00"}\n'
    )


def test_a_file_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "logs/metrics.log"
    sink = LogMetricSink(LogMetricSinkSettings(path=str(path), project_id="p"))
    start = datetime(2026, 1, 31, tzinfo=UTC)
    sink.write([MetricPoint("a", 1, {}, END, MetricKind.CUMULATIVE, start)])
    sink.write([MetricPoint("b", 2, {}, END)])
    first, second = (json.loads(line.removeprefix("METRIC: ")) for line in path.read_text().splitlines())
    assert (first["name"], first["metric_type"], first["start"]) == (
        "a",
        "cumulative",
        "2026-01-31T00:00:00+00:00",
    )
    assert second["name"] == "b"
    assert "start" not in second


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="x/y"):
        LogMetricSink(LogMetricSinkSettings()).write([MetricPoint("x/y", value, {}, END)])
