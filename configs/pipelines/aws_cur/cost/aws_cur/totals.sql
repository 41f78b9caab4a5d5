-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'raw_aws.cur' AS SourceTable,
  UPPER(TRIM(line_item_currency_code)) AS BillingCurrency,
  SUM(line_item_unblended_cost) AS SourceAmount,
  COUNT(*) AS SourceRows
FROM raw_aws.cur
WHERE ingestion_date = @month_start
  AND GREATEST(LEAST(DATE(line_item_usage_start_date), @month_end), @month_start) = @run_date
GROUP BY
  UPPER(TRIM(line_item_currency_code))
