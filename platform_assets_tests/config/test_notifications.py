"""Notification files: the hierarchy, the environment, and what is refused, at its line."""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.spec import EmailChannel, NotificationsSpec, SlackChannel
from platform_assets.engine.notifications.tenant import PLATFORM, Notifications
from platform_assets_tests.config.tree import GOOD, write_tree

LOCAL = "deployments/local.yml"
ROOT = "notifications/config.json"
OWN = "acme1281/notifications.json"
SENDING = GOOD[LOCAL] + "  notifiers: {slack: {kind: slack}, email: {kind: smtp}}\n"
LOGGING = GOOD[LOCAL] + "  notifiers: {slack: {kind: log}, email: {kind: log}}\n"
SLACK = {"type": "slack", "channel_id": "slack", "webhook_url": "${SLACK_WEBHOOK_URL}"}
MAIL = {
    "type": "email",
    "channel_id": "mail",
    "smtp_host": "mail.example.com",
    "from_email": "platform@example.com",
    "to_emails": ["root@example.com"],
}
ENVIRONMENT = {"SLACK_WEBHOOK_URL": "https://hooks.slack.com/in-environment"}


def read(
    root: Path,
    files: Mapping[str, Any],
    deployment: str = SENDING,
    environment: Mapping[str, str] = ENVIRONMENT,
) -> Notifications:
    texts = {n: f if isinstance(f, str) else json.dumps(f, indent=1) for n, f in files.items()}
    write_tree(root, {**GOOD, LOCAL: deployment, **texts})
    return load(root, deployment="local", environment=environment, today=date(2026, 11, 28)).notifications


def problems(root: Path, files: Mapping[str, Any], **more: Any) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as raised:
        read(root, files, **more)
    return raised.value.problems


def mails(spec: NotificationsSpec) -> list[str]:
    return [to for c in spec.channels if isinstance(c, EmailChannel) for to in c.to_emails]


def test_without_a_file_nobody_is_told(tmp_path: Path) -> None:
    found = read(tmp_path, {})
    assert not found.of("acme1281").enabled and not found.of(PLATFORM).enabled


def test_a_tenants_file_stands_instead_of_the_roots(tmp_path: Path) -> None:
    own = {"channels": [MAIL | {"to_emails": ["acme@example.com"]}]}
    found = read(tmp_path, {ROOT: {"channels": [SLACK, MAIL]}, OWN: own})
    assert mails(found.of("acme1281")) == ["acme@example.com"]
    assert mails(found.of("globex")) == mails(found.of(PLATFORM)) == ["root@example.com"]
    slack = found.of("globex").channel("slack")
    assert isinstance(slack, SlackChannel) and slack.webhook_url == ENVIRONMENT["SLACK_WEBHOOK_URL"]


def test_a_disabled_tenant_file_never_falls_back_to_the_roots_recipients(tmp_path: Path) -> None:
    found = read(tmp_path, {ROOT: {"channels": [MAIL]}, OWN: {"enabled": False}})
    assert found.of("acme1281").trigger(Event.PIPELINE_FAILURE) is None
    assert found.of("globex").trigger(Event.PIPELINE_FAILURE) is not None


def test_the_tenants_yaml_replaces_recipients_only(tmp_path: Path) -> None:
    tenant = GOOD["tenants/globex.yml"] + (
        "notifications:\n  email_recipients: [globex@example.com]\n  slack_webhook_secret: own_hook\n"
    )
    found = read(tmp_path, {ROOT: {"channels": [SLACK, MAIL]}, "tenants/globex.yml": tenant}).of("globex")
    slack = found.channel("slack")
    assert mails(found) == ["globex@example.com"]
    assert isinstance(slack, SlackChannel) and (slack.webhook_url, slack.webhook_secret) == (None, "own_hook")


def test_the_tenants_yaml_switches_off(tmp_path: Path) -> None:
    tenant = GOOD["tenants/globex.yml"] + "notifications: {enabled: false}\n"
    assert not read(tmp_path, {ROOT: {"channels": [MAIL]}, "tenants/globex.yml": tenant}).of("globex").enabled


def test_a_variable_that_is_not_set_is_named_with_its_line(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {ROOT: {"channels": [SLACK]}}, environment={})
    assert (problem.file, problem.field, problem.line) == (ROOT, "channels[0].webhook_url", 6)
    assert "SLACK_WEBHOOK_URL is not set" in problem.reason


def test_an_empty_variable_is_not_set(tmp_path: Path) -> None:
    (problem,) = problems(tmp_path, {ROOT: {"channels": [SLACK]}}, environment={"SLACK_WEBHOOK_URL": ""})
    assert "is not set" in problem.reason


@pytest.mark.parametrize(
    ("file", "deployment"),
    [
        ({"channels": [SLACK]}, LOGGING),
        ({"channels": [SLACK | {"enabled": False}]}, SENDING),
        ({"channels": [SLACK], "enabled": False}, SENDING),
    ],
    ids=["only logged", "channel off", "file off"],
)
def test_a_variable_is_asked_for_only_where_it_is_used(
    tmp_path: Path, file: dict[str, Any], deployment: str
) -> None:
    read(tmp_path, {ROOT: file}, deployment, {})


