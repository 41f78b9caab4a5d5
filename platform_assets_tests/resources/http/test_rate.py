"""The rate limiter, on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import threading

from hypothesis import given
from hypothesis import strategies as st

from platform_assets.resources.http.rate import Limiters, RateLimiter
from platform_assets_tests.resources.http.conftest import FakeTime


@given(st.integers(1, 600), st.integers(1, 20), st.lists(st.floats(0, 30), min_size=1, max_size=60))
def test_never_more_than_the_burst_and_one_per_interval(
    per_minute: int, burst: int, gaps: list[float]
) -> None:
    time = FakeTime()
    limiter = RateLimiter(per_minute, burst=burst, clock=time.clock, sleep=time.sleep)
    sent = []
    for gap in gaps:
        time.seconds += gap
        limiter.acquire()
        sent.append(time.seconds)
    interval = 60 / per_minute
    for i, start in enumerate(sent):
        for j in range(i, len(sent)):
            assert j - i + 1 <= burst + (sent[j] - start) / interval + 1e-6


def test_an_idle_limiter_gives_its_burst_at_once() -> None:
    time = FakeTime()
    limiter = RateLimiter(60, clock=time.clock, sleep=time.sleep)
    for _ in range(6):
        limiter.acquire()
    assert time.sleeps == []
    limiter.acquire()
    assert time.sleeps == [1]


def test_a_pause_holds_back_whoever_comes_next() -> None:
    time = FakeTime()
    limiter = RateLimiter(60, clock=time.clock, sleep=time.sleep)
    limiter.pause(25)
    limiter.acquire()
    assert time.sleeps == [25]
    limiter.pause(0)
    limiter.acquire()
    assert time.seconds == 1026


def test_threads_get_their_turns_one_after_another() -> None:
    time = FakeTime()
    waits: list[float] = []
    limiter = RateLimiter(60, burst=1, clock=time.clock, sleep=waits.append)
    threads = [threading.Thread(target=limiter.acquire) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(waits) == list(range(1, 20))


def test_one_limiter_per_provider_and_credential() -> None:
    limiters = Limiters()
    assert limiters.of("a", "x", 60) is limiters.of("a", "x", 60)
    assert limiters.of("a", "x", 60) is not limiters.of("a", "y", 60)
