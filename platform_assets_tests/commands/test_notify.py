"""``platform-assets notify`` and ``alerts`` on a repository of their own, with a real webhook server."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from pytest_httpserver import HTTPServer
from werkzeug import Response

from platform_assets.commands.notify import alerts, notify
from platform_assets_tests.assets.notifications.rig import HOOK, Slack

CONFIGS = Path(__file__).parents[2] / "configs"
Run = Callable[..., Result]


@pytest.fixture
def slack(httpserver: HTTPServer) -> Slack:
    return Slack(httpserver)


@pytest.fixture
def run(tmp_path: Path, slack: Slack, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The commands over a copy of the configuration in which Slack is real."""
    configs = tmp_path / "configs"
    shutil.copytree(CONFIGS, configs)
    local = configs / "deployments" / "local.yml"
    prefix = slack.server.url_for("/services/")
    real = f"slack: {{kind: slack, settings: {{webhook_prefix: '{prefix}'}}}}"
    local.write_text(local.read_text().replace("slack: {kind: log}", real))
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PLATFORM_CONFIG_ROOT", str(configs))
    monkeypatch.setenv("PLATFORM_DEPLOYMENT", "local")
    monkeypatch.setenv("SLACK_WEBHOOK_URL", slack.server.url_for(HOOK))
    return lambda group, *arguments: CliRunner().invoke(group, arguments, catch_exceptions=False)


def test_a_test_reaches_every_channel_and_is_in_the_history(run: Run, slack: Slack) -> None:
    for _ in range(2):  # no cooldown stands in the way of trying out
        result = run(notify, "test", "--tenant", "acme1281", "--event", "PIPELINE_FAILURE")
        assert result.exit_code == 0, result.output
    assert "sent   slack (slack)" in result.output and "sent   email (email)" in result.output
    assert slack.texts == ["ERROR: Test of pipeline_failure"] * 2
    shown = run(notify, "history", "--tenant", "acme1281").output
    assert "4 notification(s)" in shown and "pipeline_failure" in shown


def test_a_channel_that_fails_is_named_and_the_exit_code_says_so(run: Run, slack: Slack) -> None:
    slack.answers = [Response("no_service", status=404)]
    result = run(notify, "test", "--tenant", "acme1281", "--channel", "slack")
    assert result.exit_code == 1
    assert "failed slack (slack): slack: HTTP 404: no_service" in result.output
    assert "hook-under-test" not in result.output


def test_what_nobody_would_be_told_is_said(run: Run) -> None:
    result = run(notify, "test", "--tenant", "nobody1")
    assert result.exit_code == 1 and "nobody would be told" in result.output
    result = run(notify, "test", "--event", "explosion")
    assert result.exit_code == 1 and "there is no event 'explosion'" in result.output


def test_config_shows_events_and_no_secret(run: Run) -> None:
    shown = run(notify, "config", "--tenant", "globex").output
    assert "pipeline_failure       slack, email, at most every 300 s" in shown
    assert "pipeline_success       off" in shown and "hook-under-test" not in shown


def test_acknowledging(run: Run) -> None:
    run(notify, "test", "--tenant", "globex", "--channel", "slack")
    name = run(notify, "history", "--tenant", "globex").output.splitlines()[1].strip()
    assert run(notify, "acknowledge", "--tenant", "globex", "--by", "ana", name).exit_code == 0
    result = run(notify, "acknowledge", "--tenant", "globex", "--by", "ana", "unknown")
    assert result.exit_code == 1 and "never told" in result.output


def test_pending_is_empty_on_a_fresh_home(run: Run) -> None:
    assert run(notify, "pending").output == ""


def test_alerts_without_data_fire_nothing(run: Run) -> None:
    result = run(alerts, "evaluate", "--dry-run", "--tenant", "globex", "budget_used")
    assert result.exit_code == 0
    assert result.output.startswith("budget_used globex ") and result.output.strip().endswith(": no_data")
    assert "budget_used  budget_percent on gold_reporting.budget_status  all" in run(alerts, "list").output
    assert run(alerts, "evaluate", "nothing").exit_code == 1


def test_old_shapes_are_reported(run: Run, tmp_path: Path) -> None:
    old: dict[str, Any] = {
        "slack_config": {"default_channel": "#x"},
        "event_triggers": {"pipeline_failure": {}},
    }
    (tmp_path / "configs" / "notifications" / "config.json").write_text(json.dumps(old))
    shown = run(notify, "config").output
    assert "note: notifications/config.json: slack_config.default_channel: read as channel" in shown
