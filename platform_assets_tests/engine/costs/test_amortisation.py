"""Daily SaaS costs: the published numbers, exact sums, and every way in which they used to be wrong."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from platform_assets.engine.costs.amortisation import Terms, cost_on, daily_costs, period_of
from platform_assets.engine.costs.calendar import Alignment
from platform_assets.engine.costs.plans import QUANTUM, Discount, Plan, Pricing, Status, cycle_cost
from platform_assets.engine.errors import DataError

USD = Terms(default_currency="USD")
AMOUNTS = st.decimals("0.01", "1000000", places=9)


def plan(price="30", cycle="monthly", **changes) -> Plan:
    values = {"subscription_id": "s1", "provider": "canva", "plan_name": "pro", "seats": Decimal(1)}
    return Plan(unit_price=Decimal(price), billing_cycle=cycle, **{**values, **changes})


def total(plans, first, last, terms=USD):
    return sum((c.daily_cost for c in daily_costs(plans, first, last, terms)), Decimal(0))


@pytest.mark.parametrize(
    ("price", "cycle", "day", "daily"),
    [
        ("31", "monthly", date(2025, 1, 10), "1"),
        ("28", "monthly", date(2025, 2, 10), "1"),
        ("366", "annual", date(2024, 7, 1), "1"),
        ("70", "weekly", date(2025, 7, 1), "10"),
        ("30", "fortnightly", date(2025, 7, 1), "1"),
    ],
)
def test_daily_cost(price, cycle, day, daily):
    assert cost_on(plan(price, cycle), day, USD).daily_cost == Decimal(daily)


def test_half_a_month_costs_the_days_it_ran():
    half = plan("30", start_date=date(2025, 1, 15))
    assert total([half], date(2025, 1, 1), date(2025, 1, 31)) == Decimal("16.451612903")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"unit_price": "15", "seats": "100", "discount": ("percent", "20")}, "1200"),
        ({"unit_price": "12.99", "seats": "5"}, "64.95"),
        ({"unit_price": "100", "seats": "1", "discount": ("percent", "10")}, "90"),
        ({"unit_price": "100", "seats": "3", "discount": ("fixed", "150")}, "150"),
        ({"unit_price": "100", "seats": "1", "discount": ("fixed", "250")}, "0"),
        ({"unit_price": "10.005", "seats": "1", "discount": ("percent", "12.5")}, "8.754375"),
    ],
)
def test_cycle_cost(changes, expected):
    kind, value = changes.get("discount", (None, None))
    priced = plan(
        changes["unit_price"],
        seats=Decimal(changes["seats"]),
        discount_type=Discount(kind) if kind else None,
        discount_value=Decimal(value) if value else None,
    )
    assert cycle_cost(priced) == Decimal(expected)


def test_a_fixed_discount_is_taken_once_not_per_seat():
    seats = plan("10", seats=Decimal(100), discount_type=Discount.FIXED, discount_value=Decimal(101))
    assert cycle_cost(seats) == Decimal(899)


def test_a_flat_fee_ignores_seats():
    assert cycle_cost(plan("99", seats=Decimal(50), pricing_model=Pricing.FLAT_FEE)) == Decimal(99)


@pytest.mark.parametrize("seats", [None, Decimal(0), Decimal(-3)])
def test_missing_seats_count_as_one(seats):
    assert cycle_cost(plan("12", seats=seats)) == Decimal(12)


def test_yearly_price_is_only_for_annual_plans_and_only_above_zero():
    assert cycle_cost(plan("10", "annual", yearly_price=Decimal(100))) == Decimal(100)
    assert cycle_cost(plan("10", "annual", yearly_price=Decimal(0))) == Decimal(10)
    assert cycle_cost(plan("10", "monthly", yearly_price=Decimal(100))) == Decimal(10)


def test_250_a_month_is_not_250_a_day():
    assert cost_on(plan("250"), date(2025, 1, 1), USD).daily_cost < Decimal("8.07")


# --- Exact sums  ----------------------------------------------------------------------


@given(
    AMOUNTS,
    st.sampled_from(["weekly", "monthly", "quarterly", "semi_annual", "annual", "other"]),
    st.sampled_from(Alignment),
    st.integers(1, 12),
    st.none() | st.integers(1, 28),
    st.dates(date(2019, 1, 1), date(2033, 1, 1)),
    st.integers(0, 900),
)
def test_a_whole_cycle_sums_to_its_price(price, cycle, alignment, fiscal, anchor, start, after):
    terms = Terms(fiscal, "USD")
    some = plan(str(price), cycle, alignment=alignment, start_date=start, billing_anchor_day=anchor)
    period = period_of(some, start + timedelta(days=after), terms)
    days = [cost_on(some, period.start + timedelta(days=i), terms) for i in range(period.days)]
    assert sum(d.daily_cost for d in days) == cycle_cost(some) == price
    assert all(abs(d.daily_cost * period.days - price) <= QUANTUM * period.days for d in days)
    assert all(d.daily_cost == d.daily_cost.quantize(QUANTUM) for d in days)


@given(AMOUNTS, st.integers(0, 59), st.integers(0, 59))
def test_a_day_costs_the_same_in_every_window(price, first, last):
    assume(first <= last)
    origin, some = date(2024, 1, 15), [plan(str(price))]
    whole = {c.cost_date: c.daily_cost for c in daily_costs(some, origin, origin + timedelta(days=60), USD)}
    window = daily_costs(some, origin + timedelta(days=first), origin + timedelta(days=last), USD)
    assert all(whole[c.cost_date] == c.daily_cost for c in window)


@given(st.integers(1, 12), st.sampled_from(["quarterly", "semi_annual"]), st.integers(2019, 2032))
def test_fiscal_quarters_and_halves_sum_to_the_year(start_month, cycle, year):
    first = date(year, start_month, 1)
    last = date(year + 1, start_month, 1) - timedelta(days=1)
    times = 4 if cycle == "quarterly" else 2
    assert total([plan("100", cycle)], first, last, Terms(start_month, "USD")) == 100 * times


@pytest.mark.parametrize("leap", [2023, 2024])
def test_an_annual_contract_signed_in_may_sums_to_its_price_by_term(leap):
    first, last = date(leap, 5, 17), date(leap + 1, 5, 16)
    contract = plan("1200", "annual", start_date=first, end_date=last, alignment=Alignment.TERM)
    assert total([contract], first, last) == 1200
    fiscal = replace(contract, alignment=Alignment.FISCAL)
    assert total([fiscal], first, last) != 1200  # what term alignment is for


# --- Which days count  ----------------------------------------------------------------------


def test_the_last_day_counts_and_nothing_after_it():
    ended = plan("31", start_date=date(2025, 1, 1), end_date=date(2025, 1, 10), status=Status.CANCELLED)
    days = [c.cost_date for c in daily_costs([ended], date(2025, 1, 8), date(2025, 1, 31), USD)]
    assert days == [date(2025, 1, 8), date(2025, 1, 9), date(2025, 1, 10)]


@pytest.mark.parametrize("status", [Status.CANCELLED, Status.EXPIRED])
def test_an_ended_plan_without_an_end_is_refused_rather_than_accrued_for_ever(status):
    with pytest.raises(DataError, match="open_end: s1"):
        list(daily_costs([plan(status=status)], date(2025, 1, 1), date(2025, 1, 2), USD))


def test_a_pending_plan_costs_from_its_first_day_on():
    future = plan("31", status=Status.PENDING, start_date=date(2025, 1, 30))
    costs = list(daily_costs([future], date(2025, 1, 28), date(2025, 1, 31), USD))
    assert [(c.cost_date.day, c.daily_cost) for c in costs] == [(30, 1), (31, 1)]


def test_free_plans_leave_no_rows():
    assert list(daily_costs([plan("0")], date(2025, 1, 1), date(2025, 1, 2), USD)) == []


def test_rows_are_ordered_and_currencies_stay_apart():
    plans = [
        plan("31", subscription_id="b", currency="EUR"),
        plan("62", subscription_id="a", currency="INR"),
    ]
    costs = list(daily_costs(plans, date(2025, 1, 1), date(2025, 1, 1), USD))
    assert [(c.plan.subscription_id, c.currency, c.daily_cost) for c in costs] == [
        ("a", "INR", 2),
        ("b", "EUR", 1),
    ]


def test_a_plan_without_currency_takes_the_tenants_or_is_refused():
    assert cost_on(plan(), date(2025, 1, 1), USD).currency == "USD"
    with pytest.raises(DataError, match="currency: s1"):
        list(daily_costs([plan()], date(2025, 1, 1), date(2025, 1, 1), Terms()))


def test_run_rates_describe_the_month_and_the_year():
    cost = cost_on(plan("31"), date(2024, 1, 5), USD)
    assert (cost.monthly_run_rate, cost.annual_run_rate) == (31, 366)
    yearly = cost_on(plan("365", "annual"), date(2025, 2, 5), USD)
    assert (yearly.monthly_run_rate, yearly.annual_run_rate) == (28, 365)


def test_list_cost_is_the_days_share_before_the_discount():
    some = plan("31", discount_type=Discount.PERCENT, discount_value=Decimal(20))
    cost = cost_on(some, date(2025, 1, 1), USD)
    assert (cost.list_cost, cost.daily_cost) == (Decimal(1), Decimal("0.8"))
