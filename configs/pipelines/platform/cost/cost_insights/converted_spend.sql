SELECT
  ChargeDate,
  ProviderName,
  ServiceName,
  BillingCurrency,
  SUM(BilledCost) AS BilledCost
FROM gold_reporting.daily_spend
WHERE x_run_date = @run_date
GROUP BY
  ChargeDate,
  ProviderName,
  ServiceName,
  BillingCurrency
