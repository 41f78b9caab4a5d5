"""A small configuration that is right in every respect, as texts by file, and ways to write and change it."""

from collections.abc import Mapping
from pathlib import Path

METADATA = Path(__file__).resolve().parents[2] / "configs" / "metadata" / "schemas"

SHOP = "pipelines/shop/cost/shop_costs"
REPORTING = "pipelines/platform/cost/reporting"
OWN = "acme1281/shop/sales/own_sales"

GOOD: Mapping[str, str] = {
    "deployments/local.yml": """\
deployment: local
partitions:
  start_days_ago: 30
ports:
  warehouse:
    kind: duckdb
    settings:
      folder: ${PLATFORM_HOME:-.platform}/warehouse
  object_store: {kind: local, settings: {root: objects}}
  secrets:
    kind: environment
""",
    "providers/shop.yml": """\
provider: shop
display_name: Shop
base_url: https://api.shop.example/v1
auth:
  type: bearer
""",
    "providers/weather.yml": """\
provider: weather
display_name: Weather
base_url: https://weather.example
auth: {type: none}
""",
    "tenants/acme1281.yml": """\
tenant: acme1281
display_name: Acme
timezone: Europe/Berlin
default_currency: EUR
pipelines: all
credentials:
  - id: main
    provider: shop
    secret: shop_key
    parameters:
      region: eu
budgets:
  - id: everything
    amount: 1000.10
    currency: EUR
    provider: shop
""",
    "tenants/globex.yml": """\
tenant: globex
display_name: Globex
pipelines:
  - reporting
""",
    f"{SHOP}/pipeline.yml": """\
pipeline_id: shop_costs
provider: shop
domain: cost
schedule:
  cron: "0 4 * * *"
  timezone: Europe/Berlin
steps:
  - step_id: orders
    type: ingest
    source:
      type: rest_api
      path: /orders
      params:
        since: "{{ run_date }}"
        region: "{{ parameters.region }}"
      pagination:
        type: cursor
        param: page
        token_path: next_page
      records_path: data[].orders[]
      columns:
        order_id: id
        amount: total.value
        day: $.data[].day
    destination:
      table: raw_shop.orders
      schema_file: orders_schema.json
      write: merge
      keys: [order_id]
      cluster_by: [region]
      measure: {column: amount, currency: currency, by: region}
  - step_id: to_costs
    type: transform
    sql_file: to_costs.sql
    contributes_to: silver_cost.all_costs
""",
    f"{SHOP}/dq.yml": """\
suites:
  - table: raw_shop.orders
    expectations:
      - {type: expect_column_values_to_not_be_null, column: amount, severity: critical}
      - type: expect_column_values_to_be_between
        column: amount
        min_value: 0
        max_value: 100
""",
    f"{SHOP}/orders_schema.json": """\
[
  {"name": "order_id", "type": "STRING", "mode": "REQUIRED"},
  {"name": "amount", "type": "NUMERIC"},
  {"name": "currency", "type": "STRING"},
  {"name": "region", "type": "STRING"},
  {"name": "day", "type": "DATE"},
  {"name": "tags", "type": "STRING", "mode": "REPEATED"}
]
""",
    f"{SHOP}/to_costs.sql": """\
SELECT day AS charge_day, amount, currency
FROM raw_shop.orders
WHERE x_run_date = @run_date
""",
    f"{REPORTING}/pipeline.yml": """\
pipeline_id: reporting
provider: platform
domain: cost
steps:
  - step_id: all_costs
    type: union
    destination:
      table: silver_cost.all_costs
      schema_file: all_costs_schema.json
  - step_id: daily
    type: transform
    sql_file: daily.sql
    destination:
      table: gold_reporting.daily
      schema_file: daily_schema.json
""",
    f"{REPORTING}/all_costs_schema.json": """\
[
  {"name": "charge_day", "type": "DATE", "mode": "REQUIRED"},
  {"name": "amount", "type": "NUMERIC"},
  {"name": "currency", "type": "STRING"}
]
""",
    f"{REPORTING}/daily_schema.json": """\
[
  {"name": "charge_day", "type": "DATE"},
  {"name": "total", "type": "NUMERIC"}
]
""",
    f"{REPORTING}/daily.sql": """\
SELECT charge_day, SUM(amount) AS total
FROM silver_cost.all_costs
WHERE x_run_date = @run_date
GROUP BY charge_day
""",
    f"{OWN}/pipeline.yml": """\
pipeline_id: own_sales
provider: shop
domain: sales
steps:
  - step_id: sales
    type: transform
    sql_file: sales.sql
    destination:
      table: gold_sales.own
      schema_file: own_schema.json
""",
    f"{OWN}/sales.sql": "SELECT region FROM raw_shop.orders\n",
    f"{OWN}/own_schema.json": '[{"name": "region", "type": "STRING"}]\n',
}


def write_tree(root: Path, files: Mapping[str, str | bytes] = GOOD) -> Path:
    """Write the files, and the metadata schemas of the repository, below ``root``."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    folder = root / "metadata" / "schemas"
    folder.mkdir(parents=True, exist_ok=True)
    for path in METADATA.glob("*.json"):
        target = folder / path.name
        if not target.exists():
            target.write_bytes(path.read_bytes())
    return root
