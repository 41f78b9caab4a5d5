"""Estimates beside bills: from both providers' usage to what is missing, late or off."""

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from platform_assets_tests.pipelines.bench import failed

DAY = date(2026, 5, 1)
START, END = datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 5, 2, tzinfo=UTC)
COMPLETION = {
    "start_time": START,
    "end_time": END,
    "model": "gpt-4o-mini-2024-07-18",
    "project_id": "proj_a",
    "input_tokens": 3_000_000,
    "input_cached_tokens": 1_000_000,
    "output_tokens": 1_000_000,
    "num_model_requests": 5,
}
MESSAGES = {
    "starting_at": START,
    "ending_at": END,
    "model": "claude-opus-4-6",
    "service_tier": "standard",
    "context_window": "0-200k",
    "inference_geo": "us",
    "uncached_input_tokens": 1_000_000,
    "cache_read_input_tokens": 1_000_000,
    "cache_creation_5m_input_tokens": 1_000_000,
    "cache_creation_1h_input_tokens": 1_000_000,
    "output_tokens": 1_000_000,
}


def estimate(bench):
    bench.run("llm_estimates", "price_multipliers", DAY)
    checks = bench.run("llm_estimates", "estimated_costs", DAY)
    assert failed(checks) == []
    return checks


def openai_usage(bench, *rows, embedded=()):
    bench.land("openai_usage", "completions", DAY, rows)
    bench.land("openai_usage", "embeddings", DAY, embedded)
    return bench.run("openai_usage", "to_token_usage", DAY)


def openai_bill(bench, amount, line_item):
    row = {"start_time": START, "end_time": END, "amount_value": Decimal(amount), "amount_currency": "usd"}
    bench.land("openai_costs", "costs", DAY, [{**row, "line_item": line_item, "project_id": "proj_a"}])
    bench.run("openai_costs", "to_focus", DAY)


@pytest.mark.parametrize("told", [{}, {"input_uncached_tokens": 2_000_000}])
def test_openais_input_is_inclusive_and_not_priced_twice(bench, told):
    openai_usage(bench, {**COMPLETION, **told})
    estimate(bench)
    [row] = bench.rows("SELECT * FROM silver_cost.estimated_costs")
    assert (row["UncachedInputTokens"], row["CacheReadTokens"]) == (2_000_000, 1_000_000)
    assert row["EstimatedCost"] == 2 * Decimal("0.15") + Decimal("0.075") + Decimal("0.6")


def test_anthropics_input_is_disjoint(bench):
    bench.land("anthropic_usage", "messages", DAY, [MESSAGES])
    bench.run("anthropic_usage", "to_token_usage", DAY)
    estimate(bench)
    [row] = bench.rows("SELECT * FROM silver_cost.estimated_costs")
    assert row["EstimatedCost"] == Decimal("1.1") * (5 + Decimal("0.5") + Decimal("6.25") + 10 + 25)


def test_completions_and_embeddings_are_both_there(bench):
    embedded = {"start_time": START, "end_time": END, "model": "text-embedding-3-small"}
    openai_usage(bench, COMPLETION, embedded=[{**embedded, "input_tokens": 1_000_000}])
    estimate(bench)
    rows = bench.rows("SELECT Model AS m, EstimatedCost AS e FROM silver_cost.estimated_costs ORDER BY 1")
    assert [(r["m"], r["e"]) for r in rows] == [
        ("gpt-4o-mini-2024-07-18", Decimal("0.975")),
        ("text-embedding-3-small", Decimal("0.02")),
    ]


def test_more_cached_than_input_is_refused(bench):
    checks = openai_usage(bench, {**COMPLETION, "input_cached_tokens": 4_000_000})
    assert failed(checks) == ["expect_column_values_to_be_between:UncachedInputTokens"]


def test_unpriced_usage_is_warned_about(bench):
    openai_usage(bench, {**COMPLETION, "model": "model-of-tomorrow"})
    checks = estimate(bench)
    assert [c.expectation_id for c in checks if not c.success] == ["unpriced_usage"]


def check(bench):
    checks = bench.run("llm_estimates", "estimate_check", DAY)
    return checks, bench.rows("SELECT * FROM gold_reporting.estimate_check ORDER BY Model")


def test_before_the_bill_the_estimate_counts_and_after_it_the_bill_wins(bench):
    openai_usage(bench, COMPLETION)
    estimate(bench)
    bench.land("openai_costs", "costs", DAY, [])
    bench.run("openai_costs", "to_focus", DAY)
    _, [early] = check(bench)
    assert (early["CostBasis"], early["BestCost"], early["Model"]) == (
        "estimated",
        Decimal("0.975"),
        "gpt-4o-mini",
    )
    openai_bill(bench, "1.0", "gpt-4o-mini, input")
    checks, [late] = check(bench)
    assert (late["CostBasis"], late["BestCost"], late["Deviation"]) == ("billed", 1, Decimal("-0.025"))
    assert failed(checks, "warning") == []


def test_an_estimate_far_from_the_bill_is_warned_about(bench):
    openai_usage(bench, COMPLETION)
    estimate(bench)
    openai_bill(bench, "2", "gpt-4o-mini, output")
    checks, [row] = check(bench)
    assert row["Deviation"] == Decimal("-0.5125")
    assert [c.expectation_id for c in checks if not c.success] == ["estimate_near_billed"]


def test_usage_without_a_price_is_shown_beside_the_priced(bench):
    openai_usage(bench, COMPLETION, {**COMPLETION, "model": "model-of-tomorrow"})
    estimate(bench)
    bench.land("openai_costs", "costs", DAY, [])
    bench.run("openai_costs", "to_focus", DAY)
    _, rows = check(bench)
    assert [(r["Model"], r["CostBasis"], r["UnpricedTokens"]) for r in rows] == [
        ("gpt-4o-mini", "estimated", 0),
        ("model-of-tomorrow", "unpriced", 4_000_000),
    ]


def test_a_million_tokens_and_a_seat_have_a_cost(bench):
    openai_usage(bench, COMPLETION)
    openai_bill(bench, "2", "gpt-4o-mini, output")
    plan = {"subscription_id": "s", "provider": "slack", "plan_name": "pro", "billing_cycle": "monthly"}
    bench.land("saas_subscriptions", "plans", DAY, [{**plan, "unit_price": Decimal(31), "seats": Decimal(4)}])
    bench.run("saas_subscriptions", "daily_costs", DAY)
    bench.run("saas_subscriptions", "to_focus", DAY)
    bench.run("llm_estimates", "unit_costs", DAY)
    rows = bench.rows("SELECT * FROM gold_reporting.unit_costs ORDER BY Unit")
    assert [(r["Service"], r["Unit"], r["Quantity"], r["UnitCost"]) for r in rows] == [
        ("gpt-4o-mini", "1M tokens", 4, Decimal("0.5")),
        ("pro", "seat and day", 4, 1),
    ]
