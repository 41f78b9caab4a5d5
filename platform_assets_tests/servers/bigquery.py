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
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from platform_assets_tests.servers.process import SERVERS, ServerError, running

HOME = SERVERS / "bigquery"
LOCK = Path(__file__).with_name("bigquery.lock")
PYTHON = "3.13"
EXTENSIONS = ("icu", "ducklake", "spatial")
PROJECT = "local"

# What the emulator cannot do, with the tests of the contract suite that therefore fail on it, and what is looked at
# instead. These tests are expected to fail, strictly: where one passes one day, its line here has to go.
GAPS: Mapping[str, str] = {
    "test_columns_are_added_relaxed_and_widened_with_their_rows_kept": "columns are not added inside a STRUCT; the "
    "patch that is sent is looked at in resources/warehouse/bigquery/test_tables.py",
    "test_rows_of_expired_partitions_go": "partitions never expire; timePartitioning.expirationMs that is sent is "
    "looked at in resources/warehouse/bigquery/test_tables.py",
    "test_insert_select_matches_by_name": "a product of two BIGNUMERIC overflows 38 digits; insert_select with other "
    "values is in resources/warehouse/bigquery/test_loads.py",
}
# Further gaps, which the adapter's own tests go round:
# * MERGE is refused under require_partition_filter, so tests of MERGE create tables without it.
# * Bytes read are always 0 and maximum_bytes_billed is not enforced: BigQuery's answers are given by a proxy.
# * NUMERIC does not become BIGNUMERIC, nor a number inside a STRUCT: the DDL is checked as text.
# * BIGNUMERIC has 38 digits, 18 after the point, instead of 76 and 38.
# * Unknown fields of NDJSON are accepted; ours are checked before they are sent.
# * Transactions wait for one another instead of being aborted; quotas and throttling do not exist: proxy again.
# * Every location is accepted and answered as US; labels are kept but not checked.
# * A load with "$YYYYMMDD" makes a separate table; nothing here uses it.

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


def forget(url: str) -> None:
    """Drop every dataset. The emulator looks through all of its tables at every step, so old ones cost time."""
    import httpx

    datasets = f"{url}/bigquery/v2/projects/{PROJECT}/datasets"
    for found in httpx.get(datasets).json().get("datasets", []):
        name = found["datasetReference"]["datasetId"]
        if name != PROJECT:  # its default dataset, which it wants to have
            httpx.delete(f"{datasets}/{name}", params={"deleteContents": "true"}, timeout=60)


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
