"""Commands that go on until they are stopped."""

from __future__ import annotations

import signal


def stop_when_told() -> None:
    """SIGINT and SIGTERM end this process, however it was started. A shell has what it starts in the background ignore
    SIGINT, and Dagster gives SIGTERM the fate of SIGINT: such a service could not be stopped."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
