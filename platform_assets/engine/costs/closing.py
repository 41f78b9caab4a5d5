"""Months that a source has closed: a look-back does not ask for them again.

A source that closes a month so many days after its end (``closes_after_days``) never restates an older day. Only ticks
leave closed days out; a run somebody asks for by hand gets the days it asks for.
"""

from __future__ import annotations

from datetime import date, timedelta

from platform_assets.engine.costs.calendar import month_of


def is_closed(day: date, today: date, closes_after_days: int | None) -> bool:
    """Whether the month of ``day`` is closed on ``today``. A source that never says so (None) never closes one."""
    if closes_after_days is None:
        return False
    return today >= month_of(day).end + timedelta(days=closes_after_days)


def open_window(first: date, last: date, closes_after_days: int | None) -> tuple[date, date]:
    """The days of ``first`` … ``last`` that a tick still asks for, on the day after ``last``; at least ``last``."""
    today = last + timedelta(days=1)
    while first < last and is_closed(first, today, closes_after_days):
        first = min(month_of(first).end, last)
    return first, last
