-- One day of the export. _PARTITIONTIME is the day Google appended the row; only a comparison with constants prunes.
-- The names of the columns count, not their order, and Google adds columns without notice.
SELECT *
FROM source.billing_export
WHERE _PARTITIONTIME >= TIMESTAMP(@run_date)
  AND _PARTITIONTIME < TIMESTAMP(@next_date)
