-- Google Cloud's billing export in FOCUS columns. One row of the export is one row here: credits are summed inside
-- the row and never joined to it, so nothing is multiplied and rows without credits stay. Refunds, corrections and
-- free rows stay too. The invoice month runs from midnight to midnight in Los Angeles; its exact bounds are kept.
WITH export AS (
  SELECT
    e.*,
    e.cost + (SELECT IFNULL(SUM(c.amount), 0) FROM UNNEST(e.credits) AS c) AS net,
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
    CASE
      WHEN e.service.description IN (
        'Compute Engine', 'Kubernetes Engine', 'Cloud Run', 'Cloud Run Functions', 'Cloud Functions', 'App Engine',
        'VMware Engine', 'Batch'
      ) THEN 'Compute'
      WHEN e.service.description IN ('Cloud Storage', 'Cloud Filestore', 'Backup and DR Service')
        OR STARTS_WITH(e.service.description, 'Storage Transfer') THEN 'Storage'
      WHEN STARTS_WITH(e.service.description, 'BigQuery') OR e.service.description IN (
        'Cloud Dataflow', 'Cloud Dataproc', 'Cloud Composer', 'Cloud Data Fusion', 'Looker', 'Looker Studio',
        'Dataplex', 'Datastream', 'Analytics Hub'
      ) THEN 'Analytics'
      WHEN e.service.description IN (
        'Cloud SQL', 'Cloud Spanner', 'Cloud Bigtable', 'Cloud Firestore', 'Cloud Datastore', 'AlloyDB',
        'Cloud Memorystore for Redis', 'Memorystore'
      ) THEN 'Databases'
      WHEN e.service.description IN (
        'Networking', 'Cloud DNS', 'Cloud CDN', 'Cloud VPN', 'Cloud NAT', 'Network Intelligence Center'
      ) THEN 'Networking'
      WHEN STARTS_WITH(e.service.description, 'Vertex AI') OR STARTS_WITH(e.service.description, 'Gemini')
        OR e.service.description IN (
          'Cloud Vision API', 'Cloud Natural Language', 'Cloud Speech API', 'Cloud Text-to-Speech API',
          'Cloud Translate', 'Cloud Document AI API', 'Dialogflow API', 'Claude on Vertex AI'
        ) THEN 'AI and Machine Learning'
      WHEN e.service.description IN ('Cloud Pub/Sub', 'Cloud Tasks', 'Workflows', 'Eventarc', 'API Gateway', 'Apigee')
        THEN 'Integration'
      WHEN e.service.description IN ('Cloud Logging', 'Cloud Monitoring', 'Stackdriver', 'Cloud Scheduler', 'Support')
        THEN 'Management and Governance'
      WHEN STARTS_WITH(e.service.description, 'Cloud Key Management') OR e.service.description IN (
        'Secret Manager', 'Security Command Center', 'Certificate Authority Service', 'reCAPTCHA Enterprise'
      ) THEN 'Security'
      WHEN e.service.description IN ('Artifact Registry', 'Cloud Build', 'Container Registry', 'Source Repository')
        THEN 'Developer Tools'
      WHEN e.service.description IN ('Identity Platform', 'Cloud Identity') THEN 'Identity'
      ELSE 'Other'
    END AS service_category
  FROM raw_gcp.billing_export AS e
  WHERE e.ingestion_date = @run_date
),

charges AS (
  SELECT
    e.*,
    TIMESTAMP(e.invoice_date, 'America/Los_Angeles') AS period_start,
    TIMESTAMP(DATE_ADD(e.invoice_date, INTERVAL 1 MONTH), 'America/Los_Angeles') AS period_end,
    ARRAY_CONCAT(IFNULL(e.project.labels, []), IFNULL(e.labels, [])) AS all_labels
  FROM export AS e
)

