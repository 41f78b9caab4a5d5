"""Notifications as log lines ``NOTIFICATION: {…}``: what would have been sent, never where to.

A channel's settings hold webhooks and passwords, so they are left out altogether.
"""

from __future__ import annotations

import json

from platform_assets.engine.spec import Spec
from platform_assets.ports import Notification
from platform_assets.resources.local_files import append_lines


class LogNotifierSettings(Spec):
    """``path``: a file to append to; without it, standard output."""

    path: str | None = None


class LogNotifier:
    """See ``ports.Notifier``."""

    def __init__(self, settings: LogNotifierSettings) -> None:
        self.settings = settings

    def send(self, notification: Notification) -> str:
        record = {
            "severity": notification.severity,
            "subject": notification.subject,
            "text": notification.text,
            "fields": dict(notification.fields),
        }
        append_lines(f"NOTIFICATION: {json.dumps(record, ensure_ascii=False)}\n", self.settings.path)
        return ""
