"""Which addresses a credential may be sent to. Checked on the address that is really connected to.

Owns the rules of the way out: https, or http to loopback where the deployment allows it; no private, link-local or
metadata address unless the deployment names the host. Resolving and connecting are one step, so a name that changes
its address in between gains nothing.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

from platform_assets.engine.errors import ConfigError, RejectedError

if TYPE_CHECKING:
    import httpcore
    import httpx

Address = IPv4Address | IPv6Address


@dataclass(frozen=True)
class Allowance:
    """What the deployment permits beyond public https: loopback, and private hosts by exact name."""

    loopback: bool = False
    private_hosts: frozenset[str] = frozenset()


def origin(url: str) -> tuple[str, str, int]:
    """(scheme, host, port) with default ports filled in. ConfigError for anything but a plain http(s) URL."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = -1
    if (
        parts.scheme not in {"http", "https"}
        or not parts.hostname
        or parts.username is not None
        or port == -1
    ):
        raise ConfigError(f"{shown(url)} is not a plain http or https address")
    return parts.scheme, parts.hostname.lower(), port or {"http": 80, "https": 443}[parts.scheme]


def check_url(url: str, allowed: Allowance) -> None:
    """ConfigError where the URL may never be called; an address behind a name is checked on connecting."""
    scheme, host, _ = origin(url)
    address = _literal(host)
    local = host == "localhost" or (address is not None and address.is_loopback)
    if scheme == "http" and not local:
        raise ConfigError(f"{shown(url)}: plain http would show the credential; use https")
    if local and not allowed.loopback:
        raise ConfigError(f"{shown(url)}: loopback is not allowed in this deployment (allow_loopback)")
    if address is not None and (reason := forbidden(host, address, allowed)):
        raise ConfigError(f"{shown(url)}: {reason}")


def forbidden(host: str, address: Address, allowed: Allowance) -> str | None:
    """Why an address may not be connected to, or None."""
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_loopback:
        return None if allowed.loopback else "a loopback address"
    if address.is_link_local or address.is_multicast or address.is_unspecified:
        return "a link-local, metadata or multicast address"
    if not address.is_global and host not in allowed.private_hosts:
        return "a private address (name the host in private_hosts if that is meant)"
    return None


def shown(url: str) -> str:
    """A URL for people: without user, query and fragment, where credentials hide."""
    parts: SplitResult = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def guarded_transport(allowed: Allowance, connections: int) -> httpx.HTTPTransport:
    """httpx's transport, connecting only where ``allowed`` permits."""
    import httpcore
    import httpx

    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
    transport = httpx.HTTPTransport(limits=limits)
    # httpx has no public way to hand a network backend to its pool; httpcore's own argument is public.
    transport._pool._network_backend = _backend(httpcore, allowed)
    return transport


def _backend(httpcore: Any, allowed: Allowance) -> httpcore.NetworkBackend:
    class GuardedBackend(httpcore.SyncBackend):  # type: ignore[misc]
        """Connects to the first permitted address of a name, and to no other."""

        def connect_tcp(
            self,
            host: str,
            port: int,
            timeout: float | None = None,
            local_address: str | None = None,
            socket_options: Iterable[Any] | None = None,
        ) -> Any:
            addresses = _resolve(host, port, httpcore)
            refusals = [forbidden(host.lower(), a, allowed) for a in addresses]
            if any(refusals):
                raise RejectedError(f"{host} is {next(r for r in refusals if r)}; not connected")
            last: Exception | None = None
            for address in addresses:
                try:
                    return super().connect_tcp(str(address), port, timeout, local_address, socket_options)
                except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                    last = error
            raise last or httpcore.ConnectError(f"{host} has no address")

    return GuardedBackend()


def _resolve(host: str, port: int, httpcore: Any) -> list[Address]:
    address = _literal(host)
    if address is not None:
        return [address]
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpcore.ConnectError(f"cannot resolve {host}: {error.strerror}") from None
    return list(dict.fromkeys(ip_address(str(entry[4][0]).partition("%")[0]) for entry in found))


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None
