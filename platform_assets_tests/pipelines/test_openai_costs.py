"""OpenAI's costs, from the answer as OpenAI sends it to FOCUS rows."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets_tests.pipelines.bench import Bench, failed
from platform_assets_tests.pipelines.provider import pull_pages

DAY = date(2026, 1, 31)
START, END = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)


def charge(amount, **changes):
    row = {"start_time": START, "end_time": END, "amount_value": Decimal(amount), "amount_currency": "usd"}
    return {**row, "project_id": "proj_a", "line_item": "gpt-4o, input", **changes}


def focus(bench, *rows, day=DAY):
    assert failed(bench.land("openai_costs", "costs", day, rows)) == []
    checks = bench.run("openai_costs", "to_focus", day)
    assert failed(checks) == []
    return bench.rows("SELECT * FROM silver_cost.focus_costs ORDER BY BilledCost")


def test_sixteen_decimals_survive(bench):
    [row] = focus(bench, charge("0.0600000000000001"))
    assert row["BilledCost"] == row["EffectiveCost"] == row["ListCost"] == Decimal("0.0600000000000001")


def test_periods_end_exclusively_and_the_billing_month_is_the_calendars(bench):
    [row] = focus(bench, charge("1"))
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (START, END)
    assert (row["BillingPeriodStart"], row["BillingPeriodEnd"]) == (datetime(2026, 1, 1, tzinfo=UTC), END)


def test_currencies_are_upper_case_and_stay_apart(bench):
    focus(bench, charge("1"), charge("2", amount_currency="eur"), charge("4", amount_currency="Usd"))
    bench.run("cost_reporting", "daily_spend", DAY)
    totals = bench.rows(
        "SELECT BillingCurrency AS c, SUM(BilledCost) AS s FROM gold_reporting.daily_spend GROUP BY 1 ORDER BY 1"
    )
    assert totals == [{"c": "EUR", "s": Decimal(2)}, {"c": "USD", "s": Decimal(5)}]


def test_a_negative_row_without_a_project_is_a_credit_and_is_kept(bench):
    credit, correction, usage = focus(
        bench,
        charge("-5", project_id=None, line_item=None, quantity=Decimal(3), quantity_unit="tokens"),
        charge("-1"),
        charge("9"),
    )
    assert [r["ChargeCategory"] for r in (credit, correction, usage)] == ["Credit", "Usage", "Usage"]
    assert (credit["ConsumedQuantity"], credit["ChargeFrequency"]) == (None, "One-Time")
    bench.run("cost_reporting", "monthly_spend", DAY.replace(day=1))
    assert bench.value("SELECT SUM(BilledCost) AS s FROM gold_reporting.monthly_spend") == Decimal(3)


LINE_ITEMS = {
    "gpt-4o-mini, input": ("input", "gpt-4o-mini", "input"),
    "gpt-4o, cached input": ("cached input", "gpt-4o", "cached input"),
    "assistants api | file search": ("file search", None, None),
    "input_tokens": ("input_tokens", None, None),
    "gpt-4o-2024-08-06 batch, output": ("output", "gpt-4o-2024-08-06", "output"),
}


def test_line_items(bench):
    rows = focus(bench, *(charge("1", line_item=text) for text in LINE_ITEMS))
    found = {r["SkuId"]: (r["SkuMeter"], r["x_Model"], r["x_TokenType"]) for r in rows}
    assert found == LINE_ITEMS
    assert {r["ChargeDescription"] for r in rows} == set(LINE_ITEMS)


def test_empty_line_items_are_none(bench):
    rows = focus(bench, *(charge("1", line_item=text) for text in ("", "   ", None)))
    told = [(r["SkuId"], r["SkuMeter"], r["x_Model"], r["ChargeDescription"]) for r in rows]
    assert told == [(None, None, None, "OpenAI API")] * 3


def test_units(bench):
    units = {"1000_tokens": "1000 Tokens", "gibibyte_hours": "GiB-Hours", "widgets": "widgets", "": "Units"}
    rows = focus(
        bench, *(charge("1", line_item=f"x, {u}", quantity=Decimal("2.5"), quantity_unit=u) for u in units)
    )
    assert {(r["PricingQuantity"], r["PricingUnit"]) for r in rows} == {
        (Decimal("2.5"), unit) for unit in units.values()
    }


def test_a_day_restated_to_nothing_leaves_nothing(bench):
    assert len(focus(bench, charge("1"), charge("2"))) == 2
    assert focus(bench) == []
    bench.run("cost_reporting", "daily_spend", DAY)
    assert bench.value("SELECT COUNT(*) AS n FROM gold_reporting.daily_spend") == 0


def test_a_second_pull_replaces_the_day_and_only_the_day(bench):
    focus(bench, charge("1"))
    focus(bench, charge("7", start_time=END, end_time=datetime(2026, 2, 2, tzinfo=UTC)), day=date(2026, 2, 1))
    rows = focus(bench, charge("3"))
    assert [r["BilledCost"] for r in rows] == [3, 7]


def test_two_credentials_live_side_by_side(bench):
    bench.land("openai_costs", "costs", DAY, [charge("1")], credential="default")
    bench.land("openai_costs", "costs", DAY, [charge("2")], credential="second")
    bench.land("openai_costs", "costs", DAY, [charge("4")], credential="second")
    bench.run("openai_costs", "to_focus", DAY)
    rows = bench.rows(
        "SELECT x_credential AS c, BillingAccountId AS a, BilledCost AS b FROM silver_cost.focus_costs"
    )
    assert sorted((r["c"], r["a"], r["b"]) for r in rows) == [
        ("default", "openai:default", 1),
        ("second", "openai:second", 4),
    ]


AMOUNTS = st.decimals("-1000000", "1000000", places=16)


@settings(max_examples=4, deadline=None)
@given(st.lists(st.tuples(AMOUNTS, st.sampled_from(["usd", "EUR", "inr"])), min_size=1, max_size=60))
def test_every_total_agrees_to_the_last_digit(tmp_path_factory, charges):
    bench = Bench(tmp_path_factory.mktemp("warehouse"))
    focus(bench, *(charge(amount, amount_currency=currency) for amount, currency in charges))
    bench.run("openai_costs", "totals", DAY)
    checks = bench.run("cost_reporting", "reconciliation", DAY)
    assert failed(checks) == [] and failed(checks, "warning") == []
    bench.run("cost_reporting", "daily_spend", DAY)
    expected = {}
    for amount, currency in charges:
        expected[currency.upper()] = expected.get(currency.upper(), 0) + amount
    gold = bench.rows(
        "SELECT BillingCurrency AS c, SUM(BilledCost) AS s FROM gold_reporting.daily_spend GROUP BY 1"
    )
    assert {r["c"]: r["s"] for r in gold} == expected


def test_rows_that_look_alike_are_all_charged(bench):
    rows = focus(bench, charge("1"), charge("1"), charge("1", project_id="proj_b"))
    assert sum(r["BilledCost"] for r in rows) == 3
    assert sorted(r["SubAccountId"] for r in rows) == ["proj_a", "proj_a", "proj_b"]


def test_an_amount_without_a_currency_is_refused(bench):
    checks = bench.land("openai_costs", "costs", DAY, [charge("2"), charge("3", amount_currency=None)])
    assert "expect_column_values_to_not_be_null:amount_currency" in failed(checks)


def test_a_bucket_of_another_day_is_refused(bench):
    checks = bench.land(
        "openai_costs", "costs", DAY, [charge("1", start_time=datetime(2026, 1, 30, tzinfo=UTC))]
    )
    assert failed(checks) == ["expect_column_values_to_satisfy:start_time"]


def test_a_day_that_was_not_over_is_completed_by_the_next_pull(bench):
    focus(bench, charge("0.4", end_time=datetime(2026, 1, 31, 9, tzinfo=UTC)))
    [row] = focus(bench, charge("1.1"))
    assert (row["BilledCost"], row["ChargePeriodEnd"]) == (Decimal("1.1"), END)


def test_spend_is_told_by_provider_service_model_project_and_team(bench):
    focus(bench, charge("1"), charge("2", line_item="gpt-4o, output"), charge("4", project_id="proj_b"))
    plan = {"subscription_id": "s", "provider": "slack", "plan_name": "pro", "billing_cycle": "monthly"}
    plan |= {"unit_price": Decimal(31), "seats": Decimal(2), "team": "data", "project": "chat"}
    bench.land("saas_subscriptions", "plans", DAY, [plan])
    for name in ("daily_costs", "to_focus"):
        bench.run("saas_subscriptions", name, DAY)
    bench.run("cost_reporting", "daily_spend", DAY)
    rows = bench.rows("SELECT * FROM gold_reporting.daily_spend")
    names = ("ProviderName", "ServiceName", "x_Model", "x_Project", "x_Team")
    assert {tuple(row[name] for name in names): row["BilledCost"] for row in rows} == {
        ("OpenAI", "OpenAI API", "gpt-4o", "proj_a", None): 3,
        ("OpenAI", "OpenAI API", "gpt-4o", "proj_b", None): 4,
        ("slack", "pro", None, "chat", "data"): 2,
    }


# --- From the wire ----------------------------------------------------------------------------------


def answer(results, has_more=False, next_page=None):
    bucket = {"object": "bucket", "start_time": 1769817600, "end_time": 1769904000, "results": results}
    page = {"object": "page", "data": [bucket], "has_more": has_more, "next_page": next_page}
    return json.dumps(page).replace('"@', "").replace('@"', "")


def result(value, **fields):
    amount = {"value": value, "currency": "usd"}
    return {
        "object": "organization.costs.result",
        "amount": amount,
        "line_item": None,
        "project_id": "p",
        **fields,
    }


def test_amounts_come_as_numbers_or_as_texts_and_lose_no_digit(bench, httpserver):
    page = answer([result("@0.1234567890123456@"), result("12.50"), result(3)])
    pull_pages(bench, httpserver, "openai_costs", "costs", DAY, [page])
    bench.run("openai_costs", "to_focus", DAY)
    rows = bench.rows("SELECT BilledCost AS b FROM silver_cost.focus_costs ORDER BY 1")
    assert [r["b"] for r in rows] == [Decimal("0.1234567890123456"), Decimal(3), Decimal("12.5")]


def test_fields_that_appear_without_notice_are_kept_and_fail_nothing(bench, httpserver):
    page = answer([result(1, user_id="user-1", api_source="agents_api")])
    stats = pull_pages(bench, httpserver, "openai_costs", "costs", DAY, [page])
    assert stats.unknown_fields == {"user_id": 1, "api_source": 1}
    extra = bench.value("SELECT x_extra FROM raw_openai.costs")
    assert json.loads(extra) == {"user_id": "user-1", "api_source": "agents_api"}


def test_all_pages_are_read_and_a_page_without_results_is_a_page(bench, httpserver):
    pages = [answer([result(1)], True, "a"), answer([], True, "b"), answer([result(2)])]
    stats = pull_pages(bench, httpserver, "openai_costs", "costs", DAY, pages)
    assert (stats.requests, stats.records, stats.complete) == (3, 2, True)
    assert bench.value("SELECT SUM(amount_value) AS s FROM raw_openai.costs") == 3
