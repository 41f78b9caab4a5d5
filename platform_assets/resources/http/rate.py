"""How often a provider may be called, over all threads of the process that use one credential.

A token bucket: ``burst`` requests at once, then one every ``60 / per_minute`` seconds. A pause that a source asks for
(``Retry-After``) holds back everybody, not only the request that was told.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


class RateLimiter:
    """Thread-safe. ``clock`` gives seconds that never go back; ``sleep`` waits for seconds."""

    def __init__(
        self,
        per_minute: int,
        *,
        burst: int | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._interval = 60.0 / per_minute
        self._slack = self._interval * ((burst or max(1, per_minute // 10)) - 1)
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._next = clock() - self._slack  # when the next request would be due without any burst

    def acquire(self) -> None:
        """Wait for this request's turn; turns are given out in the order of asking."""
        with self._lock:
            now = self._clock()
            due = max(self._next, now - self._slack)
            self._next = due + self._interval
            wait = due - now
        if wait > 0:
            self._sleep(wait)

    def pause(self, seconds: float) -> None:
        """Nobody's turn comes before ``seconds`` from now."""
        with self._lock:
            self._next = max(self._next, self._clock() + seconds)


class Limiters:
    """One limiter per provider and credential. The default one of the process is ``PROCESS_LIMITERS``."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.clock, self.sleep = clock, sleep
        self._known: dict[tuple[str, str, int], RateLimiter] = {}
        self._lock = threading.Lock()

    def of(self, provider: str, credential: str, per_minute: int) -> RateLimiter:
        """``credential`` is a fingerprint, no secret."""
        key = (provider, credential, per_minute)
        with self._lock:
            if key not in self._known:
                self._known[key] = RateLimiter(per_minute, clock=self.clock, sleep=self.sleep)
            return self._known[key]


PROCESS_LIMITERS = Limiters()
