"""What token usage should cost: usage × list price × the multipliers of its tier, batch and region.

Owns the reading of multipliers and the rule which of them applies. Refuses to price what it does not know: an unknown
model, or a tier or region without a multiplier, gives a row without an estimate and with the reason, never zero and
never silently the standard price.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fnmatch import fnmatchcase
from types import MappingProxyType

from platform_assets.engine.costs.functions import Inputs, Row, Slot
from platform_assets.engine.costs.prices import CURRENCY, list_price, price_source

_QUANTUM = Decimal("1e-18")
_LONG_CONTEXT = "200k-1M"

# What it is called in usage rows → in the price list. Anthropic names its default cache time, others do not.
_TOKENS: Mapping[str, str] = MappingProxyType(
    {
        "UncachedInputTokens": "input",
        "CacheReadTokens": "cache_read",
        "CacheWriteTokens": "cache_write",
        "CacheWrite1hTokens": "cache_write_1h",
        "OutputTokens": "output",
    }
)
_SHORT_CACHE: Mapping[str, str] = MappingProxyType({"anthropic": "cache_write_5m"})
_DIMENSIONS: Mapping[str, str] = MappingProxyType(
    {"service_tier": "ServiceTier", "batch": "IsBatch", "inference_geo": "InferenceGeo"}
)
# Values that mean the list price itself.
_PLAIN = frozenset({"", "standard", "default", "auto", "false", "global", "not_available"})


@dataclass(frozen=True)
class Multiplier:
    """A factor on token prices of ``provider``'s models matching ``model`` (``*`` allowed), from ``valid_from``
    to ``valid_to`` inclusive. None: such use is not billed by the token at all."""

    provider: str
    model: str
    dimension: str
    value: str
    multiplier: Decimal | None
    valid_from: date
    valid_to: date | None = None

    def applies(self, provider: str, model: str, dimension: str, value: str, day: date) -> bool:
        return (
            (self.provider, self.dimension, self.value.lower()) == (provider, dimension, value)
            and fnmatchcase(model.lower(), self.model.lower())
            and self.valid_from <= day <= (self.valid_to or date.max)
        )


@dataclass(frozen=True)
class Estimate:
    """``cost`` is None unless ``status`` is priced."""

    status: str
    cost: Decimal | None = None
    reason: str | None = None
    model: str | None = None
    multiplier: Decimal | None = None


def estimated_rows(inputs: Inputs, slot: Slot) -> Iterator[Row]:
    """``inputs["usage"]`` and ``inputs["multipliers"]`` → one row per usage row, with its estimate."""
    multipliers = [Multiplier(**row) for row in inputs["multipliers"]]
    for usage in sorted(inputs["usage"], key=_order):
        estimate = estimated(usage, multipliers)
        yield {
            **usage,
            "PriceModel": estimate.model,
            "Multiplier": estimate.multiplier,
            "EstimatedCost": estimate.cost,
            "BillingCurrency": CURRENCY,
            "Status": estimate.status,
            "Reason": estimate.reason,
            "PriceSource": price_source(),
        }


def _order(usage: Row) -> tuple[str, ...]:
    names = ("x_Provider", "Model", "ServiceTier", "IsBatch", "InferenceGeo", "ContextWindow", "SubAccountId")
    return tuple(str(usage.get(name) or "") for name in names)


def estimated(usage: Row, multipliers: Sequence[Multiplier]) -> Estimate:
    """The estimate of one usage row."""
    if not usage["Model"]:
        return Estimate("unpriced", reason="the usage names no model")
    factor = Decimal(1)
    for dimension, value in _special(usage):
        found = _longest(multipliers, usage, dimension, value)
        if found is None and _listed(usage, dimension, value):
            continue
        if found is None:
            return Estimate("unpriced", reason=f"no multiplier for {dimension} {value}")
        if found.multiplier is None:
            return Estimate("not_billed", reason=f"{dimension} {value} is not billed by use")
        factor *= found.multiplier
    return _priced(usage, factor)


def _special(usage: Row) -> Iterable[tuple[str, str]]:
    """The dimensions in which a row is not plain. A batch may be told as a tier; it counts once."""
    values = {name: str(usage.get(column) or "").lower() for name, column in _DIMENSIONS.items()}
    if values["service_tier"] == "batch" and values["batch"] == "true":
        values["batch"] = ""
    return [(name, value) for name, value in values.items() if value not in _PLAIN]


def _longest(multipliers: Sequence[Multiplier], usage: Row, dimension: str, value: str) -> Multiplier | None:
    day, provider, model = usage["UsageDate"], usage["x_Provider"], usage["Model"]
    found = [m for m in multipliers if m.applies(provider, model, dimension, value, day)]
    return max(found, key=lambda m: (len(m.model), m.valid_from), default=None)


def _listed(usage: Row, dimension: str, value: str) -> bool:
    """Whether the price list itself has another price for this tier."""
    if dimension != "service_tier":
        return False
    asked = (usage["x_Provider"], usage["Model"], "output", usage["UsageDate"])
    return list_price(*asked, value) != list_price(*asked)


def _priced(usage: Row, factor: Decimal) -> Estimate:
    provider, model, day = usage["x_Provider"], usage["Model"], usage["UsageDate"]
    long = usage.get("ContextWindow") == _LONG_CONTEXT
    tier = str(usage.get("ServiceTier") or "").lower() or None
    cost, priced_as = Decimal(0), None
    with localcontext(prec=80):
        for column, count in _counts(usage):
            kind = _kind(provider, column)
            price = list_price(provider, model, kind, day, tier, long_context=long)
            if price is None:
                return Estimate("unpriced", reason=f"no price for {kind} of {model}")
            cost += count * price.unit * (1 if kind == "web_search" else factor)
            priced_as = price.model
        return Estimate("priced", cost.quantize(_QUANTUM, ROUND_HALF_UP), None, priced_as, factor)


def _counts(usage: Row) -> Iterator[tuple[str, int]]:
    for column in (*_TOKENS, "WebSearches"):
        if usage[column]:
            yield column, usage[column]


def _kind(provider: str, column: str) -> str:
    if column == "CacheWriteTokens":
        return _SHORT_CACHE.get(provider, "cache_write")
    return _TOKENS.get(column, "web_search")
