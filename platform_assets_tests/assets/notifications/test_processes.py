"""Real processes: killed with SIGKILL in mid-delivery, and two at once."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from platform_assets_tests.assets.notifications.rig import HOOK, Rig, Slack, make_rig, occurrence, spec

MODULE = "platform_assets_tests.assets.notifications.process"


@pytest.fixture
def slack(httpserver: HTTPServer) -> Slack:
    return Slack(httpserver)


@pytest.fixture
def rig(tmp_path: Path, slack: Slack) -> Iterator[Rig]:
    made = make_rig(tmp_path, spec(slack.channel()))
    made.clock.at = datetime.now(UTC)
    yield made
    made.warehouse.close()


def start(rig: Rig, *arguments: str) -> subprocess.Popen[str]:
    """A process that has everything loaded and waits for a line."""
    rig.warehouse.close()  # DuckDB's files have one process at a time
    config = rig.config.model_dump_json(exclude_none=True)
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, str(rig.folder), config, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    until(process, "ready")
    return process


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"the process ended without saying {word!r}")


def go(*processes: subprocess.Popen[str]) -> None:
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()


def kill(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.communicate()


def later(rig: Rig) -> None:
    """Ticks of a living process, until every claim and every cooldown is over."""
    for _ in range(5):
        rig.deliver()
        rig.clock.move(130)


@pytest.mark.parametrize(
    ("point", "messages"), [("claimed", 1), ("sent", 2), ("remembered", 1), ("recorded", 1)]
)
def test_killed_at(rig: Rig, slack: Slack, point: str, messages: int) -> None:
    """``sent`` is the one instant that cannot be told from not sent: it is sent again, after the cooldown."""
    rig.happens(occurrence())
    process = start(rig, point)
    go(process)
    until(process, point)
    kill(process)
    later(rig)
    assert len(slack.texts) == messages
    assert rig.statuses() == [("slack", "sent")]
    assert rig.waiting() == []


def test_killed_while_the_server_has_the_request(rig: Rig, httpserver: HTTPServer, slack: Slack) -> None:
    arrived, answer, requests = threading.Event(), threading.Event(), []

    def hang(request: Request) -> Response:
        requests.append(rig.clock())
        arrived.set()
        answer.wait(20)
        return Response("ok")

    httpserver.clear()
    httpserver.expect_request(HOOK).respond_with_handler(hang)
    rig.happens(occurrence())
    process = start(rig)
    go(process)
    assert arrived.wait(20)
    kill(process)
    answer.set()
    later(rig)
    first, second = requests
    assert (second - first).total_seconds() >= 300, "at most one delivery per cooldown"
    assert rig.statuses() == [("slack", "sent")]


def test_two_processes_at_once(rig: Rig, slack: Slack) -> None:
    rig.happens(*(occurrence(f"run-{number}") for number in range(5)))
    processes = [start(rig) for _ in range(2)]
    go(*processes)
    told: list[Any] = [process.communicate()[0] for process in processes]
    later(rig)
    assert len(slack.texts) == 1, told
    assert sorted(status for _, status in rig.statuses()) == ["sent", *["skipped"] * 4]
