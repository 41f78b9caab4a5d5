"""What every object store does, whatever holds the objects."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from platform_assets.engine.errors import ConflictError, DataError, NotFoundError
from platform_assets.ports import ObjectStore
from platform_assets.resources.bindings import ADAPTERS
from platform_assets_tests.contracts.conftest import OBJECT_STORES

WEIRD = [
    "plain.json",
    "a/b/c/d/e.parquet",
    "with space/and+plus/100%/q?x=1&y/#hash.txt",
    "percent%2Fencoded/%20",
    "star*/[brackets]/{braces}/~tilde/back\\slash/'quote\"",
    "ünïcode/日本語/🦆.json",
    "..hidden/...dots/a..b",
    "colon:and|pipe/<angle>/semi;comma,=@$!^`()",
    "x" * 240 + "/" + "y" * 240,
]


def keys_of(store: ObjectStore, prefix: str = "", start_after: str = "") -> list[str]:
    return [info.key for info in store.list(prefix, start_after=start_after)]


def test_every_bound_store_has_its_contract_tests() -> None:
    assert {kind.partition("-")[0] for kind in OBJECT_STORES} == set(ADAPTERS["object_store"])


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 10], ids=["empty", "one byte", "binary"])
def test_get_returns_what_was_put(object_store: ObjectStore, data: bytes) -> None:
    etag = object_store.put("a/b", data)
    assert object_store.get("a/b") == data
    info = object_store.stat("a/b")
    assert info is not None
    assert (info.key, info.size, info.etag) == ("a/b", len(data), etag)
    assert abs(info.modified - datetime.now(UTC)) < timedelta(minutes=5)


@pytest.mark.parametrize("key", WEIRD)
def test_any_text_is_a_key(object_store: ObjectStore, key: str) -> None:
    object_store.put(key, key.encode())
    assert object_store.get(key) == key.encode()
    assert keys_of(object_store) == [key]
    assert keys_of(object_store, key[:-1]) == [key]
    object_store.delete([key])
    assert keys_of(object_store) == []


@pytest.mark.parametrize(
    "key",
    ["", "/", "/a", "a/", "a//b", ".", "..", "../a", "a/../b", "a/..", "./a", "a\nb", "a\x00b", "\x7f", "\ud800",
     "z" * 241, "/".join(["z" * 200] * 6)],
    ids=ascii,
)  # fmt: skip
def test_keys_that_name_another_place_are_refused(object_store: ObjectStore, key: str) -> None:
    for use in (
        lambda: object_store.put(key, b""),
        lambda: object_store.get(key),
        lambda: object_store.get_range(key, 0, 1),
        lambda: object_store.stat(key),
        lambda: object_store.delete([key]),
        lambda: object_store.uri(key),
    ):
        with pytest.raises(DataError):
            use()


@pytest.mark.parametrize("prefix", ["/", "../", "a/../", "a//", "a\n"])
def test_prefixes_that_name_another_place_are_refused(object_store: ObjectStore, prefix: str) -> None:
    with pytest.raises(DataError):
        list(object_store.list(prefix))


def test_what_is_not_there(object_store: ObjectStore) -> None:
    assert object_store.stat("nothing") is None
    with pytest.raises(NotFoundError, match="nothing"):
        object_store.get("nothing")
    with pytest.raises(NotFoundError):
        object_store.get_range("nothing", 0, 5)
    with pytest.raises(NotFoundError):
        object_store.get_range("nothing", 0, 0)
    object_store.delete(["nothing", "never/was"])
    assert keys_of(object_store, "no/such/folder") == []


def test_put_replaces_whole(object_store: ObjectStore) -> None:
    first = object_store.put("key", b"a long first version")
    second = object_store.put("key", b"short")
    assert object_store.get("key") == b"short"
    assert first != second


def test_conditional_create(object_store: ObjectStore) -> None:
    etag = object_store.put("once", b"mine", if_absent=True)
    with pytest.raises(ConflictError, match="once"):
        object_store.put("once", b"yours", if_absent=True)
    info = object_store.stat("once")
    assert info is not None
    assert info.etag == etag
    assert object_store.get("once") == b"mine"
    object_store.delete(["once"])
    object_store.put("once", b"yours", if_absent=True)


def test_compare_and_set(object_store: ObjectStore) -> None:
    with pytest.raises(ConflictError):
        object_store.put("alias", b"0", if_match="no such version")
    assert object_store.stat("alias") is None
    first = object_store.put("alias", b"1")
    second = object_store.put("alias", b"2", if_match=first)
    with pytest.raises(ConflictError, match="alias"):
        object_store.put("alias", b"3", if_match=first)
    assert object_store.get("alias") == b"2"
    object_store.put("alias", b"3", if_match=second)
    assert object_store.get("alias") == b"3"


@pytest.mark.parametrize("size", [0, 1, 5 * 2**20, 5 * 2**20 + 1, 12 * 2**20])
def test_streaming_put(object_store: ObjectStore, size: int) -> None:
    chunk = bytes(range(251)) * 1000
    whole = (chunk * (size // len(chunk) + 1))[:size]
    pieces = (whole[start : start + 300_000] for start in range(0, size, 300_000))
    etag = object_store.put("big/stream", pieces)
    assert object_store.get("big/stream") == whole
    info = object_store.stat("big/stream")
    assert info is not None
    assert (info.size, info.etag) == (size, etag)


@pytest.mark.parametrize("size", [100, 6 * 2**20])
def test_a_stream_that_breaks_off_leaves_the_old_object(object_store: ObjectStore, size: int) -> None:
    def broken() -> Iterator[bytes]:
        yield b"x" * size
        raise RuntimeError("source went away")

    object_store.put("key", b"old")
    with pytest.raises(RuntimeError, match="source went away"):
        object_store.put("key", broken())
    with pytest.raises(RuntimeError, match="source went away"):
        object_store.put("new", broken(), if_absent=True)
    assert object_store.get("key") == b"old"
    assert keys_of(object_store) == ["key"]


@pytest.mark.parametrize("size", [3, 6 * 2**20])
def test_streams_obey_conditions(object_store: ObjectStore, size: int) -> None:
    etag = object_store.put("key", iter([b"x" * size]), if_absent=True)
    with pytest.raises(ConflictError):
        object_store.put("key", iter([b"y" * size]), if_absent=True)
    with pytest.raises(ConflictError):
        object_store.put("key", iter([b"y" * size]), if_match="another version")
    assert object_store.get("key") == b"x" * size
    object_store.put("key", iter([b"z" * size]), if_match=etag)
    assert object_store.get("key") == b"z" * size


def test_ranges(object_store: ObjectStore) -> None:
    data = bytes(range(100))
    object_store.put("key", data)
    for start, length in [
        (0, 1),
        (0, 100),
        (10, 20),
        (99, 1),
        (90, 50),
        (100, 1),
        (500, 5),
        (3, 0),
        (0, 10**9),
    ]:
        assert object_store.get_range("key", start, length) == data[start : start + length]
    for start, length in [(-1, 5), (0, -1)]:
        with pytest.raises(DataError):
            object_store.get_range("key", start, length)
    object_store.put("empty", b"")
    assert object_store.get_range("empty", 0, 5) == b""


def test_listing_is_in_key_order(object_store: ObjectStore) -> None:
    keys = ["a-b", "a.txt", "a/x", "a/y/z", "a/y0", "a0", "aa/1", "b", "é/1", "日/1", "Z"]
    for key in keys:
        object_store.put(key, b"1")
    ordered = sorted(keys)
    assert keys_of(object_store) == ordered
    for prefix in ["a", "a/", "a/y", "a/y/", "aa", "b", "é", "zz", "a/x", "a/x/"]:
        assert keys_of(object_store, prefix) == [key for key in ordered if key.startswith(prefix)]
    for after in ["", "A", "a", "a-b", "a/", "a/x", "a/y", "a/y/z", "a/zz", "a0", "b", "é", "日/1", "日/2"]:
        assert keys_of(object_store, "", after) == [key for key in ordered if key > after]
        assert keys_of(object_store, "a", after) == [key for key in ordered if key > after and key[0] == "a"]


def test_listing_tells_what_stat_tells(object_store: ObjectStore) -> None:
    object_store.put("a/1", b"12345")
    object_store.put("a/2", b"")
    listed = list(object_store.list("a/"))
    for info in listed:
        seen = object_store.stat(info.key)
        assert seen is not None
        assert (info.size, info.etag) == (seen.size, seen.etag)
        assert abs(info.modified - seen.modified) < timedelta(seconds=1)
    assert len(listed) == 2


def test_more_than_a_page_and_more_than_a_batch(object_store: ObjectStore) -> None:
    keys = [f"bulk/{n:04d}" for n in range(110)]
    for key in keys:
        object_store.put(key, b"")
    assert keys_of(object_store, "bulk/") == keys
    assert keys_of(object_store, "bulk/", keys[104]) == keys[105:]
    object_store.delete([*keys[1:], *(f"never/was/{n}" for n in range(1000))])
    assert keys_of(object_store, "bulk/") == keys[:1]
    object_store.delete([])


def test_polars_reads_only_what_it_needs(object_store: ObjectStore) -> None:
    frame = pl.DataFrame({"day": range(10_000), "value": [float(n) for n in range(10_000)]})
    buffer = io.BytesIO()
    frame.write_parquet(buffer, row_group_size=1000)
    for key in ["data/part=1/m.parquet", "data/ü ber%20/star*[1].parquet"]:
        object_store.put(key, buffer.getvalue())
        uri, options = object_store.uri(key)
        scan = pl.scan_parquet(
            uri, storage_options=dict(options) or None, glob=False, hive_partitioning=False
        )
        found = scan.filter(pl.col("day") >= 9_990).select(pl.col("value").sum()).collect()
        assert found.item() == sum(range(9_990, 10_000))
