import json
from pathlib import Path

import pytest

from platform_assets.ports import Notification, Secret
from platform_assets.resources.notifier.log import LogNotifier, LogNotifierSettings

NOTIFICATION = Notification(
    subject="Budget exceeded",
    text="acme1281 spent €110 of €100",
    html="<b>acme1281</b>",
    severity="warning",
    fields={"tenant": "acme1281"},
    settings={"webhook": Secret("hook-of-the-test"), "recipients": ["someone@example.com"]},
)


def test_it_says_what_would_be_sent_but_not_where(capsys: pytest.CaptureFixture[str]) -> None:
    assert LogNotifier(LogNotifierSettings()).send(NOTIFICATION) == ""
    line = capsys.readouterr().out
    assert json.loads(line.removeprefix("NOTIFICATION: ")) == {
        "severity": "warning",
        "subject": "Budget exceeded",
        "text": "acme1281 spent €110 of €100",
        "fields": {"tenant": "acme1281"},
    }
    assert "hook-of-the-test" not in line
    assert "someone@example.com" not in line


def test_to_a_file(tmp_path: Path) -> None:
    path = tmp_path / "notifications.log"
    notifier = LogNotifier(LogNotifierSettings(path=str(path)))
    notifier.send(NOTIFICATION)
    notifier.send(NOTIFICATION)
    assert len(path.read_text().splitlines()) == 2
