"""What must not stand in reviewed files: secrets in plain text, and URLs that lead where no source lives.

A secret is found by what it looks like, or by the name of the key that holds it. ``${VAR}`` is no secret.
Refused URLs: plain http except to the own machine, user names in the URL, link-local and metadata addresses.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from functools import cache
from typing import Any
from urllib.parse import SplitResult, urlsplit

from platform_assets.config.document import Document, Location
from platform_assets.engine.errors import Problem

_SECRET_KEYS = re.compile(
    r"(?i)(.*[_-])?(password|passwd|passphrase|token|api[_-]?key|apikey|access[_-]?key|secret[_-]?key"
    r"|client[_-]?secret|private[_-]?key|authorization|credentials?[_-]?json|(webhook|service)[_-]?url)"
)
_NOT_SECRET_KEYS = frozenset({"page_token", "next_page_token", "pagetoken", "continuation_token"})
_SECRET_VALUES = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a private key"),
    (re.compile(r"\b(sk|rk|pk)[-_][A-Za-z0-9_-]{20,}"), "an API key"),
    (re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b"), "an AWS access key"),
    (re.compile(r"\bAIza[A-Za-z0-9_-]{35}"), "a Google API key"),
    (re.compile(r"\bgh[pousr]_[A-Za-z0-9]{30,}"), "a GitHub token"),
    (re.compile(r"\bxox[abposr]-[A-Za-z0-9-]{10,}"), "a Slack token"),
    (re.compile(r"hooks\.slack\.com/services/"), "a Slack webhook"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\."), "a signed token"),
    (re.compile(r"(?i)\b(bearer|basic)\s+[A-Za-z0-9+/=_.-]{16,}"), "an Authorization header"),
)
_NO_URL = "is not a URL; write https://host/path"
_SHORTEST_SECRET = 14  # no pattern above matches less
_DYNAMIC = re.compile(r"\$\{[^}]*\}|\{\{.*?\}\}")
_METADATA_HOSTS = frozenset({"metadata", "metadata.google.internal", "instance-data"})
_LOOPBACK_NAMES = frozenset({"localhost"})


def find_unsafe(document: Document) -> Iterator[Problem]:
    """A problem for every text in the document that is, or is called, a secret, and for every unsafe URL."""
    for at, text in texts(document.value):
        what = _secret(str(at[-1]) if at else "", text)
        if what:
            yield document.problem(at, f"holds {what} in plain text; keep it in the secret store and name it")
    yield from find_unsafe_urls(document)


def _secret(key: str, text: str) -> str | None:
    """What kind of secret a text is, by its look or by the key that holds it."""
    if len(text) >= _SHORTEST_SECRET:
        for pattern, name in _SECRET_VALUES:
            if pattern.search(text):
                return name
    return f"a value for {key}" if _names_a_secret(key) and _DYNAMIC.sub("", text).strip() else None


@cache
def _names_a_secret(key: str) -> bool:
    return _SECRET_KEYS.fullmatch(key) is not None and key.lower() not in _NOT_SECRET_KEYS


def texts(value: Any, at: Location = ()) -> Iterator[tuple[Location, str]]:
    """Every text of a document, keys excluded, with its place."""
    if isinstance(value, str):
        yield at, value
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from texts(item, (*at, key))


def find_unsafe_urls(document: Document) -> Iterator[Problem]:
    """A problem for every text in the document that is a URL with something wrong."""
    for at, text in texts(document.value):
        if text[:5].lower() in ("http:", "https"):
            reason = unsafe_url(text)
            if reason:
                yield document.problem(at, reason)


def unsafe_url(text: str) -> str | None:
    """Why a URL must not be called, or None. Never quotes it: it may come from the environment and be a secret itself,
    as a webhook's is."""
    try:
        url = urlsplit(text)
        host, _ = (url.hostname or "").rstrip("."), url.port
    except ValueError:
        return _NO_URL
    if url.scheme not in ("http", "https") or not host or re.search(r"[\s\\]", text):
        return _NO_URL
    if url.username is not None or url.password is not None:
        return "a URL must not hold a user name or password"
    return _unsafe_host(url, host)


def _unsafe_host(url: SplitResult, host: str) -> str | None:
    address = _address(host)
    if host in _METADATA_HOSTS or (address and _is_internal(address)):
        return f"{host} is a link-local or metadata address, never a data source"
    own_machine = host in _LOOPBACK_NAMES or (address is not None and address.is_loopback)
    if url.scheme == "http" and not own_machine:
        return f"http sends data and credentials in plain text; use https://{host}"
    return None


def _is_internal(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    mapped = getattr(address, "ipv4_mapped", None) or address
    metadata = ipaddress.ip_address("fd00:ec2::254")
    return mapped.is_link_local or mapped.is_unspecified or mapped.is_multicast or address == metadata


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """An IP address in any form a resolver takes: dotted, one number, hexadecimal or octal parts."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    parts = host.split(".")
    if len(parts) > 4 or not all(re.fullmatch(r"0[xX][0-9a-fA-F]+|[0-9]+", p) for p in parts):
        return None
    return _old_style(
        [int(p, 16) if p[:2] in ("0x", "0X") else int(p, 8) if _octal(p) else int(p) for p in parts]
    )


def _octal(part: str) -> bool:
    return len(part) > 1 and part[0] == "0" and set(part) <= set("01234567")


def _old_style(numbers: list[int]) -> ipaddress.IPv4Address | None:
    """inet_aton: the last number fills all the bytes that are left."""
    *head, last = numbers
    value = sum(n << (24 - 8 * i) for i, n in enumerate(head)) + last
    return ipaddress.IPv4Address(value) if value < 2**32 else None
