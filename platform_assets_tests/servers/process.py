"""Running one server as a child process on loopback until a block ends. A server that does not start is an error."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

IN_BACKGROUND = ("sh", "-c", 'trap "" INT; exec "$0" "$@"')  # how a script's shell starts a command with &
SERVERS = Path(__file__).parents[2] / ".servers"


class ServerError(RuntimeError):
    """A server could not be installed or started; the text says what to do."""


@contextmanager
def running(
    command: Sequence[str], ready: str, env: Mapping[str, str] | None = None, seconds: float = 60.0
) -> Iterator[str]:
    """Start ``command``; yields what the first group of ``ready`` matches in its output; stops it at the end."""
    with tempfile.TemporaryDirectory(prefix="server-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env=os.environ | dict(env or {})
            )
        try:
            yield _wait(process, log, ready, seconds)
        finally:
            stop(process)


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait(process: subprocess.Popen[bytes], log: Path, ready: str, seconds: float) -> str:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and process.poll() is None:
        if found := re.search(ready, log.read_text(errors="replace")):
            return found.group(1)
        time.sleep(0.02)
    raise ServerError(f"{process.args!r} did not start:\n{log.read_text(errors='replace')[-4000:]}")
