-- Google Cloud's billing export in FOCUS columns. One row of the export is one row here: credits are summed inside
-- the row and never joined to it, so nothing is multiplied and rows without credits stay. Refunds, corrections and
-- free rows stay too. The invoice month runs from midnight to midnight in Los Angeles; its exact bounds are kept.
-- Many rows share few combinations of labels, so what follows from labels is worked out once per combination. Of a
-- key that stands twice the last one counts, and a resource's own label before its project's.
WITH export AS (
  SELECT
    e.billing_account_id,
    e.cost_type,
    e.usage_start_time,
    e.usage_end_time,
    e.cost,
    e.cost_at_list,
    e.cost + (SELECT IFNULL(SUM(c.amount), 0) FROM UNNEST(e.credits) AS c) AS net,
    NULLIF(ARRAY_TO_STRING(REGEXP_EXTRACT_ALL(TO_JSON_STRING(e.credits), r'"type":"([A-Z_]+)"'), ','), '')
      AS credit_types,
    UPPER(TRIM(e.currency)) AS currency,
    COALESCE(
      PARSE_DATE('%Y%m%d', CONCAT(e.invoice.month, '01')),
      DATE_TRUNC(DATE(e.usage_start_time, 'America/Los_Angeles'), MONTH)
    ) AS invoice_date,
    CASE
      WHEN e.cost_type = 'tax' THEN 'Tax'
      WHEN e.cost_type IN ('adjustment', 'rounding_error') THEN 'Adjustment'
      WHEN STARTS_WITH(e.sku.description, 'Commitment') THEN 'Purchase'
      ELSE 'Usage'
    END AS category,
    NULLIF(e.service.description, '') AS service,
    NULLIF(e.sku.id, '') AS sku_id,
    NULLIF(e.sku.description, '') AS sku,
    e.project.id AS project_id,
    COALESCE(NULLIF(e.project.name, ''), e.project.id) AS project_name,
    e.location.region AS region,
    e.location.zone AS zone,
    COALESCE(NULLIF(e.resource.global_name, ''), NULLIF(e.resource.name, '')) AS resource_id,
    NULLIF(e.resource.name, '') AS resource_name,
    NULLIF(e.seller_name, '') AS seller,
    e.usage.amount AS used,
    e.usage.unit AS used_unit,
    e.usage.amount_in_pricing_units AS priced,
    e.usage.pricing_unit AS priced_unit,
    e.adjustment_info.mode AS adjustment_mode,
    e.adjustment_info.type AS adjustment_type,
    CONCAT(IFNULL(TO_JSON_STRING(e.project.labels), ''), IFNULL(TO_JSON_STRING(e.labels), '')) AS label_set,
    e.x_credential
  FROM raw_gcp.billing_export AS e
  WHERE e.ingestion_date = @run_date
),