def test_older_shapes_load_are_reported_and_keep_their_lines(tmp_path: Path) -> None:
    old = {
        "slack_config": {"default_channel": "#alerts"},
        "event_triggers": {"PIPELINE_FAILURE": {"providers": ["slack"], "cooldown_seconds": 300}},
    }
    found = read(tmp_path, {ROOT: old})
    trigger = found.of("globex").trigger(Event.PIPELINE_FAILURE)
    assert trigger and trigger.channels == ["slack"] and trigger.cooldown == 300
    assert f"{ROOT}: slack_config.default_channel: read as channel" in found.notes
    old["event_triggers"]["PIPELINE_FAILURE"]["cooldown_seconds"] = -1
    (problem,) = problems(tmp_path, {ROOT: old})
    assert problem.field == "event_triggers.PIPELINE_FAILURE.cooldown_seconds"
    assert problem.line == 10 and "at least 0" in problem.reason


SECRET = "https://hooks.slack.com/services/" + "T0/B0/x"


@pytest.mark.parametrize(
    ("file", "field", "reason"),
    [
        ({"chanels": []}, "chanels", "not known"),
        ({"channels": [SLACK | {"webhook_url": SECRET}]}, "channels[0].webhook_url", "plain text"),
        ({"channels": [MAIL | {"password": "hunter"}]}, "channels[0].password", "plain text"),
        ({"channels": [{"type": "slack", "channel_id": "s"}]}, "channels[0]", "exactly one of"),
        ({"channels": [MAIL | {"to_emails": []}]}, "channels[0].to_emails", "at least 1"),
        ({"channels": [MAIL | {"type": "pager"}]}, "channels[0]", "must be one of"),
        ({"channels": [MAIL, MAIL]}, "", "stands twice: mail"),
        (
            {"channels": [{"type": "service", "channel_id": "s", "service_url_secret": "pager"}]},
            "channels[0].type",
            "ports.notifiers has no 'service'",
        ),
        ({"event_triggers": [{"event": "pipeline_failed"}]}, "event_triggers[0].event", "must be one of"),
        (
            {"channels": [MAIL], "event_triggers": [{"event": "system_error", "channels": ["mial"]}]},
            "event_triggers[0].channels[0]",
            "there is no channel 'mial'",
        ),
        (
            {"channels": [MAIL], "event_triggers": [{"event": "system_error", "template": "none"}]},
            "event_triggers[0].template",
            "there is no template",
        ),
        (
            {"event_triggers": [{"event": "system_error", "escalate_after_minutes": 5}]},
            "event_triggers[0]",
            "belong together",
        ),
        (
            {"quiet_hours": {"start": "22:00", "end": "07:00", "timezone": "Mars/Base"}},
            "quiet_hours.timezone",
            "not a timezone",
        ),
        ({"quiet_hours": {"start": "25:00", "end": "07:00"}}, "quiet_hours.start", "does not match"),
        (
            {"summaries": [{"summary_id": "s", "name": "s", "summary_type": "daily", "schedule_cron": "x"}]},
            "summaries[0].schedule_cron",
            "cron has 5",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    tmp_path: Path, file: dict[str, Any], field: str, reason: str
) -> None:
    (problem,) = problems(tmp_path, {ROOT: file})
    assert (problem.file, problem.field) == (ROOT, field)
    assert reason in problem.reason
    assert "hunter" not in str(problem) and SECRET not in str(problem)


@pytest.mark.parametrize(
    "url", ["https://hooks.example/hun ter", "https://[hunter", "https://hooks.example:hunter/x"]
)
def test_a_wrong_webhook_of_the_environment_is_not_shown(tmp_path: Path, url: str) -> None:
    file = {"channels": [SLACK | {"webhook_url": "${HOOK}"}]}
    (problem,) = problems(tmp_path, {ROOT: file}, environment={"HOOK": url})
    assert (problem.field, problem.reason) == (
        "channels[0].webhook_url",
        "is not a URL; write https://host/path",
    )


def test_all_problems_of_all_files_at_once(tmp_path: Path) -> None:
    found = problems(
        tmp_path,
        {
            ROOT: {"channels": [SLACK], "enabeld": True},
            OWN: {"timeout_seconds": 1},
            "notifications/templates/bad.html": "x\n{{ nobody }}",
            "notifications/templates/bad.j2": "",
            "notifications/confg.json": {},
            "acme1281/notification.json": {},
        },
        environment={},
    )
    assert {(p.file, p.line) for p in found} == {
        (ROOT, 6),
        (OWN, 2),
        ("notifications/templates/bad.html", 2),
        ("notifications/templates/bad.j2", 1),
        ("notifications/confg.json", 1),
        ("acme1281/notification.json", 1),
    }


def test_nobody_is_called_as_the_platform_is(tmp_path: Path) -> None:
    text = GOOD["tenants/globex.yml"].replace("globex", PLATFORM).replace("Globex", "P")
    (problem,) = problems(tmp_path, {f"tenants/{PLATFORM}.yml": text})
    assert "stands for the platform itself" in problem.reason
