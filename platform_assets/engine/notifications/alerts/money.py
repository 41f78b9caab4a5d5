"""Amounts of several currencies: compared where they are the same, or where a rate says what one is worth."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal, localcontext
from typing import Any

from platform_assets.engine.costs.currency import MAX_AGE, rate_day
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import FieldType
from platform_assets.engine.sql.model import Parameters

FX_RATES = TableName("raw_platform", "fx_rates")
_SQL = f"""
SELECT rate_date, from_currency, to_currency, rate FROM {FX_RATES}
WHERE ingestion_date = @day AND rate_date >= @first
"""  # noqa: S608


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

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Rates:
        """Rates from the rows of ``rates_query``."""
        by_pair: dict[tuple[str, str], dict[date, Decimal]] = defaultdict(dict)
        for row in rows:
            by_pair[row["from_currency"], row["to_currency"]][row["rate_date"]] = row["rate"]
        return cls(by_pair)


NO_RATES = Rates()


def rates_query(day: date) -> tuple[str, Parameters]:
    """Rates that may count for the day: its own and those of the week before."""
    return _SQL, {"day": (FieldType.DATE, day), "first": (FieldType.DATE, day - MAX_AGE)}
