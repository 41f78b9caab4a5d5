"""local-bigquery: Google's REST API over DuckDB, in its own Python 3.13 environment below ``.servers/``.

``install`` builds that environment once from the hash-pinned ``bigquery.lock``; ``serving`` runs the server on
a port of its own choosing at 127.0.0.1. Both fail with what is missing; nothing is skipped.

    python -m platform_assets_tests.servers.bigquery install
    python -m platform_assets_tests.servers.bigquery serve <data folder> [port]
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platform_assets_tests.servers.process import SERVERS, ServerError, running

HOME = SERVERS / "bigquery"
LOCK = Path(__file__).with_name("bigquery.lock")
PYTHON = "3.13"
EXTENSIONS = ("icu", "ducklake", "spatial")
PROJECT = "local"

_INSTALL_EXTENSION = """
import duckdb, importlib.util, pathlib, sys
for name in sys.argv[1:]:
    package = pathlib.Path(importlib.util.find_spec(f"duckdb_extension_{name}").origin).parent
    duckdb.execute(f"INSTALL '{next(package.rglob('*.duckdb_extension'))}'")
"""


def install(home: Path = HOME) -> Path:
    """Make the environment if it is not there yet, or not from today's lock. Returns its folder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / "install.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        stamp, wanted = home / "installed", hashlib.sha256(LOCK.read_bytes()).hexdigest()
        if not (stamp.exists() and stamp.read_text() == wanted):
            _build(home)
            stamp.write_text(wanted)
    return home


def _build(home: Path) -> None:
    shutil.rmtree(home / "venv", ignore_errors=True)
    shutil.rmtree(home / "home", ignore_errors=True)
    (home / "home").mkdir()
    uv, env = _uv(), _uv_environment()
    _run([uv, "venv", "--quiet", "--python", PYTHON, str(home / "venv")], env)
    python = str(home / "venv" / "bin" / "python")
    install_all = ["pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "--require-hashes"]
    _run([uv, *install_all, "--python", python, "-r", str(LOCK)], env)
    _run([python, "-c", _INSTALL_EXTENSION, *EXTENSIONS], env | {"HOME": str(home / "home")})


def _uv() -> str:
    found = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if not found:
        raise ServerError("uv is missing; install the development dependencies: pip install -e '.[dev]'")
    return found


def _uv_environment() -> dict[str, str]:
    """pyenv hides interpreters that are not selected, so its 3.13 is selected beside the current one."""
    env = {k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"} | {"UV_PYTHON_DOWNLOADS": "never"}
    if pyenv := shutil.which("pyenv"):
        listed = subprocess.run(
            [pyenv, "versions", "--bare"], capture_output=True, text=True, check=False
        ).stdout
        matching = [v for v in listed.split() if v.startswith(f"{PYTHON}.")]
        env["PYENV_VERSION"] = ":".join([*matching[-1:], platform.python_version()])
    return env


def _run(command: list[str], env: dict[str, str]) -> None:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise ServerError(
            f"the BigQuery emulator could not be installed (it needs Python {PYTHON}):\n"
            f"$ {' '.join(command[:4])} …\n{done.stdout}{done.stderr}"
        )


@contextmanager
def serving(data: Path, port: int = 0) -> Iterator[str]:
    """Run the emulator over ``data`` until the block ends; yields its URL. Its project is ``PROJECT``."""
    home = install()
    data.mkdir(parents=True, exist_ok=True)
    command = [
        *(str(home / "venv" / "bin" / "local-bigquery"), "--host", "127.0.0.1", "--port", str(port)),
        *("--grpc-port", "0", "--project", PROJECT, "--data-dir", str(data)),
    ]
    # The extensions were installed below this HOME; the user's own home directory stays untouched.
    with running(command, r"running on (http://[\d.]+:\d+)", {"HOME": str(home / "home")}) as url:
        yield url


def _main(arguments: list[str]) -> None:
    match arguments:
        case ["install"]:
            print(install())
        case ["serve", data, *rest]:
            signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # so that the server below is stopped too
            with serving(Path(data), int(rest[0]) if rest else 0) as url:
                print(url, flush=True)
                signal.pause()
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    _main(sys.argv[1:])
