"""Anthropic's cost and usage reports: cents as texts, disjoint tokens, opaque pages."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets_tests.pipelines.bench import Bench, failed
from platform_assets_tests.pipelines.provider import Pages, pull_pages

DAY = date(2025, 8, 1)
START, END = datetime(2025, 8, 1, tzinfo=UTC), datetime(2025, 8, 2, tzinfo=UTC)

COST = {  # the vendor's own sample
    "amount": "123.78912",
    "context_window": "0-200k",
    "cost_type": "tokens",
    "currency": "USD",
    "description": "Claude Opus 5 Usage - Input Tokens",
    "inference_geo": "global",
    "model": "claude-opus-5",
    "service_tier": "standard",
    "token_type": "uncached_input_tokens",
    "workspace_id": "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ",
}
USAGE = {  # the vendor's own sample
    "account_id": "user_01WCz1FkmYMm4gnmykNKUu3Q",
    "api_key_id": "apikey_01Rj2N8SVvo6BePZj99NhmiT",
    "cache_creation": {"ephemeral_1h_input_tokens": 1000, "ephemeral_5m_input_tokens": 500},
    "cache_read_input_tokens": 200,
    "context_window": "0-200k",
    "inference_geo": "global",
    "model": "claude-opus-4-6",
    "output_tokens": 500,
    "server_tool_use": {"web_search_requests": 10},
    "service_account_id": "svac_01Hk3R9TWxq7CfQak00OiVw4",
    "service_tier": "standard",
    "uncached_input_tokens": 1500,
    "workspace_id": "wrkspc_01JwQvzr7rXLA5AGx3HKfFUJ",
}


def page(*results, token=None, start="2025-08-01T00:00:00Z", end="2025-08-02T00:00:00Z"):
    bucket = {"starting_at": start, "ending_at": end, "results": list(results)}
    return json.dumps({"data": [bucket], "has_more": token is not None, "next_page": token})


def pull_costs(bench, httpserver, *pages):
    stats = pull_pages(bench, httpserver, "anthropic_costs", "costs", DAY, Pages(list(pages)))
    checks = bench.run("anthropic_costs", "to_focus", DAY)
    assert failed(checks) == []
    return stats


def test_cents_become_dollars(bench, httpserver):
    pull_costs(bench, httpserver, page(COST))
    [row] = bench.rows("SELECT * FROM silver_cost.focus_costs")
    assert row["BilledCost"] == row["ListCost"] == Decimal("1.2378912")
    assert (row["ChargePeriodStart"], row["ChargePeriodEnd"]) == (START, END)
    assert (row["x_Model"], row["x_TokenType"], row["x_ServiceTier"]) == (
        "claude-opus-5",
        "uncached_input_tokens",
        "standard",
    )


def test_the_request_groups_by_description_and_brackets_its_lists(bench, httpserver):
    pages = Pages([page(COST)])
    pull_pages(bench, httpserver, "anthropic_costs", "costs", DAY, pages)
    [(path, query, headers)] = pages.asked
    assert path == "/organizations/cost_report"
    assert [v for k, v in query if k == "group_by[]"] == ["workspace_id", "description"]
    assert ("starting_at", "2025-08-01T00:00:00Z") in query and ("ending_at", "2025-08-02T00:00:00Z") in query
    assert (headers["Anthropic-Version"], headers["X-Api-Key"]) == ("2023-06-01", "not-a-real-secret")


def test_the_page_token_is_opaque(bench, httpserver):
    tokens = ["2019-12-27T18:11:19.117Z", "page_MjAyNS0wNS0xNFQwMDowMDowMFo="]
    first, second, third = ({**COST, "amount": amount} for amount in ("1", "2", "3"))
    pages = Pages([page(first, token=tokens[0]), page(second, token=tokens[1]), page(third)])
    stats = pull_pages(bench, httpserver, "anthropic_costs", "costs", DAY, pages)
    assert [dict(query).get("page") for _, query, _ in pages.asked] == [None, *tokens]
    assert stats.records == 3


def test_a_report_that_never_ends_is_an_error_not_a_sum(bench, httpserver):
    pages = Pages([page(COST, token="same") for _ in range(5)])
    with pytest.raises(DataError):
        pull_pages(bench, httpserver, "anthropic_costs", "costs", DAY, pages)
    assert len(pages.asked) == 2
    assert bench.value("SELECT COUNT(*) AS n FROM raw_anthropic.costs") == 0


def test_the_default_workspace_is_a_workspace(bench, httpserver):
    pull_costs(bench, httpserver, page({**COST, "workspace_id": None}))
    assert bench.value("SELECT SubAccountId FROM silver_cost.focus_costs") == "default"


def test_a_report_not_grouped_by_description_is_refused(bench):
    bare = {"starting_at": START, "ending_at": END, "amount_cents": Decimal(5), "currency": "USD"}
    checks = bench.land("anthropic_costs", "costs", DAY, [bare])
    assert "expect_column_values_to_not_be_null:description" in failed(checks)


def test_a_bucket_of_another_day_is_refused(bench):
    row = {"starting_at": END, "ending_at": datetime(2025, 8, 3, tzinfo=UTC), "currency": "USD"}
    row |= {"amount_cents": Decimal(1), "description": "d", "cost_type": "tokens", "model": "m"}
    checks = bench.land("anthropic_costs", "costs", DAY, [row])
    assert failed(checks) == ["expect_column_values_to_satisfy:starting_at"]


def test_code_execution_and_credits(bench, httpserver):
    execution = {**COST, "cost_type": "code_execution", "model": None, "token_type": None, "amount": "50"}
    credit = {
        "amount": "-200",
        "currency": "USD",
        "workspace_id": None,
        "cost_type": None,
        "description": None,
    }
    pull_costs(bench, httpserver, page(execution, credit))
    rows = bench.rows("SELECT * FROM silver_cost.focus_costs ORDER BY BilledCost")
    assert [(r["ChargeCategory"], r["BilledCost"], r["SkuMeter"]) for r in rows] == [
        ("Credit", Decimal(-2), None),
        ("Usage", Decimal("0.5"), "code_execution"),
    ]


def test_a_bucket_without_results_is_a_day_without_costs(bench, httpserver):
    stats = pull_costs(bench, httpserver, page())
    assert stats.empty_confirmed
    assert bench.value("SELECT COUNT(*) AS n FROM silver_cost.focus_costs") == 0


@settings(max_examples=4, deadline=None)
@given(st.lists(st.decimals("-100000", "100000", places=16), min_size=1, max_size=60))
def test_cents_and_dollars_agree_to_the_last_digit(tmp_path_factory, amounts):
    bench = Bench(tmp_path_factory.mktemp("warehouse"))
    row = {"starting_at": START, "ending_at": END, "currency": "USD", "cost_type": "tokens"}
    row |= {"model": "m", "description": "d"}
    bench.land("anthropic_costs", "costs", DAY, [{**row, "amount_cents": amount} for amount in amounts])
    bench.run("anthropic_costs", "to_focus", DAY)
    bench.run("anthropic_costs", "totals", DAY)
    assert failed(bench.run("cost_reporting", "reconciliation", DAY)) == []
    found = bench.value("SELECT SUM(BilledCost) AS s FROM silver_cost.focus_costs")
    assert (found or 0) == sum(amounts, Decimal(0)).scaleb(-2)


# --- Usage ------------------------------------------------------------------------------------------


def test_usage_tokens_are_taken_apart_not_added(bench, httpserver):
    pull_pages(bench, httpserver, "anthropic_usage", "messages", DAY, [page(USAGE)])
    [row] = bench.rows("SELECT * FROM raw_anthropic.usage_messages")
    assert (
        row["uncached_input_tokens"],
        row["cache_read_input_tokens"],
        row["cache_creation_5m_input_tokens"],
        row["cache_creation_1h_input_tokens"],
        row["output_tokens"],
        row["web_search_requests"],
    ) == (1500, 200, 500, 1000, 500, 10)


def test_usage_is_asked_for_by_every_dimension_that_has_a_price(bench, httpserver):
    pages = Pages([page(USAGE)])
    pull_pages(bench, httpserver, "anthropic_usage", "messages", DAY, pages)
    grouped = [v for k, v in pages.asked[0][1] if k == "group_by[]"]
    assert {"model", "service_tier", "context_window", "inference_geo"} <= set(grouped)


CLAUDE_CODE = {  # the vendor's own sample, shortened
    "date": "2025-09-01T00:00:00Z",
    "actor": {"type": "user_actor", "email_address": "developer@company.com"},
    "organization_id": "dc9f6c26-b22c-4831-8d01-0446bada88f1",
    "customer_type": "api",
    "terminal_type": "vscode",
    "core_metrics": {
        "num_sessions": 5,
        "lines_of_code": {"added": 1543, "removed": 892},
        "commits_by_claude_code": 12,
        "pull_requests_by_claude_code": 2,
    },
    "tool_actions": {"edit_tool": {"accepted": 45, "rejected": 5}},
    "model_breakdown": [{"model": "m", "estimated_cost": {"currency": "USD", "amount": 1025}}],
}


def test_claude_code_is_flat_and_its_estimate_is_never_billed(bench, httpserver):
    body = json.dumps({"data": [CLAUDE_CODE], "has_more": False, "next_page": None})
    pages = Pages([body])
    pull_pages(bench, httpserver, "anthropic_usage", "claude_code", date(2025, 9, 1), pages)
    assert ("starting_at", "2025-09-01") in pages.asked[0][1]
    [row] = bench.rows("SELECT * FROM raw_anthropic.claude_code")
    assert (row["lines_added"], row["commits"], row["actor_email"]) == (1543, 12, "developer@company.com")
    assert json.loads(row["model_breakdown"])[0]["estimated_cost"]["amount"] == 1025


def test_claude_codes_addresses_are_marked_as_personal():
    from platform_assets_tests.pipelines.bench import step

    schema = step("anthropic_usage", "claude_code").table.schema
    assert [f.name for f in schema.fields if f.pii] == ["actor_email"]
