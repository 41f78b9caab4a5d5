"""Every adapter of every port, made for a test: with its server running and a place of its own on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import httpx
import pytest

from platform_assets.ports import ObjectStore, Warehouse
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.object_store.gcs import GcsObjectStore, GcsObjectStoreSettings
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.object_store.s3 import S3ObjectStore, S3ObjectStoreSettings
from platform_assets_tests.contracts.warehouse_rigs import WAREHOUSES, WarehouseRig

Make = Callable[[pytest.FixtureRequest, Path], ObjectStore]


def _local_store(request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    return LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))


def _s3_store(request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    aws = AwsSettings(endpoint_url=request.getfixturevalue("moto_url"))
    bucket = f"bucket-{uuid.uuid4().hex}"
    connect("s3", aws).create_bucket(Bucket=bucket)
    return S3ObjectStore(
        S3ObjectStoreSettings(
            endpoint_url=aws.endpoint_url,
            bucket=bucket,
            prefix="home/of tests",
            part_bytes=5 * 2**20,
            page_size=100,
        )
    )


def _gcs_store(request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    endpoint, bucket = request.getfixturevalue("gcs_url"), f"bucket{uuid.uuid4().hex}"
    httpx.post(f"{endpoint}/storage/v1/b", json={"name": bucket}).raise_for_status()
    settings = GcsObjectStoreSettings(
        endpoint=endpoint, bucket=bucket, prefix="home/of tests", part_bytes=2**20, page_size=100
    )
    store = GcsObjectStore(settings)
    request.addfinalizer(store._bucket.client.close)
    return store


# gcp-storage-emulator has neither preconditions nor paging; ours stand in, hence the name.
OBJECT_STORES: Mapping[str, Make] = {"local": _local_store, "s3": _s3_store, "gcs-partly-fake": _gcs_store}


@pytest.fixture(params=sorted(OBJECT_STORES))
def object_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return OBJECT_STORES[request.param](request, tmp_path)


@pytest.fixture(params=sorted(WAREHOUSES))
def warehouse_rig(request: pytest.FixtureRequest, tmp_path: Path) -> WarehouseRig:
    return WAREHOUSES[request.param](request, tmp_path)


@pytest.fixture
def warehouse(warehouse_rig: WarehouseRig) -> Iterator[Warehouse]:
    opened = warehouse_rig.open()
    yield opened
    opened.close()
