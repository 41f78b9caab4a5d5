-- Spend by charge day as known on the run date, far enough back for a year's budget and for a forecast. Only slices
-- up to the run date count, so that a day's status does not change because a later day was run.
SELECT
  BillingMonth,
  ChargeDate,
  x_Provider,
  BillingCurrency,
  SUM(BilledCost) AS BilledCost
FROM gold_reporting.daily_spend
WHERE x_run_date >= DATE_SUB(@month_start, INTERVAL 13 MONTH)
  AND x_run_date <= @run_date
GROUP BY
  BillingMonth,
  ChargeDate,
  x_Provider,
  BillingCurrency
