-- Either side may lack a pipeline: a source whose rows never arrived, or rows nobody can account for.
WITH billed AS (
  SELECT
    x_pipeline,
    BillingCurrency,
    SUM(BilledCost) AS BilledCost,
    COUNT(*) AS FocusRows
  FROM silver_cost.focus_costs
  WHERE x_run_date = @run_date
  GROUP BY
    x_pipeline,
    BillingCurrency
),

sources AS (
  SELECT
    x_pipeline,
    BillingCurrency,
    SourceTable,
    SourceAmount,
    SourceRows
  FROM silver_cost.source_totals
  WHERE x_run_date = @run_date
)

SELECT
  COALESCE(billed.x_pipeline, sources.x_pipeline) AS Pipeline,
  COALESCE(billed.BillingCurrency, sources.BillingCurrency) AS BillingCurrency,
  sources.SourceTable,
  sources.SourceAmount,
  COALESCE(billed.BilledCost, 0) AS BilledCost,
  COALESCE(billed.BilledCost, 0) - sources.SourceAmount AS Difference,
  sources.SourceRows,
  COALESCE(billed.FocusRows, 0) AS FocusRows
FROM billed
FULL OUTER JOIN sources
  ON billed.x_pipeline = sources.x_pipeline
  AND billed.BillingCurrency = sources.BillingCurrency
