"""``make local-up local-run local-test local-down``: the CDC monitor as its users know it, in processes of its own."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from platform_assets.demo.cdc.sample import EVENT
from platform_assets_tests.servers.process import IN_BACKGROUND

ROOT = Path(__file__).parents[2]
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def local(tmp_path: Path) -> Run:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*IN_BACKGROUND, sys.executable, "-m", "platform_assets.demo.cdc", *arguments],
            cwd=ROOT,
            env={**os.environ, "PLATFORM_HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
        )

    return run


def free_port() -> str:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def test_the_sample_event_from_a_post_to_its_metric_lines(local: Run) -> None:
    port = free_port()
    assert local("up").returncode == 0
    started = local("run", "--port", port)
    assert started.returncode == 0, started.stderr
    try:
        done = local("test", "--port", port)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith("204\n")
        assert '"name": "claims/pipeline/filtered_pre/vl_pago/total", "value": 1500.0' in done.stdout
        assert '"name": "claims/pipeline/filtered_pre/vl_pago/relative", "value": 0.1875' in done.stdout
        again = local("test", "--port", port)
        assert again.stdout == done.stdout  # delivered twice, told once

        url = f"http://127.0.0.1:{port}"
        unreadable = httpx.post(url, content=b"someone@example.com", timeout=60)
        assert (unreadable.status_code, unreadable.text) == (400, "Bad Request: a change record is not JSON")
        stranger = EVENT.read_text().replace('"partner": "abertta"', '"partner": "stranger"')
        refused = httpx.post(url, content=stranger.replace("f23df35c", "f23df35d").encode(), timeout=60)
        assert refused.status_code == 400
        assert "partner 'stranger' is no tenant" in refused.text
    finally:
        stopped = local("down")
    assert stopped.stdout == "stopped\n"
    assert "nothing listens" in local("test", "--port", port).stderr


def test_the_service_wants_its_sample_configuration_only(local: Run, tmp_path: Path) -> None:
    """The sample's tenants are laid over a copy; the repository's own configuration knows none of them."""
    assert local("up").returncode == 0
    there = {path.stem for path in (tmp_path / "local" / "configs" / "tenants").glob("*.yml")}
    ours = {path.stem for path in (ROOT / "configs" / "tenants").glob("*.yml")}
    assert there - ours == {"abertta", "athena", "cemig"}
