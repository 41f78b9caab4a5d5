"""What every secret store does: a tenant's own secret, under its name, never shown."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_assets.engine.errors import DataError, NotFoundError, RejectedError
from platform_assets.ports import SecretStore
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.bindings import ADAPTERS, create
from platform_assets_tests.servers.drongo import http_serving

VALUE = "value-under-test"


@dataclass(frozen=True)
class Rig:
    """A store, and how somebody fills it."""

    store: SecretStore
    put: Callable[[str, str, bytes], None]


def _environment(request: pytest.FixtureRequest, folder: Path) -> Rig:
    def put(tenant: str, name: str, value: bytes) -> None:
        file = folder / tenant / name
        file.parent.mkdir(exist_ok=True)
        file.write_bytes(value)

    return Rig(create("secrets", "environment", {"folder": str(folder)}, environment={}), put)


def _google(request: pytest.FixtureRequest, folder: Path) -> Rig:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud.secretmanager_v1 import SecretManagerServiceClient

    url = request.getfixturevalue("drongo_url")
    admin = SecretManagerServiceClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )

    def put(tenant: str, name: str, value: bytes) -> None:
        parent = f"projects/{folder.name}"
        path = f"{parent}/secrets/{tenant}--{name}"
        if path not in [secret.name for secret in admin.list_secrets(parent=parent)]:
            replication: dict[str, Any] = {"replication": {"automatic": {}}}
            admin.create_secret(parent=parent, secret_id=f"{tenant}--{name}", secret=replication)
        admin.add_secret_version(parent=path, payload={"data": value})

    settings = {"project_id": folder.name, "endpoint": url, "pattern": "{tenant}--{name}", "cache_seconds": 0}
    return Rig(create("secrets", "google", settings), put)


def _aws(request: pytest.FixtureRequest, folder: Path) -> Rig:
    url = request.getfixturevalue("moto_url")
    admin = connect("secretsmanager", AwsSettings(endpoint_url=url))

    def put(tenant: str, name: str, value: bytes) -> None:
        key = f"{folder.name}/{tenant}/{name}"
        if key in [s["Name"] for s in admin.list_secrets()["SecretList"]]:
            admin.put_secret_value(SecretId=key, SecretBinary=value)
        else:
            admin.create_secret(Name=key, SecretBinary=value)

    settings = {"endpoint_url": url, "pattern": f"{folder.name}/{{tenant}}/{{name}}", "cache_seconds": 0}
    return Rig(create("secrets", "aws", settings), put)


RIGS: Mapping[str, Callable[[pytest.FixtureRequest, Path], Rig]] = {
    "aws": _aws,
    "environment": _environment,
    "google": _google,
}


@pytest.fixture(scope="module")
def drongo_url() -> Iterator[str]:
    with http_serving() as url:
        yield url


@pytest.fixture(params=sorted(ADAPTERS["secrets"]))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> Rig:
    return RIGS[request.param](request, tmp_path)


def test_a_tenant_gets_its_own_secret(rig: Rig) -> None:
    rig.put("acme1281", "openai", VALUE.encode())
    rig.put("globex", "openai", b"another")
    assert [rig.store.get(tenant, "openai").reveal() for tenant in ("acme1281", "globex")] == [
        VALUE,
        "another",
    ]


def test_the_line_end_of_an_editor_is_not_part_of_it(rig: Rig) -> None:
    rig.put("acme1281", "openai", f"{VALUE}\r\n".encode())
    assert rig.store.get("acme1281", "openai").reveal() == VALUE


def test_a_rotated_secret_is_read_anew(rig: Rig) -> None:
    rig.put("acme1281", "openai", b"old")
    assert rig.store.get("acme1281", "openai").reveal() == "old"
    rig.put("acme1281", "openai", b"new")
    assert rig.store.get("acme1281", "openai").reveal() == "new"


def test_a_missing_secret_names_tenant_and_name_only(rig: Rig) -> None:
    rig.put("acme1281", "other", VALUE.encode())
    with pytest.raises(NotFoundError) as raised:
        rig.store.get("acme1281", "openai")
    assert "acme1281" in str(raised.value) and "openai" in str(raised.value)
    assert VALUE not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("acme1281", "../globex/openai"),
        ("acme1281", "a/b"),
        ("acme1281", ""),
        ("..", "openai"),
        ("ACME", "x"),
    ],
)
def test_no_name_reaches_elsewhere(rig: Rig, tenant: str, name: str) -> None:
    rig.put("globex", "openai", VALUE.encode())
    with pytest.raises(RejectedError):
        rig.store.get(tenant, name)


@pytest.mark.parametrize("value", [b"\xff\xfe" + VALUE.encode(), b"\n"], ids=["bytes", "empty"])
def test_what_cannot_be_a_secret_is_a_data_error_that_does_not_show_it(rig: Rig, value: bytes) -> None:
    rig.put("acme1281", "openai", value)
    with pytest.raises(DataError) as raised:
        rig.store.get("acme1281", "openai")
    assert VALUE not in "".join(traceback.format_exception(raised.value))


def test_neither_the_secret_nor_the_store_shows_it(rig: Rig) -> None:
    rig.put("acme1281", "openai", VALUE.encode())
    secret = rig.store.get("acme1281", "openai")
    assert VALUE not in f"{secret} {secret!r} {[secret]} {rig.store!r} {vars(rig.store)}"
