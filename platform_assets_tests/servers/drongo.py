"""drongo's in-memory Google services: Secret Manager over HTTP, Cloud Monitoring over gRPC.

Thin: no authentication, no quotas, Monitoring accepts any order and density. What needs those limits is tested
against ``monitoring.py``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def http_serving() -> Iterator[str]:
    """Yields the URL of every HTTP service of drongo's, with empty state."""
    from drongo.server import start_background

    server, thread = start_background("127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def monitoring_serving() -> Iterator[str]:
    """Yields host:port of Cloud Monitoring's gRPC service, with empty state."""
    from drongo.core.backend import BackendDict
    from drongo.services.monitoring.emulator import MonitoringEmulator
    from drongo.services.monitoring.models import MonitoringBackend

    emulator = MonitoringEmulator(BackendDict(MonitoringBackend, "monitoring"))
    emulator.start()
    try:
        yield str(emulator.address)
    finally:
        # drongo keeps its servers for the life of the process; a test run should end with none.
        emulator._server.stop(None).wait()
