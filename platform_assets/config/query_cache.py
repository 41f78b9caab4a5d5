"""What earlier processes found out about SQL: the tables a checked query reads and the columns it gives.

Parsing and checking SQL is most of the cost of loading, and every run is a new process. An entry holds for one text,
checked by one version of the checker; only queries without problems are kept. A cache that is missing, broken or
cannot be written costs time and nothing else. Plain JSON, so that reading it runs nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

import platform_assets.engine
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName
from platform_assets.engine.sql.checked import Transform

UNREADABLE = (TypeError, KeyError, ValueError, AttributeError, ConfigError)  # what broken entries lead to
_OTHER_CHECKERS = ("cdc/parsing.py", "quality/condition.py", "quality/custom.py")
_T = TypeVar("_T")


class QueryCache:
    """``folder`` None keeps nothing. Entries that a load did not ask for are dropped when it is saved."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / f"queries-{_checker_version()}.json" if folder else None
        self._before: dict[str, Any] = _read(self._file) if self._file else {}
        self._used: dict[str, Any] = {}

    def transform(self, text: str, file: str, *, checks: str, parse: Callable[[], Transform]) -> Transform:
        """The checked query; ``parse`` is asked where nothing is known, and its ConfigError goes through. ``checks``
        names what it checks: a text may pass one set of checks and fail another."""
        key = _key(text, checks)
        known = self._before.get(key)
        transform = _remembered(file, text, known) or parse()
        self._used[key] = {"tables": [str(t) for t in transform.tables], "columns": list(transform.columns)}
        return transform

    def facts(
        self, text: str, *, checks: str, find: Callable[[], dict[str, Any]], read: Callable[[Any], _T]
    ) -> _T:
        """What ``read`` makes of what ``find`` said of a text, now or earlier. ``find`` gives what JSON can keep;
        its errors go through. ``read`` raises one of ``UNREADABLE`` where it is given something else."""
        key = _key(text, checks)
        known = self._before.get(key)
        try:
            value = read(known)
        except UNREADABLE:
            known = find()
            value = read(known)
        self._used[key] = known
        return value

    def save(self) -> None:
        """Write what this load used, unless that is what is there already."""
        if self._file is None or self._used == self._before:
            return
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._used, sort_keys=True), "utf-8")
            temporary.replace(self._file)


def _key(text: str, checks: str) -> str:
    return hashlib.sha256(f"{checks}\0{text}".encode()).hexdigest()


def _remembered(file: str, text: str, known: Any) -> Transform | None:
    try:
        tables = tuple(TableName.parse(name) for name in known["tables"])
        columns = tuple(str(name) for name in known["columns"])
    except UNREADABLE:
        return None
    return Transform.checked_before(file, text, tables, columns)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checker_version() -> str:
    """Changes with the source of whatever checks SQL, and with sqlglot."""
    digest = hashlib.sha256(metadata.version("sqlglot").encode())
    for folder in platform_assets.engine.__path__:
        engine = Path(folder)
        for source in sorted([*engine.glob("sql/*.py"), *(engine / name for name in _OTHER_CHECKERS)]):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
