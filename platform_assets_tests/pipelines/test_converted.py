"""Pipelines of the replaced services, translated, and their slices filled from real sources."""

import json
import shutil
from datetime import date
from decimal import Decimal

import duckdb
import pytest
from click.testing import CliRunner

from platform_assets.cli import main
from platform_assets_tests.config.historic.old_files import FOLDERS, README, STEPS
from platform_assets_tests.pipelines.bench import CONFIGS, Bench, failed
from platform_assets_tests.pipelines.provider import Pages, pull_pages

DAY = date(2026, 11, 1)


@pytest.fixture
def converted(tmp_path):
    """Gives a bench on the repository's configuration with old files translated into it."""

    def convert(files):
        for name, text in files.items():
            path = tmp_path / "old" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        root = tmp_path / "configs"
        shutil.copytree(CONFIGS, root)
        command = ["convert", str(tmp_path / "old"), "--config-root", str(root), "--write"]
        result = CliRunner().invoke(main, command)
        assert result.exit_code == 0, result.output
        assert " 0 refused" in result.output
        return Bench(tmp_path / "home", root=root)

    return convert


def test_the_readmes_pipeline_runs(converted, httpserver):
    bench = converted(README)
    row = {"billing_date": "2026-11-01", "organization_id": "o", "usage_amount": 1.5, "cost_usd": "0.1"}
    pages = Pages(
        [
            json.dumps({"data": [row], "next_page_token": "n"}),
            json.dumps({"data": [{**row, "organization_id": "p"}], "next_page_token": None}),
        ]
    )
    pull_pages(bench, httpserver, "p_openai_billing", "ingest_raw", DAY, pages)
    assert [dict(query).get("page_token") for _, query, _ in pages.asked] == [None, "n"]
    bench.run("p_openai_billing", "transform_silver", DAY)
    total = bench.value(
        "SELECT SUM(cost_usd) AS s FROM silver_cost.openai_daily WHERE x_run_date = '2026-11-01'"
    )
    assert total == Decimal("0.2")


def test_a_folders_pipeline_runs(converted, tmp_path):
    bench = converted(FOLDERS)
    (tmp_path / "home").mkdir(exist_ok=True)
    with duckdb.connect(str(tmp_path / "home" / "gac-prod-471220.duckdb")) as connection:
        connection.execute("CREATE SCHEMA billing")
        connection.execute(
            "CREATE TABLE billing.usage_by_sku (sku_id VARCHAR, usage_date DATE, cost DECIMAL(38, 9))"
        )
        connection.execute(
            "INSERT INTO billing.usage_by_sku VALUES ('a', '2026-11-01', 2), ('a', '2026-11-01', 3),"
            " ('small', '2026-11-01', 0.4), ('late', '2026-11-02', 9), (NULL, '2026-11-01', 1)"
        )
    for _ in range(2):  # what was an append doubles nothing
        bench.run("gcp_pricing_calculation", "raw_copy", DAY)
    checks = bench.run("gcp_pricing_calculation", "final", DAY)
    assert failed(checks, "warning") == ["expect_column_values_to_not_be_null:sku_id"]
    rows = bench.rows("SELECT sku_id AS s, cost AS c FROM raw_gcp.pricing_final ORDER BY 2 DESC")
    assert [(r["s"], r["c"]) for r in rows] == [("a", 5), (None, 1)]


def test_service_cs_api_steps_run(converted, httpserver):
    only = {name: text for name, text in STEPS.items() if name.startswith(("jira/", "gcp/", "openai/"))}
    bench = converted(only)
    issue = {"id": "J-1", "project": "P", "fields": {"points": 3}}
    pages = Pages([json.dumps({"data": [issue, {**issue, "id": "J-2"}], "meta": {}})])
    pull_pages(bench, httpserver, "jira_issues", "extract", DAY, pages)
    [(path, query, headers)] = pages.asked
    assert (path, headers["X-Token"]) == ("/api/issues", "not-a-real-secret")
    assert dict(query) == {"updated": "2026-11-01", "site": "eu", "limit": "50"}
    bench.run("jira_issues", "per_project", DAY)
    rows = bench.rows(
        "SELECT issue_id AS i, project AS p FROM silver_tickets.jira_issues_by_project ORDER BY 1"
    )
    assert [(r["i"], r["p"]) for r in rows] == [("J-1", "P"), ("J-2", "P")]


def test_what_is_refused_is_told_and_nothing_of_it_is_written(tmp_path):
    old = tmp_path / "old" / "azure" / "cost" / "billing.yml"
    old.parent.mkdir(parents=True)
    old.write_text(STEPS["azure/cost/billing.yml"])
    root = tmp_path / "configs"
    shutil.copytree(CONFIGS, root)
    result = CliRunner().invoke(
        main, ["convert", str(tmp_path / "old"), "--config-root", str(root), "--write"]
    )
    assert result.exit_code == 1
    assert (
        "azure/cost/billing.yml:6: steps[0].ps_type: there is no shipped pipeline for Azure" in result.output
    )
    assert "wrote 0 file(s)" in result.output


def test_a_result_that_would_not_be_valid_is_not_written(tmp_path):
    name = "gcp/api/buckets.yml"
    old = tmp_path / "old" / name
    old.parent.mkdir(parents=True)
    old.write_text(STEPS[name].replace("data_path: items", 'data_path: "items[0]"'))
    root = tmp_path / "configs"
    shutil.copytree(CONFIGS, root)
    result = CliRunner().invoke(
        main, ["convert", str(tmp_path / "old"), "--config-root", str(root), "--write"]
    )
    assert result.exit_code == 1
    assert "gcp_buckets/pipeline.yml" in result.output and "wrote" not in result.output
    assert not (root / "providers" / "gcp_storage.yml").exists()
