"""A deliverer over a real object store, a real DuckDB warehouse and real channels; only its clock is ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.assets.notifications.delivery import Deliverer, Report
from platform_assets.assets.notifications.log import TABLE, NotificationLog
from platform_assets.assets.notifications.outbox import Outbox
from platform_assets.config.metadata import metadata_tables
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.message import Template
from platform_assets.engine.notifications.occurrence import Occurrence
from platform_assets.engine.notifications.spec import NotificationsSpec
from platform_assets.engine.notifications.tenant import Notifications
from platform_assets.ports import Notifier, ObjectStore, Secret, Warehouse
from platform_assets.resources.notifier.slack import SlackNotifier, SlackNotifierSettings
from platform_assets.resources.notifier.smtp import SmtpNotifier
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse

CONFIGS = Path(__file__).parents[3] / "configs"
TENANT = "acme1281"
START = datetime(2026, 11, 28, 12, 0, tzinfo=UTC)
HOOK = "/services/T0/B0/hook-under-test"


class Clock:
    """Time that moves when it is told to."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def move(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)


class Secrets:
    """A store that holds what the test gives it."""

    def __init__(self, **values: str) -> None:
        self._values = values

    def get(self, tenant: str, name: str) -> Secret:
        return Secret(self._values[name])


@dataclass
class Slack:
    """The webhook's server: keeps what arrives, answers as it is told."""

    server: HTTPServer
    arrived: list[dict[str, Any]] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)  # the next ones; then 200
    status: int = 200  # when ``answers`` is used up

    def __post_init__(self) -> None:
        self.server.expect_request(HOOK, method="POST").respond_with_handler(self._take)

    def _take(self, request: Request) -> Response:
        answer = self.answers.pop(0) if self.answers else Response("ok", status=self.status)
        if answer.status_code == 200:
            self.arrived.append(json.loads(request.get_data()))
        return answer

    @property
    def texts(self) -> list[str]:
        return [message["text"] for message in self.arrived]

    def channel(self, **more: Any) -> dict[str, Any]:
        return {
            "type": "slack",
            "channel_id": "slack",
            "webhook_url": self.server.url_for(HOOK),
            "channel": "#ops",
        } | more


def occurrence(key: str = "run-1", **changes: Any) -> Occurrence:
    given: dict[str, Any] = {
        "tenant": TENANT,
        "event": Event.PIPELINE_FAILURE,
        "title": "openai_costs failed",
        "message": "1 of 1 day(s) failed",
        "at": START,
        "subject": "openai_costs",
        "pipeline_id": "openai_costs",
        "run_id": key,
    }
    return Occurrence(key=key, **(given | changes))


def spec(*channels: dict[str, Any], **more: Any) -> NotificationsSpec:
    return NotificationsSpec.model_validate({"channels": list(channels), **more})


@dataclass
class Rig:
    """``deliver`` is one tick of one process; another ``process()`` shares everything but memory."""

    folder: Path
    config: NotificationsSpec
    clock: Clock
    notifiers: dict[str, Notifier]
    store: ObjectStore
    warehouse: Warehouse
    templates: dict[str, Template] = field(default_factory=dict)
    secrets: Secrets = field(default_factory=Secrets)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.store)

    @property
    def log(self) -> NotificationLog:
        return NotificationLog(self.warehouse, metadata_tables(CONFIGS, [])[TABLE])

    def process(self, step: Callable[[str], None] = lambda name: None) -> Deliverer:
        return Deliverer(
            outbox=self.outbox,
            log=self.log,
            notifications=Notifications({TENANT: self.config, "globex": self.config}, self.templates),
            notifiers=self.notifiers,
            secrets=self.secrets,
            now=self.clock,
            step=step,
        )

    def happens(self, *occurrences: Occurrence) -> None:
        for one in occurrences:
            self.outbox.add(one, self.config, self.clock())

    def deliver(self) -> Report:
        report = self.process().deliver()
        assert report.errors == []
        return report

    def history(self, tenant: str = TENANT) -> list[dict[str, Any]]:
        """All rows, oldest first."""
        return sorted(self.log.newest(tenant, 1000), key=lambda r: (r["created_at"], r["notification_id"]))

    def statuses(self, tenant: str = TENANT) -> list[tuple[str, str]]:
        return [(row["channel_id"], row["status"]) for row in self.history(tenant)]

    def waiting(self) -> Sequence[str]:
        return [key for keys in self.outbox.waiting().values() for key in keys]


def make_rig(folder: Path, config: NotificationsSpec, slack_prefix: str = "http://127.0.0.1") -> Rig:
    return Rig(
        folder=folder,
        config=config,
        clock=Clock(),
        notifiers={
            "slack": SlackNotifier(SlackNotifierSettings(webhook_prefix=slack_prefix)),
            "email": SmtpNotifier(),
        },
        store=LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects"))),
        warehouse=DuckDBWarehouse(DuckDBSettings(folder=str(folder / "warehouse"))),
    )
