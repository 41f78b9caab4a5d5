"""Pipelines as the replaced services wrote them: service E's README word for word, its folders, service C's steps."""

from collections.abc import Mapping

README: Mapping[str, str] = {
    "pipelines/p_openai_billing.yml": """\
pipeline_id: p_openai_billing
description: "E2E pipeline for OpenAI billing data"
schedule: "0 4 * * *"  # Daily at 4 AM UTC (for Cloud Scheduler cron)

steps:
  - name: "ingest_raw"
    type: "ingest"
    source_config: "openai/sources/billing_usage.yml"
    on_failure: "stop"

  - name: "validate_raw"
    type: "dq_check"
    target_table: "raw_openai.usage_logs"
    rules_config: "openai/dq_rules/billing_dq.yml"
    on_failure: "alert"

  - name: "transform_silver"
    type: "transform"
    sql_file: "sql/silver/openai_daily_cost.sql"
    destination: "silver_cost.openai_daily"
    on_failure: "stop"
""",
    "openai/sources/billing_usage.yml": """\
source_id: openai_billing_daily
domain: openai
description: "Ingests daily billing breakdown from OpenAI API"

connector:
  type: rest_api
  base_url: "https://api.openai.com/v1"
  endpoint: "/usage"
  auth:
    type: bearer
    secret_key: "openai_api_key"
  pagination:
    type: "cursor"
    cursor_field: "next_page_token"
  rate_limit:
    requests_per_minute: 60

loading:
  destination: "raw_openai.usage_logs"
  schema_file: "openai/schemas/focus_cost.json"
  strategy: "merge"
  merge_keys: ["billing_date", "organization_id"]
  partition_field: "ingestion_date"
""",
    "openai/schemas/focus_cost.json": """\
[
  {"name": "billing_date", "type": "DATE", "mode": "REQUIRED", "description": "The date of the billing record"},
  {"name": "organization_id", "type": "STRING", "mode": "REQUIRED"},
  {"name": "usage_amount", "type": "FLOAT64", "mode": "NULLABLE"},
  {"name": "cost_usd", "type": "NUMERIC", "mode": "REQUIRED", "description": "Total cost in USD"},
  {"name": "ingestion_date", "type": "DATE", "mode": "REQUIRED"},
  {"name": "ingestion_timestamp", "type": "TIMESTAMP", "mode": "REQUIRED"}
]
""",
    "openai/dq_rules/billing_dq.yml": """\
dq_id: openai_billing_quality_checks
target_table: "raw_openai.usage_logs"
description: "Validates OpenAI billing data quality"

expectations:
  - name: "no_null_billing_dates"
    type: "expect_column_values_to_not_be_null"
    column: "billing_date"
    severity: "critical"

  - name: "valid_cost_range"
    type: "expect_column_values_to_be_between"
    column: "cost_usd"
    min_value: 0
    max_value: 100000
    severity: "warning"

  - name: "recent_data_check"
    type: "expect_table_row_count_to_be_between"
    min_value: 1
    max_value: null
    filter: "billing_date = CURRENT_DATE() - 1"
    severity: "critical"
""",
    "sql/silver/openai_daily_cost.sql": """\
SELECT billing_date, organization_id, SUM(cost_usd) AS cost_usd, COUNT(*) AS charges
FROM raw_openai.usage_logs
GROUP BY billing_date, organization_id
""",
}

