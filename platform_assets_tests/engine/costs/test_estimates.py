"""Estimated cost of token usage: disjoint tokens, dated prices, multipliers, and nothing priced by accident."""

from datetime import date
from decimal import Decimal

import pytest

from platform_assets.engine.costs.estimates import Multiplier, estimated, estimated_rows
from platform_assets.engine.costs.prices import KINDS, list_price

DAY = date(2026, 5, 1)
MULTIPLIERS = [
    Multiplier("openai", "*", "batch", "true", Decimal("0.5"), date(2024, 4, 15)),
    Multiplier("anthropic", "*", "service_tier", "batch", Decimal("0.5"), date(2024, 10, 8)),
    Multiplier("anthropic", "claude-*", "inference_geo", "us", Decimal("1.1"), date(2026, 2, 5)),
    Multiplier("anthropic", "*", "service_tier", "priority", None, date(2025, 1, 1)),
]


def usage(model="claude-opus-4-6", provider="anthropic", **changes):
    row = {
        "UsageDate": DAY,
        "ProviderName": provider.title(),
        "x_Provider": provider,
        "Model": model,
        "ServiceTier": "standard",
        "IsBatch": None,
        "InferenceGeo": "global",
        "ContextWindow": "0-200k",
        "SubAccountId": None,
        "UncachedInputTokens": 0,
        "CacheReadTokens": 0,
        "CacheWriteTokens": 0,
        "CacheWrite1hTokens": 0,
        "OutputTokens": 0,
        "WebSearches": 0,
    }
    return row | changes


def cost(**changes):
    return estimated(usage(**changes), MULTIPLIERS).cost


# --- Prices -------------------------------------------------------------------------------------------


def test_the_published_example():
    tokens = {
        "UncachedInputTokens": 500,
        "CacheReadTokens": 200,
        "CacheWriteTokens": 300,
        "OutputTokens": 500,
    }
    assert cost(**tokens) == Decimal("0.016975")


@pytest.mark.parametrize(
    ("column", "per_million"),
    [
        ("UncachedInputTokens", "5"),
        ("CacheReadTokens", "0.5"),
        ("CacheWriteTokens", "6.25"),
        ("CacheWrite1hTokens", "10"),
        ("OutputTokens", "25"),
    ],
)
def test_every_kind_of_token_has_its_own_price(column, per_million):
    assert cost(**{column: 1_000_000}) == Decimal(per_million)


def test_web_searches_are_priced_each_and_never_halved():
    assert cost(WebSearches=10) == Decimal("0.1")
    assert cost(WebSearches=10, ServiceTier="batch") == Decimal("0.1")


def test_prices_are_dated():
    tokens = {"UncachedInputTokens": 1000, "OutputTokens": 100}
    before, after = (
        estimated(usage("o3", "openai", UsageDate=day, **tokens), ()).cost
        for day in (date(2025, 5, 1), date(2025, 8, 1))
    )
    assert (before, after) == (Decimal("0.014"), Decimal("0.0028"))


def test_a_days_tokens_added_up_are_not_one_long_request():
    short = cost(model="claude-sonnet-4-5", UncachedInputTokens=50_000_000)
    long = cost(model="claude-sonnet-4-5", UncachedInputTokens=50_000_000, ContextWindow="200k-1M")
    assert (short, long) == (Decimal(150), Decimal(300))
    output = [
        cost(model="claude-sonnet-4-5", OutputTokens=1_000_000, ContextWindow=window)
        for window in ("0-200k", "200k-1M")
    ]
    assert output == [Decimal(15), Decimal("22.5")]


def test_a_dated_model_has_its_familys_price():
    found = estimated(usage("gpt-4o-mini-2024-07-18", "openai", OutputTokens=1_000_000), ())
    assert (found.cost, found.model) == (Decimal("0.6"), "gpt-4o-mini")


def test_an_unknown_model_has_no_price_for_anything():
    assert {list_price("openai", "no-such-model", kind, DAY) for kind in KINDS} == {None}


# --- Multipliers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"ServiceTier": "batch"}, "2.5"),
        ({"InferenceGeo": "us"}, "5.5"),
        ({"InferenceGeo": "us", "ServiceTier": "batch"}, "2.75"),
        ({"InferenceGeo": "not_available", "ServiceTier": None}, "5"),
        ({"InferenceGeo": "us", "UsageDate": date(2026, 2, 4)}, None),  # not yet in force
    ],
)
def test_tiers_and_regions(changes, expected):
    found = cost(UncachedInputTokens=1_000_000, **changes)
    assert found == (Decimal(expected) if expected else None)


def test_openais_batch_is_half_and_counts_once():
    batch = {"model": "gpt-4o", "provider": "openai", "UncachedInputTokens": 1_000_000, "InferenceGeo": None}
    assert cost(**batch, IsBatch=True, ServiceTier="default") == Decimal("1.25")
    halved = [
        *MULTIPLIERS,
        Multiplier("openai", "*", "service_tier", "batch", Decimal("0.5"), date(2024, 1, 1)),
    ]
    assert estimated(usage(**batch, IsBatch=True, ServiceTier="batch"), halved).cost == Decimal("1.25")


def test_the_longest_pattern_counts_and_ends_when_it_says():
    special = Multiplier(
        "anthropic", "claude-opus-4-6", "inference_geo", "us", Decimal(3), date(2026, 1, 1), date(2026, 5, 1)
    )
    with_it = [*MULTIPLIERS, special]
    row = usage(UncachedInputTokens=1_000_000, InferenceGeo="us")
    assert estimated(row, with_it).cost == Decimal(15)
    assert estimated(row | {"UsageDate": date(2026, 5, 2)}, with_it).cost == Decimal("5.5")


# --- What cannot be priced ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"model": "no-such-model"}, "unpriced", "no price for input of no-such-model"),
        ({"model": None}, "unpriced", "the usage names no model"),
        ({"ServiceTier": "flex_discount"}, "unpriced", "no multiplier for service_tier flex_discount"),
        ({"InferenceGeo": "eu"}, "unpriced", "no multiplier for inference_geo eu"),
        ({"ServiceTier": "priority"}, "not_billed", "service_tier priority is not billed by use"),
    ],
)
def test_what_has_no_price_is_visible_and_never_zero(changes, status, reason):
    found = estimated(usage(UncachedInputTokens=10, **changes), MULTIPLIERS)
    assert (found.status, found.reason, found.cost) == (status, reason, None)


def test_rows_keep_their_usage_in_a_fixed_order():
    rows = [usage("b", OutputTokens=1), usage("claude-opus-4-6", OutputTokens=1)]
    found = list(estimated_rows({"usage": rows, "multipliers": []}, None))
    assert [(r["Model"], r["Status"]) for r in found] == [("b", "unpriced"), ("claude-opus-4-6", "priced")]
    assert found[1]["PriceSource"] == "genai-prices 0.2.3"


def test_no_network_is_needed(monkeypatch):
    import socket

    def refuse(*_):
        raise AssertionError("prices must come from the pinned package")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    list_price.cache_clear()
    assert list_price("anthropic", "claude-opus-4-6", "input", DAY) is not None
