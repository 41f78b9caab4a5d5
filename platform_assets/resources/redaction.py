"""Texts without the secrets in them: for whatever a server or a library says about a request that carried some.

Both quote what they were given, in the form in which they had it: as it is, encoded for a URL, for JSON, for HTML or in
base64, alone or with a name before it. Adapters redact where they translate an error, before they cut or fold its text.
"""

from __future__ import annotations

import base64
import html
import json
import re
import string
from collections.abc import Iterable, Iterator

MASK = "***"
_SHORTEST_ENCODED = 6  # what base64 leaves of a shorter one could be part of anything
_SHORTEST_LINE = 20  # of a key that takes several
_NEVER_ENCODED = frozenset(string.ascii_letters + string.digits + "-._~")  # RFC 3986, 2.3


def redact(text: str, secrets: Iterable[str]) -> str:
    """``text`` with ``***`` for each secret, in whichever form it stands there."""
    for secret in _longest_first(part for one in secrets for part in _parts(one)):
        text = re.sub(_written(secret), MASK, text)
        for core in _base64(secret):
            text = text.replace(core, MASK)
    return text


def redact_bytes(data: bytes, secrets: Iterable[str]) -> bytes:
    """As ``redact``, for documents of any size: not in base64, and only whole."""
    for secret in _longest_first(secrets):
        data = re.sub(_written(secret).encode(), MASK.encode(), data)
    return data


def _longest_first(secrets: Iterable[str]) -> list[str]:
    return sorted({secret for secret in secrets if secret}, key=lambda secret: (-len(secret), secret))


def _parts(secret: str) -> list[str]:
    return [secret, *(line for line in secret.splitlines() if len(line) >= _SHORTEST_LINE)]


def _written(secret: str) -> str:
    """A pattern for the secret, each character of it as it is or encoded: some servers decode half of a URL."""
    return "".join(map(_character, secret))


def _character(one: str) -> str:
    if one in _NEVER_ENCODED:
        return re.escape(one)
    percent = "".join(f"%{byte:02X}" for byte in one.encode())
    escaped = (f"\\u{ord(one):04x}", json.dumps(one)[1:-1], f"\\{one}")
    entities = (html.escape(one), f"&#{ord(one)};", f"&#x{ord(one):x};")
    ways = {one, percent, percent.lower(), *escaped, *entities, *("+" if one == " " else "")}
    return f"(?:{'|'.join(map(re.escape, _longest_first(ways)))})"


def _base64(secret: str) -> Iterator[str]:
    """The characters that the secret alone decides, for each of the three ways in which it may stand in other data."""
    data = secret.encode()
    if len(data) < _SHORTEST_ENCODED:
        return
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + data).decode()
        core = encoded[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
        yield core
        yield core.translate(str.maketrans("+/", "-_"))
