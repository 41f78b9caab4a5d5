-- Anthropic's cost report in FOCUS columns. One row of the source is one row here, so totals stay equal.
-- Amounts come in cents and are shifted by multiplication, which stays exact in every warehouse.
-- A workspace of null is the organization's default workspace. Billing periods are calendar months, UTC.
WITH costs AS (
  SELECT
    starting_at,
    ending_at,
    amount_cents * NUMERIC '0.01' AS amount,
    UPPER(TRIM(currency)) AS currency,
    COALESCE(NULLIF(TRIM(workspace_id), ''), 'default') AS workspace_id,
    NULLIF(TRIM(description), '') AS description,
    cost_type,
    NULLIF(TRIM(model), '') AS model,
    NULLIF(TRIM(token_type), '') AS token_type,
    NULLIF(TRIM(service_tier), '') AS service_tier,
    IF(amount_cents < 0 AND cost_type IS NULL, 'Credit', 'Usage') AS category,
    x_credential
  FROM raw_anthropic.costs
  WHERE ingestion_date = @run_date
)
SELECT
  amount AS BilledCost,
  amount AS EffectiveCost,
  amount AS ListCost,
  amount AS ContractedCost,
  CONCAT('anthropic:', x_credential) AS BillingAccountId,
  x_credential AS BillingAccountName,
  'Organization' AS BillingAccountType,
  currency AS BillingCurrency,
  TIMESTAMP_TRUNC(starting_at, MONTH) AS BillingPeriodStart,
  TIMESTAMP(DATE_ADD(DATE_TRUNC(DATE(starting_at), MONTH), INTERVAL 1 MONTH)) AS BillingPeriodEnd,
  starting_at AS ChargePeriodStart,
  ending_at AS ChargePeriodEnd,
  category AS ChargeCategory,
  COALESCE(description, IF(category = 'Credit', 'Anthropic credit', 'Claude API')) AS ChargeDescription,
  IF(category = 'Credit', 'One-Time', 'Usage-Based') AS ChargeFrequency,
  IF(category = 'Usage', 'Standard', NULL) AS PricingCategory,
  currency AS PricingCurrency,
  amount AS PricingCurrencyEffectiveCost,
  'Anthropic' AS InvoiceIssuerName,
  'Anthropic' AS ProviderName,
  'Anthropic' AS PublisherName,
  'Anthropic' AS ServiceProviderName,
  'Anthropic' AS HostProviderName,
  'AI and Machine Learning' AS ServiceCategory,
  'Generative AI' AS ServiceSubcategory,
  'Claude API' AS ServiceName,
  description AS SkuId,
  COALESCE(token_type, cost_type, description) AS SkuMeter,
  workspace_id AS SubAccountId,
  workspace_id AS SubAccountName,
  'Workspace' AS SubAccountType,
  x_credential,
  'anthropic' AS x_Provider,
  'raw_anthropic.costs' AS x_SourceSystem,
  model AS x_Model,
  token_type AS x_TokenType,
  service_tier AS x_ServiceTier,
  workspace_id AS x_Project
FROM costs
