-- Billed and estimated cost of a model on a day. Providers bill a model under its family name and report its usage
-- under a dated one (gpt-4o-mini-2024-07-18), so the date at the end is left out. Billed always wins; an estimate
-- fills in only where nothing is billed yet, and usage without a price stays visible.
WITH billed AS (
  SELECT
    DATE(ChargePeriodStart) AS UsageDate,
    x_Provider,
    REGEXP_REPLACE(LOWER(x_Model), r'-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$', '') AS Family,
    BillingCurrency,
    SUM(BilledCost) AS BilledCost
  FROM silver_cost.focus_costs
  WHERE x_run_date = @run_date
    AND x_Model IS NOT NULL
    AND ServiceCategory = 'AI and Machine Learning'
  GROUP BY
    UsageDate,
    x_Provider,
    Family,
    BillingCurrency
),

estimated AS (
  SELECT
    UsageDate,
    x_Provider,
    REGEXP_REPLACE(LOWER(Model), r'-([0-9]{4}-[0-9]{2}-[0-9]{2}|[0-9]{8})$', '') AS Family,
    BillingCurrency,
    SUM(EstimatedCost) AS EstimatedCost,
    SUM(
      IF(
        Status = 'unpriced',
        UncachedInputTokens + CacheReadTokens + CacheWriteTokens + CacheWrite1hTokens + OutputTokens,
        0
      )
    ) AS UnpricedTokens
  FROM silver_cost.estimated_costs
  WHERE x_run_date = @run_date
  GROUP BY
    UsageDate,
    x_Provider,
    Family,
    BillingCurrency
)

SELECT
  COALESCE(billed.UsageDate, estimated.UsageDate) AS UsageDate,
  COALESCE(billed.x_Provider, estimated.x_Provider) AS x_Provider,
  COALESCE(billed.Family, estimated.Family) AS Model,
  COALESCE(billed.BillingCurrency, estimated.BillingCurrency) AS BillingCurrency,
  billed.BilledCost,
  estimated.EstimatedCost,
  COALESCE(billed.BilledCost, estimated.EstimatedCost) AS BestCost,
  CASE
    WHEN billed.BilledCost IS NOT NULL THEN 'billed'
    WHEN estimated.EstimatedCost IS NOT NULL THEN 'estimated'
    ELSE 'unpriced'
  END AS CostBasis,
  COALESCE(estimated.UnpricedTokens, 0) AS UnpricedTokens,
  ROUND(SAFE_DIVIDE(estimated.EstimatedCost - billed.BilledCost, ABS(billed.BilledCost)), 9) AS Deviation
FROM billed
FULL OUTER JOIN estimated
  ON billed.UsageDate = estimated.UsageDate
  AND billed.x_Provider = estimated.x_Provider
  AND billed.Family = estimated.Family
  AND billed.BillingCurrency = estimated.BillingCurrency
