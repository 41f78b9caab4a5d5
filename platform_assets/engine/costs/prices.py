"""Public list prices of language models, per token, on a day.

Owns the way into ``genai-prices`` (pinned; its updater, which would fetch prices over the network, is never started).
Refuses to guess: a model without a price has none.

Prices are asked for a thousand tokens at a time: some models cost more per token once a *request* is long, and a day's
tokens added up are not one request. Whether requests were long is the usage report's to say (``long_context``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from functools import cache
from types import MappingProxyType
from typing import Any

CURRENCY = "USD"
_PROBE = 1_000
_LONG_REQUEST = 900_000  # beyond every threshold in use
_TIERS = frozenset({"flex", "priority"})  # those the price list itself may distinguish


@dataclass(frozen=True)
class Price:
    """Per unit (token or search), and the model whose price it is."""

    unit: Decimal
    model: str


_USAGE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "input": ("input_tokens",),
        "cache_read": ("input_tokens", "cache_read_tokens"),
        "cache_write": ("input_tokens", "cache_write_tokens"),
        "cache_write_5m": ("input_tokens", "cache_write_tokens", "cache_write_5m_tokens"),
        "cache_write_1h": ("input_tokens", "cache_write_tokens", "cache_write_1h_tokens"),
        "output": ("output_tokens",),
        "web_search": ("web_searches",),
    }
)
KINDS = tuple(_USAGE)


@cache
def price_source() -> str:
    """Name and version of the price list."""
    from importlib.metadata import version

    return f"genai-prices {version('genai-prices')}"


@cache
def list_price(
    provider: str, model: str, kind: str, day: date, tier: str | None = None, *, long_context: bool = False
) -> Price | None:
    """The price of one unit of ``kind`` (see KINDS), or None where the list has none.

    ``tier`` is only asked about where the list may distinguish it; a tier it does not know has the standard price, so
    compare before relying on it.
    """
    count = 1 if kind == "web_search" else _PROBE
    usage = dict.fromkeys(_USAGE[kind], count)
    if kind == "output":
        usage["input_tokens"] = _LONG_REQUEST if long_context else _PROBE
    elif long_context and kind != "web_search":
        count = _LONG_REQUEST
        usage = dict.fromkeys(usage, count)
    found = _calculate(provider, model, day, usage, tier)
    if found is None:
        return None
    amount = {"output": found.output_price, "web_search": found.total_price}.get(kind, found.input_price)
    return Price(Decimal(amount) / count, found.model.id)


def _calculate(provider: str, model: str, day: date, usage: Mapping[str, int], tier: str | None) -> Any:
    from genai_prices import Usage, calc_price

    at = datetime.combine(day, time(12), UTC)
    context: Any = {"service_tier": tier} if tier in _TIERS else None
    try:
        return calc_price(
            Usage(**usage),
            model_ref=model,
            provider_id=provider,
            genai_request_timestamp=at,
            price_context=context,
        )
    except (LookupError, ValueError):
        return None
