"""One instance of each server per test session. A server that cannot start fails its tests; none is skipped."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from platform_assets_tests.servers import bigquery, gcs, moto, pubsub

__all__ = ["bigquery_url", "gcs_url", "moto_url", "pubsub_address"]


@pytest.fixture(scope="session")
def moto_url() -> Iterator[str]:
    """S3, SQS, SNS, Secrets Manager; credentials for them are in the environment."""
    os.environ |= moto.CREDENTIALS
    with moto.serving() as url:
        yield url


@pytest.fixture(scope="session")
def gcs_url() -> Iterator[str]:
    """Google Cloud Storage's JSON API, partly a fake of ours."""
    with gcs.serving() as url:
        yield url


@pytest.fixture(scope="session")
def pubsub_address() -> Iterator[str]:
    """``host:port`` of Pub/Sub over gRPC."""
    with pubsub.serving() as address:
        yield address


@pytest.fixture(scope="session")
def bigquery_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """BigQuery's REST API; the project is ``servers.bigquery.PROJECT``."""
    with bigquery.serving(tmp_path_factory.mktemp("bigquery")) as url:
        yield url
