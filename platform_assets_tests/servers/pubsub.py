"""Google's ``pstest`` from Debian's packages: the Pub/Sub emulator that redelivers when a deadline ends.

``install`` builds it once into ``.servers/``; it needs the packages that ``install.sh`` installs.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platform_assets_tests.servers.process import SERVERS, ServerError, running

SOURCE = Path(__file__).parent / "pstest" / "main.go"
PACKAGES = "golang-go golang-google-cloud-dev"
_GOPATH = Path("/usr/share/gocode")  # where Debian's -dev packages put Go sources


def install(home: Path = SERVERS / "pstest") -> Path:
    """Build the server unless it is there already; returns the program."""
    program = home / f"pstest-{hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]}"
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not program.exists():
            _build(program)
    return program


def _build(program: Path) -> None:
    go = shutil.which("go")
    if not go or not (_GOPATH / "src" / "cloud.google.com" / "go" / "pubsub" / "pstest").is_dir():
        raise ServerError(f"pstest needs Debian's {PACKAGES}; run platform_assets_tests/servers/install.sh")
    offline = {
        "GO111MODULE": "off",
        "GOPATH": str(_GOPATH),
        "GOFLAGS": "",
        "GOCACHE": str(program.parent / "cache"),
    }
    done = subprocess.run(
        [go, "build", "-o", str(program), str(SOURCE)],
        env=os.environ | offline,
        capture_output=True,
        text=True,
        check=False,
    )
    shutil.rmtree(program.parent / "cache", ignore_errors=True)
    if done.returncode:
        raise ServerError(f"pstest could not be built:\n{done.stdout}{done.stderr}")


@contextmanager
def serving() -> Iterator[str]:
    """Yields ``host:port`` of an empty server."""
    with running([str(install())], r"listening on (\S+:\d+)") as address:
        yield address


if __name__ == "__main__":
    print(install())
