-- OpenAI's organization costs in FOCUS columns. One row of the source is one row here, so totals stay equal.
-- Amounts are in the major unit. Credits are the negative rows without a project. OpenAI bills calendar months, UTC.
WITH costs AS (
  SELECT
    start_time,
    end_time,
    amount_value,
    UPPER(TRIM(amount_currency)) AS currency,
    NULLIF(TRIM(line_item), '') AS line_item,
    IF(STRPOS(line_item, ', ') > 0, TRIM(SUBSTR(line_item, 1, STRPOS(line_item, ', ') - 1)), NULL) AS model,
    NULLIF(TRIM(project_id), '') AS project_id,
    NULLIF(TRIM(api_key_id), '') AS api_key_id,
    quantity,
    CASE NULLIF(TRIM(quantity_unit), '')
      WHEN 'tokens' THEN 'Tokens'
      WHEN '1000_tokens' THEN '1000 Tokens'
      WHEN 'duration_seconds' THEN 'Seconds'
      WHEN 'duration_minutes' THEN 'Minutes'
      WHEN 'duration_hours' THEN 'Hours'
      WHEN 'gibibyte_hours' THEN 'GiB-Hours'
      WHEN 'images' THEN 'Images'
      WHEN 'characters' THEN 'Characters'
      ELSE NULLIF(TRIM(quantity_unit), '')
    END AS unit,
    CASE
      WHEN amount_value < 0 AND NULLIF(TRIM(project_id), '') IS NULL THEN 'Credit'
      ELSE 'Usage'
    END AS category,
    x_credential
  FROM raw_openai.costs
  WHERE ingestion_date = @run_date
)
SELECT
  amount_value AS BilledCost,
  amount_value AS EffectiveCost,
  amount_value AS ListCost,
  amount_value AS ContractedCost,
  CONCAT('openai:', x_credential) AS BillingAccountId,
  x_credential AS BillingAccountName,
  'Organization' AS BillingAccountType,
  currency AS BillingCurrency,
  TIMESTAMP_TRUNC(start_time, MONTH) AS BillingPeriodStart,
  TIMESTAMP(DATE_ADD(DATE_TRUNC(DATE(start_time), MONTH), INTERVAL 1 MONTH)) AS BillingPeriodEnd,
  start_time AS ChargePeriodStart,
  end_time AS ChargePeriodEnd,
  category AS ChargeCategory,
  COALESCE(line_item, IF(category = 'Credit', 'OpenAI credit', 'OpenAI API')) AS ChargeDescription,
  IF(category = 'Credit', 'One-Time', 'Usage-Based') AS ChargeFrequency,
  IF(category = 'Usage', quantity, NULL) AS ConsumedQuantity,
  IF(category = 'Usage' AND quantity IS NOT NULL, COALESCE(unit, 'Units'), NULL) AS ConsumedUnit,
  quantity AS PricingQuantity,
  IF(quantity IS NULL, NULL, COALESCE(unit, 'Units')) AS PricingUnit,
  IF(category = 'Usage', 'Standard', NULL) AS PricingCategory,
  currency AS PricingCurrency,
  amount_value AS PricingCurrencyEffectiveCost,
  'OpenAI' AS InvoiceIssuerName,
  'OpenAI' AS ProviderName,
  'OpenAI' AS PublisherName,
  'OpenAI' AS ServiceProviderName,
  'OpenAI' AS HostProviderName,
  'AI and Machine Learning' AS ServiceCategory,
  'Generative AI' AS ServiceSubcategory,
  'OpenAI API' AS ServiceName,
  line_item AS SkuId,
  -- "gpt-4o, cached input" and "assistants api | file search" name what is measured after the separator.
  CASE
    WHEN STRPOS(line_item, ', ') > 0 THEN TRIM(SUBSTR(line_item, STRPOS(line_item, ', ') + 2))
    WHEN STRPOS(line_item, ' | ') > 0 THEN TRIM(SUBSTR(line_item, STRPOS(line_item, ' | ') + 3))
    ELSE line_item
  END AS SkuMeter,
  project_id AS SubAccountId,
  project_id AS SubAccountName,
  IF(project_id IS NULL, NULL, 'Project') AS SubAccountType,
  x_credential,
  'openai' AS x_Provider,
  'raw_openai.costs' AS x_SourceSystem,
  -- "gpt-4o-2024-08-06 batch, input": the tier stands behind the model.
  REGEXP_REPLACE(model, r' batch$', '') AS x_Model,
  IF(ENDS_WITH(model, ' batch'), 'batch', NULL) AS x_ServiceTier,
  IF(STRPOS(line_item, ', ') > 0, TRIM(SUBSTR(line_item, STRPOS(line_item, ', ') + 2)), NULL) AS x_TokenType,
  api_key_id AS x_ApiKeyId,
  project_id AS x_Project
FROM costs
