"""SaaS subscription plans: what a tenant pays for, since when, and which versions a plan went through.

Owns reading plans from rows, checking them, and the changes a plan may undergo. Refuses to guess: a plan
without a price, a currency or a needed date is reported, never costed as zero or for ever.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal

from platform_assets.engine.costs.calendar import Alignment, Cycle, add_months, parse_cycle
from platform_assets.engine.errors import DataError


class Status(StrEnum):
    PENDING = "pending"
    ACTIVE = "active"
    EXPIRED = "expired"
    CANCELLED = "cancelled"


class Pricing(StrEnum):
    PER_SEAT = "PER_SEAT"
    FLAT_FEE = "FLAT_FEE"


class Discount(StrEnum):
    PERCENT = "percent"
    FIXED = "fixed"


TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.PENDING: frozenset({Status.ACTIVE, Status.CANCELLED}),
        Status.ACTIVE: frozenset({Status.CANCELLED, Status.EXPIRED}),
        Status.EXPIRED: frozenset(),
        Status.CANCELLED: frozenset(),
    }
)


@dataclass(frozen=True)
class Plan:
    """One version of one subscription. ``end_date`` is its last day, inclusive; an open end runs on.

    ``unit_price`` is the price of one billing cycle (per seat or flat), in ``currency``; annual plans use
    ``yearly_price`` where it is above zero. ``version_of`` names the first version's ``subscription_id``, and
    ``term_start`` is where weeks and terms are counted from if not ``start_date``.
    """

    subscription_id: str
    provider: str
    plan_name: str
    unit_price: Decimal
    billing_cycle: str
    status: Status = Status.ACTIVE
    start_date: date | None = None
    end_date: date | None = None
    display_name: str | None = None
    category: str | None = None
    billing_anchor_day: int | None = None
    alignment: Alignment = Alignment.FISCAL
    currency: str | None = None
    seats: Decimal | None = None
    pricing_model: Pricing = Pricing.PER_SEAT
    yearly_price: Decimal | None = None
    discount_type: Discount | None = None
    discount_value: Decimal | None = None
    auto_renew: bool = True
    version_of: str | None = None
    term_start: date | None = None
    invoice_id_last: str | None = None
    owner_email: str | None = None
    department: str | None = None
    team: str | None = None
    project: str | None = None
    contract_id: str | None = None
    renewal_date: date | None = None
    source_currency: str | None = None
    source_price: Decimal | None = None
    exchange_rate_used: Decimal | None = None
    notes: str | None = None

    @property
    def cycle(self) -> Cycle:
        return parse_cycle(self.billing_cycle)

    @property
    def lineage(self) -> str:
        """The same for all versions of one subscription."""
        return self.version_of or self.subscription_id

    def covers(self, day: date) -> bool:
        """Whether the plan costs something on ``day``. Dates decide, not the status: a pending plan whose day
        has come counts, and an expired or cancelled one counts for the days it ran."""
        return (self.start_date is None or self.start_date <= day) and (
            self.end_date is None or day <= self.end_date
        )


@dataclass(frozen=True, order=True)
class Finding:
    """Something about a plan that someone should look at; ``critical`` ones stop the costing."""

    severity: Literal["critical", "warning"]
    check: str
    subscription_id: str
    reason: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.check}: {self.subscription_id}: {self.reason}"


# --- Reading ------------------------------------------------------------------------------------------------


def _text(value: Any) -> str | None:
    text = str(value).strip() if value is not None else ""
    return text or None


def _decimal(value: Any) -> Decimal | None:
    if isinstance(value, float):
        raise ValueError("a binary float is not an exact amount")
    text = _text(value)
    if text is None:
        return None
    number = Decimal(text)
    if not number.is_finite():
        raise ValueError(f"{text} is not a number")
    return number


def _date(value: Any) -> date | None:
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    text = _text(value)
    return date.fromisoformat(text) if text else None


def _integer(value: Any) -> int | None:
    number = _decimal(value)
    if number is None:
        return None
    if number != number.to_integral_value():
        raise ValueError(f"{number} is not a whole number")
    return int(number)


_FLAGS = MappingProxyType({"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False})


def _flag(value: Any) -> bool | None:
    text = _text(value)
    return None if text is None else _FLAGS[text.lower()]


def _upper(value: Any) -> str | None:
    text = _text(value)
    return text.upper() if text else None


def _one_of(kind: type[StrEnum]) -> Any:
    def read(value: Any) -> StrEnum | None:
        text = _text(value)
        if text is None:
            return None
        known = {member.value.lower(): member for member in kind}
        if text.lower() not in known:
            raise ValueError(f"{text!r} is not one of {', '.join(sorted(known))}")
        return known[text.lower()]

    return read


_READERS: Mapping[str, Any] = MappingProxyType(
    {
        "unit_price": _decimal,
        "yearly_price": _decimal,
        "discount_value": _decimal,
        "seats": _decimal,
        "source_price": _decimal,
        "exchange_rate_used": _decimal,
        "start_date": _date,
        "end_date": _date,
        "renewal_date": _date,
        "term_start": _date,
        "billing_anchor_day": _integer,
        "auto_renew": _flag,
        "currency": _upper,
        "source_currency": _upper,
        "status": _one_of(Status),
        "alignment": _one_of(Alignment),
        "pricing_model": _one_of(Pricing),
        "discount_type": _one_of(Discount),
    }
)
_COLUMNS = tuple(f.name for f in fields(Plan))
_REQUIRED = ("subscription_id", "provider", "plan_name", "unit_price", "billing_cycle")


def parse_plan(row: Mapping[str, Any]) -> Plan:
    """One plan from a row of text or typed values; empty text is null. DataError names row and column."""
    values: dict[str, Any] = {}
    for name in _COLUMNS:
        try:
            value = _READERS.get(name, _text)(row.get(name))
        except (ValueError, KeyError, InvalidOperation) as error:
            where = f"plan {row.get('subscription_id')!r}: {name} = {row.get(name)!r}"
            reason = error if isinstance(error, ValueError) else "not understood"
            raise DataError(f"{where}: {reason}") from error
        if value is not None:
            values[name] = value
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise DataError(f"plan {row.get('subscription_id')!r} lacks {', '.join(missing)}")
    return Plan(**values)


def parse_csv(text: str) -> tuple[Plan, ...]:
    """Plans from CSV with a header line. DataError for unknown columns and for rows of another length."""
    reader = csv.DictReader(io.StringIO(text.removeprefix("\ufeff")), strict=True)
    unknown = sorted(set(reader.fieldnames or ()) - set(_COLUMNS))
    if unknown:
        raise DataError(f"unknown columns {', '.join(unknown)}; known are {', '.join(_COLUMNS)}")
    plans = []
    for row in reader:
        if None in row or None in row.values():
            raise DataError(f"line {reader.line_num} has another number of fields than the header")
        plans.append(parse_plan(row))
    return tuple(plans)


# --- Pricing ------------------------------------------------------------------------------------------------

QUANTUM = Decimal("1e-9")
PRECISION = 60  # digits in between: products of amounts and seats stay exact


def seats_of(plan: Plan) -> Decimal:
    """Seats that count: null, zero and negative count as one (and are a finding)."""
    return plan.seats if plan.seats is not None and plan.seats > 0 else Decimal(1)


def list_price(plan: Plan) -> Decimal:
    """The price of one cycle before the discount, nine decimals."""
    base = plan.unit_price
    if plan.cycle is Cycle.ANNUAL and plan.yearly_price is not None and plan.yearly_price > 0:
        base = plan.yearly_price
    with localcontext(prec=PRECISION):
        total = base if plan.pricing_model is Pricing.FLAT_FEE else base * seats_of(plan)
        return total.quantize(QUANTUM, ROUND_HALF_UP)


def cycle_cost(plan: Plan) -> Decimal:
    """The price of one cycle: one discount, a fixed one taken once, never below zero; nine decimals."""
    price = list_price(plan)
    value = plan.discount_value or Decimal(0)
    with localcontext(prec=PRECISION):
        if plan.discount_type is Discount.PERCENT:
            price = price * (100 - value) / 100
        elif plan.discount_type is Discount.FIXED:
            price = price - value
        return max(price, Decimal(0)).quantize(QUANTUM, ROUND_HALF_UP)


# --- Checking -----------------------------------------------------------------------------------------------


def check_plan(plan: Plan, default_currency: str | None = None) -> tuple[Finding, ...]:
    """Everything wrong or odd about one plan."""

    def finding(severity: Literal["critical", "warning"], check: str, reason: str) -> Finding:
        return Finding(severity, check, plan.subscription_id, reason)

    found: list[Finding] = []
    if not (plan.currency or default_currency):
        found.append(finding("critical", "currency", "no currency, and the tenant has no default"))
    backwards = plan.start_date and plan.end_date and plan.end_date < plan.start_date
    if backwards and plan.status is not Status.CANCELLED:  # cancelled before it began is no mistake
        found.append(finding("critical", "dates", f"ends {plan.end_date}, starts {plan.start_date}"))
    if plan.status in (Status.CANCELLED, Status.EXPIRED) and plan.end_date is None:
        found.append(finding("critical", "open_end", f"{plan.status} without an end_date"))
    if plan.status is Status.PENDING and plan.start_date is None:
        found.append(finding("critical", "open_start", "pending without a start_date"))
    if plan.billing_anchor_day is not None and not 1 <= plan.billing_anchor_day <= 28:
        found.append(finding("critical", "anchor", f"day {plan.billing_anchor_day} is not 1 to 28"))
    if plan.billing_anchor_day is not None and plan.cycle is not Cycle.MONTHLY:
        found.append(finding("warning", "anchor", f"a {plan.billing_cycle} plan ignores billing_anchor_day"))
    if plan.alignment is Alignment.TERM and plan.start_date is None:
        found.append(finding("critical", "term", "term alignment needs a start_date"))
    if plan.cycle is Cycle.OTHER:
        found.append(finding("warning", "cycle", f"unknown {plan.billing_cycle!r}: 30-day periods"))
    found.extend(_check_price(plan, finding))
    return tuple(found)


def _check_price(plan: Plan, finding: Any) -> Iterable[Finding]:
    if plan.unit_price < 0 or (plan.yearly_price or 0) < 0:
        yield finding("critical", "price", "a price is negative")
    if plan.unit_price == 0 and not plan.yearly_price:
        yield finding("warning", "zero_cost_check", "costs nothing")
    if plan.pricing_model is Pricing.PER_SEAT and (plan.seats is None or plan.seats <= 0):
        yield finding("warning", "null_seats_check", f"seats {plan.seats} counted as 1")
    yield from _check_discount(plan, finding)


def _check_discount(plan: Plan, finding: Any) -> Iterable[Finding]:
    kind, value = plan.discount_type, plan.discount_value
    if (kind is None) != (value is None):
        yield finding("critical", "discount", "discount_type and discount_value belong together")
    elif value is not None and value < 0:
        yield finding("critical", "discount", "a discount is negative")
    elif value is not None and kind is Discount.PERCENT and value > 100:
        yield finding("critical", "discount", f"{value} percent is more than everything")
    elif value is not None and kind is Discount.FIXED and value > list_price(plan):
        yield finding("warning", "discount", f"{value} is more than the price; the cost stops at 0")


def check_versions(plans: Iterable[Plan]) -> tuple[Finding, ...]:
    """Overlapping versions of one subscription would be paid twice; so would a duplicated id."""
    lineages: dict[str, list[Plan]] = {}
    for plan in plans:
        lineages.setdefault(plan.lineage, []).append(plan)
    found = []
    for versions in lineages.values():
        ordered = sorted(versions, key=lambda p: (p.start_date or date.min, p.end_date or date.max))
        longest = ordered[0]
        for later in ordered[1:]:
            if later.start_date is None or (longest.end_date or date.max) >= later.start_date:
                reason = f"overlaps {longest.subscription_id}, which ends {longest.end_date or 'never'}"
                found.append(Finding("critical", "overlap", later.subscription_id, reason))
            longest = max(longest, later, key=lambda p: p.end_date or date.max)
    return tuple(sorted(found))


def check_plans(plans: Sequence[Plan], default_currency: str | None = None) -> tuple[Finding, ...]:
    """All findings of a tenant's plans, critical ones first."""
    found = [f for plan in plans for f in check_plan(plan, default_currency)]
    return tuple(sorted([*found, *check_versions(plans)]))


