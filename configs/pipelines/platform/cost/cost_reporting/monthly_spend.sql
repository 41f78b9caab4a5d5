-- Spend by billing month. A slice holds what the run dates of one month brought; a correction of an older
-- invoice keeps its own BillingMonth. The spend of a billing month is the sum over slices by BillingMonth.
SELECT
  CAST(DATE_TRUNC(DATE(BillingPeriodStart), MONTH) AS DATE) AS BillingMonth,
  ProviderName,
  x_Provider,
  ServiceCategory,
  ServiceName,
  SubAccountId,
  SubAccountName,
  x_Model,
  x_Project,
  x_Team,
  x_CostCenter,
  ChargeCategory,
  BillingCurrency,
  SUM(BilledCost) AS BilledCost,
  SUM(EffectiveCost) AS EffectiveCost,
  SUM(ListCost) AS ListCost,
  SUM(ContractedCost) AS ContractedCost,
  COUNT(*) AS ChargeCount
FROM silver_cost.focus_costs
WHERE x_run_date >= @month_start
  AND x_run_date < DATE_ADD(@month_start, INTERVAL 1 MONTH)
GROUP BY
  BillingMonth,
  ProviderName,
  x_Provider,
  ServiceCategory,
  ServiceName,
  SubAccountId,
  SubAccountName,
  x_Model,
  x_Project,
  x_Team,
  x_CostCenter,
  ChargeCategory,
  BillingCurrency
