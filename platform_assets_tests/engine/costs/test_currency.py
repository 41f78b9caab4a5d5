"""Conversion: only with a rate, of the right day, in the right direction."""

from datetime import date
from decimal import Decimal

import pytest

from platform_assets.engine.costs.currency import converted_rows, rate_day
from platform_assets.engine.costs.functions import Slot
from platform_assets.engine.tenancy import TenantSpec

DAY = date(2026, 3, 9)
SLOT = Slot(TenantSpec(tenant="acme1281", display_name="Acme", default_currency="INR"), DAY)


def spend(currency="USD", amount="25"):
    row = {"ChargeDate": DAY, "ProviderName": "p", "ServiceName": "s", "BillingCurrency": currency}
    return row | {"BilledCost": Decimal(amount)}


def rate(day, value, source="USD", target="INR"):
    return {"rate_date": day, "from_currency": source, "to_currency": target, "rate": Decimal(value)}


def converted(rows, rates):
    found = converted_rows({"spend": rows, "rates": rates}, SLOT)
    return [(r["BillingCurrency"], r["ConvertedCost"], r["RateDate"]) for r in found]


def test_the_published_example():
    assert converted([spend()], [rate(DAY, "83.50")]) == [("USD", Decimal("2087.5"), DAY)]


def test_without_a_rate_table_nothing_is_converted():
    assert converted([spend(), spend("INR")], []) == []


def test_ones_own_currency_needs_no_rate_and_a_missing_one_is_visible():
    assert converted([spend("INR"), spend("EUR")], [rate(DAY, "83.5")]) == [
        ("EUR", None, None),
        ("INR", Decimal(25), DAY),
    ]


def test_a_rate_of_the_other_direction_or_for_another_currency_is_not_used():
    assert converted([spend()], [rate(DAY, "0.012", "INR", "USD"), rate(DAY, "0.9", "USD", "EUR")]) == [
        ("USD", None, None)
    ]


def test_negative_amounts_are_rounded_away_from_zero_too():
    [(_, amount, _)] = converted([spend(amount="-0.000000001")], [rate(DAY, "0.5")])
    assert amount == Decimal("-0.000000001")


@pytest.mark.parametrize(
    ("days", "expected"),
    [([9], 9), ([7, 8], 8), ([10], None), ([2], 2), ([1], None), ([], None), ([3, 20], 3)],
)
def test_the_last_rate_before_the_day_at_most_a_week_old(days, expected):
    rates = {date(2026, 3, d): Decimal(1) for d in days}
    assert rate_day(rates, DAY) == (expected and date(2026, 3, expected))
