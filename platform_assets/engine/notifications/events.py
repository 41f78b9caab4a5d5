"""What can be told: the events, with the severity, cooldown and kind that each has unless the configuration says else.

Source of the defaults: reference/cost-platform.md §6.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Event(StrEnum):
    """Names as configuration files write them, in lower case; the older documents wrote them in upper case."""

    PIPELINE_STARTED = "pipeline_started"
    PIPELINE_SUCCESS = "pipeline_success"
    PIPELINE_WARNING = "pipeline_warning"
    PIPELINE_FAILURE = "pipeline_failure"
    STEP_FAILURE = "step_failure"
    DATA_QUALITY_WARNING = "data_quality_warning"
    DATA_QUALITY_FAILURE = "data_quality_failure"
    RATE_LIMIT_EXCEEDED = "rate_limit_exceeded"
    SYSTEM_ERROR = "system_error"
    COST_THRESHOLD = "cost_threshold"
    ANOMALY_DETECTED = "anomaly_detected"
    SUMMARY_SCHEDULED = "summary_scheduled"


class Severity(StrEnum):
    """Least first. People are mentioned on ``critical`` only, and it alone goes out in quiet hours."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"
    CRITICAL = "critical"


PRIORITIES: Mapping[Severity, str] = MappingProxyType(
    {
        Severity.INFO: "info",
        Severity.WARNING: "medium",
        Severity.ERROR: "high",
        Severity.CRITICAL: "critical",
    }
)


@dataclass(frozen=True)
class EventDefaults:
    """``kind``: the history's notification_type. ``cooldown_seconds``: 0 tells each occurrence."""

    severity: Severity
    cooldown_seconds: int
    enabled: bool = True
    kind: str = "alert"


DEFAULTS: Mapping[Event, EventDefaults] = MappingProxyType(
    {
        Event.PIPELINE_STARTED: EventDefaults(Severity.INFO, 300, enabled=False, kind="system"),
        Event.PIPELINE_SUCCESS: EventDefaults(Severity.INFO, 300, enabled=False, kind="system"),
        Event.PIPELINE_WARNING: EventDefaults(Severity.WARNING, 600),
        Event.PIPELINE_FAILURE: EventDefaults(Severity.ERROR, 300),
        Event.STEP_FAILURE: EventDefaults(Severity.WARNING, 300),
        Event.DATA_QUALITY_WARNING: EventDefaults(Severity.WARNING, 600),
        Event.DATA_QUALITY_FAILURE: EventDefaults(Severity.ERROR, 300),
        Event.RATE_LIMIT_EXCEEDED: EventDefaults(Severity.WARNING, 600),
        Event.SYSTEM_ERROR: EventDefaults(Severity.CRITICAL, 180, kind="system"),
        Event.COST_THRESHOLD: EventDefaults(Severity.WARNING, 3600),
        Event.ANOMALY_DETECTED: EventDefaults(Severity.WARNING, 3600),
        Event.SUMMARY_SCHEDULED: EventDefaults(Severity.INFO, 0, kind="summary"),
    }
)
