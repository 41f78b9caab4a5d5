"""Pauses between attempts, and how many of several may go at once."""

from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.notifications.events import Event
from platform_assets.engine.notifications.occurrence import Job
from platform_assets.engine.notifications.planning import Hold, Send, Suppress, plan, retry_at
from platform_assets.engine.notifications.spec import RetryConfig
from platform_assets.engine.notifications.state import ChannelState
from platform_assets_tests.assets.notifications.rig import START, occurrence, spec

CHANNEL = {"type": "slack", "channel_id": "slack", "webhook_url": "https://hooks.slack.com/x"}


def pauses(retry: RetryConfig, tries: int) -> list[float]:
    found = []
    for number in range(1, tries + 1):
        at = retry_at(retry, number, START, "job")
        assert at is not None
        found.append((at - START).total_seconds())
    return found


def test_pauses_double_up_to_the_cap_with_some_jitter() -> None:
    found = pauses(RetryConfig(max_attempts=10), 9)
    for number, seconds in enumerate(found):
        exact = min(5 * 2**number, 300)
        assert exact <= seconds <= min(exact * 1.2, 300)
    assert all(a <= b for a, b in pairwise(found))


def test_without_backoff_each_pause_is_the_first() -> None:
    assert all(5 <= s <= 6 for s in pauses(RetryConfig(max_attempts=5, exponential_backoff=False), 4))


def test_two_jobs_do_not_come_back_at_the_same_instant() -> None:
    assert len({retry_at(RetryConfig(), 1, START, f"job-{n}") for n in range(20)}) > 10


@pytest.mark.parametrize(("wish", "seconds"), [(1, 5), (400, 400), (10**9, 3600)])
def test_a_servers_wish_is_a_lower_bound_up_to_an_hour(wish: float, seconds: float) -> None:
    at = retry_at(RetryConfig(), 1, START, "job", wish)
    assert at is not None
    assert seconds <= (at - START).total_seconds() <= max(seconds, 6)


def test_the_last_attempt_is_the_last() -> None:
    assert retry_at(RetryConfig(max_attempts=3), 3, START, "job") is None


def test_of_one_cooldown_one_goes_at_a_time() -> None:
    jobs = [Job(occurrence(f"run-{n}"), "slack", START) for n in range(3)]
    steps = plan(spec(CHANNEL), jobs, ChannelState(), START)
    assert [type(s) for s in steps] == [Send]


@given(
    ages=st.lists(st.integers(-10_000, 10_000), min_size=1, max_size=6, unique=True),
    sent=st.one_of(st.none(), st.integers(0, 1000)),
    window=st.sampled_from([0, 60]),
    cooldown=st.sampled_from([0, 300]),
)
def test_every_job_is_told_held_suppressed_or_behind_one_that_goes_first(
    ages: list[int], sent: int | None, window: int, cooldown: int
) -> None:
    """None is forgotten, whatever the clocks said when it was made."""
    trigger = {"event": "pipeline_failure", "batch_window_seconds": window, "cooldown_seconds": cooldown}
    config = spec(CHANNEL, event_triggers=[trigger])
    jobs = [
        Job(occurrence(f"run-{n}"), "slack", START + timedelta(seconds=age)) for n, age in enumerate(ages)
    ]
    key = jobs[0].cooldown_key
    state = ChannelState(sent={} if sent is None else {key: START - timedelta(seconds=sent)})
    steps = plan(config, jobs, state, START)
    sends = [s for s in steps if isinstance(s, Send)]
    others = [s for s in steps if isinstance(s, Hold | Suppress)]
    assert len(sends) <= 1
    assert len(others) + sum(len(s.jobs) for s in sends) == len(jobs) or (sends and not window)
    if sent is not None and sent < cooldown:
        assert not sends
    for held in others:
        if isinstance(held, Hold):
            assert START < held.until <= START + timedelta(seconds=max(window, cooldown))


def test_events_that_are_not_listed_are_off() -> None:
    config = spec(CHANNEL, event_triggers=[{"event": "pipeline_success"}])
    assert config.trigger(Event.PIPELINE_FAILURE) is None
    assert config.trigger(Event.PIPELINE_SUCCESS) is not None
    assert spec(CHANNEL).trigger(Event.PIPELINE_SUCCESS) is None
    assert spec(CHANNEL).trigger(Event.PIPELINE_FAILURE) is not None
