"""Every adapter of every port, made for a test: with its server running and a place of its own on it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from platform_assets.ports import ObjectStore
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.object_store.s3 import S3ObjectStore, S3ObjectStoreSettings

Make = Callable[[pytest.FixtureRequest, Path], ObjectStore]


def _local_store(request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    return LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))


def _s3_store(request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    aws = AwsSettings(endpoint_url=request.getfixturevalue("moto_url"))
    bucket = f"bucket-{uuid.uuid4().hex}"
    connect("s3", aws).create_bucket(Bucket=bucket)
    return S3ObjectStore(
        S3ObjectStoreSettings(
            endpoint_url=aws.endpoint_url, bucket=bucket, prefix="home/of tests", part_bytes=5 * 2**20
        )
    )


OBJECT_STORES: Mapping[str, Make] = {"local": _local_store, "s3": _s3_store}


@pytest.fixture(params=sorted(OBJECT_STORES))
def object_store(request: pytest.FixtureRequest, tmp_path: Path) -> ObjectStore:
    return OBJECT_STORES[request.param](request, tmp_path)
