"""Anomalies: weekdays against weekdays, month ends against month ends, and nothing about nothing."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from platform_assets.engine.costs.anomalies import anomaly_rows, judged, peers_of
from platform_assets.engine.costs.functions import Slot

TUESDAY = date(2026, 3, 17)


def history(until, days, amount_of):
    return {
        until - timedelta(days=n): Decimal(amount_of(until - timedelta(days=n))) for n in range(1, days + 1)
    }


def steady(until=TUESDAY, days=90, amount="100"):
    return history(until, days, lambda _: amount)


def verdict(daily, day, amount):
    found = judged({**daily, day: Decimal(amount)}, day)
    return found["IsAnomaly"], found.get("Direction")


@pytest.mark.parametrize(
    ("amount", "expected"),
    [("100", (False, None)), ("119", (False, None)), ("126", (True, "spike")), ("70", (True, "drop"))],
)
def test_a_steady_series(amount, expected):
    assert verdict(steady(), TUESDAY, amount) == expected


def test_weekends_are_compared_with_weekends():
    daily = history(TUESDAY, 90, lambda d: "5" if d.weekday() >= 5 else "500")
    saturday = date(2026, 3, 14)
    assert verdict(daily, saturday, "5") == (False, None)
    assert verdict(daily, saturday, "500") == (True, "spike")
    assert verdict(daily, TUESDAY, "5") == (True, "drop")


def test_the_first_and_the_last_of_a_month_are_compared_with_their_like():
    def amount(day):
        return "1000" if day.day == 1 or (day + timedelta(days=1)).day == 1 else "50"

    first, last = date(2026, 4, 1), date(2026, 3, 31)
    daily = history(first, 190, amount)
    assert peers_of(daily, first).kind == "first days of months"
    assert verdict(daily, first, "1000") == (False, None)
    assert verdict(daily, last, "1000") == (False, None)
    assert verdict(daily, first, "5000") == (True, "spike")
    assert verdict(daily, TUESDAY, "1000") == (True, "spike")


def test_old_outliers_do_not_hide_a_new_one():
    daily = steady()
    for week in (2, 5, 9):
        daily[TUESDAY - timedelta(weeks=week)] = Decimal(10_000)
    assert verdict(daily, TUESDAY, "400") == (True, "spike")


def test_little_money_is_not_looked_at():
    assert verdict(steady(amount="0.10"), TUESDAY, "9") == (False, None)
    assert verdict(steady(amount="0.10"), TUESDAY, "10.11") == (True, "spike")


@pytest.mark.parametrize(
    ("days", "kind"), [(90, "Tuesdays"), (30, "weekdays"), (8, "nothing"), (0, "nothing")]
)
def test_too_little_history_judges_nothing(days, kind):
    found = judged({**steady(days=days), TUESDAY: Decimal(10**6)}, TUESDAY)
    assert (found["ComparedWith"], found["IsAnomaly"]) == (kind, kind != "nothing")
    assert found.get("Reason") == ("too few comparable days" if kind == "nothing" else None)


def test_a_service_that_stops_is_a_drop():
    found = judged(steady(), TUESDAY)
    assert (found["ActualCost"], found["Direction"]) == (0, "drop")


def test_a_new_service_is_not_compared_with_the_time_before_it():
    daily = steady(days=3)
    assert judged(daily, TUESDAY)["ComparableDays"] == 0


def test_currencies_and_services_are_judged_apart():
    spend = [
        {
            "ChargeDate": TUESDAY,
            "ProviderName": "P",
            "ServiceName": service,
            "BillingCurrency": currency,
            "EffectiveCost": Decimal(1),
        }
        for service, currency in (("b", "USD"), ("a", "USD"), ("a", "EUR"), ("a", "USD"))
    ]
    rows = list(anomaly_rows({"spend": spend}, Slot(None, TUESDAY)))
    assert [(r["ServiceName"], r["BillingCurrency"], r["ActualCost"]) for r in rows] == [
        ("a", "EUR", 1),
        ("a", "USD", 2),
        ("b", "USD", 1),
    ]
