-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'raw_openai.costs' AS SourceTable,
  UPPER(TRIM(amount_currency)) AS BillingCurrency,
  SUM(amount_value) AS SourceAmount,
  COUNT(*) AS SourceRows
FROM raw_openai.costs
WHERE ingestion_date = @run_date
GROUP BY
  UPPER(TRIM(amount_currency))
