"""What every notifier does: deliver what was said, once, and show no secret where it cannot."""

from __future__ import annotations

import json
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.ports import Notification, Notifier, Secret
from platform_assets.resources.bindings import ADAPTERS, create
from platform_assets_tests.resources.notifier.test_smtp import Mailbox, OnFreePort

SECRET = "secret-under-test"
NOTE = Notification(
    subject="Pipeline failed",
    text="openai_costs stopped",
    html="<p>openai_costs stopped</p>",
    severity="critical",
    fields={"tenant": "acme1281", "error": "<Timeout & more>"},
)


@dataclass(frozen=True)
class Rig:
    """A notifier, the channel's settings, and the text of each message that arrived."""

    notifier: Notifier
    settings: Mapping[str, Any]
    arrived: Callable[[], list[str]]


def _log(request: pytest.FixtureRequest, folder: Path) -> Iterator[Rig]:
    path = folder / "sent.log"
    notifier = create("notifier", "log", {"path": str(path)})
    yield Rig(
        notifier, {"webhook_url": SECRET, "password": Secret(SECRET)}, lambda: path.read_text().splitlines()
    )


def _slack(request: pytest.FixtureRequest, folder: Path) -> Iterator[Rig]:
    server: HTTPServer = request.getfixturevalue("httpserver")
    arrived: list[str] = []

    def take(call: Request) -> Response:
        arrived.append(
            json.dumps(call.get_json()).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        )
        return Response("ok")

    server.expect_request(f"/services/{SECRET}").respond_with_handler(take)
    notifier = create("notifier", "slack", {"webhook_prefix": server.url_for("/services/")})
    yield Rig(notifier, {"webhook_url": Secret(server.url_for(f"/services/{SECRET}"))}, lambda: arrived)


def _smtp(request: pytest.FixtureRequest, folder: Path) -> Iterator[Rig]:
    mailbox = Mailbox()
    controller = OnFreePort(mailbox)
    controller.start()
    settings = {
        "smtp_host": "127.0.0.1",
        "smtp_port": controller.port,
        "smtp_use_tls": False,
        "from_email": "platform@example.com",
        "to_emails": ["team@example.com"],
    }

    def arrived() -> list[str]:
        letters = [message_from_bytes(e.content, policy=policy.default) for e in mailbox.envelopes]
        return [f"{m['Subject']}\n{m.get_body(('plain',)).get_content()}" for m in letters]  # type: ignore[attr-defined]

    yield Rig(create("notifier", "smtp", {}), settings, arrived)
    controller.stop()


def _apprise(request: pytest.FixtureRequest, folder: Path) -> Iterator[Rig]:
    server: HTTPServer = request.getfixturevalue("httpserver")
    arrived: list[str] = []

    def take(call: Request) -> Response:
        arrived.append(json.dumps(call.get_json()))
        return Response("ok")

    server.expect_request(f"/{SECRET}").respond_with_handler(take)
    url = f"json://{server.host}:{server.port}/{SECRET}"
    yield Rig(create("notifier", "apprise", {}), {"service_url": Secret(url)}, lambda: arrived)


RIGS = {"apprise": _apprise, "log": _log, "slack": _slack, "smtp": _smtp}


@pytest.fixture(params=sorted(ADAPTERS["notifier"]))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Rig]:
    yield from RIGS[request.param](request, tmp_path)


def test_subject_text_severity_and_fields_arrive_once(rig: Rig) -> None:
    rig.notifier.send(replace(NOTE, settings=rig.settings))
    (message,) = rig.arrived()
    for words in ("Pipeline failed", "openai_costs stopped", "tenant", "acme1281", "<Timeout & more>"):
        assert words in message
    assert "critical" in message.lower()


def test_two_notifications_are_two_messages(rig: Rig) -> None:
    for subject in ("first", "second"):
        rig.notifier.send(replace(NOTE, subject=subject, settings=rig.settings))
    first, second = rig.arrived()
    assert "first" in first and "second" in second


def test_nothing_of_the_channels_settings_is_shown(rig: Rig) -> None:
    rig.notifier.send(replace(NOTE, settings=rig.settings))
    assert SECRET not in "".join(rig.arrived())
    assert SECRET not in f"{rig.notifier!r} {vars(rig.notifier)}"


def test_settings_that_are_unusable_are_an_error_that_shows_no_secret(rig: Rig) -> None:
    broken = {**rig.settings, "webhook_url": f"ftp://{SECRET}", "to_emails": [SECRET], "from_email": SECRET}
    try:
        rig.notifier.send(replace(NOTE, settings=broken))
    except Exception as error:
        assert SECRET not in "".join(traceback.format_exception(error))
    assert SECRET not in "".join(rig.arrived())
