"""The day a message belongs to."""

from datetime import UTC, date, datetime, timedelta, timezone

from platform_assets.engine.events.envelope import arrival_days

FIRST = date(2026, 1, 30)
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)


def test_a_message_belongs_to_the_utc_day_of_its_publication_among_those_that_have_a_partition() -> None:
    now = NOON
    day = arrival_days(lambda: now, FIRST)
    assert day(NOON - timedelta(days=400)) == FIRST
    assert day(None) == date(2026, 1, 31)
    assert day(NOON) == date(2026, 1, 31)
    assert day(datetime(2026, 1, 30, 22, tzinfo=timezone(timedelta(hours=-5)))) == date(2026, 1, 31)
    assert day(NOON + timedelta(days=1)) == date(2026, 1, 31), "by a clock ahead of ours"
    assert day(NOON - timedelta(days=1)) == date(2026, 1, 30)
    now += timedelta(days=1)
    assert day(NOON + timedelta(days=1)) == date(2026, 2, 1), "once that day has begun"
    assert day(None) == date(2026, 2, 1)


def test_days_before_the_first_partition_are_the_first_whatever_the_clock_says() -> None:
    day = arrival_days(lambda: NOON - timedelta(days=30), FIRST)
    assert day(None) == FIRST
    assert day(NOON) == FIRST
