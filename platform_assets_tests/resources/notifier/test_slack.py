"""Slack notifier against a real HTTP server that answers as Slack's webhooks do."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets.engine.errors import (
    AuthError,
    ConfigError,
    NotFoundError,
    RejectedError,
    RetryableError,
)
from platform_assets.ports import Notification, Secret
from platform_assets.resources.notifier.slack import SlackNotifier, SlackNotifierSettings

PATH = "/services/T0/B0/hook-under-test"


@pytest.fixture
def sent(httpserver: HTTPServer) -> list[dict[str, Any]]:
    """The messages that arrived."""
    arrived: list[dict[str, Any]] = []

    def take(request: Request) -> Response:
        arrived.append(request.get_json())
        return Response("ok")

    httpserver.expect_request(PATH, method="POST").respond_with_handler(take)
    return arrived


def notifier(httpserver: HTTPServer, **settings: Any) -> SlackNotifier:
    return SlackNotifier(SlackNotifierSettings(webhook_prefix=httpserver.url_for("/services/"), **settings))


def note(httpserver: HTTPServer, severity: Any = "error", **changes: Any) -> Notification:
    given: dict[str, Any] = {
        "subject": "Pipeline failed",
        "text": "openai_costs stopped",
        "html": "",
        "severity": severity,
        "fields": {"tenant": "acme1281", "pipeline": "openai_costs"},
        "settings": {"webhook_url": Secret(httpserver.url_for(PATH)), "channel": "#data"},
    } | changes
    return Notification(**given)


def blocks(message: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = message["attachments"][0]["blocks"]
    return found


def test_header_message_and_fields_arrive(httpserver: HTTPServer, sent: list[dict[str, Any]]) -> None:
    assert notifier(httpserver).send(note(httpserver)) == ""
    (message,) = sent
    assert message["channel"] == "#data"
    assert message["text"] == "ERROR: Pipeline failed"
    assert blocks(message) == [
        {"type": "header", "text": {"type": "plain_text", "text": "ERROR: Pipeline failed"}},
        {"type": "section", "text": {"type": "mrkdwn", "text": "openai_costs stopped"}},
        {
            "type": "section",
            "fields": [
                {"type": "mrkdwn", "text": "*tenant*\nacme1281"},
                {"type": "mrkdwn", "text": "*pipeline*\nopenai_costs"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("severity", "colour"),
    [("info", "#36a64f"), ("warning", "#ff9900"), ("error", "#ff0000"), ("critical", "#8b0000")],
)
def test_the_colour_tells_the_severity(
    httpserver: HTTPServer, sent: list[dict[str, Any]], severity: str, colour: str
) -> None:
    notifier(httpserver).send(note(httpserver, severity))
    assert sent[0]["attachments"][0]["color"] == colour


@pytest.mark.parametrize(
    ("severity", "mentioned"), [("error", False), ("warning", False), ("critical", True)]
)
def test_people_are_mentioned_on_critical_only(
    httpserver: HTTPServer, sent: list[dict[str, Any]], severity: str, mentioned: bool
) -> None:
    settings = {"webhook_url": httpserver.url_for(PATH), "mention_users": ["U012AB"], "mention_channel": True}
    notifier(httpserver).send(note(httpserver, severity, settings=settings))
    assert ("<@U012AB> <!channel> CRITICAL" in sent[0]["text"]) is mentioned
    assert ("<" in sent[0]["text"]) is mentioned


def test_no_text_from_outside_can_mention_or_link(httpserver: HTTPServer, sent: list[dict[str, Any]]) -> None:
    evil = "<!channel> & <https://evil.example|click>"
    notifier(httpserver).send(note(httpserver, subject=evil, text=evil, fields={evil: evil}))
    (message,) = sent
    marked = [message["text"], blocks(message)[1]["text"]["text"], blocks(message)[2]["fields"][0]["text"]]
    assert all("<" not in text and "&lt;!channel&gt; &amp;" in text for text in marked)


def test_long_messages_keep_within_slacks_limits(httpserver: HTTPServer, sent: list[dict[str, Any]]) -> None:
    fields = {f"field {n}": "v" * 5000 for n in range(25)}
    notifier(httpserver).send(note(httpserver, subject="s" * 999, text="t" * 9999, fields=fields))
    found = blocks(sent[0])
    assert len(found[0]["text"]["text"]) == 150
    assert len(found[1]["text"]["text"]) == 3000
    assert [len(block["fields"]) for block in found[2:]] == [10, 10, 5]
    assert max(len(field["text"]) for block in found[2:] for field in block["fields"]) == 2000


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, "invalid_payload", RejectedError),
        (403, "action_prohibited", AuthError),
        (404, "no_service", NotFoundError),
        (410, "channel_is_archived", NotFoundError),
        (500, "rollup_error", RetryableError),
        (302, "", RejectedError),
    ],
)
def test_refusals(httpserver: HTTPServer, status: int, body: str, kind: type[Exception]) -> None:
    httpserver.expect_request(PATH).respond_with_data(body, status=status)
    with pytest.raises(kind, match=f"slack: HTTP {status}: {body}") as raised:
        notifier(httpserver).send(note(httpserver))
    assert type(raised.value) is kind
    assert "hook-under-test" not in str(raised.getrepr())


def test_throttling_carries_the_wait_slack_asks_for(httpserver: HTTPServer) -> None:
    httpserver.expect_request(PATH).respond_with_data("slow", status=429, headers={"Retry-After": "30"})
    with pytest.raises(RetryableError) as raised:
        notifier(httpserver).send(note(httpserver))
    assert raised.value.retry_after == 30.0
    assert not raised.value.effect_unknown


def test_a_silent_server_leaves_open_whether_it_was_delivered(httpserver: HTTPServer) -> None:
    import time

    def slowly(_: Request) -> Response:
        time.sleep(0.5)
        return Response("ok")

    httpserver.expect_request(PATH).respond_with_handler(slowly)
    with pytest.raises(RetryableError, match="slack: ReadTimeout") as raised:
        notifier(httpserver, timeout_seconds=0.1).send(note(httpserver))
    assert raised.value.effect_unknown


def test_nobody_listening(caplog: pytest.LogCaptureFixture) -> None:
    url = f"http://127.0.0.1:1{PATH}"
    unreachable = SlackNotifier(SlackNotifierSettings(webhook_prefix="http://127.0.0.1:1/"))
    lost = Notification("s", "t", "", "info", settings={"webhook_url": url})
    with pytest.raises(RetryableError) as raised:
        unreachable.send(lost)
    assert not raised.value.effect_unknown
    assert "hook-under-test" not in str(raised.getrepr(style="long")).replace(url, "")


def test_a_refusal_that_repeats_the_address_is_not_shown_with_it(httpserver: HTTPServer) -> None:
    url = httpserver.url_for(PATH)
    httpserver.expect_request(PATH).respond_with_data(f"no {url}, {PATH}, hook-under-test here", status=404)
    with pytest.raises(NotFoundError) as raised:
        notifier(httpserver).send(note(httpserver))
    assert str(raised.value) == "slack: HTTP 404: no ***, ***, *** here"


def test_the_webhook_is_in_no_log_line(
    httpserver: HTTPServer, sent: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
) -> None:
    logging.getLogger("httpx").setLevel(logging.INFO)
    with caplog.at_level(logging.INFO):
        notifier(httpserver).send(note(httpserver))
    ours = [record for record in caplog.records if record.name != "werkzeug"]
    assert sent and not any("hook-under-test" in record.getMessage() for record in ours)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "slack: webhook_url: Field required"),
        ({"webhook_url": "https://hooks.slack.com.evil.example/hook-under-test"}, "does not begin with"),
        ({"webhook_url": "http://hooks.slack.com/hook-under-test"}, "does not begin with"),
        ({"webhook_url": "https://hooks.slack.com/x", "mention_users": ["<!channel>"]}, "mention_users"),
    ],
)
def test_settings_that_cannot_be_used(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words) as raised:
        SlackNotifier().send(Notification("s", "t", "", "info", settings=settings))
    assert "hook-under-test" not in str(raised.value) and raised.value.__cause__ is None