_G1 = "acme1281/gcp/cost"
FOLDERS: Mapping[str, str] = {
    f"{_G1}/gcp_pricing_calculation/gcp_pricing_calculation.yml": """\
pipeline_id: gcp_pricing_calculation
description: Prices of what was used
timeout_minutes: 30
parameters:
  date: "2025-11-14"
  min_cost: 0.5
steps:
  - step_id: raw_copy
    type: bigquery_to_bigquery
    source:
      project_id: gac-prod-471220
      dataset: billing
      table: usage_by_sku
      query: |
        SELECT sku_id, usage_date, cost
        FROM `{project_id}.{dataset}.{table}`
        WHERE usage_date = @date AND cost >= @min_cost
    destination:
      dataset_type: gcp
      table: pricing_raw
      write_mode: append
      recreate: true
      schema_file: gcp_pricing_calculation_raw_output_schema.json
      cluster_fields: [sku_id]
    timeout_minutes: 10
  - step_id: final
    type: bigquery_to_bigquery
    depends_on: raw_copy
    source:
      dataset: acme1281_gcp
      table: pricing_raw
      query: |
        SELECT sku_id, SUM(cost) AS cost
        FROM `acme1281_gcp.pricing_raw`
        WHERE sku_id IS NOT NULL OR cost > 0
        GROUP BY sku_id
    destination:
      dataset_type: gcp
      table: pricing_final
      write_mode: overwrite
      schema_file: gcp_pricing_calculation_final_output_schema.json
  - step_id: check
    type: data_quality
    depends_on: [final]
    source: {table: pricing_final}
    dq_config: gcp_pricing_calculation_dq.yml
    fail_on_error: false
""",
    f"{_G1}/gcp_pricing_calculation/gcp_pricing_calculation_dq.yml": """\
description: Prices
sample_size: 10000
expectations:
  - expectation_type: expect_column_values_to_not_be_null
    kwargs: {column: sku_id}
""",
    f"{_G1}/gcp_pricing_calculation/gcp_pricing_calculation_raw_output_schema.json": """\
[
  {"name": "sku_id", "type": "STRING", "mode": "NULLABLE"},
  {"name": "usage_date", "type": "DATE", "mode": "NULLABLE"},
  {"name": "cost", "type": "NUMERIC", "mode": "NULLABLE"},
  {"name": "ingestion_date", "type": "DATE", "mode": "REQUIRED"}
]
""",
    f"{_G1}/gcp_pricing_calculation/gcp_pricing_calculation_final_output_schema.json": """\
[
  {"name": "sku_id", "type": "STRING", "mode": "NULLABLE"},
  {"name": "cost", "type": "NUMERIC", "mode": "NULLABLE"}
]
""",
    f"{_G1}/gcp_billing_export/gcp_billing_export.yml": """\
pipeline_id: gcp_billing_export
source:
  type: bigquery
  project_id: gac-prod-471220
  dataset: billing
  table: gcp_billing_export_v1_*

destination:
  dataset_type: gcp
  table: example_output
  write_mode: overwrite
  recreate: true
  schema_file: "gcp_billing_export_output_schema.json"  # Relative path

dq_config: "gcp_billing_export_dq.yml"  # Relative path
""",
    f"{_G1}/gcp_billing_export/gcp_billing_export_dq.yml": """\
description: Billing
expectations:
  - expectation_type: expect_table_row_count_to_be_between
    kwargs: {min_value: 1, max_value: null}
""",
    f"{_G1}/gcp_billing_export/gcp_billing_export_output_schema.json": """\
[
  {"name": "billing_account_id", "type": "STRING", "mode": "NULLABLE", "description": "Billing account identifier"},
  {"name": "cost", "type": "FLOAT64", "mode": "NULLABLE", "description": "Cost amount"},
  {"name": "ingestion_date", "type": "DATE", "mode": "REQUIRED"}
]
""",
}

