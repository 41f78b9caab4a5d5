"""A topic as a folder: every message goes to a readable log and to the folder queues that subscribe.

``published/<date>.jsonl`` is for people and tests; ``subscriptions`` are roots of local queues.
Delivery is at least once: a publisher that dies half-way publishes again.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from platform_assets.engine.spec import Spec
from platform_assets.ports import OutboundMessage
from platform_assets.resources.local_files import locked, make_folder, translated
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings, encode


class LocalTopicSettings(Spec):
    """``root``: the topic's folder; ``subscriptions``: folders of the queues that get every message."""

    root: str
    subscriptions: tuple[str, ...] = ()


class LocalTopic:
    """See ``ports.Topic``."""

    def __init__(self, settings: LocalTopicSettings) -> None:
        self.root = Path(settings.root).absolute()
        self._queues = [LocalQueue(LocalQueueSettings(root=root)) for root in settings.subscriptions]

    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        ids = [uuid.uuid4().hex for _ in messages]
        for queue in self._queues:
            queue.send(messages)
        with translated(f"topic {self.root.name!r}"), locked(self.root / "lock"):
            self._append(b"".join(map(encode, messages, ids)))
        return ids

    def published(self) -> Iterator[bytes]:
        """Every line of the log, oldest first, as ``queue.local.encode`` wrote it."""
        for path in sorted((self.root / "published").glob("*.jsonl")):
            yield from path.read_bytes().splitlines()

    def _append(self, lines: bytes) -> None:
        make_folder(self.root / "published")
        path = self.root / "published" / f"{datetime.now(UTC):%Y-%m-%d}.jsonl"
        with path.open("ab") as file:
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
