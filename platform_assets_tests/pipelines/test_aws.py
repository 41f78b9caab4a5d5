"""AWS data exports: whole billing periods from a manifest, cut into days that add up to them."""

import csv
import gzip
import io
import json
from datetime import UTC, date, datetime
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from platform_assets.engine.errors import NotFoundError
from platform_assets_tests.pipelines.bench import failed

MONTH = date(2026, 6, 1)
BUCKET = "acme-exports"
PREFIX = "exports/daily"


class Bucket:
    """A bucket as the bench's folder of buckets; an export's executions are written the way AWS writes them."""

    def __init__(self, bench):
        self.root = bench.folder / "buckets" / BUCKET

    def put(self, key, data):
        path = self.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    def export(self, name, data, execution="20260702T120000Z-a1b2"):
        period = f"BILLING_PERIOD={MONTH:%Y-%m}"
        key = f"{PREFIX}/data/{period}/{execution}/{name}"
        self.put(key, data)
        listed = {"dataFiles": [{"s3Uri": f"s3://{BUCKET}/{key}", "size": len(data)}]}
        manifest = f"{PREFIX}/metadata/{period}/{execution}/daily-Manifest.json"
        self.put(manifest, json.dumps(listed).encode())


@pytest.fixture
def bucket(bench):
    return Bucket(bench)


def ingest(bench, pipeline, name):
    return bench.run(pipeline, name, MONTH, bucket=BUCKET, export_prefix=PREFIX)


def focus_days(bench, pipeline, *days):
    for day in days:
        assert failed(bench.run(pipeline, "to_focus", day)) == []
    return bench.rows("SELECT * FROM silver_cost.focus_costs ORDER BY x_run_date, BilledCost")


# --- FOCUS export -----------------------------------------------------------------------------------

FOCUS = {
    "BilledCost": 1.5,
    "EffectiveCost": 1.25,
    "ListCost": 2.0,
    "ContractedCost": 1.5,
    "BillingAccountId": "111122223333",
    "BillingCurrency": "USD",
    "BillingPeriodStart": datetime(2026, 6, 1),
    "BillingPeriodEnd": datetime(2026, 7, 1),
    "ChargePeriodStart": datetime(2026, 6, 15),
    "ChargePeriodEnd": datetime(2026, 6, 16),
    "ChargeCategory": "Usage",
    "ChargeFrequency": "Usage-Based",
    "ServiceName": "Amazon Simple Storage Service",
    "ServiceCategory": "Storage",
    "ProviderName": "AWS",
    "PublisherName": "AWS",
    "InvoiceIssuerName": "AWS",
    "SubAccountId": "444455556666",
    "x_ServiceCode": "AmazonS3",
}


def parquet(*rows):
    table = pa.Table.from_pylist(list(rows))
    tags = pa.array([[("team", "web")]] * len(rows), pa.map_(pa.string(), pa.string()))
    moment = pa.timestamp("ms")
    for name in ("BillingPeriodStart", "BillingPeriodEnd", "ChargePeriodStart", "ChargePeriodEnd"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, table.column(name).cast(moment))
    buffer = io.BytesIO()
    pq.write_table(
        table.append_column("Tags", tags).append_column("x_New", pa.array([1] * len(rows))), buffer
    )
    return buffer.getvalue()


def test_a_period_is_cut_into_days_and_no_row_is_lost_or_doubled(bench, bucket):
    before = {**FOCUS, "BilledCost": 10.0, "ChargePeriodStart": datetime(2026, 5, 31, 23)}
    bucket.export("daily-00001.snappy.parquet", parquet(FOCUS, before))
    assert failed(ingest(bench, "aws_focus", "focus_export")) == []
    assert bench.stats.unknown_fields == {"x_New": 2}
    rows = focus_days(bench, "aws_focus", MONTH, date(2026, 6, 14), date(2026, 6, 15), date(2026, 6, 30))
    assert [(r["x_run_date"].day, r["BilledCost"]) for r in rows] == [(1, Decimal(10)), (15, Decimal("1.5"))]
    assert (rows[1]["x_Team"], json.loads(rows[1]["Tags"])) == ("web", {"team": "web"})
    assert rows[1]["ChargePeriodStart"] == datetime(2026, 6, 15, tzinfo=UTC)
    bench.run("aws_focus", "totals", MONTH)
    assert failed(bench.run("cost_reporting", "reconciliation", MONTH)) == []


def test_a_newer_execution_replaces_the_whole_period(bench, bucket):
    bucket.export("daily-00001.snappy.parquet", parquet(FOCUS, {**FOCUS, "BilledCost": 7.0}))
    ingest(bench, "aws_focus", "focus_export")
    bucket.export(
        "daily-00001.snappy.parquet", parquet({**FOCUS, "BilledCost": 4.0}), "20260703T120000Z-c3d4"
    )
    ingest(bench, "aws_focus", "focus_export")
    [row] = focus_days(bench, "aws_focus", date(2026, 6, 15))
    assert row["BilledCost"] == Decimal(4)


