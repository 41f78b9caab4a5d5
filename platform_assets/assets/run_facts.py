"""Rows of the run history, one function per kind of fact: what a run, a change of state, an action looks like.

Every id is made of what the fact is about, so that writing it twice leaves it once.
"""

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Any

Row = dict[str, Any]

KEYS = {
    "audit_logs": ("audit_id",),
    "dq_results": ("dq_result_id",),
    "notification_history": ("notification_id",),
    "pipeline_runs": ("pipeline_logging_id", "pipeline_id", "run_date"),
    "state_transitions": ("transition_id",),
    "step_logs": ("step_logging_id",),
}
# Tags in which Dagster says what started a run, and what that is called here; the first that is there wins.
_TRIGGERS = (
    ("dagster/parent_run_id", "retry"),
    ("platform/retry_of", "retry"),
    ("dagster/schedule_name", "scheduler"),
    ("dagster/sensor_name", "sensor"),
    ("dagster/backfill", "backfill"),
)


@dataclass(frozen=True)
class RunFacts:
    """What is the same in all rows of one Dagster run. ``created``: when it was asked for; ``assets``: what for."""

    run_id: str
    tags: Mapping[str, str]
    config_version: str
    created: datetime
    assets: tuple[str, ...] = ()
    worker: str = field(default_factory=lambda: f"{socket.gethostname()}:{os.getpid()}")

    @property
    def trigger(self) -> tuple[str, str]:
        """(type, by): retry, scheduler, sensor, backfill, else manual."""
        found = ((kind, self.tags[tag]) for tag, kind in _TRIGGERS if tag in self.tags)
        return next(found, ("manual", self.tags.get("user", "")))

    def run(self, tenant: str, pipeline_id: str, day: date, status: str, started: datetime) -> Row:
        """One row of ``pipeline_runs``: a pipeline's slice in this run. ``started``: of one that waits, since when."""
        kind, by = self.trigger
        return {
            "pipeline_logging_id": self.run_id,
            "pipeline_id": pipeline_id,
            "tenant_id": tenant,
            "run_date": day,
            "status": status,
            "trigger_type": kind,
            "trigger_by": by,
            "user_id": self.tags.get("user"),
            "start_time": started,
            "parameters": {"assets": list(self.assets), "run_date": day.isoformat()},
            "config_version": self.config_version,
            "worker_instance": self.worker,
            # Not the day on which it began: a row that waited over midnight must stay in its partition.
            "ingestion_date": self.created.date(),
        }

    def moved(self, row: Row, before: str, since: datetime, at: datetime) -> Row:
        """One row of ``state_transitions``: a ``pipeline_runs`` row reached its ``status`` from ``before``."""
        name = f"{self.run_id}:{row['pipeline_id']}:{row['run_date']}"
        return {
            **self._transition(f"{name}:{row['status']}", row["tenant_id"], before, row["status"], since, at),
            "pipeline_id": row["pipeline_id"],
            "entity_type": "PIPELINE",
            "entity_name": row["pipeline_id"],
            "reason": row.get("error_message"),
            "error_message": row.get("error_message"),
            "error_type": (row.get("error_context") or {}).get("error_type"),
        }

    def step_moved(self, step: Row) -> Row:
        """One row of ``state_transitions``: a ``step_logs`` row reached its end."""
        name, status = step["step_logging_id"], step["status"]
        since, at = step["start_time"], step["end_time"]
        before = "PENDING" if status == "SKIPPED" else "RUNNING"
        return {
            **self._transition(f"{name}:{status}", step["tenant_id"], before, status, since, at),
            "pipeline_id": step["pipeline_id"],
            "step_logging_id": name,
            "entity_type": "STEP",
            "entity_name": step["step_name"],
            "reason": step["error_message"],
            "error_message": step["error_message"],
            "error_type": step["error_type"],
        }

    def _transition(
        self, name: str, tenant: str, before: str, after: str, since: datetime, at: datetime
    ) -> Row:
        return {
            "transition_id": name,
            "tenant_id": tenant,
            "pipeline_logging_id": self.run_id,
            "from_state": before,
            "to_state": after,
            "transition_time": at,
            "transition_date": at.date(),
            "duration_in_state_ms": milliseconds(since, at),
            "trigger_type": self.trigger[0],
            "user_id": self.tags.get("user"),
            "ingestion_date": at.date(),
        }

    def audited(
        self, tenant: str, action: str, at: datetime, error: str | None = None, **details: Any
    ) -> Row:
        """One row of ``audit_logs``: what was done with this run."""
        kind, by = self.trigger
        return {
            "audit_id": f"{self.run_id}:{tenant}:{action}",
            "tenant_id": tenant,
            "user_id": self.tags.get("user") or by or None,
            "action": action,
            "resource_type": "run",
            "resource_id": self.run_id,
            "status": "FAILURE" if error else "SUCCESS",
            "details": {"trigger": kind, **details},
            "error_message": error,
            "created_at": at,
            "ingestion_date": at.date(),
        }


def in_utc(moment: datetime) -> datetime:
    """A moment as Dagster's storages give it: some without a time zone, which then is UTC. Its day names a partition,
    so everybody must come to the same one."""
    return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)


def milliseconds(start: datetime, end: datetime) -> int:
    return round((end - start).total_seconds() * 1000)
