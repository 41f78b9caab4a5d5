"""Recordings: what goes in comes out, for the same credential, and nothing is made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from platform_assets.engine.errors import DataError, NotFoundError, RejectedError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.ports import Secret
from platform_assets.resources.http.recorded import RecordedHttp, RecordingHttp, RecordingSettings, Settings

PROVIDER = ProviderSpec.model_validate(
    {
        "provider": "example",
        "display_name": "E",
        "base_url": "https://api.example.com/v1",
        "auth": {"type": "bearer"},
    }
)
ITEMS = "https://api.example.com/v1/items"


def record(httpserver: HTTPServer, folder: Path, secret: str, *requests: HttpRequest) -> None:
    live = {"base_urls": {"example": httpserver.url_for("/v1")}, "allow_loopback": True}
    http = RecordingHttp(RecordingSettings.model_validate({"folder": folder, "live": live}))
    source = http.open(PROVIDER, Secret(secret))
    for request in requests:
        source.send(request)
    http.close()


def replay(folder: Path, secret: str, request: HttpRequest) -> bytes:
    return RecordedHttp(Settings(folder=folder)).open(PROVIDER, Secret(secret)).send(request).body


def test_pages_are_replayed_by_their_request(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/items", query_string="page=1").respond_with_data(
        b"\xff one", headers={"Link": "<x>; rel=next", "Set-Cookie": "a=b"}
    )
    httpserver.expect_request("/v1/items", query_string="page=2").respond_with_data("two")
    one, two = (HttpRequest("GET", ITEMS, (("page", str(n)),)) for n in (1, 2))
    record(httpserver, tmp_path, "s3cret-value", one, two)
    assert replay(tmp_path, "s3cret-value", two) == b"two"
    assert replay(tmp_path, "s3cret-value", HttpRequest("GET", f"{ITEMS}?page=1")) == b"\xff one"
    answer = RecordedHttp(Settings(folder=tmp_path)).open(PROVIDER, Secret("s3cret-value")).send(one)
    assert answer.headers["link"] == "<x>; rel=next"
    texts = "".join(p.read_text(errors="replace") + str(p) for p in sorted(tmp_path.rglob("*.*")))
    assert "s3cret" not in texts
    assert "a=b" not in texts


def test_what_was_not_recorded_is_not_empty(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/items").respond_with_data("one")
    record(httpserver, tmp_path, "a", HttpRequest("GET", ITEMS))
    for request in (
        HttpRequest("GET", ITEMS, (("page", "2"),)),
        HttpRequest("GET", f"{ITEMS}/x"),
        HttpRequest("POST", ITEMS),
        HttpRequest("GET", ITEMS, json={}),
    ):
        with pytest.raises(NotFoundError, match=r"not recorded in .*/v1/items"):
            replay(tmp_path, "a", request)


def test_one_tenants_recording_never_answers_another(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/items").respond_with_data("one")
    record(httpserver, tmp_path, "a", HttpRequest("GET", ITEMS))
    with pytest.raises(NotFoundError):
        replay(tmp_path, "b", HttpRequest("GET", ITEMS))


def test_errors_are_not_recorded(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/items").respond_with_data("no", status=400)
    with pytest.raises(RejectedError):
        record(httpserver, tmp_path, "a", HttpRequest("GET", ITEMS))
    assert list(tmp_path.rglob("*.json")) == []


def test_a_damaged_recording_is_named(httpserver: HTTPServer, tmp_path: Path) -> None:
    httpserver.expect_request("/v1/items").respond_with_data("one")
    record(httpserver, tmp_path, "a", HttpRequest("GET", ITEMS))
    next(tmp_path.rglob("*.json")).write_text("{")
    with pytest.raises(DataError, match="damaged"):
        replay(tmp_path, "a", HttpRequest("GET", ITEMS))
