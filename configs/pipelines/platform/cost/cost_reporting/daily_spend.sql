-- Spend by the day a charge begins. A slice holds what its run date brought: for most providers exactly that
-- day, for append-only exports (GCP) also late rows and corrections of earlier days. The spend of a day is
-- therefore the sum over slices by ChargeDate; nothing is lost however late a correction comes.
SELECT
  DATE(ChargePeriodStart) AS ChargeDate,
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
WHERE x_run_date = @run_date
GROUP BY
  ChargeDate,
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
