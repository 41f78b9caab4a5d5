"""Amounts of several currencies: compared where they are the same, or where a rate says what one is worth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext

from platform_assets.engine.costs.currency import rate_day


@dataclass(frozen=True)
class Rates:
    """(from, to) → day → units of ``to`` for one of ``from``. A rate counts for its day and a week after."""

    by_pair: Mapping[tuple[str, str], Mapping[date, Decimal]] = field(default_factory=dict)

    def convert(self, amount: Decimal, currency: str, wanted: str, day: date) -> Decimal | None:
        """The amount in the wanted currency, or None where nobody knows."""
        if currency == wanted:
            return amount
        rates = self.by_pair.get((currency, wanted), {})
        found = rate_day(rates, day)
        if found is None:
            return None
        with localcontext(prec=60):
            return amount * rates[found]


NO_RATES = Rates()
