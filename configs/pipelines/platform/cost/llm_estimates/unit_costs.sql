-- What a million tokens of a model and a seat of a subscription really cost. Credits and costs without a model are
-- left out of the first; currencies are never added.
WITH token_costs AS (
  SELECT
    DATE(ChargePeriodStart) AS UsageDate,
    x_Provider,
    REGEXP_REPLACE(LOWER(x_Model), r'-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$', '') AS Service,
    BillingCurrency,
    SUM(BilledCost) AS Cost
  FROM silver_cost.focus_costs
  WHERE x_run_date = @run_date
    AND x_Model IS NOT NULL
    AND ChargeCategory = 'Usage'
  GROUP BY
    UsageDate,
    x_Provider,
    Service,
    BillingCurrency
),

tokens AS (
  SELECT
    UsageDate,
    x_Provider,
    REGEXP_REPLACE(LOWER(Model), r'-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$', '') AS Service,
    SUM(UncachedInputTokens + CacheReadTokens + CacheWriteTokens + CacheWrite1hTokens + OutputTokens) AS Tokens
  FROM silver_cost.token_usage
  WHERE x_run_date = @run_date
  GROUP BY
    UsageDate,
    x_Provider,
    Service
)

SELECT
  token_costs.UsageDate,
  token_costs.x_Provider,
  token_costs.Service,
  '1M tokens' AS Unit,
  CAST(tokens.Tokens AS BIGNUMERIC) * NUMERIC '0.000001' AS Quantity,
  token_costs.BillingCurrency,
  token_costs.Cost,
  ROUND(SAFE_DIVIDE(token_costs.Cost * 1000000, CAST(tokens.Tokens AS BIGNUMERIC)), 9) AS UnitCost
FROM token_costs
INNER JOIN tokens
  ON token_costs.UsageDate = tokens.UsageDate
  AND token_costs.x_Provider = tokens.x_Provider
  AND token_costs.Service = tokens.Service

UNION ALL

SELECT
  DATE(ChargePeriodStart) AS UsageDate,
  x_Provider,
  ServiceName AS Service,
  'seat and day' AS Unit,
  SUM(PricingQuantity) AS Quantity,
  BillingCurrency,
  SUM(EffectiveCost) AS Cost,
  ROUND(SAFE_DIVIDE(SUM(EffectiveCost), SUM(PricingQuantity)), 9) AS UnitCost
FROM silver_cost.focus_costs
WHERE x_run_date = @run_date
  AND PricingUnit = 'Seats'
GROUP BY
  DATE(ChargePeriodStart),
  x_Provider,
  ServiceName,
  BillingCurrency
