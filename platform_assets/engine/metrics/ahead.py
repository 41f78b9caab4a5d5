"""Running an iterator in a thread of its own, a few items ahead of whoever takes them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator, Iterator
from typing import Generic, TypeVar

Item = TypeVar("Item")
_LOOK_SECONDS = 0.1  # how soon a producer that waits for room notices that nobody takes any more


def ahead(items: Iterator[Item], depth: int = 16) -> Generator[Item, None, None]:
    """The same items. What ``items`` raises is raised where it would have been; leaving early ends the thread."""
    producer = _Producer(items, depth)
    producer.start()
    try:
        while (found := producer.ready.get()) is not _END:
            yield _given(found)
    finally:
        producer.stop()


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


_END = object()


class _Producer(threading.Thread, Generic[Item]):
    def __init__(self, items: Iterator[Item], depth: int) -> None:
        super().__init__(name="metric-ahead", daemon=True)
        self._items = items
        self._stopped = threading.Event()
        self.ready: queue.Queue[object] = queue.Queue(depth)

    def run(self) -> None:
        try:
            for item in self._items:
                if not self._offer(item):
                    return
        except BaseException as error:
            self._offer(_Raised(error))
        else:
            self._offer(_END)

    def stop(self) -> None:
        self._stopped.set()
        self.join()

    def _offer(self, item: object) -> bool:
        while not self._stopped.is_set():
            try:
                self.ready.put(item, timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False


def _given(found: object) -> Item:  # type: ignore[type-var]
    if isinstance(found, _Raised):
        raise found.error
    return found  # type: ignore[return-value]
