"""Runs every benchmark, or those named: ``python -m platform_assets_tests.benchmarks [floor metrics …]``.

Each one compares side by side in one run; ratios are what counts, times differ from machine to machine.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    known = sorted(path.stem.removeprefix("bench_") for path in HERE.glob("bench_*.py"))
    unknown = [name for name in names if name not in known]
    if unknown:
        print(f"there is no benchmark {unknown[0]!r}; known: {', '.join(known)}")
        return 2
    failed = 0
    for name in names or known:
        print(f"\n== {name}", flush=True)
        module = f"platform_assets_tests.benchmarks.bench_{name}"
        failed |= subprocess.run([sys.executable, "-m", module], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