STEPS: Mapping[str, str] = {
    "openai/cost/usage_cost.yml": """\
pipeline_id: "{org_slug}-openai-usage-cost"
name: OpenAI usage and cost
version: "1.0"
provider: openai
domain: cost
timeout_minutes: 30
requires_auth: true
auth_type: org_api_key
variables: {table: openai_usage_daily_raw}
steps:
  - step_id: extract_usage
    name: Extract usage
    ps_type: openai.usage
    config: {date: "{date}", destination: {table: "{table}"}}
    timeout_minutes: 10
    retry: {max_attempts: 3, backoff_seconds: 30}
  - step_id: calculate_cost
    ps_type: openai.cost
    depends_on: extract_usage
    trigger: on_success
  - step_id: tell
    ps_type: notify_systems.email_notification
    depends_on: [calculate_cost]
    trigger: on_failure
""",
    "gcp/cost/billing.yml": """\
pipeline_id: "{org_slug}-gcp-billing"
name: GCP billing
provider: gcp
domain: cost
schedule: {type: daily, time: "04:00", timezone: UTC}
steps:
  - step_id: billing
    ps_type: gcp.bq_etl
    source:
      use_org_credentials: true
      query: |
        SELECT billing_account_id, cost FROM `{project_id}.billing.gcp_billing_export_v1_X`
        WHERE DATE(usage_start_time) = '{date}' LIMIT 1000
    destination: {table: gcp_billing_daily_raw, write_mode: append}
    on_failure: {action: continue}
""",
    "gcp/api/instances.yml": """\
pipeline_id: "{org_slug}-gcp-instances"
provider: gcp
domain: api
steps:
  - step_id: instances
    ps_type: gcp.api_extractor
    config:
      url: "https://compute.googleapis.com/compute/v1/projects/{project_id}/aggregated/instances"
      data_path: items
      pagination: {page_size: 500, page_size_param: maxResults}
      destination: {table: gcp_compute_instances_raw, batch_size: 1000, key_fields: [id, name]}
      rate_limit: {requests_per_second: 10, max_retries: 3}
      transform: {flatten: true, add_fields: {source: compute}}
""",
    "gcp/api/buckets.yml": """\
pipeline_id: "{org_slug}-gcp-buckets"
provider: gcp
domain: api
steps:
  - step_id: buckets
    ps_type: gcp.api_extractor
    config:
      api: storage.googleapis.com
      endpoint: storage/v1/b
      params: {project: "{project_id}"}
      data_path: items
      pagination: {page_size: 500, page_size_param: maxResults}
      destination: {table: gcp_buckets_raw, batch_size: 1000, key_fields: [id, name]}
      rate_limit: {requests_per_second: 10, max_retries: 3}
      transform: {flatten: true, add_fields: {source: storage}}
""",
    "jira/tickets/issues.yml": """\
pipeline_id: "{org_slug}-jira-issues"
name: Jira issues
provider: jira
domain: tickets
rate_limit_per_minute: 30
schedule: {cron: "15 5 * * *", timezone: Europe/Berlin, enabled: true}
parameters: {site: eu}
steps:
  - step_id: extract
    ps_type: generic.api_extractor
    config:
      url: https://jira.example/api/issues
      auth: {type: header, header_name: X-Token, secret_key: jira_token}
      params: {updated: "${start_date}", site: "{site}"}
      pagination: {type: cursor, limit: 50}
      data_path: data
      destination: {table: jira_issues_raw, key_fields: [id]}
  - step_id: per_project
    ps_type: generic.local_bq_transformer
    transformation:
      type: sql_template
      sql: |
        SELECT id AS issue_id, COUNT(*) AS n, JSON_VALUE(x_extra, '$.project') AS project
        FROM `{project_id}.{org_dataset}.jira_issues_raw`
        WHERE ingestion_date = '{{ start_date }}'
        GROUP BY issue_id, project
    destination: {table: jira_issues_by_project, mode: overwrite}
""",
    "saas_subscription/costs/saas_cost.yml": """\
pipeline_id: "{org_slug}-saas-cost"
provider: saas_subscription
domain: costs
steps:
  - step_id: costs
    ps_type: generic.procedure_executor
    procedure: {name: sp_run_saas_subscription_costs_pipeline, dataset: organizations}
    parameters:
      - {name: p_start_date, type: DATE, optional: true}
""",
    "azure/cost/billing.yml": """\
pipeline_id: azure_billing
provider: azure
domain: cost
steps:
  - step_id: extract
    ps_type: cloud.azure.cost_extractor
  - step_id: convert
    ps_type: gcp.bq_elt
    depends_on: [extrakt]
""",
}
