"""A provider nobody prepared for: a folder of YAML, a schema and SQL, and its costs are in the reports.

No code of the platform knows it. It pages by links, authenticates in the query, nests its amounts and adds fields.
"""

import json
import re
import shutil
from datetime import date
from decimal import Decimal

import pytest
from werkzeug import Response

from platform_assets_tests.pipelines.bench import CONFIGS, SECRET, TENANT, Bench, failed

DAY = date(2026, 3, 4)
PROVIDER = """
provider: helpdesk
display_name: Helpdesk
base_url: https://api.helpdesk.example.com/v2
auth: {type: query, param: api_token}
"""
PIPELINE = """
pipeline_id: helpdesk_costs
provider: helpdesk
domain: cost
steps:
  - step_id: charges
    type: ingest
    source:
      type: rest_api
      path: /accounts/{{ parameters.account }}/charges
      params: {from: "{{ run_date }}", to: "{{ next_date }}"}
      pagination: {type: link}
      records_path: "result.charges[]"
      columns: {amount: price.gross, currency: price.unit, agent: "assignee.name"}
    destination: {table: raw_helpdesk.charges, schema_file: charges_schema.json}
  - step_id: to_focus
    type: transform
    sql_file: to_focus.sql
    contributes_to: silver_cost.focus_costs
"""
SCHEMA = [
    {"name": "id", "type": "STRING", "mode": "REQUIRED"},
    {"name": "amount", "type": "BIGNUMERIC", "mode": "REQUIRED"},
    {"name": "currency", "type": "STRING", "mode": "REQUIRED"},
    {"name": "agent", "type": "STRING"},
    {"name": "x_extra", "type": "JSON"},
]
SQL = """
SELECT
  amount AS BilledCost, amount AS EffectiveCost, amount AS ListCost, amount AS ContractedCost,
  CONCAT('helpdesk:', x_credential) AS BillingAccountId, UPPER(currency) AS BillingCurrency,
  TIMESTAMP(DATE_TRUNC(ingestion_date, MONTH)) AS BillingPeriodStart,
  TIMESTAMP(DATE_ADD(DATE_TRUNC(ingestion_date, MONTH), INTERVAL 1 MONTH)) AS BillingPeriodEnd,
  TIMESTAMP(ingestion_date) AS ChargePeriodStart,
  TIMESTAMP(DATE_ADD(ingestion_date, INTERVAL 1 DAY)) AS ChargePeriodEnd,
  'Usage' AS ChargeCategory, 'Usage-Based' AS ChargeFrequency, 'Helpdesk' AS InvoiceIssuerName,
  'Helpdesk' AS ProviderName, 'Helpdesk' AS PublisherName, 'Business Applications' AS ServiceCategory,
  'Helpdesk' AS ServiceName, agent AS x_Team
FROM raw_helpdesk.charges
WHERE ingestion_date = @run_date
"""


@pytest.fixture
def root(tmp_path):
    """The reviewed configuration plus one provider."""
    root = tmp_path / "configs"
    shutil.copytree(CONFIGS, root)
    (root / "providers" / "helpdesk.yml").write_text(PROVIDER)
    folder = root / "pipelines" / "helpdesk" / "cost" / "helpdesk_costs"
    folder.mkdir(parents=True)
    (folder / "pipeline.yml").write_text(PIPELINE)
    (folder / "charges_schema.json").write_text(json.dumps(SCHEMA))
    (folder / "to_focus.sql").write_text(SQL)
    return root


def charge(number, gross):
    price = {"gross": gross, "unit": "eur"}
    return {"id": number, "price": price, "assignee": {"name": "support", "shift": 2}, "priority": "high"}


def test_a_folder_of_yaml_and_sql_is_a_provider(tmp_path, root, httpserver):
    asked = []

    def answer(request):
        asked.append((request.path, dict(request.args)))
        last = "page" in request.args
        page = [charge("2", "0.10")] if last else [charge("1", 12.5)]
        link = {} if last else {"Link": f'<{httpserver.url_for(request.path)}?page=2>; rel="next"'}
        return Response(json.dumps({"result": {"charges": page}}), headers=link)

    httpserver.expect_request(re.compile(".*")).respond_with_handler(answer)
    bench = Bench(tmp_path, TENANT, root)
    bench.provider_url = httpserver.url_for("/v2")
    bench.run("helpdesk_costs", "charges", DAY, account="acc-7")
    assert failed(bench.run("helpdesk_costs", "to_focus", DAY)) == []
    bench.run("cost_reporting", "daily_spend", DAY)

    path, query = asked[0]
    assert (path, query["from"], query["to"]) == ("/v2/accounts/acc-7/charges", "2026-03-04", "2026-03-05")
    assert [args["api_token"] for _, args in asked] == [SECRET, SECRET]
    [row] = bench.rows("SELECT * FROM gold_reporting.daily_spend")
    assert (row["BilledCost"], row["BillingCurrency"], row["x_Team"]) == (Decimal("12.6"), "EUR", "support")
    extra = bench.rows("SELECT x_extra AS e FROM raw_helpdesk.charges ORDER BY id")
    assert json.loads(extra[0]["e"]) == {"assignee": {"shift": 2}, "priority": "high"}
