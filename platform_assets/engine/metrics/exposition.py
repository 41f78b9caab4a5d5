"""Records of runs → Prometheus text, under the names that dashboards know.

A run is one short process, so nothing can be scraped from it; it leaves two small records, one when it starts and
one when it ends, and whoever serves the metrics adds them up. Counters therefore also survive restarts.
Source: Prometheus text exposition format 0.0.4.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import ValidationError

from platform_assets.engine.errors import DataError
from platform_assets.engine.metrics.failures import ErrorCode
from platform_assets.engine.spec import Spec

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_DURATION_BUCKETS = (1, 5, 10, 30, 60, 120, 300, 600, 1800)
_MEGABYTE_BUCKETS = (0.1, 1, 10, 100, 1000)
_MEGABYTE = 1024 * 1024


class RunRecord(Spec):
    """One observation. ``started`` records only say that; the others say how the run went."""

    run_id: str
    metric_code: str
    started_at: datetime
    recorded_at: datetime
    phase: Literal["started", "succeeded", "failed"]
    error_code: ErrorCode | None = None
    duration_seconds: float = 0.0
    read_bytes: int = 0
    written_bytes: int = 0

    def encode(self) -> bytes:
        return self.model_dump_json().encode()

    def key(self, prefix: str) -> str:
        """In the order of recording, so that a reader continues where it stopped; one key per attempt and phase."""
        time = self.recorded_at.astimezone(UTC)
        identity = f"{self.run_id}\n{self.metric_code}\n{self.started_at.isoformat()}"
        name = hashlib.sha256(identity.encode(errors="backslashreplace")).hexdigest()[:16]
        return f"{prefix}/{time:%Y-%m-%d}/{time:%H%M%S%f}-{name}-{self.phase}.json"


def parse_record(data: bytes) -> RunRecord:
    """DataError for anything else."""
    try:
        return RunRecord.model_validate_json(data)
    except ValidationError as error:
        raise DataError(f"not a run record: {error.errors(include_url=False)}") from error


class _Histogram:
    def __init__(self, name: str, help_text: str, bounds: Sequence[float]) -> None:
        self._name, self._help, self._bounds = name, help_text, bounds
        self._counts = [0] * len(bounds)
        self._count, self._sum = 0, 0.0

    def observe(self, value: float) -> None:
        for i, bound in enumerate(self._bounds):
            self._counts[i] += value <= bound
        self._count += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        yield from _head(self._name, self._help, "histogram")
        for bound, count in zip(self._bounds, self._counts, strict=True):
            yield f'{self._name}_bucket{{le="{float(bound)}"}} {count}'
        yield f'{self._name}_bucket{{le="+Inf"}} {self._count}'
        yield f"{self._name}_sum {self._sum!r}"
        yield f"{self._name}_count {self._count}"


class Exposition:
    """Adds records up. Give each record once."""

    def __init__(self) -> None:
        self._started = self._succeeded = 0
        self._failed = dict.fromkeys(sorted(ErrorCode), 0)
        self._duration = _Histogram(
            "metric_run_duration_seconds", "Time from start to completion of a run.", _DURATION_BUCKETS
        )
        self._read = _Histogram("s3_read_mb", "Megabytes read by a run.", _MEGABYTE_BUCKETS)
        self._write = _Histogram("s3_write_mb", "Megabytes written by a run.", _MEGABYTE_BUCKETS)

    def add(self, records: Iterable[RunRecord]) -> None:
        for record in records:
            if record.phase == "started":
                self._started += 1
            else:
                self._complete(record)

    def _complete(self, record: RunRecord) -> None:
        if record.phase == "succeeded":
            self._succeeded += 1
        else:
            self._failed[record.error_code or ErrorCode.INTERNAL_ERROR] += 1
        self._duration.observe(record.duration_seconds)
        self._read.observe(record.read_bytes / _MEGABYTE)
        if record.written_bytes:
            self._write.observe(record.written_bytes / _MEGABYTE)

    def render(self) -> str:
        """The text of one scrape. Every error code is there from the start, so that rates see its first increase."""
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        yield from _head("metric_runs_started_total", "Runs started.", "counter")
        yield f"metric_runs_started_total {self._started}"
        yield from _head("metric_runs_succeeded_total", "Runs that succeeded.", "counter")
        yield f"metric_runs_succeeded_total {self._succeeded}"
        yield from _head("metric_runs_failed_total", "Runs that failed, by error code.", "counter")
        for code, count in self._failed.items():
            yield f'metric_runs_failed_total{{error_code="{code}"}} {count}'
        for histogram in (self._duration, self._read, self._write):
            yield from histogram.lines()


def render(records: Iterable[RunRecord]) -> str:
    """The text for a set of records."""
    exposition = Exposition()
    exposition.add(records)
    return exposition.render()


def _head(name: str, help_text: str, kind: str) -> Iterator[str]:
    yield f"# HELP {name} {help_text}"
    yield f"# TYPE {name} {kind}"
