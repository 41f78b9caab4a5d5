"""The search itself: a secret that is there is found, however it lies there."""

from __future__ import annotations

import base64
import json
import sqlite3
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import duckdb
import pytest

from platform_assets_tests.assets.secrecy.traces import found

SECRET = 'a"b/c+d&e<0123456789'
WRITERS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "url": lambda s: quote(s, safe=""),
    "url, half of it": lambda s: quote(s, safe='"/<'),
    "json": json.dumps,
    **{
        f"base64 after {n}": lambda s, n=n: base64.b64encode(b"x" * n + s.encode() + b":y").decode()
        for n in range(4)
    },
}


@pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS.keys())
def test_in_a_file(tmp_path: Path, write: Callable[[str], str]) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "one.log").write_text(f"before {write(SECRET)} after")
    assert found(tmp_path, [SECRET])
    assert not found(tmp_path, ["another"])


def test_in_a_name(tmp_path: Path) -> None:
    (tmp_path / f"{quote(SECRET, safe='')}.json").write_text("")
    assert found(tmp_path, [SECRET])


@pytest.mark.parametrize("value", [SECRET, zlib.compress(json.dumps({"k": SECRET}).encode())])
def test_in_a_row_of_dagsters(tmp_path: Path, value: str | bytes) -> None:
    with closing(sqlite3.connect(tmp_path / "runs.db")) as connection:
        connection.execute("CREATE TABLE snapshots (body)")
        connection.execute("INSERT INTO snapshots VALUES (?)", [value])
        connection.commit()
    assert any(place.startswith("runs.db snapshots") for place in found(tmp_path, [SECRET]))


def test_in_a_row_of_a_warehouse(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "acme.duckdb")) as connection:
        connection.execute("CREATE SCHEMA raw; CREATE TABLE raw.rows AS SELECT {'a': ?} AS s", [SECRET])
    assert any(place.startswith("acme.duckdb raw.rows") for place in found(tmp_path, [SECRET]))
