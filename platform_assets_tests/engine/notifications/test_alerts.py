"""Rules on rows: thresholds, budgets, changes, runs; currencies never mixed, nothing fires on what is not there."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from platform_assets.engine.notifications.alerts.alert import evaluate
from platform_assets.engine.notifications.alerts.conditions import Condition, holds, typed
from platform_assets.engine.notifications.alerts.money import NO_RATES, Rates
from platform_assets.engine.notifications.alerts.percent_change import compared
from platform_assets.engine.notifications.alerts.rule import Answer, Findings
from platform_assets.engine.notifications.alerts.spec import AlertSpec, Rule
from platform_assets.engine.schema.model import FieldType

DAY = date(2026, 11, 27)
NOW = datetime(2026, 11, 28, 8, tzinfo=UTC)
INR = Rates({("INR", "USD"): {DAY: Decimal("0.012")}})


def rule(**given: Any) -> Any:
    return TypeAdapter(Rule).validate_python(given)


def spend(*costs: tuple[int, str, Any], group: str | None = None) -> list[dict[str, Any]]:
    """(days before DAY, currency, cost)."""
    return [
        {
            "ChargeDate": DAY - timedelta(days=back),
            "BillingCurrency": currency,
            "GroupName": group,
            "Cost": None if cost is None else Decimal(str(cost)),
        }
        for back, currency, cost in costs
    ]


def found(of: Any, rows: list[dict[str, Any]], **more: Any) -> Findings:
    return evaluate(of, Answer(rows, DAY, NOW, **more))


# --- Conditions -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operator", "actual", "wanted", "result"),
    [
        ("gt", 3, 2, True),
        ("gt", 2, 2, False),
        ("lt", 1, 2, True),
        ("eq", "a", "a", True),
        ("ne", "a", "b", True),
        ("gte", 2, 2, True),
        ("lte", 2, 2, True),
        ("between", 2, [2, 5], True),
        ("between", 6, [2, 5], False),
        ("not_between", 6, [2, 5], True),
        ("not_between", 5, [2, 5], False),
        ("contains", "gpt-5", "gpt", True),
        ("contains", ["a", "b"], "c", False),
        ("in", "a", ["a", "b"], True),
        ("in", "c", ["a", "b"], False),
        ("eq", 0.1, Decimal("0.1"), True),
    ],
)
def test_operators(operator: str, actual: Any, wanted: Any, result: bool) -> None:
    assert holds(operator, actual, wanted) is result


@pytest.mark.parametrize("nothing", [None, float("nan"), Decimal("nan")])
@pytest.mark.parametrize(
    ("operator", "wanted"),
    [
        ("gt", 1),
        ("lt", 1),
        ("eq", None),
        ("ne", 1),
        ("gte", 1),
        ("lte", 1),
        ("between", [0, 1]),
        ("not_between", [0, 1]),
        ("contains", "a"),
        ("in", [None]),
    ],
)
def test_what_is_not_there_never_fires(operator: str, wanted: Any, nothing: Any) -> None:
    assert holds(operator, nothing, wanted) is False


@pytest.mark.parametrize(
    ("operator", "value", "kind", "repeated"),
    [
        ("gt", "5", FieldType.BIGNUMERIC, False),
        ("gt", True, FieldType.INT64, False),
        ("eq", 1, FieldType.STRING, False),
        ("eq", "yes", FieldType.BOOL, False),
        ("gt", True, FieldType.BOOL, False),
        ("contains", 1, FieldType.INT64, False),
        ("eq", "a", FieldType.STRING, True),
        ("eq", "2026-02-30", FieldType.DATE, False),
    ],
)
def test_a_value_that_does_not_fit_its_column(
    operator: str, value: Any, kind: FieldType, repeated: bool
) -> None:
    with pytest.raises(ValueError):
        typed(Condition(field="x", operator=operator, value=value), kind, repeated)


@pytest.mark.parametrize(
    ("operator", "value"), [("between", 1), ("between", [1]), ("in", []), ("in", "a"), ("gt", [1, 2])]
)
def test_a_value_that_does_not_fit_its_operator(operator: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        Condition(field="x", operator=operator, value=value)


def test_all_conditions_must_hold_on_one_row() -> None:
    of = rule(
        type="conditions",
        table="gold_x.y",
        conditions=[
            {"field": "a", "operator": "gt", "value": 1, "unit": "number"},
            {"field": "b", "operator": "eq", "value": "x"},
        ],
    )
    more = {"wanted": (Decimal(1), "x"), "currencies": (None, None)}
    rows = [{"a": Decimal(2), "b": "y"}, {"a": Decimal(1), "b": "x"}]
    assert found(of, rows, **more).status == "no_match"
    assert found(of, [*rows, {"a": Decimal(2), "b": "x"}], **more).matches == ("a = 2, b = x",)
    assert found(of, [{"a": None, "b": "x"}], **more).status == "no_match"
    assert found(of, [], **more).status == "no_data"


MONEY = rule(
    type="conditions",
    table="gold_x.y",
    conditions=[{"field": "cost", "operator": "gt", "value": 3, "unit": "USD"}],
)


def test_a_hundred_rupees_are_not_more_than_three_dollars() -> None:
    more = {"wanted": (Decimal(3),), "currencies": ("currency",)}
    rows = [{"cost": Decimal(100), "currency": "INR"}]
    unjudged = found(MONEY, rows, **more)
    assert unjudged.status == "no_match" and "no rate to USD" in unjudged.unjudged[0]
    converted = found(MONEY, rows, rates=INR, **more)
    assert converted.status == "no_match" and converted.unjudged == ()
    assert found(MONEY, [{"cost": Decimal(300), "currency": "INR"}], rates=INR, **more).status == "triggered"
    assert found(MONEY, [{"cost": Decimal(300), "currency": None}], rates=INR, **more).status == "no_match"


# --- Thresholds -------------------------------------------------------------------------------------------------------

THRESHOLD = {"type": "absolute_threshold", "threshold_amount": 10, "currency": "USD"}


def test_a_mixed_sum_is_never_made() -> None:
    rows = spend((0, "USD", 9), (0, "INR", 900))
    result = found(rule(**THRESHOLD), rows)
    assert result.status == "no_match" and result.unjudged
    assert found(rule(**THRESHOLD), rows, rates=INR).matches == ("spend of the day 19.80 USD > 10.00",)


def test_an_old_rate_is_no_rate() -> None:
    old = Rates({("INR", "USD"): {DAY - timedelta(days=8): Decimal(1)}})
    assert found(rule(**THRESHOLD), spend((0, "INR", 900)), rates=old).unjudged


@pytest.mark.parametrize(("period", "total"), [("day", "11.00"), ("week", "111.00"), ("month", "1111.00")])
def test_periods(period: str, total: str) -> None:
    rows = spend((0, "USD", 11), (6, "USD", 100), (26, "USD", 1000), (27, "USD", 10000))
    (match,) = found(rule(**THRESHOLD, period=period), rows).matches
    assert f" {total} USD".replace("1111", "1,111") in match


def test_each_group_by_itself() -> None:
    rows = [*spend((0, "USD", 6), group="openai"), *spend((0, "USD", 6), group="aws")]
    of = rule(**THRESHOLD, group_by="provider")
    assert found(of, rows).status == "no_match"
    assert found(of, [*rows, *spend((0, "USD", 5), group="aws")]).matches == (
        "aws: spend of the day 11.00 USD > 10.00",
    )


def test_a_cost_that_is_null_counts_for_nothing() -> None:
    assert found(rule(**THRESHOLD, operator="lt"), spend((0, "USD", None))).status == "no_match"


# --- Budgets ----------------------------------------------------------------------------------------------------------


def budget(spent: Any, forecast: Any) -> dict[str, Any]:
    return {
        "BudgetId": "all",
        "BillingCurrency": "USD",
        "BudgetAmount": Decimal(100),
        "SpentAmount": Decimal(spent),
        "SpentPercent": Decimal(spent),
        "ForecastAmount": forecast if forecast is None else Decimal(forecast),
        "ForecastPercent": forecast if forecast is None else Decimal(forecast),
    }


def test_budgets() -> None:
    percent = rule(type="budget_percent", threshold_percent=80)
    forecast = rule(type="budget_forecast", forecast_threshold_percent=110)
    assert found(percent, [budget(79, 300)]).status == "no_match"
    assert found(percent, [budget(80, 80)]).matches == ("budget all is 80.0 % used (80.00 of 100.00 USD)",)
    assert found(forecast, [budget(99, 109)]).status == "no_match"
    assert "will probably be 110.0 % used" in found(forecast, [budget(10, 110)]).matches[0]
    nothing = found(forecast, [budget(99, None)])
    assert nothing.status == "no_match" and "too little history" in nothing.unjudged[0]
    assert found(percent, []).status == "no_data"


# --- Changes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("comparison", "day", "expected"),
    [
        ("dod", DAY, "2026-11-27..2026-11-27 2026-11-26..2026-11-26"),
        ("wow", DAY, "2026-11-21..2026-11-27 2026-11-14..2026-11-20"),
        ("mom", DAY, "2026-11-01..2026-11-27 2026-10-01..2026-10-27"),
        ("mom", date(2026, 3, 31), "2026-03-01..2026-03-31 2026-02-01..2026-02-28"),
        ("mom", date(2026, 1, 5), "2026-01-01..2026-01-05 2025-12-01..2025-12-05"),
    ],
)
def test_what_is_compared(comparison: str, day: date, expected: str) -> None:
    now, before = compared(comparison, day)
    assert f"{now[0]}..{now[1]} {before[0]}..{before[1]}" == expected


@pytest.mark.parametrize(
    ("direction", "then", "now", "status"),
    [
        ("up", 100, 151, "triggered"),
        ("up", 100, 150, "no_match"),
        ("up", 100, 10, "no_match"),
        ("down", 100, 49, "triggered"),
        ("both", 100, 49, "triggered"),
        ("both", 100, 149, "no_match"),
    ],
)
def test_percent_changes(direction: str, then: int, now: int, status: str) -> None:
    of = rule(type="anomaly_percent_change", comparison="dod", threshold_percent=50, direction=direction)
    assert found(of, spend((1, "USD", then), (0, "USD", now))).status == status


def test_currencies_are_compared_each_with_itself() -> None:
    of = rule(type="anomaly_percent_change", comparison="dod", threshold_percent=50)
    rows = spend((1, "INR", 1000), (0, "USD", 5000), (0, "INR", 1000))
    result = found(of, rows)
    assert result.matches == () and "nothing was spent" in result.unjudged[0]


def test_a_small_change_is_not_worth_looking_at_in_its_own_currency() -> None:
    of = rule(
        type="anomaly_percent_change",
        comparison="dod",
        threshold_percent=50,
        min_absolute_change=10,
        currency="USD",
    )
    rows = spend((1, "INR", 100), (0, "INR", 600))
    assert found(of, rows, rates=NO_RATES).unjudged == (f"INR: no rate to USD for {DAY}",)
    assert found(of, rows, rates=INR).status == "no_match"
    assert found(of, spend((1, "INR", 100), (0, "INR", 6000)), rates=INR).status == "triggered"


def test_standard_deviations() -> None:
    of = rule(type="anomaly_std_deviation", std_dev_threshold=3)
    days = [(back, "USD", 100 + back % 3) for back in range(1, 31)]
    assert found(of, spend(*days, (0, "USD", 102))).status == "no_match"
    assert "standard deviations" in found(of, spend(*days, (0, "USD", 110))).matches[0]
    assert found(of, spend(*days)).status == "no_match", "a drop is not up"
    down = rule(type="anomaly_std_deviation", std_dev_threshold=3, direction="down")
    assert found(down, spend(*days)).status == "triggered", "a day without rows cost nothing"
    few = found(of, spend((1, "USD", 1), (0, "USD", 1000)))
    assert few.status == "no_match" and "too few" in few.unjudged[0]
    never = [(back, "USD", 100) for back in range(1, 31)]
    assert "never differed" in found(of, spend(*never, (0, "USD", 101))).matches[0]
    assert found(of, spend(*never, (0, "USD", 100))).status == "no_match"


@given(st.lists(st.decimals(0, 10**9, places=2), min_size=8, max_size=40))
def test_no_day_deviates_from_itself(costs: list[Decimal]) -> None:
    """Whatever the history: a day that costs what every day cost is nothing to tell."""
    of = rule(type="anomaly_std_deviation", direction="both")
    rows = spend(*((back, "USD", costs[0]) for back in range(len(costs))))
    assert found(of, rows).status == "no_match"


def test_anomalies_of_the_gold_table() -> None:
    row = {
        "ProviderName": "OpenAI",
        "ServiceName": "gpt",
        "BillingCurrency": "USD",
        "ActualCost": Decimal(90),
        "ExpectedCost": Decimal(10),
        "IsAnomaly": True,
        "Direction": "spike",
    }
    of = rule(type="spend_anomaly", direction="up")
    assert found(of, [row]).matches == ("OpenAI gpt: spike to 90.00 USD, usually 10.00",)
    assert found(of, [row | {"Direction": "drop"}, row | {"IsAnomaly": False}]).status == "no_match"


# --- Runs -------------------------------------------------------------------------------------------------------------


def ran(run: str, hour: int, status: str, pipeline: str = "openai_costs") -> dict[str, Any]:
    start = NOW - timedelta(hours=100 - hour)
    return {"pipeline_id": pipeline, "pipeline_logging_id": run, "status": status, "start_time": start}


def test_consecutive_failures() -> None:
    of = rule(type="pipeline_failure", pipeline_patterns=["openai_*"], consecutive_failures=2)
    rows = [ran("a", 1, "FAILED"), ran("b", 2, "FAILED")]
    assert found(of, rows).matches == ("openai_costs: the last 2 run(s) failed",)
    assert found(of, [*rows, ran("c", 3, "COMPLETED")]).status == "no_match"
    assert found(of, [*rows, ran("c", 3, "RUNNING")]).status == "triggered", "what goes on is no success"
    assert found(of, [ran("a", 1, "COMPLETED"), ran("a", 1, "FAILED")]).status == "no_match", "one run"
    assert found(of, [ran(r, i, "FAILED", "aws_cur") for i, r in enumerate("ab")]).status == "no_match"


def test_freshness() -> None:
    of = rule(type="data_freshness", tables=["gold_a.b", "gold_c.d"], max_hours_since_update=24)
    rows = [{"target_table": "gold_a.b", "updated_at": NOW - timedelta(hours=24)}]
    fresh = found(of, rows)
    assert fresh.status == "no_match" and "gold_c.d: never written" in fresh.unjudged[0]
    rows[0]["updated_at"] -= timedelta(minutes=6)
    assert "24.1 h ago" in found(of, rows).matches[0]


# --- Files ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given_rule",
    [
        {"type": "absolute_threshold", "threshold_amount": 10},
        {"type": "anomaly_percent_change", "comparison": "dod", "threshold_percent": 5, "currency": "USD"},
        {"type": "pipeline_failure"},
        {"type": "data_freshness", "tables": ["a.b"], "max_hours_since_update": 1},
        {"type": "budget_percent", "threshold_percent": 0},
    ],
    ids=["money without currency", "currency without money", "no clock", "no clock either", "nothing"],
)
def test_rules_that_are_refused(given_rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AlertSpec.model_validate({"alert_id": "a", "name": "a", "rule": given_rule})


def test_an_amount_is_what_was_written() -> None:
    assert rule(**THRESHOLD | {"threshold_amount": 0.1}).threshold_amount == Decimal("0.1")
