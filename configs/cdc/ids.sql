-- Providers and beneficiaries of a batch against those of its history, in one pass. Days are UTC.
WITH items AS (
  SELECT id_arvo, id_prestador, id_matricula, CAST(NULL AS DATE) AS day FROM source.unprocessable
  UNION ALL
  SELECT id_arvo, id_prestador, id_matricula, CAST(NULL AS DATE) AS day FROM source.processable
  UNION ALL
  SELECT id_arvo, id_prestador, id_matricula, DATE(created_at) AS day FROM source.unprocessable_history
  WHERE DATE(created_at) >= DATE(TIMESTAMP_SUB(@source_timestamp, INTERVAL 90 DAY))
  UNION ALL
  SELECT id_arvo, id_prestador, id_matricula, DATE(created_at) AS day FROM source.processable_history
  WHERE DATE(created_at) >= DATE(TIMESTAMP_SUB(@source_timestamp, INTERVAL 90 DAY))
),
marked AS (
  -- A claim of the batch that is in the history already does not make its provider a known one.
  SELECT
    id_prestador, id_matricula, day,
    id_arvo IS NOT NULL AND MAX(IF(day IS NULL, 1, 0)) OVER (PARTITION BY id_arvo) = 1 AS in_batch
  FROM items
),
people AS (
  SELECT 'provider' AS kind, CAST(id_prestador AS STRING) AS id, day, in_batch FROM marked
  UNION ALL
  SELECT 'beneficiary' AS kind, CAST(id_matricula AS STRING) AS id, day, in_batch FROM marked
),
seen AS (
  SELECT
    kind,
    MAX(IF(day IS NULL, 1, 0)) = 1 AS now,
    MAX(IF(day IS NOT NULL AND NOT in_batch, 1, 0)) = 1 AS before,
    MAX(IF(day >= DATE(TIMESTAMP_SUB(@source_timestamp, INTERVAL 30 DAY)), 1, 0)) = 1 AS last_month,
    MAX(IF(day >= DATE(TIMESTAMP_SUB(@source_timestamp, INTERVAL 60 DAY))
      AND day < DATE(TIMESTAMP_SUB(@source_timestamp, INTERVAL 30 DAY)), 1, 0)) = 1 AS month_before
  FROM people
  WHERE id IS NOT NULL
  GROUP BY kind, id
)
SELECT
  COUNTIF(kind = 'provider' AND now) AS batch_providers,
  COUNTIF(kind = 'provider' AND now AND NOT before) AS new_providers,
  COUNTIF(kind = 'provider' AND (now OR last_month)) AS recent_providers,
  COUNTIF(kind = 'provider' AND month_before) AS earlier_providers,
  COUNTIF(kind = 'beneficiary' AND now) AS batch_beneficiaries,
  COUNTIF(kind = 'beneficiary' AND now AND NOT before) AS new_beneficiaries,
  COUNTIF(kind = 'beneficiary' AND (now OR last_month)) AS recent_beneficiaries,
  COUNTIF(kind = 'beneficiary' AND month_before) AS earlier_beneficiaries
FROM seen
