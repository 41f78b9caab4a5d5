"""Google's native FOCUS export: appended by export time, tags as a list."""

import json
from datetime import date

import duckdb
import pytest

from platform_assets_tests.pipelines.bench import failed

DAY = date(2026, 11, 2)
DATASET = "gcp_billing_immutable_X_us"
TABLE = f"acme.{DATASET}.gcp_billing_export_focus_Y"
ROWS = """
SELECT
  TIMESTAMPTZ '2026-11-0{day} 10:00:00Z' AS x_ExportTime, 1.123456789012345678::DECIMAL(38, 18) AS BilledCost,
  1.1::DECIMAL(38, 9) AS EffectiveCost, NULL::DECIMAL(38, 9) AS ListCost,
  'EUR' AS BillingCurrency, '01ABCD' AS BillingAccountId,
  TIMESTAMPTZ '2026-10-01 07:00:00Z' AS BillingPeriodStart, TIMESTAMPTZ '2026-11-01 07:00:00Z' AS BillingPeriodEnd,
  TIMESTAMPTZ '2026-10-31 00:00:00Z' AS ChargePeriodStart, TIMESTAMPTZ '2026-10-31 01:00:00Z' AS ChargePeriodEnd,
  'Usage' AS ChargeCategory, 'BigQuery' AS ServiceName, 'Analytics' AS ServiceCategory, 'p1' AS SubAccountId,
  {tags} AS Tags, 7 AS x_Unheard
"""
TAGS = "[{'key': 'team', 'value': 'a'}, {'key': 'team', 'value': 'b'}, {'key': 'env', 'value': 'prod'}]"


@pytest.fixture
def export(tmp_path):
    with duckdb.connect(str(tmp_path / "acme.duckdb")) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(f"CREATE SCHEMA {DATASET}")
        untagged = ROWS.format(day=2, tags="[]::STRUCT(key VARCHAR, value VARCHAR)[]")
        parts = [ROWS.format(day=1, tags=TAGS), ROWS.format(day=2, tags=TAGS), untagged]
        connection.execute(
            f"CREATE TABLE {DATASET}.gcp_billing_export_focus_Y AS {' UNION ALL '.join(parts)}"
        )


def test_a_slice_is_what_google_appended_that_day(bench, export):
    bench.run("gcp_focus", "focus_export", DAY, focus_export_table=TABLE)
    assert (bench.stats.records, bench.stats.unknown_fields) == (2, {"x_Unheard": 2})
    assert failed(bench.run("gcp_focus", "to_focus", DAY)) == []
    bench.run("gcp_focus", "totals", DAY)
    assert failed(bench.run("cost_reporting", "reconciliation", DAY)) == []
    untagged, tagged = bench.rows("SELECT * FROM silver_cost.focus_costs ORDER BY x_Team NULLS FIRST")
    assert (json.loads(tagged["Tags"]), tagged["x_Team"]) == ({"env": "prod", "team": "b"}, "b")
    assert (json.loads(untagged["Tags"]), untagged["x_Team"]) == ({}, None)
    assert str(tagged["BilledCost"]) == "1.123456789012345678"
    assert tagged["ListCost"] == tagged["BilledCost"]
