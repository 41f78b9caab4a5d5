"""The environment in which Great Expectations and Pandera run, below ``.venvs/ge``, from a hash-pinned lock."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HOME = ROOT / ".venvs" / "ge"
LOCK = HERE / "requirements-ge.lock"
PYTHON = HOME / "bin" / "python"
HOW = "make it with: python -m platform_assets_tests.differential"


def installed() -> bool:
    """Whether the environment is there and was made from today's lock."""
    stamp = HOME / "installed"
    return stamp.exists() and stamp.read_text() == _wanted()


def _wanted() -> str:
    return hashlib.sha256(LOCK.read_bytes()).hexdigest()


def install() -> None:
    """Make the environment anew, unless it is there."""
    if installed():
        return
    shutil.rmtree(HOME, ignore_errors=True)
    uv = shutil.which("uv", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if uv is None:
        raise SystemExit("uv is missing; install the development dependencies: pip install -e '.[dev]'")
    _run(uv, "venv", "--quiet", "--python", sys.executable, str(HOME))
    _run(
        *(uv, "pip", "install", "--quiet", "--compile-bytecode", "--no-deps", "--require-hashes"),
        *("--python", str(PYTHON), "-r", str(LOCK)),
    )
    (HOME / "installed").write_text(_wanted())


def _run(*command: str) -> None:
    subprocess.run(command, check=True, env={k: v for k, v in os.environ.items() if k != "VIRTUAL_ENV"})


def ask(script: str, question: Any, *, timeout: float) -> Any:
    """Run one of this folder's scripts in that environment: JSON in, JSON out."""
    done = subprocess.run(
        [str(PYTHON), str(HERE / script)],
        input=json.dumps(question),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{script} failed:\n{done.stderr[-4000:]}")
    return json.loads(done.stdout.splitlines()[-1])
