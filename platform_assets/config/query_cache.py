"""What earlier processes found out about SQL files: the tables a checked query reads and the columns it gives.

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
from typing import TYPE_CHECKING, Any

import platform_assets.engine.sql
from platform_assets.engine.errors import ConfigError
from platform_assets.engine.names import TableName

if TYPE_CHECKING:
    from platform_assets.engine.sql.transform import Transform


class QueryCache:
    """``folder`` None keeps nothing. Entries that a load did not ask for are dropped when it is saved."""

    def __init__(self, folder: Path | None) -> None:
        self._file = folder / f"queries-{_checker_version()}.json" if folder else None
        self._before: dict[str, Any] = _read(self._file) if self._file else {}
        self._used: dict[str, Any] = {}

    def transform(self, text: str, file: str, *, checks: str, parse: Callable[[], Transform]) -> Transform:
        """The checked query; ``parse`` is asked where nothing is known, and its ConfigError goes through. ``checks``
        names what it checks: a text may pass one set of checks and fail another."""
        key = hashlib.sha256(f"{checks}\0{text}".encode()).hexdigest()
        known = self._before.get(key)
        transform = _remembered(file, text, known) or parse()
        self._used[key] = {"tables": [str(t) for t in transform.tables], "columns": list(transform.columns)}
        return transform

    def facts(self, text: str, *, checks: str, find: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What ``find`` says of a script, as JSON keeps it; its ConfigError goes through."""
        key = hashlib.sha256(f"{checks}\0{text}".encode()).hexdigest()
        known = self._before.get(key)
        found: dict[str, Any] = known if isinstance(known, dict) else find()
        self._used[key] = found
        return found

    def save(self) -> None:
        """Write what this load used, unless that is what is there already."""
        if self._file is None or self._used == self._before:
            return
        temporary = self._file.with_suffix(f".{os.getpid()}.tmp")
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(self._used, sort_keys=True), "utf-8")
            temporary.replace(self._file)


def _remembered(file: str, text: str, known: Any) -> Transform | None:
    from platform_assets.engine.sql.transform import Transform

    try:
        tables = tuple(TableName.parse(name) for name in known["tables"])
        columns = tuple(str(name) for name in known["columns"])
    except (TypeError, KeyError, AttributeError, ConfigError):
        return None
    return Transform.checked_before(file, text, tables, columns)


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _checker_version() -> str:
    """Changes with the source of ``engine.sql`` and with sqlglot."""
    digest = hashlib.sha256(metadata.version("sqlglot").encode())
    for folder in platform_assets.engine.sql.__path__:
        for source in sorted(Path(folder).glob("*.py")):
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]
