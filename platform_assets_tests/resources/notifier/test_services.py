"""The Apprise notifier against a local HTTP server, by Apprise's own JSON webhook."""

from __future__ import annotations

import traceback
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Response

from platform_assets.engine.errors import AuthError, ConfigError, RejectedError, RetryableError
from platform_assets.ports import Notification, Secret
from platform_assets.resources.notifier.services import AppriseNotifier, AppriseNotifierSettings

PATH = "/token-under-test"


def note(url: str, **settings: Any) -> Notification:
    fields = {"Tenant": "acme1281"}
    return Notification("openai failed", "why", "", "error", fields, {"service_url": Secret(url), **settings})


def address(server: HTTPServer) -> str:
    return f"json://{server.host}:{server.port}{PATH}"


def test_what_arrives(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH, method="POST").respond_with_data("ok")
    AppriseNotifier().send(note(address(httpserver)))
    ((request, _),) = httpserver.log
    sent = request.get_json()
    assert (sent["title"], sent["type"]) == ("ERROR: openai failed", "failure")
    assert "why" in sent["message"] and "Tenant: acme1281" in sent["message"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedError),
        (401, AuthError),
        (404, RejectedError),
        (429, RetryableError),
        (500, RetryableError),
        (302, RejectedError),
    ],
)
def test_refusals_by_status(httpserver: HTTPServer, status: int, kind: type[Exception]) -> None:
    httpserver.expect_request(PATH).respond_with_response(
        Response("no", status=status, headers={"Location": httpserver.url_for("/elsewhere")})
    )
    with pytest.raises(kind, match=f"service: HTTP {status}") as raised:
        AppriseNotifier().send(note(address(httpserver)))
    assert type(raised.value) is kind
    assert len(httpserver.log) == 1, "one attempt a call, and no redirect followed"


def test_nobody_listening_may_pass() -> None:
    with pytest.raises(RetryableError, match="not delivered"):
        AppriseNotifier().send(note(f"json://127.0.0.1:1{PATH}"))


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        (f"json://example.com{PATH}", "plain text"),
        (f"file://{PATH}", "must begin with"),
        (f"syslog://{PATH}", "must begin with"),
        ("", "must begin with"),
        ("pagerduty://", "not one that Apprise understands"),
    ],
)
def test_refused_addresses_are_not_shown(url: str, reason: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigError, match=reason) as raised:
        AppriseNotifier().send(note(url))
    assert "token-under-test" not in "".join(traceback.format_exception(raised.value)) + caplog.text


def test_the_deployment_says_which_services(httpserver: HTTPServer) -> None:
    only = AppriseNotifier(AppriseNotifierSettings(schemas=frozenset({"pagerduty"})))
    with pytest.raises(ConfigError, match="one of pagerduty"):
        only.send(note(address(httpserver)))
    assert httpserver.log == []


def test_the_address_is_in_no_log_line(httpserver: HTTPServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    httpserver.expect_request(PATH).respond_with_data("no", status=500)
    with pytest.raises(RetryableError):
        AppriseNotifier().send(note(address(httpserver)))
    assert "token-under-test" not in "".join(r.getMessage() for r in caplog.records if r.name != "werkzeug")
