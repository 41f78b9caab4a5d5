SELECT
  rate_date,
  from_currency,
  to_currency,
  rate
FROM raw_platform.fx_rates
WHERE ingestion_date = @run_date
