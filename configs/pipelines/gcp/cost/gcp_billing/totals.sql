-- What the source says, per currency: held against what became of it in gold_reporting.reconciliation.
SELECT
  'raw_gcp.billing_export' AS SourceTable,
  UPPER(TRIM(e.currency)) AS BillingCurrency,
  SUM(e.cost + (SELECT IFNULL(SUM(c.amount), 0) FROM UNNEST(e.credits) AS c)) AS SourceAmount,
  COUNT(*) AS SourceRows
FROM raw_gcp.billing_export AS e
WHERE e.ingestion_date = @run_date
GROUP BY
  UPPER(TRIM(e.currency))
