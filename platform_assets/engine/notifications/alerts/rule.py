"""What all kinds of rules share: the question they ask, the answer they get, what they find in it.

A kind of rule is one module: a frozen spec that says which table it ``looks_at``, asks a ``question`` about one tenant
and day, and ``judges`` the answer. Questions are BigQuery text over logical tables with bound values; nothing of a
file's text gets into one but names that were looked up in the table's columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from decimal import Decimal, localcontext
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field

from platform_assets.engine.names import TableName
from platform_assets.engine.notifications.alerts.money import NO_RATES, Rates
from platform_assets.engine.sql.model import Parameters

Row: TypeAlias = Mapping[str, Any]
Percent = Annotated[int, Field(ge=1, le=100_000)]
Direction = Literal["up", "down", "both"]


@dataclass(frozen=True)
class Moment:
    """What a question is about: a tenant's day, seen at ``now``. ``currencies``: see ``Answer``."""

    day: date
    now: datetime
    currencies: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Question:
    """BigQuery text, its values, and the table it is about."""

    table: TableName
    sql: str
    parameters: Parameters


@dataclass(frozen=True)
class Answer:
    """What a rule's query gave. Of ``conditions``, in their order: ``wanted`` are the values as the columns' types have
    them, ``currencies`` the columns that hold each one's currency."""

    rows: Sequence[Row]
    day: date
    now: datetime
    rates: Rates = NO_RATES
    wanted: tuple[Any, ...] = ()
    currencies: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Findings:
    """``matches``: one line for each thing that fires. ``unjudged``: what could not be compared, and why."""

    matches: tuple[str, ...] = ()
    unjudged: tuple[str, ...] = ()
    rows: int = 0

    @property
    def status(self) -> str:
        """triggered, no_match, or no_data where there was nothing to look at."""
        if self.matches:
            return "triggered"
        return "no_match" if self.rows else "no_data"


@dataclass
class Found:
    """Findings in the making."""

    matches: list[str] = field(default_factory=list)
    unjudged: list[str] = field(default_factory=list)


def beyond(direction: Direction, change: Decimal, threshold: Decimal) -> bool:
    """Strictly beyond the threshold, in a direction that is wanted."""
    up, down = change > threshold, change < -threshold
    return {"up": up, "down": down, "both": up or down}[direction]


def percent(part: Decimal, whole: Decimal) -> Decimal:
    with localcontext(prec=60):
        return part * 100 / whole


def amount(value: Decimal) -> str:
    """Two decimals, as people read money."""
    return f"{value:,.2f}"
