"""SaaS plans: reading them, refusing what cannot be costed, and changing them without losing anything."""

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from platform_assets.engine.costs.amortisation import Terms, daily_costs
from platform_assets.engine.costs.calendar import Alignment
from platform_assets.engine.costs.plans import (
    Discount,
    Plan,
    Pricing,
    Status,
    cancel,
    check_plans,
    edit,
    initial_status,
    parse_csv,
    parse_plan,
    status_on,
    transition,
)
from platform_assets.engine.errors import DataError

TODAY = date(2026, 1, 20)
USD = Terms(default_currency="USD")


def plan(**changes) -> Plan:
    values = {
        "subscription_id": "s1",
        "provider": "slack",
        "plan_name": "business",
        "unit_price": Decimal("12.50"),
        "billing_cycle": "monthly",
        "currency": "USD",
        "seats": Decimal(4),
        "start_date": date(2025, 6, 1),
    }
    return Plan(**{**values, **changes})


def checks(*plans, currency="USD"):
    return [(f.severity, f.check) for f in check_plans(plans, currency)]


# --- Reading  ----------------------------------------------------------------------

CSV = """\
subscription_id,provider,plan_name,billing_cycle,unit_price,seats,currency,discount_type,discount_value,\
start_date,end_date,pricing_model,auto_renew
slack-1,slack,business,monthly,12.50,4,usd,percent,10,2025-06-01,,per_seat,yes
canva-1,canva,team,annual,0.1,,,,,,,FLAT_FEE,
"""


def test_csv_rows_become_plans():
    slack, canva = parse_csv("\ufeff" + CSV)
    assert (slack.unit_price, slack.seats, slack.currency) == (Decimal("12.50"), Decimal(4), "USD")
    assert (slack.discount_type, slack.start_date, slack.auto_renew) == (
        Discount.PERCENT,
        date(2025, 6, 1),
        True,
    )
    assert (canva.unit_price, canva.seats, canva.end_date) == (Decimal("0.1"), None, None)
    assert canva.pricing_model is Pricing.FLAT_FEE


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"unit_price": 12.5}, "unit_price = 12.5: a binary float"),
        ({"unit_price": "twelve"}, "unit_price = 'twelve'"),
        ({"unit_price": "NaN"}, "unit_price = 'NaN'"),
        ({"unit_price": ""}, "lacks unit_price"),
        ({"start_date": "01/06/2025"}, "start_date"),
        ({"billing_anchor_day": "3.5"}, "billing_anchor_day"),
        ({"status": "paused"}, "'paused' is not one of active, cancelled, expired, pending"),
        ({"auto_renew": "perhaps"}, "auto_renew"),
    ],
)
def test_a_bad_cell_is_named(row, reason):
    base = {
        "subscription_id": "s1",
        "provider": "p",
        "plan_name": "n",
        "unit_price": "1",
        "billing_cycle": "monthly",
    }
    with pytest.raises(DataError, match=r"plan 's1'.*" + reason.replace("(", r"\(")):
        parse_plan({**base, **row})


def test_unknown_columns_and_short_rows_are_refused():
    with pytest.raises(DataError, match="unknown columns seat"):
        parse_csv("subscription_id,seat\na,1\n")
    with pytest.raises(DataError, match="line 2"):
        parse_csv("subscription_id,provider\na\n")


# --- Checking  ----------------------------------------------------------------------


def test_a_good_plan_has_no_findings():
    assert checks(plan()) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"end_date": date(2025, 1, 1)}, ("critical", "dates")),
        ({"status": Status.CANCELLED}, ("critical", "open_end")),
        ({"status": Status.PENDING, "start_date": None}, ("critical", "open_start")),
        ({"billing_anchor_day": 29}, ("critical", "anchor")),
        ({"billing_anchor_day": 15, "billing_cycle": "annual"}, ("warning", "anchor")),
        ({"alignment": Alignment.TERM, "start_date": None}, ("critical", "term")),
        ({"billing_cycle": "fortnightly"}, ("warning", "cycle")),
        ({"unit_price": Decimal(-1)}, ("critical", "price")),
        ({"discount_type": Discount.PERCENT}, ("critical", "discount")),
        ({"discount_type": Discount.PERCENT, "discount_value": Decimal(101)}, ("critical", "discount")),
        ({"discount_type": Discount.FIXED, "discount_value": Decimal(51)}, ("warning", "discount")),
        ({"unit_price": Decimal(0)}, ("warning", "zero_cost_check")),
        ({"seats": None}, ("warning", "null_seats_check")),
        ({"seats": Decimal(0)}, ("warning", "null_seats_check")),
    ],
)
def test_findings(changes, expected):
    assert expected in checks(plan(**changes))


def test_a_plan_without_currency_needs_the_tenants_default():
    assert checks(plan(currency=None), currency=None) == [("critical", "currency")]
    assert checks(plan(currency=None), currency="EUR") == []


def test_a_fixed_discount_may_exceed_a_hundred():
    some = plan(unit_price=Decimal(500), discount_type=Discount.FIXED, discount_value=Decimal("150.75"))
    assert checks(some) == []


def test_overlapping_versions_are_refused_before_they_are_paid_twice():
    second = plan(subscription_id="s2", version_of="s1", start_date=date(2025, 9, 1))
    assert checks(plan(), second) == [("critical", "overlap")]
    assert checks(plan(end_date=date(2025, 8, 31), status=Status.EXPIRED), second) == []
    with pytest.raises(DataError, match="overlap: s2"):
        list(daily_costs([plan(), second], TODAY, TODAY, USD))