def test_a_period_that_was_never_exported_is_an_error(bench, bucket):
    bucket.put("readme.txt", b"")
    with pytest.raises(NotFoundError, match="no manifest"):
        ingest(bench, "aws_focus", "focus_export")


# --- Cost and Usage Report --------------------------------------------------------------------------

CUR = {
    "bill_billing_period_start_date": "2026-06-01T00:00:00.000Z",
    "bill_billing_period_end_date": "2026-07-01T00:00:00.000Z",
    "bill_payer_account_id": "111122223333",
    "line_item_usage_account_id": "444455556666",
    "line_item_line_item_type": "Usage",
    "line_item_usage_start_date": "2026-06-15T00:00:00.000Z",
    "line_item_usage_end_date": "2026-06-15T01:00:00.000Z",
    "line_item_product_code": "AmazonEC2",
    "line_item_usage_amount": "1.0",
    "line_item_currency_code": "USD",
    "line_item_unblended_cost": "0.0960000000",
    "pricing_public_on_demand_cost": "0.1",
    "resource_tags": '{"user_team": "web, \\"core\\""}',
}
AMORTISED = [
    "reservation_effective_cost",
    "reservation_reservation_a_r_n",
    "reservation_unused_amortized_upfront_fee_for_billing_period",
    "reservation_unused_recurring_fee",
    "savings_plan_savings_plan_effective_cost",
    "savings_plan_total_commitment_to_date",
    "savings_plan_used_commitment",
]


def report(*rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, [*CUR, "line_item_resource_id", *AMORTISED])
    writer.writeheader()
    writer.writerows(rows)
    return gzip.compress(text.getvalue().encode())


def cur(kind, cost, **fields):
    row = {**CUR, "line_item_line_item_type": kind, "line_item_unblended_cost": cost, "resource_tags": ""}
    return row | fields


CASES = [
    (cur("Usage", "5"), "Usage", "5"),
    (cur("Tax", "5"), "Tax", "5"),
    (cur("Credit", "-5"), "Credit", "-5"),
    (cur("Refund", "-5"), "Adjustment", "-5"),
    (
        cur("SavingsPlanCoveredUsage", "5", savings_plan_savings_plan_effective_cost="3.5"),
        "Usage",
        "3.5",
    ),
    (cur("SavingsPlanNegation", "-5"), "Adjustment", "0"),
    (cur("SavingsPlanUpfrontFee", "100"), "Purchase", "0"),
    (
        cur(
            "SavingsPlanRecurringFee",
            "10",
            savings_plan_total_commitment_to_date="10",
            savings_plan_used_commitment="9.25",
        ),
        "Purchase",
        "0.75",
    ),
    (cur("DiscountedUsage", "0", reservation_effective_cost="0.4"), "Usage", "0.4"),
    (
        cur(
            "RIFee",
            "30",
            reservation_unused_amortized_upfront_fee_for_billing_period="1",
            reservation_unused_recurring_fee="2",
        ),
        "Purchase",
        "3",
    ),
    (cur("Fee", "500", reservation_reservation_a_r_n="arn:aws:ec2:x"), "Purchase", "0"),
    (cur("Fee", "9"), "Purchase", "9"),
]


def test_billed_and_amortised_costs(bench, bucket):
    rows = [{**row, "line_item_resource_id": str(i)} for i, (row, _, _) in enumerate(CASES)]
    bucket.export("daily-00001.csv.gz", report(*rows))
    ingest(bench, "aws_cur", "cur")
    found = {r["ResourceId"]: r for r in focus_days(bench, "aws_cur", date(2026, 6, 15))}
    for number, (row, category, effective) in enumerate(CASES):
        one = found[str(number) if category != "Tax" else None]
        assert (one["ChargeCategory"], one["EffectiveCost"]) == (category, Decimal(effective)), row
        assert one["BilledCost"] == Decimal(row["line_item_unblended_cost"])


def test_texts_of_the_report_stay_texts_and_printed_floats_are_rounded(bench, bucket):
    bucket.export("daily-00001.csv.gz", report({**CUR, "line_item_unblended_cost": "1.2345678901234567E-6"}))
    assert failed(ingest(bench, "aws_cur", "cur")) == []
    [found] = focus_days(bench, "aws_cur", date(2026, 6, 15))
    assert found["BilledCost"] == Decimal("0.000001234567890123")
    assert (found["SubAccountId"], found["x_Team"]) == ("444455556666", 'web, "core"')
    assert (found["ServiceCategory"], found["ListCost"]) == ("Compute", Decimal("0.1"))
