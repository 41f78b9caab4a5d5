"""Budgets: what counts, what is forecast, and what the status says."""

from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.costs.budgets import budget_row, forecast_of, period_of
from platform_assets.engine.costs.calendar import Period, month_of
from platform_assets.engine.tenancy import Budget

MARCH = date(2026, 3, 15)  # a Sunday


def spend(day, amount, currency="USD", provider="openai", month=None):
    return {
        "BillingMonth": month or day.replace(day=1),
        "ChargeDate": day,
        "x_Provider": provider,
        "BillingCurrency": currency,
        "BilledCost": Decimal(amount),
    }


def budget(amount="100", **changes):
    return Budget(**{"id": "b", "amount": amount, "currency": "USD", **changes})


def row(rows, day=MARCH, **changes):
    return budget_row(budget(**changes), rows, day, 4)


def steady(first, last, amount="1"):
    return [spend(first + timedelta(days=n), amount) for n in range((last - first).days + 1)]


@pytest.mark.parametrize(
    ("kind", "start", "end"),
    [
        ("month", date(2026, 3, 1), date(2026, 4, 1)),
        ("quarter", date(2026, 1, 1), date(2026, 4, 1)),
        ("year", date(2025, 4, 1), date(2026, 4, 1)),  # the fiscal year begins in April
    ],
)
def test_periods(kind, start, end):
    assert period_of(kind, MARCH, 4) == Period(start, end)


def test_other_currencies_do_not_count_and_are_named():
    rows = [spend(MARCH, "60"), spend(MARCH, "1000", "EUR"), spend(MARCH, "5", "INR")]
    found = row(rows)
    assert (found["SpentAmount"], found["SpentPercent"], found["OtherCurrencies"]) == (60, 60, "EUR, INR")


def test_a_budget_may_be_about_one_provider():
    rows = [spend(MARCH, "60"), spend(MARCH, "30", provider="anthropic")]
    assert row(rows, provider="anthropic")["SpentAmount"] == 30
    assert row(rows)["SpentAmount"] == 90


def test_the_billing_month_decides_in_which_period_a_late_charge_counts():
    late = spend(date(2026, 2, 28), "50", month=date(2026, 3, 1))
    assert row([late])["SpentAmount"] == 50
    assert row([spend(date(2026, 3, 1), "50", month=date(2026, 2, 1))])["SpentAmount"] == 0


def test_credits_lower_what_is_spent():
    assert row([spend(MARCH, "60"), spend(MARCH, "-20")])["SpentAmount"] == 40


@pytest.mark.parametrize(
    ("spent", "passed", "status"),
    [
        ("79.99", None, "ok"),
        ("80", 80, "warning"),
        ("100", 100, "warning"),
        ("100.000000001", 100, "exceeded"),
        ("1000", 100, "exceeded"),
    ],
)
def test_thresholds(spent, passed, status):
    found = row([spend(MARCH, spent)])
    assert (found["ThresholdPassed"], found["Status"]) == (passed, status)


# --- Forecast -----------------------------------------------------------------------------------------


def test_a_steady_spend_is_forecast_to_the_day():
    found = row(steady(date(2026, 1, 18), MARCH, "4"))
    assert (found["ForecastAmount"], found["ForecastMethod"], found["Status"]) == (
        124,
        "weekday",
        "forecast_exceeded",
    )


def test_weekends_are_forecast_as_weekends():
    days = steady(date(2026, 1, 18), MARCH)
    rows = [spend(r["ChargeDate"], "0" if r["ChargeDate"].weekday() >= 5 else "10") for r in days]
    found = row(rows)
    assert found["ForecastAmount"] == 22 * 10  # March 2026 has 22 working days


def test_one_odd_day_does_not_bend_the_forecast():
    rows = [*steady(date(2026, 1, 18), MARCH), spend(date(2026, 2, 10), "500")]
    assert row(rows)["ForecastAmount"] == 31


def test_a_short_history_is_averaged_and_a_shorter_one_says_nothing():
    short = row(steady(date(2026, 3, 6), MARCH, "2"))
    assert (short["ForecastMethod"], short["ForecastAmount"]) == ("mean", 20 + 16 * 2)
    none = row(steady(date(2026, 3, 10), MARCH, "2"))
    assert (none["ForecastMethod"], none["ForecastAmount"], none["ForecastPercent"]) == ("none", None, None)


def test_on_the_last_day_the_forecast_is_what_is_spent():
    found = row(steady(date(2026, 3, 1), date(2026, 3, 31)), day=date(2026, 3, 31))
    assert (found["ForecastMethod"], found["ForecastAmount"]) == ("closed", 31)


def test_no_spend_at_all():
    found = row([])
    assert (found["SpentAmount"], found["Status"], found["ForecastMethod"]) == (0, "ok", "none")


@settings(deadline=None)
@given(st.dates(date(2024, 1, 1), date(2028, 1, 1)), st.decimals("0.01", "1000", places=2))
def test_a_constant_spend_forecasts_its_own_month(day, amount):
    daily = {day - timedelta(days=n): amount for n in range(56)}
    period = month_of(day)
    spent = amount * ((day - period.start).days + 1)
    assert forecast_of(daily, spent, day, period).amount == amount * period.days
