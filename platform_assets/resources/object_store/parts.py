"""Cutting what is put into parts of one size, so that an upload never holds an object whole in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator


def parts_of(data: bytes | Iterable[bytes], size: int) -> Iterator[bytes]:
    """Parts of exactly ``size`` bytes, the last one shorter; at least one, empty where ``data`` is."""
    if isinstance(data, bytes):
        yield from (data[start : start + size] for start in range(0, len(data) or 1, size))
        return
    buffer = bytearray()
    for chunk in data:
        buffer += chunk
        while len(buffer) > size:
            yield bytes(buffer[:size])
            del buffer[:size]
    yield bytes(buffer)
