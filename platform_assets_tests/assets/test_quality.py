"""Audits inside runs: what they look at beside the rows, what is kept of them, and where people find it."""

from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.keys import SliceKey
from platform_assets.demo.provider_api import Fault
from platform_assets_tests.assets.conftest import Location
from platform_assets_tests.assets.test_tables import CHAIN, COSTS, told

SUITE = """\
suites:
  - table: raw_openai.costs
    expectations:
      - {type: freshness_check, name: fresh, column: x_run_date, max_age_hours: 1, severity: info}
      - {type: expect_table_row_count_to_match_history, name: volume, min_history: 2, severity: critical}
      - {type: expect_column_values_to_be_between, name: small, column: amount_value, max_value: 0, severity: info}
      - type: unexpected_rows_expectation
        name: not_lost
        severity: info
        unexpected_rows_query: >-
          SELECT b.x_run_date FROM {batch} AS b
          LEFT JOIN raw_openai.usage_completions AS u ON u.x_run_date = b.x_run_date WHERE u.x_run_date IS NULL
"""


@pytest.fixture
def audited(own_location: Callable[[], Location]) -> Location:
    """A location whose raw costs are held to ``SUITE``."""
    configs = own_location().configs
    (configs / "pipelines/openai/cost/openai_costs/dq.yml").write_text(SUITE)
    return own_location()


def evaluations(run: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {e.check_name: e for e in run.get_asset_check_evaluations()}


def once(page: dict[str, Any]) -> dict[str, Any]:
    """A tenth of the usual rows."""
    for bucket in page["data"]:
        bucket["results"] = bucket["results"][:1]
    return page


def test_an_audit_knows_the_time_the_past_and_other_tables(audited: Location) -> None:
    days = [SliceKey(date(2026, 3, n), "acme1281") for n in (2, 3, 4)]
    usage = "key:raw_openai/usage_completions or key:raw_openai/costs"
    first, _ = (audited.run(usage, key) for key in days[:2])
    found = evaluations(first)
    assert not found["fresh"].passed and "age_hours" in str(found["fresh"].metadata["details"].value)
    assert found["volume"].passed and "too few" in str(found["volume"].metadata["details"].value)
    assert found["not_lost"].passed
    assert "history" not in found["volume"].metadata
    audited.api.fail(*[Fault(edit=once, path="/costs")] * 9)
    last = audited.run(COSTS, days[2])
    volume = evaluations(last)["volume"]
    assert not volume.passed and not last.success  # critical: unusual volume keeps the old slice
    assert volume.metadata["history"].value.startswith("![volume](data:image/svg+xml;base64,")
    assert not evaluations(last)["not_lost"].passed  # of that day there is no usage


def test_what_a_check_shows(audited: Location) -> None:
    [key] = [SliceKey(date(2026, 3, 9), "acme1281")]
    metadata = evaluations(audited.run(COSTS, key))["small"].metadata
    rows = metadata["element_count"].value
    assert metadata["unexpected_count"].value == rows - metadata["missing_count"].value > 0
    assert metadata["unexpected_percent"].value == 100
    assert "amount_value" in metadata["failing_rows"].value
    assert "SELECT" in metadata["sql"].value and "amount_value" in metadata["sql"].value


def test_every_run_leaves_a_page_about_its_quality(location: Location, day: date) -> None:
    first, last = SliceKey(day, "acme1281"), SliceKey(day + timedelta(days=1), "globex")
    run = location.run(CHAIN, first, last)
    materialized = run.get_asset_materialization_events()
    pages = {
        e.partition.split("|")[1]: e.materialization.metadata["quality_report"].value for e in materialized
    }
    assert set(pages) == {"acme1281", "globex"}
    for tenant, path in pages.items():
        text = Path(path).read_text("utf-8")
        assert run.run_id in text and text.count("<h2>") == 8
        assert f"{tenant} · raw_openai.costs" in text and not {"acme1281", "globex"} - {tenant} & set(
            text.split()
        )


def test_layers_are_reconciled_per_currency_also_month_against_days(location: Location, day: date) -> None:
    key = SliceKey(day, "acme1281")
    location.run(CHAIN, key)
    run = location.run(CHAIN, SliceKey(day + timedelta(days=1), "acme1281"))
    name = "expect_column_sum_to_equal_other_table__BilledCost"
    found = {e.asset_key.path[-1]: e for e in run.get_asset_check_evaluations() if e.check_name == name}
    assert set(found) == {"daily_spend", "monthly_spend"}
    assert all(e.passed for e in found.values())
    daily, monthly = (
        str(found[t].metadata["observed_value"].value) for t in ("daily_spend", "monthly_spend")
    )
    assert daily != monthly and '"other"' in monthly


def test_a_check_has_one_row_per_run_also_where_nothing_could_be_audited(
    location: Location, day: date
) -> None:
    key = SliceKey(day, "acme1281")
    location.api.fail(*[Fault(status=403, path="/costs", tenant="acme1281")] * 9)
    run = location.run(CHAIN, key)
    rows = told(location, run, "acme1281", "dq_results")
    suites = {str(node.table): len(node.suite) for node in location.module.nodes}
    for table in ("raw_openai.costs", "silver_cost.focus_costs", "gold_reporting.daily_spend"):
        mine = [row for row in rows if row["target_table"] == table]
        assert len(mine) == len({row["dq_result_id"] for row in mine}) == suites[table] > 0
        assert all(row["success"] is None and "not audited" in row["error_message"] for row in mine)
    assert not list(run.get_asset_check_evaluations())