def test_an_overlap_hidden_behind_a_short_version_is_found():
    long = plan()
    short = plan(
        subscription_id="s2", version_of="s1", start_date=date(2025, 7, 1), end_date=date(2025, 7, 2)
    )
    third = plan(subscription_id="s3", version_of="s1", start_date=date(2025, 9, 1))
    found = [f.subscription_id for f in check_plans([long, short, third])]
    assert found == ["s2", "s3"]


def test_one_id_twice_is_an_overlap():
    assert checks(plan(), plan()) == [("critical", "overlap")]


# --- Changing  ----------------------------------------------------------------------


def test_an_edit_closes_the_old_version_and_keeps_anchor_and_end():
    old = plan(billing_anchor_day=15, end_date=date(2026, 12, 31), notes="kept")
    closed, new = edit(old, date(2026, 1, 10), "s2", TODAY, seats=Decimal(9))
    assert (closed.status, closed.end_date) == (Status.EXPIRED, date(2026, 1, 9))
    assert (new.start_date, new.end_date, new.billing_anchor_day) == (
        date(2026, 1, 10),
        date(2026, 12, 31),
        15,
    )
    assert (new.seats, new.notes, new.version_of, new.status) == (Decimal(9), "kept", "s1", Status.ACTIVE)
    assert checks(closed, new) == []


def test_a_future_edit_does_not_end_all_cost():
    closed, new = edit(plan(), date(2026, 2, 1), "s2", TODAY, seats=Decimal(8))
    assert new.status is Status.PENDING
    costs = list(daily_costs([closed, new], date(2026, 1, 31), date(2026, 2, 1), USD))
    assert [(c.plan.subscription_id, c.seats) for c in costs] == [("s1", 4), ("s2", 8)]


def test_a_third_version_stays_in_the_lineage_and_its_term():
    first = plan(alignment=Alignment.TERM, billing_cycle="annual")
    _, second = edit(first, date(2025, 9, 1), "s2", TODAY)
    _, third = edit(second, date(2025, 11, 1), "s3", TODAY, seats=Decimal(9))
    assert (third.version_of, third.term_start) == ("s1", date(2025, 6, 1))


def test_a_term_edited_halfway_still_sums_to_its_price():
    first = plan(alignment=Alignment.TERM, billing_cycle="annual", unit_price=Decimal(1000), seats=Decimal(1))
    closed, new = edit(first, date(2025, 11, 1), "s2", TODAY)
    costs = daily_costs([closed, new], date(2025, 6, 1), date(2026, 5, 31), USD)
    assert sum(c.daily_cost for c in costs) == 1000


@pytest.mark.parametrize(
    ("start", "effective", "reason"),
    [
        (date(2025, 6, 1), date(2025, 6, 1), "must come after that"),
        (date(2020, 6, 1), date(2025, 1, 19), "more than a year ago"),
    ],
)
def test_an_edit_too_early_is_refused(start, effective, reason):
    with pytest.raises(DataError, match=reason):
        edit(plan(start_date=start), effective, "s2", TODAY)


def test_an_ended_plan_cannot_be_edited():
    with pytest.raises(DataError, match="ended 2025-12-31"):
        edit(plan(end_date=date(2025, 12, 31)), date(2026, 1, 10), "s2", TODAY)


@pytest.mark.parametrize(
    ("before", "after", "allowed"),
    [
        (Status.ACTIVE, Status.CANCELLED, True),
        (Status.ACTIVE, Status.EXPIRED, True),
        (Status.PENDING, Status.ACTIVE, True),
        (Status.PENDING, Status.CANCELLED, True),
        (Status.PENDING, Status.EXPIRED, False),
        (Status.ACTIVE, Status.PENDING, False),
        (Status.CANCELLED, Status.ACTIVE, False),
        (Status.EXPIRED, Status.ACTIVE, False),
    ],
)
def test_transitions(before, after, allowed):
    if allowed:
        assert transition(plan(status=before), after).status is after
    else:
        with pytest.raises(DataError, match=f"not {after}"):
            transition(plan(status=before), after)


def test_cancelling_without_a_date_ends_today_and_never_extends():
    assert cancel(plan(), TODAY).end_date == TODAY
    assert cancel(plan(), TODAY, date(2026, 3, 1)).end_date == date(2026, 3, 1)
    assert cancel(plan(end_date=date(2026, 1, 31)), TODAY, date(2026, 3, 1)).end_date == date(2026, 1, 31)
    with pytest.raises(DataError, match="cannot end"):
        cancel(plan(), TODAY, date(2025, 1, 1))


def test_a_pending_plan_cancelled_before_it_starts_costs_nothing():
    future = plan(status=Status.PENDING, start_date=date(2026, 3, 1))
    cancelled = cancel(future, TODAY)
    assert check_plans([cancelled]) == ()
    assert list(daily_costs([cancelled], date(2026, 2, 1), date(2026, 4, 1), USD)) == []


def test_status_follows_the_calendar():
    future = plan(status=Status.PENDING, start_date=date(2026, 3, 1), end_date=date(2026, 3, 31))
    days = [date(2026, 2, 28), date(2026, 3, 1), date(2026, 4, 1)]
    assert [status_on(future, d) for d in days] == [Status.PENDING, Status.ACTIVE, Status.EXPIRED]
    assert status_on(replace(plan(), status=Status.CANCELLED, end_date=TODAY), TODAY) is Status.CANCELLED
    assert initial_status(date(2026, 3, 1), TODAY) is Status.PENDING
    assert initial_status(None, TODAY) is Status.ACTIVE
