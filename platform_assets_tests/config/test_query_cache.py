"""Checked SQL is remembered between processes, and a cache can only ever cost time."""

import json
import os
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import Configuration, load
from platform_assets.engine.errors import ConfigError
from platform_assets_tests.config.tree import SHOP, write_tree


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return write_tree(tmp_path / "configs")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "home" / "cache"


def loaded(root: Path, cache: Path) -> Configuration:
    return load(root, deployment="local", environment={}, today=date(2026, 11, 21), cache=cache)


def only_file(cache: Path) -> Path:
    (file,) = cache.iterdir()
    return file


def test_a_second_load_gives_the_same(root: Path, cache: Path) -> None:
    first, second = loaded(root, cache), loaded(root, cache)
    assert first.pipelines == second.pipelines
    assert (
        second.pipelines["shop_costs"]
        .steps[1]
        .transform.tree.sql("bigquery")
        .startswith("SELECT day AS charge_day")
    )


def test_what_is_remembered_is_used(root: Path, cache: Path) -> None:
    loaded(root, cache)
    file = only_file(cache)
    file.write_text(file.read_text().replace('"raw_shop.orders"', '"raw_shop.remembered"'))
    with pytest.raises(ConfigError, match=r"reads raw_shop\.remembered, which no step fills"):
        loaded(root, cache)


def test_a_changed_text_is_read_again(root: Path, cache: Path) -> None:
    loaded(root, cache)
    (root / SHOP / "to_costs.sql").write_text("SELECT day AS charge_day FROM raw_shop.nothing")
    with pytest.raises(ConfigError, match=r"raw_shop\.nothing"):
        loaded(root, cache)


def test_a_wrong_query_is_never_remembered(root: Path, cache: Path) -> None:
    (root / SHOP / "to_costs.sql").write_text("DROP TABLE raw_shop.orders")
    for _ in range(2):
        with pytest.raises(ConfigError, match="only one SELECT"):
            loaded(root, cache)


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": 1}', "null", "\0"])
def test_a_broken_cache_is_written_anew(root: Path, cache: Path, content: str) -> None:
    loaded(root, cache)
    right = only_file(cache).read_text()
    only_file(cache).write_text(content)
    loaded(root, cache)
    assert only_file(cache).read_text() == right


def test_broken_entries_are_found_out_again(root: Path, cache: Path) -> None:
    loaded(root, cache)
    right = only_file(cache).read_text()
    broken = {key: {"tables": ["not a table"], "columns": []} for key in json.loads(right)}
    only_file(cache).write_text(json.dumps(broken))
    loaded(root, cache)
    assert only_file(cache).read_text() == right


def test_entries_of_queries_that_are_gone_are_dropped(root: Path, cache: Path) -> None:
    loaded(root, cache)
    count = len(json.loads(only_file(cache).read_text()))
    (root / SHOP / "to_costs.sql").write_text("SELECT day AS charge_day, amount FROM raw_shop.orders")
    loaded(root, cache)
    assert len(json.loads(only_file(cache).read_text())) == count


def test_a_cache_that_cannot_be_written_is_no_error(root: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert loaded(root, tmp_path / "file" / "cache").pipelines


LOADED = """
import sys
import platform_assets.definitions
print(sorted(name for name in sys.modules if name.split(".")[0] == "sqlglot")[:3])
"""


def test_a_process_that_remembers_loads_no_parser(tmp_path: Path) -> None:
    """Every run is a new process; with the whole of the repository's configuration, the second one parses no SQL."""
    environment = os.environ | {"PLATFORM_HOME": str(tmp_path), "PLATFORM_DEPLOYMENT": "local"}
    first, second = (
        subprocess.run(
            [sys.executable, "-c", LOADED], env=environment, capture_output=True, text=True, check=True
        )
        for _ in range(2)
    )
    assert first.stdout != "[]\n"
    assert second.stdout == "[]\n"
