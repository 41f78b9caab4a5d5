"""Secrets are taken out of texts in every form in which they may stand there, and nothing else is."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest

from platform_assets.resources.redaction import redact, redact_bytes

SECRET = 'a"b/c+d&e<0123 é'
WRITTEN: dict[str, Callable[[str], str]] = {
    "plain": str,
    "python": repr,
    "json": json.dumps,
    "json, not ASCII": lambda s: json.dumps(s, ensure_ascii=False),
    "html": html.escape,
    "url": quote,
    "url, all of it": lambda s: quote(s, safe=""),
    "url, half of it": lambda s: quote(s, safe='"/<'),
    "form": quote_plus,
    "json, safe in HTML": lambda s: json.dumps(s).replace("&", "\\u0026").replace("<", "\\u003c"),
    "json, slashes as well": lambda s: json.dumps(s).replace("/", "\\/"),
    "html by number": lambda s: s.replace("&", "&#38;").replace('"', "&#x22;").replace("<", "&#60;"),
    "url in small letters": lambda s: re.sub("%..", lambda m: m[0].lower(), quote(s, safe="")),
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
def test_written_forms(write: Callable[[str], str]) -> None:
    text = f"key={write(SECRET)}; next"
    assert "***" in redact(text, [SECRET])
    assert "0123" not in redact(text, [SECRET]) and "next" in redact(text, [SECRET])
    assert b"0123" not in redact_bytes(text.encode(), [SECRET])


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
@pytest.mark.parametrize("before", [b"", b"u", b"u:", b"user:", b"\0robot\0"])
@pytest.mark.parametrize("after", [b"", b"!", b" and more"])
def test_base64_wherever_it_stands(encode: Callable[[bytes], bytes], before: bytes, after: bytes) -> None:
    """What is left decodes to no more than the two characters at its ends."""
    said = redact(encode(before + SECRET.encode() + after).decode(), [SECRET])
    head, mask, tail = said.partition("***")
    assert mask
    decoded = base64.b64decode(head + "A" * (-len(head) % 4), b"-_")
    assert SECRET.encode()[:3] not in decoded
    assert len(tail) <= len(base64.b64encode(after)) + 4


def test_the_longer_of_two_goes_first() -> None:
    assert redact("user:pass", ["pass", "user:pass"]) == "***"


def test_a_key_of_several_lines_is_known_by_each_of_them() -> None:
    lines = ["-----BEGIN PRIVATE KEY-----", "MIIEvQIBADANBgkqhkiG9w0BAQEF", "AASCBKcwggSjAgEAAoIBAQDx"]
    key = "\n".join(lines)
    for text in (key, json.dumps(key), " ".join(lines), lines[1]):
        assert lines[1] not in redact(text, [key])


@pytest.mark.parametrize("secret", ["", "ab", "abcde"])
def test_a_short_one_is_masked_only_as_it_is(secret: str) -> None:
    text = "nothing of it: YWJj YWJjZGU= zzz"
    assert redact(text, [secret]) == text
    assert redact_bytes(text.encode(), [secret]) == text.encode()


def test_other_texts_stay_as_they_are() -> None:
    text = "HTTP 401 from GET https://api.example.com/v1/rows: invalid key"
    assert redact(text, [SECRET, "s3cret-value"]) == text
