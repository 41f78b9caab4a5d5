"""Where a secret could have been left: every file below a folder, databases row by row, and what is compressed in them.

``forms`` is written apart from the platform's own redaction: what that forgets, this finds.
"""

from __future__ import annotations

import base64
import html
import json
import sqlite3
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus, unquote_to_bytes

import duckdb


def forms(secret: str) -> set[str]:
    """How a secret may be written: as it is, for a URL, for JSON, for HTML, in base64 wherever it begins."""
    data = secret.encode()
    encoded = {base64.b64encode(data).decode().rstrip("=")}
    for before in (1, 2):  # the first characters mix with what stands before, the last ones with what follows
        encoded.add(base64.b64encode(b"\0" * before + data).decode().rstrip("=")[before + 1 : -1])
    safe = {text.replace("+", "-").replace("/", "_") for text in encoded}
    written = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), json.dumps(secret)[1:-1]}
    return written | {html.escape(secret)} | encoded | safe


def found(folder: Path, secrets: Iterable[str]) -> list[str]:
    """``place: the form that stands there`` for every secret that is anywhere below ``folder``."""
    wanted = sorted({form.encode() for secret in secrets for form in forms(secret)})
    return [
        f"{place}: {form.decode()}"
        for place, data in _texts(folder)
        for text in (data, unquote_to_bytes(data))  # some servers decode one half of a URL
        for form in wanted
        if form in text
    ]


def _texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        name = str(path.relative_to(folder))
        yield name, name.encode() + b"\n" + path.read_bytes()
        if path.suffix == ".db":
            yield from _sqlite(path, name)
        elif path.suffix == ".duckdb":
            yield from _duckdb(path, name)


def _sqlite(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        for (table,) in tables:
            for row in connection.execute(f'SELECT * FROM "{table}"'):
                yield f"{name} {table}", b"\n".join(_cell(value) for value in row)


def _duckdb(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with duckdb.connect(str(path), read_only=True) as connection:
        for schema, table in connection.sql(
            "SELECT table_schema, table_name FROM information_schema.tables"
        ).fetchall():
            for row in connection.sql(f'SELECT * FROM "{schema}"."{table}"').fetchall():
                yield f"{name} {schema}.{table}", b"\n".join(_cell(value) for value in row)


def _cell(value: Any) -> bytes:
    """Dagster keeps the snapshots of jobs compressed."""
    if not isinstance(value, bytes):
        return value.encode() if isinstance(value, str) else repr(value).encode()
    try:
        return zlib.decompress(value)
    except zlib.error:
        return value
