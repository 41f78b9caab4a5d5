"""Other people's buckets: S3 (moto) with a tenant's own keys or role, and folders."""

import boto3
import pytest

from platform_assets.engine.errors import AuthError, ConfigError
from platform_assets.ports import Secret
from platform_assets.resources.source_stores.local import LocalSourceStores, LocalSourceStoresSettings
from platform_assets.resources.source_stores.s3 import S3SourceStores, S3SourceStoresSettings

ROLE = "arn:aws:iam::123456789012:role/exports-reader"


@pytest.fixture
def stores(moto_url):
    s3 = boto3.client("s3", region_name="us-east-1", endpoint_url=moto_url)
    s3.create_bucket(Bucket="exports-of-somebody")
    s3.put_object(Bucket="exports-of-somebody", Key="a/b.json", Body=b"{}")
    return S3SourceStores(S3SourceStoresSettings(endpoint_url=moto_url))


@pytest.mark.parametrize(
    ("parameters", "secret"),
    [
        ({}, None),
        ({}, Secret("testing:testing")),
        ({"role_arn": ROLE, "external_id": "acme"}, None),
        ({"region": "eu-west-1"}, Secret("testing:testing")),
    ],
)
def test_objects_are_read_with_the_credentials_own_rights(stores, parameters, secret):
    store = stores.open("exports-of-somebody", parameters, secret)
    assert store.get("a/b.json") == b"{}"
    assert [info.key for info in store.list("a/")] == ["a/b.json"]


@pytest.mark.parametrize("text", ["only-one-part", ":", "id:", ":key"])
def test_a_secret_of_another_form_is_refused_without_showing_it(stores, text):
    with pytest.raises(AuthError) as raised:
        stores.open("exports-of-somebody", {}, Secret(text))
    assert str(raised.value) == "the secret must be access_key_id:secret_access_key"


def test_buckets_as_folders(tmp_path):
    stores = LocalSourceStores(LocalSourceStoresSettings(root=str(tmp_path)))
    (tmp_path / "some-bucket").mkdir()
    (tmp_path / "some-bucket" / "x.csv").write_bytes(b"a")
    assert stores.open("some-bucket", {}, None).get("x.csv") == b"a"
    for name in ("..", "a/b", "", "../other"):
        with pytest.raises(ConfigError):
            stores.open(name, {}, None)
