"""Budgets, anomalies and conversion on the reports, and the reports on everything."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from platform_assets.engine.tenancy import Budget, TenantSpec
from platform_assets_tests.pipelines.bench import Bench, failed

DAY = date(2026, 3, 17)
TENANT = TenantSpec(
    tenant="acme1281",
    display_name="Acme",
    default_currency="INR",
    budgets=[
        Budget(id="all", amount="100", currency="USD"),
        Budget(id="gcp", amount="1", currency="USD", provider="gcp"),
    ],
)


def spend(bench, day, amount, currency="usd"):
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    row = {"start_time": start, "end_time": start + timedelta(days=1), "project_id": "p"}
    row |= {"amount_value": Decimal(amount), "amount_currency": currency}
    bench.land("openai_costs", "costs", day, [row])
    bench.run("openai_costs", "to_focus", day)
    bench.run("cost_reporting", "daily_spend", day)


def test_every_budget_has_a_status(tmp_path):
    bench = Bench(tmp_path, TENANT)
    spend(bench, DAY - timedelta(days=1), "90")
    spend(bench, DAY, "20")
    spend(bench, DAY + timedelta(days=1), "1000")  # not known yet on the day itself
    checks = bench.run("cost_insights", "budget_status", DAY)
    rows = bench.rows("SELECT * FROM gold_reporting.budget_status ORDER BY BudgetId")
    assert [(r["BudgetId"], r["SpentAmount"], r["Status"]) for r in rows] == [
        ("all", 110, "exceeded"),
        ("gcp", 0, "ok"),
    ]
    assert [c.expectation_id for c in checks if not c.success] == ["budget_exceeded"]


def test_a_tenant_without_budgets_has_no_rows(bench):
    spend(bench, DAY, "20")
    bench.run("cost_insights", "budget_status", DAY)
    assert bench.value("SELECT COUNT(*) AS n FROM gold_reporting.budget_status") == 0


def test_an_unusual_day_is_marked_and_warned_about(bench):
    for weeks in range(1, 8):
        spend(bench, DAY - timedelta(weeks=weeks), "100")
    spend(bench, DAY, "900")
    checks = bench.run("cost_insights", "anomalies", DAY)
    [row] = bench.rows("SELECT * FROM gold_reporting.anomalies")
    assert (row["IsAnomaly"], row["Direction"], row["ExpectedCost"], row["ComparedWith"]) == (
        True,
        "spike",
        100,
        "Tuesdays",
    )
    assert failed(checks, "warning") == ["expect_column_values_to_not_be_in_set:IsAnomaly"]


def test_without_a_rate_file_nothing_is_converted(tmp_path):
    bench = Bench(tmp_path, TENANT)
    spend(bench, DAY, "10")
    bench.run("cost_insights", "fx_rates", DAY)
    assert bench.stats.empty_confirmed
    bench.run("cost_insights", "daily_spend_converted", DAY)
    assert bench.value("SELECT COUNT(*) AS n FROM gold_reporting.daily_spend_converted") == 0


def test_with_rates_the_day_is_shown_in_the_tenants_currency(tmp_path):
    bench = Bench(tmp_path, TENANT)
    spend(bench, DAY, "10")
    rate = {"rate_date": DAY, "from_currency": "USD", "to_currency": "INR", "rate": Decimal("83.5")}
    assert failed(bench.land("cost_insights", "fx_rates", DAY, [rate])) == []
    bench.run("cost_insights", "daily_spend_converted", DAY)
    [row] = bench.rows("SELECT * FROM gold_reporting.daily_spend_converted")
    assert (row["ConvertedCost"], row["Currency"], row["BilledCost"]) == (835, "INR", 10)
