"""Spend in the tenant's own currency, only where a rate table is configured.

The rate is that of the charge day, else the last one before it, at most a week old. A rate in the other direction is
not turned round, and none is made out of two: what has no rate is shown unconverted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, localcontext

from platform_assets.engine.costs.functions import Inputs, Row, Slot

MAX_AGE = timedelta(days=7)
_QUANTUM = Decimal("1e-9")
Rates = Mapping[str, Mapping[date, Decimal]]


def converted_rows(inputs: Inputs, slot: Slot) -> Iterator[Row]:
    """``inputs["spend"]`` (ChargeDate, …, BillingCurrency, BilledCost) with ``inputs["rates"]`` (rate_date,
    from_currency, to_currency, rate). Without any rates there are no rows."""
    target = slot.tenant.default_currency
    if not inputs["rates"]:
        return
    rates: dict[str, dict[date, Decimal]] = defaultdict(dict)
    for rate in inputs["rates"]:
        if rate["to_currency"] == target:
            rates[rate["from_currency"]][rate["rate_date"]] = rate["rate"]
    for row in sorted(inputs["spend"], key=_order):
        yield {**row, "Currency": target, **_converted(row, target, rates)}


def _order(row: Row) -> tuple[str, ...]:
    return tuple(str(row[n]) for n in ("ChargeDate", "ProviderName", "ServiceName", "BillingCurrency"))


def _converted(row: Row, target: str, rates: Rates) -> Row:
    if row["BillingCurrency"] == target:
        return {"ConvertedCost": row["BilledCost"], "Rate": Decimal(1), "RateDate": row["ChargeDate"]}
    day = rate_day(rates.get(row["BillingCurrency"], {}), row["ChargeDate"])
    if day is None:
        return {"ConvertedCost": None, "Rate": None, "RateDate": None}
    rate = rates[row["BillingCurrency"]][day]
    with localcontext(prec=60):
        amount = (row["BilledCost"] * rate).quantize(_QUANTUM, ROUND_HALF_UP)
    return {"ConvertedCost": amount, "Rate": rate, "RateDate": day}


def rate_day(rates: Mapping[date, Decimal], day: date) -> date | None:
    """The day whose rate counts for ``day``."""
    usable = [d for d in rates if d <= day <= d + MAX_AGE]
    return max(usable, default=None)
