"""What passes here is accepted by the scheduler and comes at some time; what is refused says which field is wrong."""

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from itertools import takewhile

import pytest
from dagster._utils.schedules import is_valid_cron_string, schedule_execution_time_iterator
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.cron import ALIASES, check_cron, ticks_on
from platform_assets.engine.errors import ConfigError


def field(low: int, high: int, names: tuple[str, ...] = ()) -> st.SearchStrategy[str]:
    """Items as people write them, some of them out of range or backwards."""
    number = (
        st.integers(low, high + 1).map(str) | st.sampled_from((*names, "*"))
        if names
        else st.integers(low, high + 1).map(str)
    )
    span = st.tuples(number, number).map("-".join)
    stepped = st.tuples(span | st.just("*"), st.integers(0, 70).map(str)).map("/".join)
    return st.lists(st.just("*") | number | span | stepped, min_size=1, max_size=3).map(",".join)


CRONS = st.tuples(
    field(0, 59),
    field(0, 23),
    field(1, 31),
    field(1, 12, ("jan", "DEC")),
    field(0, 7, ("sun", "Fri")),
).map(" ".join)


def accepted(text: str) -> bool:
    try:
        check_cron(text)
    except ConfigError:
        return False
    return True


@settings(max_examples=400)
@given(CRONS)
def test_the_scheduler_takes_what_passes(text: str) -> None:
    if accepted(text):
        assert is_valid_cron_string(text)
        start = datetime(2026, 1, 1, tzinfo=UTC).timestamp()
        assert next(schedule_execution_time_iterator(start, text, "UTC", ascending=True)).year < 2040


@pytest.mark.parametrize(
    "text",
    [
        *ALIASES,
        "0 4 * * *",
        "*/15 * * * *",
        "0 4 1,15 * 1-5",
        "0 0 29 2 *",
        "0 9 * JAN-mar MON",
        "5-59/10 0 * * 7",
    ],
)
def test_common_texts_pass(text: str) -> None:
    check_cron(text)
    assert is_valid_cron_string(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "0 fields"),
        ("0 4 * *", "4 fields"),
        ("0 0 4 * * *", "6 fields"),
        ("@reboot", "alias"),
        ("60 * * * *", "minute: 0 to 59"),
        ("* 24 * * *", "hour: 0 to 23"),
        ("* * 0 * *", "day of month: 1 to 31"),
        ("* * * 13 *", "month: 1 to 12"),
        ("* * * * 8", "day of week: 0 to 7"),
        ("* * * foo *", "'foo' is not a cron month"),
        ("* * * * L", "day of week"),
        ("* * * * 1#2", "day of week"),
        ("*/0 * * * *", "minute"),
        ("5/10 * * * *", "a step needs a range"),
        ("30-10 * * * *", "backwards"),
        ("1,,2 * * * *", "minute"),
        ("-1 * * * *", "minute"),
        ("0 0 31 4,6 *", "never comes"),
        ("0 0 30 2 *", "never comes"),
    ],
)
def test_what_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        check_cron(text)


@pytest.mark.parametrize(
    "text",
    [
        "@hourly",
        "@weekly",
        "@yearly",
        "*/15 8-17 * * mon-fri",
        "0 6 1,15 * *",
        "0 6 1 * mon",
        "30 2 * 2 7",
        "0 0 29 2 *",
        "5,35 */6 * * *",
    ],
)
def test_ticks_of_a_day_are_the_schedulers(text: str) -> None:
    """Over a year that has a 29 February."""
    first, last = date(2028, 1, 1), date(2029, 1, 1)
    start = datetime(2027, 12, 31, 23, 59, tzinfo=UTC).timestamp()
    ticks = (tick.date() for tick in schedule_execution_time_iterator(start, text, "UTC"))
    scheduled = Counter(takewhile(lambda day: day < last, ticks))
    days = [first + timedelta(days=number) for number in range((last - first).days)]
    assert {day: n for day in days if (n := ticks_on(text, day))} == scheduled
