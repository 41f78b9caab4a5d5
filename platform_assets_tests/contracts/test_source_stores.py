"""What every way to other people's buckets does: one bucket by its name, read as any object store, no other reached."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from platform_assets.engine.errors import NotFoundError, PlatformError
from platform_assets.ports import SourceStores
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.bindings import ADAPTERS, create


@dataclass(frozen=True)
class Rig:
    """The stores, and how their owner fills a bucket (made where it is new)."""

    stores: SourceStores
    put: Callable[[str, str, bytes], None]


def _local(request: pytest.FixtureRequest, folder: Path) -> Rig:
    def put(bucket: str, key: str, data: bytes) -> None:
        path = folder / bucket / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    return Rig(create("source_stores", "local", {"root": str(folder)}), put)


def _s3(request: pytest.FixtureRequest, folder: Path) -> Rig:
    url = request.getfixturevalue("moto_url")
    owner = connect("s3", AwsSettings(endpoint_url=url))

    def put(bucket: str, key: str, data: bytes) -> None:
        owner.create_bucket(Bucket=bucket)
        owner.put_object(Bucket=bucket, Key=key, Body=data)

    return Rig(create("source_stores", "s3", {"endpoint_url": url}), put)


RIGS: Mapping[str, Callable[[pytest.FixtureRequest, Path], Rig]] = {"local": _local, "s3": _s3}


@pytest.fixture(params=sorted(ADAPTERS["source_stores"]))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return RIGS[request.param](request, tmp_path)


@pytest.fixture
def bucket() -> str:
    return f"exports-{uuid.uuid4().hex}"


def test_a_bucket_is_read_as_any_object_store(rig: Rig, bucket: str) -> None:
    rig.put(bucket, "cur/2026-01/part-1.csv", b"a,b\n1,2\n")
    rig.put(bucket, "other/x", b"")
    store = rig.stores.open(bucket, {}, None)
    assert [(found.key, found.size) for found in store.list("cur/")] == [("cur/2026-01/part-1.csv", 8)]
    assert store.get("cur/2026-01/part-1.csv") == b"a,b\n1,2\n"
    assert store.get_range("cur/2026-01/part-1.csv", 2, 3) == b"b\n1"
    with pytest.raises(NotFoundError):
        store.get("cur/nothing")


def test_a_bucket_shows_nothing_of_another(rig: Rig, bucket: str) -> None:
    rig.put(bucket, "one", b"1")
    rig.put(f"{bucket}-2", "two", b"2")
    assert [found.key for found in rig.stores.open(bucket, {}, None).list("")] == ["one"]


@pytest.mark.parametrize("name", ["..", "../other", "a/b", ""])
def test_a_name_that_is_no_bucket_is_refused(rig: Rig, name: str) -> None:
    with pytest.raises(PlatformError):
        rig.stores.open(name, {}, None).get("one")
