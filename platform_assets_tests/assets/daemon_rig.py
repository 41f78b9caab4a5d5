"""Dagster as production runs it, small: a code server and a daemon, processes of their own on a home of their own.

The instance is the repository's ``dagster.yaml``: the run queue, one process per run, run monitoring, which looks every
second here. Everything is killed at the end, runs included. Nothing here waits by the clock: ``wait_for`` waits as long
as the processes live.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg

ROOT = Path(__file__).parents[2]
MODULE = "platform_assets.definitions"
LOCATION = "platform_assets"
HANGS_SECONDS = 900  # ends a test that would otherwise never end; far beyond the slowest machine
T = TypeVar("T")


@dataclass(frozen=True)
class Daemon:
    """A running daemon and code server. ``home`` is DAGSTER_HOME; ``folder`` has their logs."""

    folder: Path
    processes: dict[str, subprocess.Popen[bytes]]

    @property
    def home(self) -> Path:
        return self.folder / "dagster"

    @contextmanager
    def instance(self) -> Iterator[dg.DagsterInstance]:
        with dg.DagsterInstance.from_config(str(self.home)) as found:
            yield found

    def runs(self) -> Sequence[dg.DagsterRun]:
        """Newest first."""
        with self.instance() as instance:
            return instance.get_runs()

    def wait_for(self, look: Callable[[], T], what: str) -> T:
        """What ``look`` says once it says something true. Fails with the logs where a process has died."""
        deadline = time.monotonic() + HANGS_SECONDS
        while not (found := look()):
            dead = [name for name, process in self.processes.items() if process.poll() is not None]
            if dead or time.monotonic() > deadline:
                raise AssertionError(f"waiting for {what}; dead: {dead or 'none'}\n{self.logs()}")
            time.sleep(0.05)
        return found

    def start(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        """One more process, which lives as long as the rig."""
        self.processes[name] = _start(self.folder / f"{name}.log", command, env)

    def launch(self, job: str, tags: Mapping[str, str]) -> None:
        """Ask for a run, as anybody would on the command line."""
        command = ["job", "launch", "--workspace", str(self.folder / "workspace.yaml")]
        command += ["--location", LOCATION, "--job", job, "--tags", json.dumps(dict(tags))]
        env = {**os.environ, "DAGSTER_HOME": str(self.home), "PLATFORM_HOME": str(self.folder / "platform")}
        done = subprocess.run(
            [sys.executable, "-m", "dagster", *command],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def logs(self) -> str:
        texts = {path.name: path.read_text(errors="replace") for path in sorted(self.folder.glob("*.log"))}
        return "\n".join(f"--- {name}\n{text[-6000:]}" for name, text in texts.items())


@contextmanager
def daemon(
    folder: Path, *, sensors: Sequence[str], module: str = MODULE, env: Mapping[str, str] | None = None
) -> Iterator[Daemon]:
    """Serve ``module`` with the named sensors switched on. The local deployment keeps its files below ``folder``;
    ``env`` adds variables (``PLATFORM_DEPLOYMENT``, addresses of emulators)."""
    home = folder / "dagster"
    home.mkdir(parents=True)
    (home / "dagster.yaml").write_text(_instance())
    settings = {"DAGSTER_HOME": str(home), "PLATFORM_HOME": str(folder / "platform"), **(env or {})}
    rig = Daemon(folder, {})
    with tempfile.TemporaryDirectory(prefix="dagster-") as short:  # a socket's path has 107 bytes at most
        try:
            _serve(rig, Path(short, "code.sock"), module, sensors, settings)
            yield rig
        finally:
            for process in reversed(rig.processes.values()):
                _kill(process)


def _instance() -> str:
    text = (ROOT / "dagster.yaml").read_text()
    slowly = "poll_interval_seconds: 30"
    assert slowly in text, "dagster.yaml says otherwise now"
    return text.replace(slowly, "poll_interval_seconds: 1")


def _serve(rig: Daemon, socket: Path, module: str, sensors: Sequence[str], env: Mapping[str, str]) -> None:
    location = ["--module-name", module, "--location-name", LOCATION]
    rig.start("code server", ["dagster", "api", "grpc", "--socket", str(socket), *location], env)
    rig.wait_for(socket.exists, "the code server")
    workspace = rig.folder / "workspace.yaml"
    server = f"{{grpc_server: {{socket: {str(socket)!r}, location_name: {LOCATION}}}}}"
    workspace.write_text(f"load_from: [{server}]\n")
    for sensor in sensors:
        command = ["dagster", "sensor", "start", sensor, "--workspace", str(workspace)]
        starting = _start(rig.folder / f"{sensor}.log", command, env)
        if starting.wait() != 0:
            raise AssertionError(f"{sensor} could not be started\n{rig.logs()}")
    rig.start("daemon", ["dagster._daemon", "run", "--workspace", str(workspace)], env)


def _start(log: Path, command: Sequence[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """In a process group of its own, to which its runs belong too."""
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=ROOT,
            env={**os.environ, **env},
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
