"""Which addresses may be called."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from platform_assets.engine.errors import ConfigError, RejectedError
from platform_assets.engine.ingestion.spec import ProviderSpec
from platform_assets.ports import Secret
from platform_assets.resources.http.guard import Allowance, check_url, forbidden, guarded_transport
from platform_assets.resources.http.live import LiveHttp, Settings

LOCAL = Allowance(loopback=True)


@pytest.mark.parametrize(
    ("url", "allowed", "reason"),
    [
        ("https://api.openai.com/v1", Allowance(), None),
        ("https://api.openai.com:8443/v1", Allowance(), None),
        ("http://api.openai.com/v1", Allowance(), "plain http"),
        ("http://api.openai.com/v1", LOCAL, "plain http"),
        ("http://127.0.0.1:8000/v1", LOCAL, None),
        ("http://[::1]:8000/v1", LOCAL, None),
        ("http://localhost:8000/v1", LOCAL, None),
        ("http://127.0.0.1:8000/v1", Allowance(), "loopback is not allowed"),
        ("https://localhost/v1", Allowance(), "loopback is not allowed"),
        ("https://10.0.0.8/v1", LOCAL, "private address"),
        ("https://10.0.0.8/v1", Allowance(private_hosts=frozenset({"10.0.0.8"})), None),
        (
            "https://169.254.169.254/latest",
            Allowance(private_hosts=frozenset({"169.254.169.254"})),
            "metadata",
        ),
        ("https://[fe80::1]/v1", LOCAL, "metadata"),
        ("https://[fd00::1]/v1", LOCAL, "private address"),
        ("https://[::ffff:10.0.0.8]/v1", LOCAL, "private address"),
        ("https://0.0.0.0/v1", LOCAL, "metadata"),
        ("ftp://api.openai.com", LOCAL, "not a plain http or https address"),
        ("https://user:pw@api.openai.com", LOCAL, "not a plain http or https address"),
        ("https://api.openai.com:port", LOCAL, "not a plain http or https address"),
        ("api.openai.com", LOCAL, "not a plain http or https address"),
    ],
)
def test_urls(url: str, allowed: Allowance, reason: str | None) -> None:
    if reason is None:
        check_url(url, allowed)
        return
    with pytest.raises(ConfigError, match=reason) as caught:
        check_url(url, allowed)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize(
    "address", ["192.168.1.1", "100.64.0.1", "172.16.0.1", "::1", "224.0.0.1", "::ffff:127.0.0.1"]
)
def test_addresses_that_no_name_may_lead_to(address: str) -> None:
    assert forbidden("host.example.com", ip_address(address), Allowance())
    assert forbidden("host.example.com", ip_address("8.8.8.8"), Allowance()) is None


def resolve_to(monkeypatch: pytest.MonkeyPatch, *addresses: str) -> None:
    real = socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **kwargs: Any) -> Any:
        if not host.endswith("example.com"):
            return real(host, port, *args, **kwargs)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in addresses]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)


@pytest.mark.parametrize(
    "addresses", [["10.1.2.3"], ["169.254.169.254"], ["127.0.0.1"], ["8.8.8.8", "10.1.2.3"]]
)
def test_a_name_that_leads_inside_is_not_connected_to(
    monkeypatch: pytest.MonkeyPatch, addresses: list[str]
) -> None:
    resolve_to(monkeypatch, *addresses)
    refusal = pytest.raises(RejectedError, match=r"sneaky.example.com is .*; not connected")
    with httpx.Client(transport=guarded_transport(Allowance(), 2)) as client, refusal:
        client.get("https://sneaky.example.com/v1")


def test_the_checked_address_is_the_one_connected_to(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    """Also: the guard is in force at all. httpx offers no public way to set it."""
    httpserver.expect_request("/").respond_with_data("inside")
    resolve_to(monkeypatch, "127.0.0.1")
    url = f"http://anything.example.com:{httpserver.port}/"
    with httpx.Client(transport=guarded_transport(LOCAL, 2)) as client:
        assert client.get(url).text == "inside"
    with httpx.Client(transport=guarded_transport(Allowance(), 2)) as client, pytest.raises(RejectedError):
        client.get(url)


def test_a_provider_with_a_forbidden_address_does_not_open() -> None:
    base = {
        "provider": "p",
        "display_name": "P",
        "base_url": "http://api.example.com",
        "auth": {"type": "bearer"},
    }
    with pytest.raises(ConfigError, match="plain http"):
        LiveHttp(Settings()).open(ProviderSpec.model_validate(base), Secret("x"))
    token = {"type": "oauth2_client_credentials", "token_url": "http://auth.example.com/t"}
    provider = ProviderSpec.model_validate(base | {"base_url": "https://api.example.com", "auth": token})
    with pytest.raises(ConfigError, match="plain http"):
        LiveHttp(Settings()).open(provider, Secret("a:b"))


def test_the_environments_proxies_are_not_used(
    monkeypatch: pytest.MonkeyPatch, httpserver: HTTPServer
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    httpserver.expect_request("/v1/x").respond_with_data("direct")
    from platform_assets.engine.ingestion.http import HttpRequest

    provider = ProviderSpec.model_validate(
        {
            "provider": "p",
            "display_name": "P",
            "base_url": httpserver.url_for("/v1"),
            "auth": {"type": "none"},
        }
    )
    http = LiveHttp(Settings(allow_loopback=True))
    assert http.open(provider, None).send(HttpRequest("GET", httpserver.url_for("/v1/x"))).body == b"direct"
    http.close()
