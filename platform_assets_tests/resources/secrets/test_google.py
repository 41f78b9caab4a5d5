"""Google Secret Manager over drongo's REST server; faults over a plain HTTP server that answers as Google does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager_v1 import SecretManagerServiceClient
from pytest_httpserver import HTTPServer

from platform_assets.engine.errors import (
    AuthError,
    DataError,
    NotFoundError,
    RejectedError,
    RetryableError,
)
from platform_assets.resources.secrets.google import GoogleSecretStore, GoogleSecretStoreSettings
from platform_assets_tests.servers.drongo import http_serving

VALUE = "value-under-test"
ACCESS = "/v1/projects/p/secrets/acme_openai/versions/latest:access"


class Clock:
    def __init__(self) -> None:
        self.time, self.slept = 0.0, []

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with http_serving() as served:
        yield served


@pytest.fixture(scope="module")
def admin(url: str) -> Any:
    return SecretManagerServiceClient(
        transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": url}
    )


def put(admin: Any, key: str, *payloads: bytes) -> None:
    secret = admin.create_secret(
        parent="projects/p", secret_id=key, secret={"replication": {"automatic": {}}}
    )
    for payload in payloads:
        admin.add_secret_version(parent=secret.name, payload={"data": payload})


def store(url: str, clock: Clock | None = None, **settings: Any) -> GoogleSecretStore:
    clock = clock or Clock()
    given = {"project_id": "p", "endpoint": url, "timeout_seconds": 2.0} | settings
    return GoogleSecretStore(GoogleSecretStoreSettings(**given), clock=clock.now, sleep=clock.sleep)


def test_the_newest_version_of_the_tenants_secret_is_read(url: str, admin: Any) -> None:
    put(admin, "acme1281_openai", b"old", VALUE.encode() + b"\n")
    assert store(url).get("acme1281", "openai").reveal() == VALUE


def test_another_pattern(url: str, admin: Any) -> None:
    put(admin, "platform-acme1281--slack", VALUE.encode())
    found = store(url, pattern="platform-{tenant}--{name}").get("acme1281", "slack")
    assert found.reveal() == VALUE


def test_a_secret_never_shows_itself(url: str, admin: Any) -> None:
    put(admin, "acme1281_shy", VALUE.encode())
    keeper = store(url)
    secret = keeper.get("acme1281", "shy")
    assert VALUE not in f"{secret} {secret!r} {[secret]} {keeper!r} {vars(keeper)}"


def test_a_missing_secret_names_tenant_name_and_project(url: str) -> None:
    with pytest.raises(NotFoundError, match=r"'nope' of tenant acme1281 \(acme1281_nope in .* of p\)"):
        store(url).get("acme1281", "nope")


def test_a_disabled_version_is_rejected(url: str, admin: Any) -> None:
    put(admin, "acme1281_off", VALUE.encode())
    admin.disable_secret_version(name="projects/p/secrets/acme1281_off/versions/1")
    with pytest.raises(RejectedError, match="acme1281_off"):
        store(url).get("acme1281", "off")


def test_bytes_are_refused_without_showing_them(url: str, admin: Any) -> None:
    put(admin, "acme1281_bytes", b"\xff\xfe" + VALUE.encode())
    with pytest.raises(DataError, match="not UTF-8") as raised:
        store(url).get("acme1281", "bytes")
    assert raised.value.__cause__ is None and VALUE not in str(raised.getrepr())


def test_an_empty_secret_is_an_error(url: str, admin: Any) -> None:
    put(admin, "acme1281_empty", b"\n")
    with pytest.raises(DataError, match="is empty"):
        store(url).get("acme1281", "empty")


def test_a_rotated_secret_is_noticed_when_the_time_is_over(url: str, admin: Any) -> None:
    put(admin, "acme1281_turning", b"first")
    clock = Clock()
    keeper = store(url, clock, cache_seconds=60)
    seen = [keeper.get("acme1281", "turning").reveal()]
    admin.add_secret_version(parent="projects/p/secrets/acme1281_turning", payload={"data": b"second"})
    for clock.time in (59.9, 60.0):
        seen.append(keeper.get("acme1281", "turning").reveal())
    assert seen == ["first", "first", "second"]


@pytest.mark.parametrize(
    ("tenant", "name"),
    [
        ("acme1281", "../other"),
        ("acme1281", ""),
        ("acme1281", "a/b"),
        ("ACME", "x"),
        ("a-b", "x"),
        ("..", "x"),
    ],
)
def test_names_that_reach_elsewhere_are_refused_before_any_call(tenant: str, name: str) -> None:
    with pytest.raises(RejectedError):
        store("http://127.0.0.1:1").get(tenant, name)


@pytest.mark.parametrize(
    "pattern", ["{name}", "{tenant}", "shared", "{tenant}{tenant}_{name}", "{tenant}_{name} "]
)
def test_a_pattern_without_both_parts_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match="must hold"):
        GoogleSecretStoreSettings(project_id="p", pattern=pattern)


@pytest.mark.parametrize(
    ("status", "kind", "waits"),
    [
        (503, RetryableError, [1.0, 2.0]),
        (500, RetryableError, [1.0, 2.0]),
        (429, RetryableError, [1.0, 2.0]),
        (401, AuthError, []),
        (403, AuthError, []),
        (400, RejectedError, []),
    ],
)
def test_answers_that_are_errors(
    httpserver: HTTPServer, status: int, kind: type[Exception], waits: list[float]
) -> None:
    httpserver.expect_request(ACCESS).respond_with_json(
        {"error": {"code": status, "message": "said no"}}, status=status
    )
    clock = Clock()
    with pytest.raises(kind, match="acme_openai"):
        store(httpserver.url_for(""), clock, max_attempts=3).get("acme", "openai")
    assert clock.slept == waits


def test_a_passing_failure_is_repeated(httpserver: HTTPServer) -> None:
    httpserver.expect_ordered_request(ACCESS).respond_with_json({"error": {"code": 503}}, status=503)
    httpserver.expect_ordered_request(ACCESS).respond_with_json({"payload": {"data": "aGk="}})
    assert store(httpserver.url_for("")).get("acme", "openai").reveal() == "hi"


def test_an_unreachable_store_is_retryable() -> None:
    with pytest.raises(RetryableError, match="acme_openai") as raised:
        store("http://127.0.0.1:1", max_attempts=1).get("acme", "openai")
    assert not raised.value.effect_unknown


def test_a_silent_store_times_out(httpserver: HTTPServer) -> None:
    import time

    from werkzeug import Response

    def slowly(_: Any) -> Response:
        time.sleep(0.5)
        return Response("{}")

    httpserver.expect_request(ACCESS).respond_with_handler(slowly)
    with pytest.raises(RetryableError):
        store(httpserver.url_for(""), timeout_seconds=0.1, max_attempts=1).get("acme", "openai")


def test_missing_credentials_say_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent/key.json")
    with pytest.raises(AuthError, match="set GOOGLE_APPLICATION_CREDENTIALS"):
        GoogleSecretStore(GoogleSecretStoreSettings(project_id="p")).get("acme", "openai")
