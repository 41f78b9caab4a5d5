"""The history: each delivery, and each time that somebody was not told, is one fact and one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from platform_assets.engine.notifications.events import DEFAULTS, PRIORITIES, Severity
from platform_assets.engine.notifications.occurrence import Job

PREVIEW = 500


@dataclass(frozen=True)
class Fact:
    """One row of ``metadata.notification_history``. ``jobs``: several for a digest. ``status``: sent, failed or
    skipped. ``error`` is an adapter's, which holds no secret."""

    notification_id: str
    jobs: tuple[Job, ...]
    provider: str
    status: str
    severity: Severity
    at: datetime
    subject: str = ""
    preview: str = ""
    reason: str | None = None
    error: str | None = None
    attempts: int = 0
    recipients: tuple[str, ...] = field(default_factory=tuple)


def notification_id(jobs: Sequence[Job]) -> str:
    """One job's own id and channel; of a digest, those of its first job and the number of the others."""
    first = f"{jobs[0].id}:{jobs[0].channel_id}"
    return first if len(jobs) == 1 else f"{first}+{len(jobs) - 1}"


def history_row(fact: Fact) -> dict[str, Any]:
    """Columns of ``notification_history``; the same fact always gives the same row."""
    job = fact.jobs[0]
    o = job.occurrence
    one = len({j.occurrence.pipeline_id for j in fact.jobs}) == 1
    return {
        "notification_id": fact.notification_id,
        "tenant_id": o.tenant,
        "pipeline_logging_id": o.run_id if len({j.occurrence.run_id for j in fact.jobs}) == 1 else None,
        "pipeline_id": o.pipeline_id if one else None,
        "event_type": str(o.event),
        "notification_type": DEFAULTS[o.event].kind,
        "rule_id": o.rule_id,
        "summary_id": o.summary_id,
        "channel_id": job.channel_id,
        "provider": fact.provider,
        "severity": str(fact.severity),
        "priority": PRIORITIES[fact.severity],
        "cooldown_key": job.cooldown_key,
        "subject": fact.subject or o.title,
        "body_preview": (fact.preview or o.message)[:PREVIEW],
        "recipients": list(fact.recipients),
        "status": fact.status,
        "reason": fact.reason,
        "error_message": fact.error,
        "retry_count": max(fact.attempts - 1, 0),
        "trigger_data": _trigger_data(fact.jobs),
        "sent_at": fact.at if fact.status == "sent" else None,
        "escalated": job.escalates is not None,
        "escalated_at": fact.at if job.escalates and fact.status == "sent" else None,
        "created_at": job.created_at,
        "ingestion_date": fact.at.date(),
    }


def _trigger_data(jobs: Sequence[Job]) -> dict[str, Any]:
    data: dict[str, Any] = {"occurrences": [_told(job) for job in jobs]}
    return data | ({"escalates": jobs[0].escalates} if jobs[0].escalates else {})


def _told(job: Job) -> Mapping[str, Any]:
    o = job.occurrence
    return {"id": o.id, "title": o.title, "at": o.at.isoformat(), "subject": o.subject, **o.details}
