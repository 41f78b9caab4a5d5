"""AWS Secrets Manager over moto's server; faults over a plain HTTP server that answers as AWS does."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.engine.errors import AuthError, DataError, NotFoundError, RejectedError, RetryableError
from platform_assets.resources.secrets.aws import AwsSecretStore, AwsSecretStoreSettings

VALUE = "value-under-test"


@pytest.fixture
def url(moto_url: str) -> str:
    return moto_url


@pytest.fixture
def admin(url: str) -> Any:
    return boto3.client("secretsmanager", region_name="us-east-1", endpoint_url=url)


def store(url: str, **settings: Any) -> AwsSecretStore:
    given = {"endpoint_url": url, "read_timeout_seconds": 2.0, "max_attempts": 1} | settings
    return AwsSecretStore(AwsSecretStoreSettings(**given))


def test_text_and_binary_secrets(url: str, admin: Any) -> None:
    admin.create_secret(Name="acme1281_text", SecretString=VALUE)
    admin.create_secret(Name="acme1281_binary", SecretBinary=f"{VALUE}\n".encode())
    keeper = store(url)
    assert [keeper.get("acme1281", name).reveal() for name in ("text", "binary")] == [VALUE, VALUE]


def test_a_path_pattern(url: str, admin: Any) -> None:
    admin.create_secret(Name="platform/acme1281/openai", SecretString=VALUE)
    assert store(url, pattern="platform/{tenant}/{name}").get("acme1281", "openai").reveal() == VALUE


def test_a_secret_never_shows_itself(url: str, admin: Any) -> None:
    admin.create_secret(Name="acme1281_shy", SecretString=VALUE)
    keeper = store(url)
    secret = keeper.get("acme1281", "shy")
    assert VALUE not in f"{secret} {secret!r} {[secret]} {keeper!r} {vars(keeper)}"


def test_a_missing_secret_names_tenant_name_and_region(url: str) -> None:
    with pytest.raises(
        NotFoundError, match=r"'nope' of tenant acme1281 \(acme1281_nope in .* of us-east-1\)"
    ):
        store(url).get("acme1281", "nope")


def test_a_rotated_secret_is_noticed_when_the_time_is_over(url: str, admin: Any) -> None:
    admin.create_secret(Name="acme1281_turning", SecretString="first")
    now = [0.0]
    settings = AwsSecretStoreSettings(endpoint_url=url, cache_seconds=60)
    keeper = AwsSecretStore(settings, clock=lambda: now[0])
    seen = [keeper.get("acme1281", "turning").reveal()]
    admin.put_secret_value(SecretId="acme1281_turning", SecretString="second")
    for now[0] in (59.9, 60.0):
        seen.append(keeper.get("acme1281", "turning").reveal())
    assert seen == ["first", "first", "second"]


def test_bytes_are_refused_without_showing_them(url: str, admin: Any) -> None:
    admin.create_secret(Name="acme1281_bytes", SecretBinary=b"\xff\xfe" + VALUE.encode())
    with pytest.raises(DataError, match="not UTF-8") as raised:
        store(url).get("acme1281", "bytes")
    assert raised.value.__cause__ is None and VALUE not in str(raised.getrepr())


def test_names_that_reach_elsewhere_are_refused_before_any_call() -> None:
    with pytest.raises(RejectedError, match=r"tenant acme1281: '\.\./other'"):
        store("http://127.0.0.1:1").get("acme1281", "../other")


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "ThrottlingException", RetryableError),
        (503, "ServiceUnavailable", RetryableError),
        (400, "ExpiredTokenException", AuthError),
        (400, "UnrecognizedClientException", AuthError),
        (400, "AccessDeniedException", AuthError),
    ],
)
@pytest.mark.usefixtures("moto_url")
def test_answers_that_are_errors(
    httpserver: HTTPServer, status: int, code: str, kind: type[Exception]
) -> None:
    httpserver.expect_request("/").respond_with_json({"__type": code, "message": "said no"}, status=status)
    with pytest.raises(kind, match=f"acme_openai.*{code}: said no"):
        store(httpserver.url_for("")).get("acme", "openai")


def test_no_credentials_says_what_to_set(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(AuthError, match="AWS_ACCESS_KEY_ID"):
        store(url, read_timeout_seconds=59.0).get("acme", "openai")  # no client kept from other tests


@pytest.mark.usefixtures("moto_url")
def test_an_unreachable_store_is_retryable() -> None:
    with pytest.raises(RetryableError, match="acme_openai") as raised:
        store("http://127.0.0.1:1").get("acme", "openai")
    assert not raised.value.effect_unknown
