"""Runs one metric again and again, each time in a child that is killed one step later than the one before.

    python -m platform_assets_tests.assets.metrics_crash ROOT

Leaves ``ROOT/<point>/`` with the object store and topics as the killed process left them, and prints the points.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute
import pyarrow.parquet

from platform_assets.assets.metrics_run import MetricOutcome, MetricTopics, handle_message
from platform_assets.engine.metrics.settings import MetricSettings
from platform_assets.ports import OutboundMessage
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings
from platform_assets_tests.engine.metrics.datasets import T0, daily, put_series
from platform_assets_tests.engine.metrics.malformed import GOOD

assert np and pyarrow.compute and pyarrow.parquet  # imported before the fork, so that children start at once


class Killer:
    """Ends the process at its ``point``-th step."""

    def __init__(self, point: int) -> None:
        self._left = point

    def step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


class KilledStore(LocalObjectStore):
    """Dies before, within and after writes."""

    def __init__(self, root: Path, killer: Killer) -> None:
        super().__init__(LocalObjectStoreSettings(root=str(root / "objects")))
        self._killer = killer

    def put(self, key: str, data: bytes | Iterable[bytes], **conditions: Any) -> str:
        self._killer.step()
        etag = super().put(key, data if isinstance(data, bytes) else self._pieces(data), **conditions)
        self._killer.step()
        return etag

    def _pieces(self, data: Iterable[bytes]) -> Iterator[bytes]:
        for piece in data:
            yield piece[: len(piece) // 2]
            self._killer.step()
            yield piece[len(piece) // 2 :]


class KilledTopic(LocalTopic):
    def __init__(self, root: Path, killer: Killer) -> None:
        super().__init__(LocalTopicSettings(root=str(root)))
        self._killer = killer

    def publish(self, messages: Sequence[OutboundMessage]) -> Sequence[str]:
        self._killer.step()
        ids = super().publish(messages)
        self._killer.step()
        return ids


def topics(root: Path, killer: Killer) -> MetricTopics:
    return MetricTopics(*(KilledTopic(root / name, killer) for name in ("started", "heartbeat", "completed")))


def run(root: Path, point: int) -> MetricOutcome:
    killer = Killer(point)
    store = KilledStore(root, killer)
    now = lambda: datetime.now(UTC)  # noqa: E731
    return handle_message(GOOD, {}, T0, store, topics(root, killer), now, MetricSettings())


def main(root: Path) -> None:
    point = 0
    while True:
        point += 1
        folder = root / f"{point:02d}"
        put_series(KilledStore(folder, Killer(0)), A=daily(1, 2, None, 4), B=daily(2, 0, 1, 8))
        child = os.fork()
        if child == 0:
            run(folder, point)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if not os.WIFSIGNALED(status):
            break
        print(folder.name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
