"""Billing periods tile the calendar, whatever the cycle, the anchor, the fiscal year and the leap day."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.costs.calendar import (
    Alignment,
    Cycle,
    Period,
    add_months,
    anchored_month,
    billing_period,
    days_in_year,
    fiscal_period,
    month_of,
    parse_cycle,
    term_period,
)

DAYS = st.dates(date(2015, 1, 1), date(2040, 12, 31))
START_MONTHS = st.integers(1, 12)


@pytest.mark.parametrize(
    ("day", "months", "start_month", "expected_days"),
    [
        (date(2025, 5, 1), 3, 4, 91),  # India Q1
        (date(2025, 8, 1), 3, 4, 92),  # India Q2
        (date(2025, 5, 1), 6, 4, 183),  # India H1
        (date(2025, 2, 1), 6, 4, 182),  # India H2 belongs to the year that began in April 2024
        (date(2024, 2, 1), 6, 4, 183),  # … and has a leap day here
        (date(2025, 2, 1), 3, 7, 90),  # Australia Q3 is measured in its own year
        (date(2024, 2, 1), 3, 7, 91),
        (date(2024, 2, 1), 3, 10, 91),  # FY October: Jan-Mar is Q2
        (date(2025, 2, 1), 3, 10, 90),
        (date(2024, 2, 29), 12, 1, 366),
        (date(2024, 2, 29), 12, 4, 366),  # April 2023 to March 2024
        (date(2024, 4, 1), 12, 4, 365),
    ],
)
def test_fiscal_periods(day, months, start_month, expected_days):
    period = fiscal_period(day, months, start_month)
    assert (period.days, day in period) == (expected_days, True)


def test_second_fiscal_half_is_not_the_following_one():
    assert fiscal_period(date(2025, 3, 31), 6, 4) == Period(date(2024, 10, 1), date(2025, 4, 1))


@given(DAYS, START_MONTHS)
def test_quarters_and_halves_tile_the_fiscal_year(day, start_month):
    year = fiscal_period(day, 12, start_month)
    for months in (1, 3, 6):
        at, blocks = year.start, 0
        while at < year.end:
            period = fiscal_period(at, months, start_month)
            assert period.start == at
            at, blocks = period.end, blocks + 1
        assert (at, blocks) == (year.end, 12 // months)


@given(
    DAYS,
    st.sampled_from(Cycle),
    st.sampled_from(Alignment),
    st.none() | DAYS,
    st.none() | st.integers(1, 28),
    START_MONTHS,
)
def test_every_day_lies_in_exactly_one_period(day, cycle, alignment, start, anchor, fiscal):
    def of(d):
        return billing_period(
            d, cycle, alignment=alignment, start=start, anchor=anchor, fiscal_start_month=fiscal
        )

    period = of(day)
    assert day in period
    assert of(period.start) == of(period.end - timedelta(days=1)) == period
    assert of(period.end).start == period.end
    assert of(period.start - timedelta(days=1)).end == period.start


def test_a_term_that_begins_on_the_31st_does_not_drift():
    origin = date(2024, 1, 31)
    assert term_period(date(2024, 2, 29), 1, origin) == Period(date(2024, 2, 29), date(2024, 3, 31))
    assert term_period(date(2025, 2, 28), 1, origin) == Period(date(2025, 2, 28), date(2025, 3, 31))


def test_a_term_that_begins_on_a_leap_day_is_a_year_long():
    assert term_period(date(2025, 2, 28), 12, date(2024, 2, 29)).start == date(2025, 2, 28)
    assert term_period(date(2028, 2, 29), 12, date(2024, 2, 29)).start == date(2028, 2, 29)


@pytest.mark.parametrize(
    ("day", "anchor", "start", "end"),
    [
        (date(2025, 3, 1), 15, date(2025, 2, 15), date(2025, 3, 15)),
        (date(2025, 3, 15), 15, date(2025, 3, 15), date(2025, 4, 15)),
        (date(2025, 1, 3), 28, date(2024, 12, 28), date(2025, 1, 28)),
    ],
)
def test_anchored_month(day, anchor, start, end):
    assert anchored_month(day, anchor) == Period(start, end)


def test_add_months_clips_to_the_end_of_the_month():
    assert add_months(date(2024, 1, 31), 1) == date(2024, 2, 29)
    assert add_months(date(2024, 3, 31), -13) == date(2023, 2, 28)


def test_month_and_year_lengths():
    assert month_of(date(2024, 2, 10)).days == 29
    assert (days_in_year(2024), days_in_year(2025), days_in_year(2100)) == (366, 365, 365)


@pytest.mark.parametrize(
    ("text", "cycle"),
    [
        ("Monthly", Cycle.MONTHLY),
        ("semi-annual", Cycle.SEMI_ANNUAL),
        ("Semi annual", Cycle.SEMI_ANNUAL),
        ("YEARLY", Cycle.ANNUAL),
        ("fortnightly", Cycle.OTHER),
    ],
)
def test_cycle_names(text, cycle):
    assert parse_cycle(text) is cycle
