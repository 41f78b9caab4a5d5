"""Object stores for tests: one in memory that counts and can be told to fail, slow down or lose bytes."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime

from platform_assets.engine.errors import ConflictError, NotFoundError
from platform_assets.ports import ObjectInfo, OutboundMessage


class MemoryStore:
    """See ``ports.ObjectStore``. ``before(operation, key)`` is called first and may raise or sleep.

    ``calls`` counts (operation, key); ``bytes_read`` what was given out.
    """

    def __init__(self, before: Callable[[str, str], None] = lambda operation, key: None) -> None:
        self.objects: dict[str, tuple[bytes, str]] = {}
        self.before = before
        self.calls: Counter[tuple[str, str]] = Counter()
        self.bytes_read = 0
        self._lock = threading.Lock()
        self._versions = 0

    def put(
        self, key: str, data: bytes | Iterable[bytes], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        self._called("put", key)
        whole = data if isinstance(data, bytes) else b"".join(data)
        with self._lock:
            current = self.objects.get(key)
            if (if_absent and current) or (if_match is not None and (not current or current[1] != if_match)):
                raise ConflictError(key)
            self._versions += 1
            self.objects[key] = (whole, f"v{self._versions}")
            return self.objects[key][1]

    def get(self, key: str) -> bytes:
        self._called("get", key)
        return self._give(self._bytes(key))

    def get_range(self, key: str, start: int, length: int) -> bytes:
        self._called("get_range", key)
        return self._give(self._bytes(key)[start : start + length])

    def stat(self, key: str) -> ObjectInfo | None:
        self._called("stat", key)
        found = self.objects.get(key)
        return ObjectInfo(key, len(found[0]), found[1], datetime.now(UTC)) if found else None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        for key in sorted(self.objects):
            if key.startswith(prefix) and key > start_after and (info := self.stat(key)):
                yield info

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            self.objects.pop(key, None)

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        return f"memory://{key}", {}

    def names(self, prefix: str = "") -> Sequence[str]:
        return [key for key in sorted(self.objects) if key.startswith(prefix)]

    def _bytes(self, key: str) -> bytes:
        if key not in self.objects:
            raise NotFoundError(f"object {key!r} does not exist")
        return self.objects[key][0]

    def _give(self, data: bytes) -> bytes:
        self.bytes_read += len(data)
        return data

    def _called(self, operation: str, key: str) -> None:
        self.calls[operation, key] += 1
        self.before(operation, key)


class MemoryTopic:
    """See ``ports.Topic``; keeps what was published."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        self.messages: list[OutboundMessage] = []
        self.before = before

    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        self.before()
        self.messages.extend(messages)
        return [str(len(self.messages))] * len(messages)