charges AS (
  SELECT
    *,
    TIMESTAMP(invoice_date, 'America/Los_Angeles') AS period_start,
    TIMESTAMP(DATE_ADD(invoice_date, INTERVAL 1 MONTH), 'America/Los_Angeles') AS period_end,
  CASE
    WHEN service IN (
      'Compute Engine', 'Kubernetes Engine', 'Cloud Run', 'Cloud Run Functions', 'Cloud Functions', 'App Engine',
      'VMware Engine', 'Batch'
    ) THEN 'Compute'
    WHEN service IN ('Cloud Storage', 'Cloud Filestore', 'Backup and DR Service')
      OR STARTS_WITH(service, 'Storage Transfer') THEN 'Storage'
    WHEN STARTS_WITH(service, 'BigQuery') OR service IN (
      'Cloud Dataflow', 'Cloud Dataproc', 'Cloud Composer', 'Cloud Data Fusion', 'Looker', 'Looker Studio',
      'Dataplex', 'Datastream', 'Analytics Hub'
    ) THEN 'Analytics'
    WHEN service IN (
      'Cloud SQL', 'Cloud Spanner', 'Cloud Bigtable', 'Cloud Firestore', 'Cloud Datastore', 'AlloyDB',
      'Cloud Memorystore for Redis', 'Memorystore'
    ) THEN 'Databases'
    WHEN service IN (
      'Networking', 'Cloud DNS', 'Cloud CDN', 'Cloud VPN', 'Cloud NAT', 'Network Intelligence Center'
    ) THEN 'Networking'
    WHEN STARTS_WITH(service, 'Vertex AI') OR STARTS_WITH(service, 'Gemini')
      OR service IN (
        'Cloud Vision API', 'Cloud Natural Language', 'Cloud Speech API', 'Cloud Text-to-Speech API',
        'Cloud Translate', 'Cloud Document AI API', 'Dialogflow API', 'Claude on Vertex AI'
      ) THEN 'AI and Machine Learning'
    WHEN service IN ('Cloud Pub/Sub', 'Cloud Tasks', 'Workflows', 'Eventarc', 'API Gateway', 'Apigee')
      THEN 'Integration'
    WHEN service IN ('Cloud Logging', 'Cloud Monitoring', 'Stackdriver', 'Cloud Scheduler', 'Support')
      THEN 'Management and Governance'
    WHEN STARTS_WITH(service, 'Cloud Key Management') OR service IN (
      'Secret Manager', 'Security Command Center', 'Certificate Authority Service', 'reCAPTCHA Enterprise'
    ) THEN 'Security'
    WHEN service IN ('Artifact Registry', 'Cloud Build', 'Container Registry', 'Source Repository')
      THEN 'Developer Tools'
    WHEN service IN ('Identity Platform', 'Cloud Identity') THEN 'Identity'
    ELSE 'Other'
  END AS service_category
  FROM export
),

label_sets AS (
  SELECT
    CONCAT(IFNULL(TO_JSON_STRING(e.project.labels), ''), IFNULL(TO_JSON_STRING(e.labels), '')) AS label_set,
    ANY_VALUE(ARRAY_CONCAT(IFNULL(e.project.labels, []), IFNULL(e.labels, []))) AS labels
  FROM raw_gcp.billing_export AS e
  WHERE e.ingestion_date = @run_date
  GROUP BY
    CONCAT(IFNULL(TO_JSON_STRING(e.project.labels), ''), IFNULL(TO_JSON_STRING(e.labels), ''))
),

label_facts AS (
  SELECT
    label_set,
    CONCAT(
      '{',
      IFNULL(
        (
          SELECT STRING_AGG(CONCAT(TO_JSON_STRING(k), ':', TO_JSON_STRING(v)), ',' ORDER BY k)
          FROM (
            SELECT l.key AS k, MAX_BY(l.value, position) AS v
            FROM UNNEST(labels) AS l WITH OFFSET AS position
            GROUP BY l.key
          )
        ),
        ''
      ),
      '}'
    ) AS tags,
    (
      SELECT MAX_BY(l.value, position)
      FROM UNNEST(labels) AS l WITH OFFSET AS position
      WHERE l.key IN ('team', 'department')
    ) AS team,
    (
      SELECT MAX_BY(l.value, position)
      FROM UNNEST(labels) AS l WITH OFFSET AS position
      WHERE l.key IN ('cost_center', 'cost-center', 'costcenter')
    ) AS cost_center
  FROM label_sets
)

