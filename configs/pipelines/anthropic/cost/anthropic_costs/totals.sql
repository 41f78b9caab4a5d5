-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'raw_anthropic.costs' AS SourceTable,
  UPPER(TRIM(currency)) AS BillingCurrency,
  SUM(amount_cents * NUMERIC '0.01') AS SourceAmount,
  COUNT(*) AS SourceRows
FROM raw_anthropic.costs
WHERE ingestion_date = @run_date
GROUP BY
  UPPER(TRIM(currency))
