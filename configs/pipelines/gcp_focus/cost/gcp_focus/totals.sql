-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'raw_gcp.focus_export' AS SourceTable,
  UPPER(TRIM(BillingCurrency)) AS BillingCurrency,
  SUM(BilledCost) AS SourceAmount,
  COUNT(*) AS SourceRows
FROM raw_gcp.focus_export
WHERE ingestion_date = @run_date
GROUP BY
  UPPER(TRIM(BillingCurrency))
