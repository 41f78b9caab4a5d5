"""Which object keys every store accepts, so that moving a deployment from folder to bucket never surprises.

Refuses what a file system cannot hold or could read as another place: empty parts, ``.`` and ``..``, control
characters, over-long parts. Spaces, ``%``, ``?``, ``*``, quotes and any other Unicode text are fine.
"""

from __future__ import annotations

from platform_assets.engine.errors import DataError

MAX_KEY_BYTES = 1000  # S3 and GCS allow 1024; the rest is room for a deployment's own prefix
MAX_PART_BYTES = 240  # Linux file names hold 255


def check_key(key: str) -> str:
    """The key itself. DataError says what is wrong with it."""
    if reason := _key_fault(key):
        raise DataError(f"object key {key[:200]!r} {reason}")
    return key


def check_prefix(prefix: str) -> str:
    """A prefix may end anywhere, also in the middle of a part; its complete parts follow the rule of keys."""
    folder, _, rest = prefix.rpartition("/")
    reason = _key_fault(folder) if "/" in prefix else ""
    if reason := reason or _text_fault(rest):
        raise DataError(f"object prefix {prefix[:200]!r} {reason}")
    return prefix


def _key_fault(key: str) -> str:
    if not key:
        return "is empty"
    if key.startswith("/") or key.endswith("/"):
        return "starts or ends with '/'"
    if fault := _text_fault(key):
        return fault
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"is longer than {MAX_KEY_BYTES} bytes"
    return next((fault for part in key.split("/") if (fault := _part_fault(part))), "")


def _part_fault(part: str) -> str:
    if part in {"", ".", ".."}:
        return f"has the part {part!r}"
    if len(part.encode()) > MAX_PART_BYTES:
        return f"has a part longer than {MAX_PART_BYTES} bytes"
    return ""


def _text_fault(text: str) -> str:
    if any(ord(character) < 0x20 or ord(character) == 0x7F for character in text):
        return "has a control character"
    if any(0xD800 <= ord(character) <= 0xDFFF for character in text):
        return "is not valid Unicode"
    return ""
