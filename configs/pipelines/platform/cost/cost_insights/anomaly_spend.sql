-- Amortised spend by charge day. Providers report a day late and complete it later, so slices of the following week
-- count too; running the day again then judges it on what is known by now.
SELECT
  ChargeDate,
  ProviderName,
  ServiceName,
  BillingCurrency,
  SUM(EffectiveCost) AS EffectiveCost
FROM gold_reporting.daily_spend
WHERE x_run_date >= DATE_SUB(@run_date, INTERVAL 200 DAY)
  AND x_run_date <= DATE_ADD(@run_date, INTERVAL 7 DAY)
  AND ChargeDate >= DATE_SUB(@run_date, INTERVAL 200 DAY)
  AND ChargeDate <= @run_date
GROUP BY
  ChargeDate,
  ProviderName,
  ServiceName,
  BillingCurrency
