"""Google Cloud's billing export: nested rows with binary floats, credits inside, corrections after the fact."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal

import duckdb
import pytest

from platform_assets_tests.pipelines.bench import failed

TABLE = "acme-billing.billing.gcp_billing_export_v1_012345_ABCDEF_678901"
NAME = TABLE.rpartition(".")[2]
REGULAR = {
    "billing_account_id": "01ABCD-234EFG-567HIJ",
    "invoice": {"month": "202610", "publisher_type": "GOOGLE"},
    "cost_type": "regular",
    "service": {"id": "6F81-5844-456A", "description": "Compute Engine"},
    "sku": {"id": "2E27-4F75-95CD", "description": "N1 Predefined Instance Core running in Americas"},
    "usage_start_time": "2026-10-31T23:00:00Z",
    "usage_end_time": "2026-11-01T00:00:00Z",
    "project": {
        "id": "acme-prod",
        "number": "123456789012",
        "name": "acme-prod",
        "labels": [{"key": "env", "value": "prod"}, {"key": "team", "value": "whole-project"}],
    },
    "labels": [{"key": "team", "value": "data"}, {"key": "team", "value": "data-dup"}],
    "system_labels": [{"key": "compute.googleapis.com/machine_spec", "value": "n1-standard-4"}],
    "location": {
        "location": "us-central1",
        "country": "US",
        "region": "us-central1",
        "zone": "us-central1-a",
    },
    "resource": {
        "name": "vm-1",
        "global_name": "//compute.googleapis.com/projects/acme-prod/zones/z/instances/1",
    },
    "price": {"effective_price": "0.031611", "tier_start_amount": "0", "unit": "hour"},
    "seller_name": "Google",
    "export_time": "2026-11-01T03:12:44.123456Z",
    "cost": 0.12644399999999998,
    "cost_at_list": 0.126444,
    "currency": "EUR",
    "currency_conversion_rate": 0.9213,
    "usage": {
        "amount": 14400.0,
        "unit": "seconds",
        "amount_in_pricing_units": 4.0,
        "pricing_unit": "hour",
    },
    "credits": [
        {
            "id": "",
            "full_name": "Sustained",
            "type": "SUSTAINED_USAGE_DISCOUNT",
            "name": "s",
            "amount": -0.0252888,
        },
        {"id": "promo-1", "full_name": "Trial", "type": "PROMOTION", "name": "t", "amount": -0.0100001},
    ],
    "adjustment_info": None,
}
TAX = {
    **REGULAR,
    "cost_type": "tax",
    "service": {"id": "", "description": "Invoice"},
    "sku": {"id": "", "description": "Tax"},
    "usage_start_time": "2026-10-01T07:00:00Z",
    "usage_end_time": "2026-11-01T07:00:00Z",
    "project": None,
    "labels": [],
    "resource": None,
    "cost": 12.34,
    "cost_at_list": None,
    "usage": None,
    "credits": [],
}
CORRECTION = {
    **REGULAR,
    "invoice": {"month": "202611", "publisher_type": "GOOGLE"},
    "cost_type": "adjustment",
    "cost": -0.12644399999999998,
    "usage": {"amount": -14400.0, "unit": "seconds", "amount_in_pricing_units": -4.0, "pricing_unit": "hour"},
    "credits": [
        {"id": "", "full_name": "S", "type": "SUSTAINED_USAGE_DISCOUNT", "name": "s", "amount": 0.0252888}
    ],
    "adjustment_info": {
        "id": "a1",
        "description": "Usage correction",
        "mode": "COMPLETE_NEGATION",
        "type": "USAGE_CORRECTION",
    },
}
REGULAR_NET = Decimal(repr(0.12644399999999998)) - Decimal("0.0252888") - Decimal("0.0100001")
DAY = date(2026, 11, 1)

_LABELS = "STRUCT(key VARCHAR, value VARCHAR)[]"
COLUMNS = f"""
  export_time TIMESTAMPTZ, billing_account_id VARCHAR, invoice STRUCT(month VARCHAR, publisher_type VARCHAR),
  cost_type VARCHAR, service STRUCT(id VARCHAR, description VARCHAR), sku STRUCT(id VARCHAR, description VARCHAR),
  usage_start_time TIMESTAMPTZ, usage_end_time TIMESTAMPTZ,
  project STRUCT(id VARCHAR, number VARCHAR, name VARCHAR, labels {_LABELS}), labels {_LABELS},
  system_labels {_LABELS}, location STRUCT(location VARCHAR, country VARCHAR, region VARCHAR, zone VARCHAR),
  resource STRUCT(name VARCHAR, global_name VARCHAR),
  price STRUCT(effective_price DECIMAL(38, 9), tier_start_amount DECIMAL(38, 9), unit VARCHAR),
  seller_name VARCHAR, cost DOUBLE, cost_at_list DOUBLE, currency VARCHAR, currency_conversion_rate DOUBLE,
  usage STRUCT(amount DOUBLE, unit VARCHAR, amount_in_pricing_units DOUBLE, pricing_unit VARCHAR),
  credits STRUCT(id VARCHAR, full_name VARCHAR, type VARCHAR, name VARCHAR, amount DOUBLE)[],
  adjustment_info STRUCT(id VARCHAR, description VARCHAR, mode VARCHAR, type VARCHAR)
