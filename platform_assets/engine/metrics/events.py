"""What the control plane is told about a run: started, heartbeats, completed. Bodies, groups, de-duplication ids.

Source: the control plane's event contract (camelCase, no schema field, times in UTC with ``Z``). A FIFO topic drops a
message whose de-duplication id it saw within five minutes, so each attempt and each heartbeat has its own id; a
repeated publish of one event keeps it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from platform_assets.engine.metrics.failures import ErrorCode
from platform_assets.engine.metrics.manifest import iso
from platform_assets.engine.metrics.settings import ErrorForm

# What SNS and SQS take as group and de-duplication id.
_FIFO_ID = re.compile(r"[A-Za-z0-9!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~]{1,128}")
_MAX_MESSAGE = 4000  # an event is limited to 256 KB, and a consumer's column is shorter


class EventType(StrEnum):
    STARTED = "metric_run_started"
    HEARTBEAT = "metric_run_heartbeat"
    COMPLETED = "metric_run_completed"


@dataclass(frozen=True)
class RunEvent:
    """One event, ready to publish: to which of the three topics, with which FIFO ids and attributes."""

    type: EventType
    body: bytes
    group: str
    deduplication_id: str
    attributes: Mapping[str, str]


@dataclass(frozen=True)
class RunEvents:
    """The events of one attempt at one run. ``attempt`` is when it began: a later attempt has other ids."""

    run_id: str
    metric_code: str
    attempt: datetime
    error_form: ErrorForm = ErrorForm.OBJECT

    def started(self) -> RunEvent:
        body = {"metricCode": self.metric_code, "startedAt": iso(self.attempt)}
        return self._event(EventType.STARTED, body)

    def heartbeat(self, number: int, progress: float, now: datetime) -> RunEvent:
        """``progress``: 0 to 1. ``number``: counts up within the attempt."""
        body = {"progress": round(min(max(progress, 0.0), 1.0), 4), "ts": iso(now)}
        return self._event(EventType.HEARTBEAT, body, f"{number}")

    def succeeded(self, version_ts: str, output_manifest: str, row_count: int) -> RunEvent:
        body = {
            "metricCode": self.metric_code,
            "status": "SUCCESS",
            "versionTs": version_ts,
            "outputManifest": output_manifest,
            "rowCount": row_count,
        }
        return self._event(EventType.COMPLETED, body)

    def failed(self, code: ErrorCode, message: str) -> RunEvent:
        message = message if len(message) <= _MAX_MESSAGE else message[: _MAX_MESSAGE - 1] + "…"
        as_object = self.error_form is ErrorForm.OBJECT
        error = {"code": code.value, "message": message} if as_object else f"{code.value}: {message}"
        body = {"metricCode": self.metric_code, "status": "FAILURE", "error": error}
        return self._event(EventType.COMPLETED, body)

    def _event(self, kind: EventType, fields: Mapping[str, Any], number: str = "") -> RunEvent:
        body = {"type": kind.value, "runId": self.run_id, **fields}
        attributes = {"type": kind.value, **({"metricCode": self.metric_code} if self.metric_code else {})}
        unique = [self.run_id, kind.value, f"{self.attempt.timestamp():.6f}", *([number] if number else [])]
        encoded = json.dumps(body, ensure_ascii=False).encode(errors="replace")
        return RunEvent(kind, encoded, _fifo_id(self.run_id), _fifo_id(":".join(unique)), attributes)


def _fifo_id(text: str) -> str:
    """The text itself where a FIFO topic takes it, else its hash."""
    if _FIFO_ID.fullmatch(text):
        return text
    return hashlib.sha256(text.encode(errors="backslashreplace")).hexdigest()
