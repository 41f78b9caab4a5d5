"""Reports by day, week and month: which days, and what they say."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from platform_assets.engine.notifications.spec import Summary
from platform_assets.engine.notifications.summaries import stretches, summary_occurrence
from platform_assets_tests.assets.notifications.rig import TENANT, spec

TICK = datetime(2026, 11, 28, 9, tzinfo=UTC)
BERLIN = ZoneInfo("Europe/Berlin")
CONFIG = spec({"type": "slack", "channel_id": "slack", "webhook_secret": "hook"})


@pytest.mark.parametrize(
    ("kind", "tick", "now", "before"),
    [
        ("daily", TICK, "2026-11-27", "2026-11-26"),
        ("weekly", TICK, "2026-11-21 to 2026-11-27", "2026-11-14 to 2026-11-20"),
        ("monthly", TICK, "2026-10-01 to 2026-10-31", "2026-09-01 to 2026-09-30"),
        # the first of a month in Berlin is still the last of the one before in UTC
        (
            "monthly",
            datetime(2026, 3, 1, 0, 30, tzinfo=BERLIN),
            "2026-02-01 to 2026-02-28",
            "2026-01-01 to 2026-01-31",
        ),
        ("daily", datetime(2026, 3, 1, 0, 30, tzinfo=BERLIN), "2026-02-27", "2026-02-26"),
    ],
)
def test_which_days(kind: str, tick: datetime, now: str, before: str) -> None:
    assert tuple(map(str, stretches(kind, tick))) == (now, before)


def row(back: int, cost: Any, provider: str = "openai", currency: str = "USD") -> dict[str, Any]:
    return {
        "ChargeDate": date(2026, 11, 27) - timedelta(days=back),
        "BillingCurrency": currency,
        "x_Provider": provider,
        "ServiceName": f"{provider} service",
        "Cost": Decimal(cost),
    }


def summary(**more: Any) -> Summary:
    given = {"summary_id": "s", "name": "Spend", "summary_type": "weekly", "schedule_cron": "0 9 * * 1"}
    return Summary.model_validate(given | more)


def test_all_sections_each_currency_by_itself() -> None:
    rows = [row(0, 30), row(6, 20, "aws"), row(7, 40), row(0, 900, "aws", "INR")]
    budgets = [
        {
            "BudgetId": "all",
            "BillingCurrency": "USD",
            "BudgetAmount": Decimal(1000),
            "SpentAmount": Decimal(500),
            "SpentPercent": Decimal(50),
            "ForecastPercent": Decimal(90),
            "Status": "ok",
        }
    ]
    found = summary_occurrence(summary(top_n_items=1), TENANT, TICK, rows, budgets, CONFIG)
    assert dict(found.sections) == {
        "Total": ("900.00 INR", "50.00 USD"),
        "Against the time before": (
            "900.00 INR against 0.00 INR (nothing to compare with)",
            "50.00 USD against 40.00 USD (+25.0 %)",
        ),
        "Providers": ("aws: 900.00 INR", "openai: 30.00 USD"),
        "Services": ("aws service: 900.00 INR", "openai service: 30.00 USD"),
        "Budgets": ("all: 50.0 % of 1,000.00 USD, ok, 90.0 % by the end of its period",),
    }
    assert found.channels == ("slack",) and found.cooldown_seconds == 0


def test_only_the_sections_that_are_asked_for_and_nothing_is_said_to_be_nothing() -> None:
    found = summary_occurrence(summary(include_sections=["total_cost"]), TENANT, TICK, [], [], CONFIG)
    assert found.sections == ()
    assert "Nothing was spent, or nothing is known yet" in found.message


def test_the_same_tick_is_the_same_occurrence() -> None:
    first, again = (summary_occurrence(summary(), TENANT, TICK, [], [], CONFIG).id for _ in range(2))
    later = summary_occurrence(summary(), TENANT, TICK + timedelta(days=7), [], [], CONFIG).id
    assert first == again != later