"""


class Export:
    """The export's dataset as a DuckDB file; column order is not the schema's on purpose."""

    def __init__(self, folder):
        self.folder = folder

    def append(self, day, *rows, table=NAME):
        file = self.folder / "rows.json"
        file.write_text("\n".join(json.dumps(row) for row in rows))
        with duckdb.connect(str(self.folder / "acme-billing.duckdb")) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute("CREATE SCHEMA IF NOT EXISTS billing")
            connection.execute(
                f'CREATE TABLE IF NOT EXISTS billing."{table}" (_PARTITIONTIME TIMESTAMPTZ, {COLUMNS})'
            )
            connection.execute(
                "CREATE OR REPLACE TEMP TABLE shape AS SELECT * EXCLUDE (_PARTITIONTIME) FROM "
                f'billing."{table}" LIMIT 0'
            )
            connection.execute(f"COPY shape FROM '{file}' (FORMAT json)")
            connection.execute(
                f'INSERT INTO billing."{table}" BY NAME SELECT *, ?::TIMESTAMPTZ AS _PARTITIONTIME FROM shape',
                [datetime(day.year, day.month, day.day, tzinfo=UTC)],
            )


@pytest.fixture
def export(tmp_path):
    return Export(tmp_path)


def ingest(bench, export, day=DAY, table=TABLE, credential="default"):
    bench.run("gcp_billing", "billing_export", day, credential, billing_export_table=table)
    return bench.stats


def focus(bench, export, *rows, day=DAY):
    if rows:
        export.append(day, *rows)
    ingest(bench, export, day)
    assert failed(bench.run("gcp_billing", "to_focus", day)) == []
    return bench.rows("SELECT * FROM silver_cost.focus_costs ORDER BY BilledCost")


def test_net_cost_is_cost_plus_its_credits_once(bench, export):
    [row] = focus(bench, export, REGULAR)
    assert row["BilledCost"] == row["EffectiveCost"] == REGULAR_NET
    assert row["ContractedCost"] == Decimal(repr(0.12644399999999998))
    assert row["ListCost"] == Decimal("0.126444")


def test_rows_without_credits_free_rows_and_refunds_stay(bench, export):
    free = {**REGULAR, "cost": 0.0, "credits": []}
    absent = {**REGULAR, "cost": 3.0, "credits": None}
    credited = {**REGULAR, "cost": 0.0}
    rows = focus(bench, export, free, absent, credited, {**REGULAR, "cost": -5.0, "credits": []})
    assert [r["BilledCost"] for r in rows] == [Decimal(-5), Decimal("-0.0352889"), Decimal(0), Decimal(3)]


def test_of_a_label_that_stands_twice_the_last_one_counts(bench, export):
    [row] = focus(bench, export, REGULAR)
    assert json.loads(row["Tags"]) == {"env": "prod", "team": "data-dup"}
    assert (row["x_Team"], row["x_Project"], row["SubAccountName"]) == ("data-dup", "acme-prod", "acme-prod")


def test_a_label_that_stands_twice_is_warned_about(bench, export):
    once = {**REGULAR, "labels": [{"key": "team", "value": "data"}]}
    export.append(DAY, once)
    checks = bench.run("gcp_billing", "billing_export", DAY, billing_export_table=TABLE)
    assert failed(checks, "warning") == []
    export.append(DAY, once, REGULAR)
    checks = bench.run("gcp_billing", "billing_export", DAY, billing_export_table=TABLE)
    assert [c.expectation_id for c in checks if not c.success] == ["label_keys_unique"]


def test_a_projects_label_counts_where_the_resource_has_none(bench, export):
    [row] = focus(bench, export, {**REGULAR, "labels": []})
    assert (row["x_Team"], json.loads(row["Tags"])["team"]) == ("whole-project", "whole-project")


def test_labels_with_quotes_stay_valid_json(bench, export):
    awkward = [{"key": 'a"b', "value": 'c"\\d'}]
    [row] = focus(bench, export, {**REGULAR, "labels": awkward, "project": None})
    assert json.loads(row["Tags"]) == {'a"b': 'c"\\d'}


def test_the_invoice_month_runs_in_los_angeles_time(bench, export):
    [row] = focus(bench, export, REGULAR)
    assert row["BillingPeriodStart"] == datetime(2026, 10, 1, 7, tzinfo=UTC)  # daylight saving time
    assert row["BillingPeriodEnd"] == datetime(2026, 11, 1, 7, tzinfo=UTC)
    [november, *_] = focus(bench, export, CORRECTION, day=date(2026, 11, 9))
    assert november["BillingPeriodEnd"] == datetime(2026, 12, 1, 8, tzinfo=UTC)  # standard time
    assert november["x_InvoiceMonth"] == "202611"


def test_tax_is_tax_and_names_no_resource(bench, export):
    [row] = focus(bench, export, TAX)
    assert (row["ChargeCategory"], row["BilledCost"]) == ("Tax", Decimal("12.34"))
    assert [row[c] for c in ("SkuId", "ResourceId", "RegionId", "ConsumedQuantity", "SubAccountId")] == [
        None
    ] * 5


def test_a_correction_of_an_invoiced_month_is_kept_beside_what_it_corrects(bench, export):
    focus(bench, export, REGULAR)
    rows = focus(bench, export, CORRECTION, day=date(2026, 11, 9))
    assert [(r["ChargeCategory"], r["ChargeClass"]) for r in rows] == [
        ("Adjustment", "Correction"),
        ("Usage", None),
    ]
    assert sum(r["BilledCost"] for r in rows) == Decimal("-0.0100001")
    assert [r["x_run_date"] for r in rows] == [date(2026, 11, 9), DAY]


def test_a_late_correction_finds_its_day_and_month_in_gold(bench, export):
    focus(bench, export, REGULAR)
    focus(bench, export, CORRECTION, day=date(2026, 11, 9))
    for day in (DAY, date(2026, 11, 9)):
        bench.run("cost_reporting", "daily_spend", day)
    by_day = bench.rows(
        "SELECT ChargeDate AS d, SUM(BilledCost) AS s, COUNT(DISTINCT x_run_date) AS n"
        " FROM gold_reporting.daily_spend GROUP BY 1"
    )
    assert by_day == [{"d": date(2026, 10, 31), "s": Decimal("-0.0100001"), "n": 2}]


def test_a_commitment_is_a_purchase(bench, export):
    fee = {
        **REGULAR,
        "sku": {"id": "X", "description": "Commitment v1: Cpu in Americas for 1 Year"},
        "credits": [],
    }
    [row] = focus(bench, export, fee)
    assert (row["ChargeCategory"], row["ChargeFrequency"], row["PricingCategory"]) == (
        "Purchase",
        "Recurring",
        "Committed",
    )


def test_the_service_category_comes_from_the_services_name(bench, export):
    expected = {
        "Compute Engine": "Compute",
        "BigQuery": "Analytics",
        "BigQuery Reservation API": "Analytics",
        "Cloud SQL": "Databases",
        "Vertex AI": "AI and Machine Learning",
        "Cloud Logging": "Management and Governance",
        "A Service Of 2031": "Other",
    }
    services = [{"id": "6F81-5844-456A", "description": name} for name in expected]
    rows = focus(bench, export, *({**REGULAR, "service": service} for service in services))
    assert {row["ServiceName"]: row["ServiceCategory"] for row in rows} == expected


def test_what_google_says_and_what_is_reported_agree_to_the_last_digit(bench, export):
    absent = {**REGULAR, "cost": 3.3e-7, "credits": None}
    dollars = {**TAX, "currency": "usd"}
    focus(bench, export, REGULAR, absent, TAX, dollars, CORRECTION, {**REGULAR, "cost": 1 / 3})
    bench.run("gcp_billing", "totals", DAY)
    checks = bench.run("cost_reporting", "reconciliation", DAY)
    assert failed(checks) == [] and failed(checks, "warning") == []
    rows = bench.rows("SELECT * FROM gold_reporting.reconciliation ORDER BY BillingCurrency")
    assert [(r["BillingCurrency"], r["Difference"], r["FocusRows"]) for r in rows] == [
        ("EUR", 0, 5),
        ("USD", 0, 1),
    ]


def test_a_slice_is_an_export_day_and_pulling_it_again_replaces_it(bench, export):
    export.append(date(2026, 10, 31), {**REGULAR, "cost": 100.0})
    assert len(focus(bench, export, REGULAR)) == 1
    export.append(DAY, {**REGULAR, "cost": 7.0, "credits": []})  # the partition grew
    assert [r["BilledCost"] for r in focus(bench, export)] == [REGULAR_NET, Decimal(7)]
    assert len(focus(bench, export)) == 2


def test_a_wildcard_reads_every_billing_account(bench, export):
    export.append(DAY, REGULAR)
    export.append(
        DAY, {**REGULAR, "billing_account_id": "B"}, table="gcp_billing_export_v1_999999_AAAAAA_000000"
    )
    export.append(
        DAY, {**REGULAR, "cost": 1000.0}, table="gcp_billing_export_resource_v1_012345_ABCDEF_678901"
    )
    stats = ingest(bench, export, table="acme-billing.billing.gcp_billing_export_v1_*")
    assert stats.records == 2
    accounts = bench.rows("SELECT billing_account_id AS a FROM raw_gcp.billing_export ORDER BY 1")
    assert [r["a"] for r in accounts] == ["01ABCD-234EFG-567HIJ", "B"]


def test_the_standard_export_lacks_columns_and_a_new_column_fails_nothing(bench, export):
    export.append(DAY, REGULAR)
    with duckdb.connect(str(export.folder / "acme-billing.duckdb")) as connection:
        name = f'billing."{NAME}"'
        connection.execute(f"ALTER TABLE {name} DROP COLUMN resource")
        connection.execute(f"ALTER TABLE {name} ADD COLUMN carbon DOUBLE DEFAULT 1.5")
    stats = ingest(bench, export)
    assert stats.unknown_fields == {"carbon": 1}
    assert bench.value("SELECT resource FROM raw_gcp.billing_export") is None


def test_tiny_floats_are_rounded_at_eighteen_decimals_and_huge_quantities_do_not_overflow(bench, export):
    tiny = {**REGULAR, "cost": 1.2345678901234567e-06, "credits": []}
    tiny["usage"] = {**REGULAR["usage"], "amount": 3.2e23, "unit": "byte-seconds"}
    [row] = focus(bench, export, tiny)
    assert row["BilledCost"] == Decimal("0.000001234567890123")
    assert row["ConsumedQuantity"] is None and row["ConsumedUnit"] == "byte-seconds"


def test_a_day_without_export_rows_is_confirmed_empty_and_warned_about(bench, export):
    export.append(date(2026, 10, 30), REGULAR)
    stats = ingest(bench, export)
    assert stats.empty_confirmed


def test_no_row_is_cut_off(bench, export):
    rows = [{**REGULAR, "cost": 1.0, "credits": []} for _ in range(12_000)]
    export.append(DAY, *rows)
    assert ingest(bench, export).records == 12_000
    bench.run("gcp_billing", "to_focus", DAY)
    assert bench.value("SELECT SUM(BilledCost) AS s FROM silver_cost.focus_costs") == 12_000
