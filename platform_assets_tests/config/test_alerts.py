"""Alert files against the tables, tenants and channels that they name."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.notifications.alerts.alert import Alert
from platform_assets_tests.config.tree import GOOD, REPORTING, write_tree

FILE = "alerts/big.yml"
MONEY = {"field": "total", "operator": "gt", "value": 3.5, "unit": "USD"}
SCHEMA = '[{"name": "charge_day", "type": "DATE"}, {"name": "total", "type": "NUMERIC"}, {"name": "BillingCurrency", "type": "STRING"}, {"name": "tags", "type": "STRING", "mode": "REPEATED"}]\n'  # noqa: E501
SQL = """\
SELECT charge_day, SUM(amount) AS total, 'EUR' AS BillingCurrency, ['a'] AS tags
FROM silver_cost.all_costs
WHERE x_run_date = @run_date
GROUP BY charge_day
"""


def alert(conditions: Any = None, **more: Any) -> dict[str, Any]:
    rule = {"type": "conditions", "table": "gold_reporting.daily", "conditions": conditions or [MONEY]}
    return {"alert_id": "big", "name": "Big", "rule": rule, **more}


def read(root: Path, file: Mapping[str, Any]) -> Mapping[str, Alert]:
    more = {
        FILE: yaml.safe_dump(dict(file), sort_keys=False),
        f"{REPORTING}/daily_schema.json": SCHEMA,
        f"{REPORTING}/daily.sql": SQL,
    }
    write_tree(root, {**GOOD, **more})
    return load(root, deployment="local", environment={}, today=date(2026, 11, 28)).alerts


def test_values_take_the_columns_types_and_money_its_currency_column(tmp_path: Path) -> None:
    day = {"field": "charge_day", "operator": "in", "value": ["2026-01-31"]}
    tag = {"field": "tags", "operator": "contains", "value": "a"}
    found = read(tmp_path, alert([MONEY, day, tag, MONEY | {"unit": "number"}]))["big"]
    assert found.wanted == (Decimal("3.5"), [date(2026, 1, 31)], "a", Decimal("3.5"))
    assert found.currencies == ("BillingCurrency", None, None, None)


@pytest.mark.parametrize(
    ("file", "field", "reason"),
    [
        (alert([{"field": "total", "operator": "gt", "value": 3}]), "rule.conditions[0].unit", "is missing"),
        (alert([MONEY | {"unit": "usd"}]), "rule.conditions[0].unit", "does not match"),
        (alert([MONEY | {"field": "totl"}]), "rule.conditions[0].field", "has no column"),
        (alert([MONEY | {"value": "much"}]), "rule.conditions[0].value", "not a number"),
        (
            alert([{"field": "charge_day", "operator": "eq", "value": "2026-01-31", "unit": "USD"}]),
            "rule.conditions[0].unit",
            "no amount of money",
        ),
        (alert(tenants=["acme"]), "tenants[0]", "there is no tenant"),
        (alert(notification={"channels": ["pager"]}), "notification.channels[0]", "no notification file"),
        (alert(enabeld=True), "enabeld", "not known"),
        (alert() | {"alert_id": "other"}, "alert_id", "the file is named big.yml"),
        (
            alert()
            | {"rule": {"type": "conditions", "table": "gold_reporting.dayly", "conditions": [MONEY]}},
            "rule.table",
            "no step fills",
        ),
        (
            alert() | {"rule": {"type": "pipeline_failure"}},
            "",
            "needs a schedule",
        ),
        (
            alert() | {"rule": {"type": "absolute_threshold", "threshold_amount": 5}},
            "rule.currency",
            "is missing",
        ),
    ],
)
def test_what_is_wrong_is_told_at_its_place(
    tmp_path: Path, file: dict[str, Any], field: str, reason: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        read(tmp_path, file)
    (problem,) = raised.value.problems
    assert isinstance(problem, Problem)
    assert (problem.file, problem.field) == (FILE, field)
    assert reason in problem.reason