SELECT
  charges.net AS BilledCost,
  charges.net AS EffectiveCost,
  COALESCE(charges.cost_at_list, charges.cost) AS ListCost,
  charges.cost AS ContractedCost,
  charges.billing_account_id AS BillingAccountId,
  charges.billing_account_id AS BillingAccountName,
  'Billing Account' AS BillingAccountType,
  charges.currency AS BillingCurrency,
  charges.period_start AS BillingPeriodStart,
  charges.period_end AS BillingPeriodEnd,
  COALESCE(charges.usage_start_time, charges.period_start) AS ChargePeriodStart,
  CASE
    WHEN charges.usage_start_time IS NULL THEN charges.period_end
    WHEN charges.usage_end_time > charges.usage_start_time THEN charges.usage_end_time
    ELSE TIMESTAMP_ADD(charges.usage_start_time, INTERVAL 1 SECOND)
  END AS ChargePeriodEnd,
  charges.category AS ChargeCategory,
  IF(
    (charges.cost_type = 'adjustment' OR charges.adjustment_mode IS NOT NULL)
    AND charges.usage_start_time < charges.period_start,
    'Correction',
    NULL
  ) AS ChargeClass,
  COALESCE(charges.sku, charges.service, charges.cost_type) AS ChargeDescription,
  CASE charges.category
    WHEN 'Usage' THEN 'Usage-Based'
    WHEN 'Purchase' THEN 'Recurring'
    WHEN 'Tax' THEN 'Recurring'
    ELSE 'One-Time'
  END AS ChargeFrequency,
  IF(charges.category = 'Usage', SAFE_CAST(charges.used AS BIGNUMERIC), NULL) AS ConsumedQuantity,
  IF(charges.category = 'Usage' AND charges.used IS NOT NULL, charges.used_unit, NULL) AS ConsumedUnit,
  IF(charges.category IN ('Usage', 'Purchase'), SAFE_CAST(charges.priced AS BIGNUMERIC), NULL) AS PricingQuantity,
  IF(
    charges.category IN ('Usage', 'Purchase') AND charges.priced IS NOT NULL,
    COALESCE(charges.priced_unit, charges.used_unit, 'Units'),
    NULL
  ) AS PricingUnit,
  CASE
    WHEN charges.category = 'Purchase' THEN 'Committed'
    WHEN charges.category = 'Usage' THEN 'Standard'
  END AS PricingCategory,
  charges.currency AS PricingCurrency,
  charges.net AS PricingCurrencyEffectiveCost,
  'Google Cloud' AS InvoiceIssuerName,
  'Google Cloud' AS ProviderName,
  COALESCE(charges.seller, 'Google') AS PublisherName,
  'Google Cloud' AS ServiceProviderName,
  'Google Cloud' AS HostProviderName,
  charges.service_category AS ServiceCategory,
  CONCAT('Other (', charges.service_category, ')') AS ServiceSubcategory,
  COALESCE(charges.service, 'Google Cloud') AS ServiceName,
  IF(charges.category = 'Tax', NULL, charges.region) AS RegionId,
  IF(charges.category = 'Tax', NULL, charges.region) AS RegionName,
  IF(charges.category = 'Tax', NULL, charges.zone) AS AvailabilityZone,
  IF(charges.category = 'Tax', NULL, charges.resource_id) AS ResourceId,
  IF(charges.category = 'Tax', NULL, charges.resource_name) AS ResourceName,
  IF(charges.category = 'Tax' OR charges.resource_id IS NULL, NULL, charges.service) AS ResourceType,
  IF(charges.category = 'Tax', NULL, charges.sku_id) AS SkuId,
  IF(charges.category = 'Tax', NULL, charges.sku) AS SkuMeter,
  charges.project_id AS SubAccountId,
  charges.project_name AS SubAccountName,
  IF(charges.project_id IS NULL, NULL, 'Project') AS SubAccountType,
  PARSE_JSON(label_facts.tags) AS Tags,
  charges.x_credential,
  'gcp' AS x_Provider,
  'raw_gcp.billing_export' AS x_SourceSystem,
  charges.project_id AS x_Project,
  label_facts.team AS x_Team,
  label_facts.cost_center AS x_CostCenter,
  FORMAT_DATE('%Y%m', charges.invoice_date) AS x_InvoiceMonth,
  charges.credit_types AS x_CreditType,
  charges.adjustment_type AS x_AdjustmentType
FROM charges
INNER JOIN label_facts
  ON charges.label_set = label_facts.label_set
