"""Closed months are left alone by ticks."""

from datetime import date

import pytest

from platform_assets.engine.costs.closing import is_closed, open_window


@pytest.mark.parametrize(
    ("first", "last", "after", "expected_first"),
    [
        (date(2026, 5, 1), date(2026, 6, 13), 14, date(2026, 5, 1)),  # asked for on 14 June: May still open
        (date(2026, 5, 1), date(2026, 6, 14), 14, date(2026, 6, 1)),  # 15 June: May is closed
        (date(2026, 3, 1), date(2026, 6, 14), 14, date(2026, 6, 1)),
        (date(2026, 5, 1), date(2026, 6, 14), None, date(2026, 5, 1)),
        (
            date(2026, 5, 20),
            date(2026, 5, 31),
            0,
            date(2026, 5, 31),
        ),  # the last day itself is always asked for
        (date(2026, 5, 31), date(2026, 5, 31), 0, date(2026, 5, 31)),
    ],
)
def test_open_window(first, last, after, expected_first):
    assert open_window(first, last, after) == (expected_first, last)


def test_a_month_closes_on_a_day():
    assert [is_closed(date(2026, 5, 3), date(2026, 6, d), 5) for d in (5, 6, 7)] == [False, True, True]
