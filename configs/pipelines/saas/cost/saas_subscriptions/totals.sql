-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'silver_cost.saas_daily_costs' AS SourceTable,
  currency AS BillingCurrency,
  SUM(daily_cost) AS SourceAmount,
  COUNT(*) AS SourceRows
FROM silver_cost.saas_daily_costs
WHERE x_run_date = @run_date
GROUP BY
  currency
