"""SaaS plans, from the reviewed CSV to FOCUS rows and monthly spend."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from platform_assets.engine.errors import DataError, NotFoundError
from platform_assets_tests.pipelines.bench import failed

PLANS = {
    "subscription_id": "s1",
    "provider": "slack",
    "plan_name": "business",
    "billing_cycle": "monthly",
    "unit_price": Decimal(10),
    "seats": Decimal(31),
}


def run_day(bench, day, *plans):
    bench.land("saas_subscriptions", "plans", day, plans)
    for name in ("daily_costs", "to_focus"):
        assert failed(bench.run("saas_subscriptions", name, day)) == []


def test_the_example_plans_become_costs(bench):
    day = date(2026, 11, 1)
    assert failed(bench.run("saas_subscriptions", "plans", day, plans="example")) == []
    bench.run("saas_subscriptions", "daily_costs", day)
    costs = bench.rows(
        "SELECT subscription_id AS s, daily_cost AS d, currency AS c FROM silver_cost.saas_daily_costs"
    )
    assert {(r["s"], r["c"]): r["d"] for r in costs} == {
        ("slack-business-2", "USD"): Decimal("20.625"),  # 55 × 12.50 − 10 % over 30 days
        ("figma-org-1", "USD"): Decimal("17.753424658"),
        ("github-ent-1", "USD"): Decimal("54.193548387"),
        ("statuspage-1", "EUR"): Decimal("3.3"),
    }


def test_a_plan_table_that_is_not_there_is_an_error_and_may_not_lead_out(bench):
    with pytest.raises(NotFoundError, match="no seed file"):
        bench.run("saas_subscriptions", "plans", date(2026, 1, 1), plans="missing")
    with pytest.raises(DataError, match="leads out"):
        bench.run("saas_subscriptions", "plans", date(2026, 1, 1), plans="../../../../../tenants/acme1281")


def test_list_and_contracted_costs_are_the_days_share_not_the_cycles(bench):
    plan = {**PLANS, "currency": "EUR", "discount_type": "percent", "discount_value": Decimal(50)}
    run_day(bench, date(2026, 1, 5), plan)
    [row] = bench.rows("SELECT * FROM silver_cost.focus_costs")
    assert (row["ListCost"], row["ContractedCost"], row["BilledCost"], row["EffectiveCost"]) == (10, 5, 5, 5)
    assert (row["ChargeCategory"], row["ChargeFrequency"], row["BillingCurrency"]) == (
        "Purchase",
        "Recurring",
        "EUR",
    )
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (
        datetime(2026, 1, 5, tzinfo=UTC),
        datetime(2026, 1, 6, tzinfo=UTC),
    )
    assert row["BillingPeriodEnd"] == datetime(2026, 2, 1, tzinfo=UTC)


def test_a_week_of_days_is_the_weeks_price_in_the_reports(bench):
    plan = {**PLANS, "billing_cycle": "weekly", "unit_price": Decimal("9.99"), "start_date": date(2026, 2, 2)}
    for offset in range(7):
        run_day(bench, date(2026, 2, 2) + timedelta(days=offset), plan)
    bench.run("cost_reporting", "monthly_spend", date(2026, 2, 1))
    [row] = bench.rows("SELECT * FROM gold_reporting.monthly_spend")
    assert (row["EffectiveCost"], row["ChargeCount"]) == (Decimal("309.69"), 7)


def test_plans_and_reports_agree_to_the_last_digit(bench):
    day = date(2026, 2, 2)
    run_day(bench, day, {**PLANS, "unit_price": Decimal("0.000000001")}, {**PLANS, "subscription_id": "s2"})
    bench.run("saas_subscriptions", "totals", day)
    assert failed(bench.run("cost_reporting", "reconciliation", day)) == []


def test_a_plan_cancelled_without_an_end_stops_the_slice_and_says_which(bench):
    bench.land("saas_subscriptions", "plans", date(2026, 1, 5), [{**PLANS, "status": "cancelled"}])
    with pytest.raises(DataError, match="open_end: s1"):
        bench.run("saas_subscriptions", "daily_costs", date(2026, 1, 5))


def test_odd_plans_are_costed_and_warned_about(bench):
    odd = [{**PLANS, "seats": None}, {**PLANS, "subscription_id": "s2", "unit_price": Decimal(0)}]
    checks = bench.land("saas_subscriptions", "plans", date(2026, 1, 5), odd)
    assert {c.expectation_id for c in checks if not c.success} == {"null_seats_check", "zero_cost_check"}


def test_no_plans_no_rows(bench):
    run_day(bench, date(2026, 1, 5))
    assert bench.value("SELECT COUNT(*) AS n FROM silver_cost.focus_costs") == 0
