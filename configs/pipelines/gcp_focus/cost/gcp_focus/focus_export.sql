-- One day of the export by the time Google appended the rows.
SELECT *
FROM source.focus_export
WHERE x_ExportTime >= TIMESTAMP(@run_date)
  AND x_ExportTime < TIMESTAMP(@next_date)
