"""Metric points as log lines ``METRIC: {…}`` on standard output, or appended to a file.

The form is the one the CDC monitor's local mode always had, so that old greps keep working.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from datetime import UTC
from typing import Any

from platform_assets.engine.errors import DataError
from platform_assets.engine.spec import Spec
from platform_assets.ports import MetricPoint
from platform_assets.resources.local_files import append_lines


class LogMetricSinkSettings(Spec):
    """``path``: a file to append to; without it, standard output, which Dagster keeps with the run."""

    project_id: str = "local-project"
    path: str | None = None


class LogMetricSink:
    """See ``ports.MetricSink``."""

    def __init__(self, settings: LogMetricSinkSettings) -> None:
        self.settings = settings

    def write(self, points: Sequence[MetricPoint]) -> None:
        lines = [f"METRIC: {json.dumps(self._record(point))}\n" for point in points]
        append_lines("".join(lines), self.settings.path)

    def _record(self, point: MetricPoint) -> dict[str, Any]:
        if not math.isfinite(point.value):
            raise DataError(f"metric {point.name}: {point.value} is not a finite number")
        record = {
            "metric_type": point.kind.value.lower(),
            "project_id": self.settings.project_id,
            "name": point.name,
            "value": point.value,
            "labels": dict(sorted(point.labels.items())),
            "timestamp": point.end.astimezone(UTC).isoformat(),
        }
        return record | ({"start": point.start.astimezone(UTC).isoformat()} if point.start else {})
