"""What every way to a provider's API does: over the network, recording, and from a recording."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from platform_assets.demo.provider_api import ProviderApi, day_bounds, serve
from platform_assets.engine.errors import PlatformError
from platform_assets.engine.ingestion.http import HttpRequest, HttpResponse
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.ports import HttpSources, Secret
from platform_assets.resources.bindings import ADAPTERS
from platform_assets.resources.http.live import LiveHttp
from platform_assets.resources.http.live import Settings as LiveSettings
from platform_assets.resources.http.recorded import RecordedHttp, RecordingHttp, RecordingSettings, Settings
from platform_assets_tests.resources.http.conftest import START

PROVIDER = ProviderSpec.model_validate(
    {
        "provider": "openai",
        "display_name": "O",
        "base_url": "https://api.openai.com/v1",
        "auth": {"type": "bearer"},
    }
)
COSTS = "https://api.openai.com/v1/organization/costs"
FIRST, LAST = day_bounds(START.date())
PARAMS = (
    ("start_time", str(FIRST)),
    ("end_time", str(LAST)),
    ("group_by[]", "project_id"),
    ("group_by[]", "line_item"),
)

Open = Callable[[ProviderApi, Path], HttpSources]


def _live(api: ProviderApi, folder: Path) -> HttpSources:
    return LiveHttp(LiveSettings(base_urls={"openai": api.url}, allow_loopback=True))


def _recording(api: ProviderApi, folder: Path) -> HttpSources:
    live = LiveSettings(base_urls={"openai": api.url}, allow_loopback=True)
    return RecordingHttp(RecordingSettings(folder=folder, live=live))


def _recorded(api: ProviderApi, folder: Path) -> HttpSources:
    """Records what the tests ask for, then forgets the network."""
    http = _recording(api, folder)
    for tenant in ("acme1281", "globex"):
        source = http.open(PROVIDER, Secret(f"demo-{tenant}"))
        for number in range(2):
            source.send(HttpRequest("GET", COSTS, (*PARAMS, *_page(api, number))))
    _close(http)
    return RecordedHttp(Settings(folder=folder))


HTTP_SOURCES: dict[str, Open] = {"live": _live, "recording": _recording, "recorded": _recorded}


def _page(api: ProviderApi, number: int) -> tuple[tuple[str, str], ...]:
    return (("page", "page_MDoyMA=="),) if number else ()  # bucket 0, from result 20 on


def _close(http: HttpSources) -> None:
    close: Callable[[], None] = getattr(http, "close", lambda: None)
    close()


@pytest.fixture
def api() -> Iterator[ProviderApi]:
    with serve() as server:
        yield server


@pytest.fixture(params=sorted(HTTP_SOURCES))
def http(request: pytest.FixtureRequest, api: ProviderApi, tmp_path: Path) -> Iterator[HttpSources]:
    sources = HTTP_SOURCES[request.param](api, tmp_path)
    yield sources
    _close(sources)


def send(http: HttpSources, *more: tuple[str, str], tenant: str = "acme1281") -> HttpResponse:
    return http.open(PROVIDER, Secret(f"demo-{tenant}")).send(HttpRequest("GET", COSTS, (*PARAMS, *more)))


def test_every_bound_adapter_has_its_contract_tests() -> None:
    assert set(HTTP_SOURCES) == set(ADAPTERS["http"])


def test_an_answer_is_whole(http: HttpSources, api: ProviderApi) -> None:
    answer = send(http)
    assert answer.status == 200
    assert answer.body == api.answer(f"/v1/organization/costs?{query()}", "Bearer demo-acme1281")[2]
    assert answer.headers["content-type"] == "application/json"
    assert all(name == name.lower() for name in answer.headers)
    assert answer.url.endswith("/organization/costs")


def query() -> str:
    return "&".join(f"{name}={value}" for name, value in PARAMS)


def test_requests_are_told_apart_by_their_parameters(http: HttpSources, api: ProviderApi) -> None:
    first, second = send(http), send(http, *_page(api, 1))
    assert first.body != second.body
    assert send(http).body == first.body


def test_a_credential_sees_its_own_answers_only(http: HttpSources) -> None:
    ours, theirs = send(http), send(http, tenant="globex")
    assert b"proj_acme1281" in ours.body
    assert b"proj_globex" in theirs.body
    assert b"proj_acme1281" not in theirs.body


@pytest.mark.parametrize(
    "request_",
    [HttpRequest("GET", f"{COSTS}/x"), HttpRequest("GET", COSTS, (("limit", "x"),))],
    ids=["path", "query"],
)
def test_no_proper_answer_is_an_error_without_the_secret(http: HttpSources, request_: HttpRequest) -> None:
    source = http.open(PROVIDER, Secret("demo-acme1281"))
    with pytest.raises(PlatformError) as caught:
        source.send(request_)
    assert "demo-acme1281" not in f"{caught.value!r} {source!r} {http!r}"
