"""The one way adapters repeat a call: only after a RetryableError, with doubling waits that the other side's own
wish overrides, a bounded number of times."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from platform_assets.engine.errors import RetryableError

T = TypeVar("T")


def wait_seconds(attempt: int, error: RetryableError, backoff_seconds: float, longest: float = 60.0) -> float:
    """Before attempt ``attempt`` + 1; ``Retry-After`` wins, both are capped."""
    wish = error.retry_after if error.retry_after is not None else backoff_seconds * 2 ** (attempt - 1)
    return min(float(wish), longest)


def retried(
    call: Callable[[], T], *, attempts: int, backoff_seconds: float, sleep: Callable[[float], None]
) -> T:
    """The call's answer; its last RetryableError after ``attempts`` of them, any other error at once."""
    attempt = 1
    while True:
        try:
            return call()
        except RetryableError as error:
            if attempt >= attempts:
                raise
            sleep(wait_seconds(attempt, error, backoff_seconds))
            attempt += 1
