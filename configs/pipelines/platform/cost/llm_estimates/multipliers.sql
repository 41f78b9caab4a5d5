SELECT
  provider,
  model,
  dimension,
  value,
  multiplier,
  valid_from,
  valid_to
FROM raw_platform.price_multipliers
WHERE ingestion_date = @run_date