SELECT
  net AS BilledCost,
  net AS EffectiveCost,
  COALESCE(cost_at_list, cost) AS ListCost,
  cost AS ContractedCost,
  billing_account_id AS BillingAccountId,
  billing_account_id AS BillingAccountName,
  'Billing Account' AS BillingAccountType,
  UPPER(TRIM(currency)) AS BillingCurrency,
  period_start AS BillingPeriodStart,
  period_end AS BillingPeriodEnd,
  COALESCE(usage_start_time, period_start) AS ChargePeriodStart,
  CASE
    WHEN usage_start_time IS NULL THEN period_end
    WHEN usage_end_time > usage_start_time THEN usage_end_time
    ELSE TIMESTAMP_ADD(usage_start_time, INTERVAL 1 SECOND)
  END AS ChargePeriodEnd,
  category AS ChargeCategory,
  IF(
    (cost_type = 'adjustment' OR adjustment_info.mode IS NOT NULL) AND usage_start_time < period_start,
    'Correction',
    NULL
  ) AS ChargeClass,
  COALESCE(NULLIF(sku.description, ''), service.description, cost_type) AS ChargeDescription,
  CASE category
    WHEN 'Usage' THEN 'Usage-Based'
    WHEN 'Purchase' THEN 'Recurring'
    WHEN 'Tax' THEN 'Recurring'
    ELSE 'One-Time'
  END AS ChargeFrequency,
  IF(category = 'Usage', SAFE_CAST(usage.amount AS BIGNUMERIC), NULL) AS ConsumedQuantity,
  IF(category = 'Usage' AND usage.amount IS NOT NULL, usage.unit, NULL) AS ConsumedUnit,
  IF(category IN ('Usage', 'Purchase'), SAFE_CAST(usage.amount_in_pricing_units AS BIGNUMERIC), NULL)
    AS PricingQuantity,
  IF(
    category IN ('Usage', 'Purchase') AND usage.amount_in_pricing_units IS NOT NULL,
    COALESCE(usage.pricing_unit, usage.unit, 'Units'),
    NULL
  ) AS PricingUnit,
  CASE
    WHEN category = 'Purchase' THEN 'Committed'
    WHEN category = 'Usage' THEN 'Standard'
  END AS PricingCategory,
  UPPER(TRIM(currency)) AS PricingCurrency,
  net AS PricingCurrencyEffectiveCost,
  'Google Cloud' AS InvoiceIssuerName,
  'Google Cloud' AS ProviderName,
  COALESCE(NULLIF(seller_name, ''), 'Google') AS PublisherName,
  'Google Cloud' AS ServiceProviderName,
  'Google Cloud' AS HostProviderName,
  service_category AS ServiceCategory,
  CONCAT('Other (', service_category, ')') AS ServiceSubcategory,
  COALESCE(NULLIF(service.description, ''), 'Google Cloud') AS ServiceName,
  IF(category = 'Tax', NULL, location.region) AS RegionId,
  IF(category = 'Tax', NULL, location.region) AS RegionName,
  IF(category = 'Tax', NULL, location.zone) AS AvailabilityZone,
  IF(category = 'Tax', NULL, COALESCE(NULLIF(resource.global_name, ''), NULLIF(resource.name, ''))) AS ResourceId,
  IF(category = 'Tax', NULL, NULLIF(resource.name, '')) AS ResourceName,
  IF(
    category = 'Tax' OR COALESCE(NULLIF(resource.global_name, ''), NULLIF(resource.name, '')) IS NULL,
    NULL,
    service.description
  ) AS ResourceType,
  IF(category = 'Tax', NULL, NULLIF(sku.id, '')) AS SkuId,
  IF(category = 'Tax', NULL, NULLIF(sku.description, '')) AS SkuMeter,
  project.id AS SubAccountId,
  COALESCE(NULLIF(project.name, ''), project.id) AS SubAccountName,
  IF(project.id IS NULL, NULL, 'Project') AS SubAccountType,
  PARSE_JSON(
    CONCAT(
      '{',
      IFNULL(
        (
          SELECT STRING_AGG(CONCAT(TO_JSON_STRING(k), ':', TO_JSON_STRING(v)), ',' ORDER BY k)
          FROM (
            SELECT l.key AS k, MAX_BY(l.value, position) AS v
            FROM UNNEST(all_labels) AS l WITH OFFSET AS position
            GROUP BY l.key
          )
        ),
        ''
      ),
      '}'
    )
  ) AS Tags,
  x_credential,
  'gcp' AS x_Provider,
  'raw_gcp.billing_export' AS x_SourceSystem,
  project.id AS x_Project,
  (
    SELECT MAX_BY(l.value, position)
    FROM UNNEST(all_labels) AS l WITH OFFSET AS position
    WHERE l.key IN ('team', 'department')
  ) AS x_Team,
  (
    SELECT MAX_BY(l.value, position)
    FROM UNNEST(all_labels) AS l WITH OFFSET AS position
    WHERE l.key IN ('cost_center', 'cost-center', 'costcenter')
  ) AS x_CostCenter,
  FORMAT_DATE('%Y%m', invoice_date) AS x_InvoiceMonth,
  (SELECT STRING_AGG(DISTINCT c.type, ',' ORDER BY c.type) FROM UNNEST(credits) AS c) AS x_CreditType,
  adjustment_info.type AS x_AdjustmentType
FROM charges