# --- Changing -----------------------------------------------------------------------------------------------


def initial_status(start: date | None, today: date) -> Status:
    """A plan that starts in the future is pending."""
    return Status.PENDING if start is not None and start > today else Status.ACTIVE


def status_on(plan: Plan, day: date) -> Status:
    """The status to show on ``day``: a pending plan flips when its day comes, an ended one expires."""
    if plan.status is Status.PENDING and plan.start_date is not None and plan.start_date <= day:
        plan = replace(plan, status=Status.ACTIVE)
    if plan.status is Status.ACTIVE and plan.end_date is not None and plan.end_date < day:
        return Status.EXPIRED
    return plan.status


def transition(plan: Plan, to: Status) -> Plan:
    """The plan with another status. DataError where that is not allowed."""
    if to not in TRANSITIONS[plan.status]:
        allowed = ", ".join(sorted(TRANSITIONS[plan.status])) or "nothing: it is final"
        raise DataError(f"{plan.subscription_id} is {plan.status}; it may become {allowed}, not {to}")
    return replace(plan, status=to)


def cancel(plan: Plan, today: date, last_day: date | None = None) -> Plan:
    """End a plan; without a date it ends today, so that it never accrues for ever."""
    end = last_day or today
    if plan.start_date is not None and end < plan.start_date and plan.status is not Status.PENDING:
        raise DataError(f"{plan.subscription_id} starts {plan.start_date}; it cannot end {end}")
    if plan.end_date is not None:
        end = min(end, plan.end_date)
    return replace(transition(plan, Status.CANCELLED), end_date=end)


def edit(plan: Plan, effective: date, subscription_id: str, today: date, **changes: Any) -> tuple[Plan, Plan]:
    """A new version from ``effective`` on: (old version, closed the day before; new version).

    The new version keeps what is not changed: billing anchor, end date, and the day its term began.
    """
    if plan.start_date is not None and effective <= plan.start_date:
        raise DataError(f"{plan.subscription_id} starts {plan.start_date}; a change must come after that")
    if plan.end_date is not None and effective > plan.end_date:
        raise DataError(f"{plan.subscription_id} ended {plan.end_date}; it cannot change on {effective}")
    if effective < add_months(today, -12):
        raise DataError(f"a change cannot take effect more than a year ago ({effective})")
    if plan.status in (Status.CANCELLED, Status.EXPIRED):
        raise DataError(f"{plan.subscription_id} is {plan.status} and final")
    closed = replace(plan, status=Status.EXPIRED, end_date=effective - timedelta(days=1))
    status = initial_status(effective, today)
    version: dict[str, Any] = {
        "subscription_id": subscription_id,
        "version_of": plan.lineage,
        "start_date": effective,
        "term_start": plan.term_start or plan.start_date,
        "status": status,
    }
    return closed, replace(plan, **{**version, **changes})
