-- Savings accepted in the two days before the submission's end, and what of them was ever submitted, by status.
-- Nothing accepted: 1 where nothing was submitted either, else 0. A saving submitted twice under one status counts once.
WITH stretch AS (
  SELECT IFNULL(MAX(ingested_at), TIMESTAMP_SUB(@source_timestamp, INTERVAL 20 MINUTE)) AS ends
  FROM source.submitted
  WHERE submission_run_id = @submission_run_id
),
pending AS (
  SELECT DISTINCT v.id_fatura
  FROM (
    SELECT id_fatura, status, ingested_at FROM source.internal
    UNION ALL
    SELECT id_fatura, status, ingested_at FROM source.manual
  ) AS v
  CROSS JOIN stretch
  WHERE v.status = 'SENT_FOR_VALIDATION' AND v.ingested_at BETWEEN TIMESTAMP_SUB(stretch.ends, INTERVAL 2 DAY) AND stretch.ends
),
base AS (
  SELECT a.id_arvo, a.vl_glosa_arvo
  FROM (
    SELECT id_arvo, id_fatura, vl_glosa_arvo, ingested_at FROM source.selected
    UNION ALL
    SELECT id_arvo, id_fatura, vl_glosa_arvo, ingested_at FROM source.internal
    WHERE status IN ('SUBMITTED_SUCCESS', 'APPROVED')
    UNION ALL
    SELECT id_arvo, id_fatura, vl_glosa_arvo, ingested_at FROM source.manual
    WHERE status IN ('SUBMITTED_SUCCESS', 'APPROVED')
  ) AS a
  CROSS JOIN stretch
  WHERE a.ingested_at BETWEEN TIMESTAMP_SUB(stretch.ends, INTERVAL 2 DAY) AND stretch.ends
    AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.id_fatura = a.id_fatura)
),
total AS (
  SELECT SUM(vl_glosa_arvo) AS vl_glosa_arvo FROM base
),
submitted AS (
  SELECT DISTINCT id_arvo, vl_glosa_arvo, IFNULL(status, 'unknown') AS status FROM source.submitted
),
by_status AS (
  SELECT submitted.status, SUM(IF(found.id_arvo IS NULL, 0, submitted.vl_glosa_arvo)) AS vl_glosa_arvo
  FROM submitted
  LEFT JOIN (SELECT DISTINCT id_arvo FROM base) AS found ON found.id_arvo = submitted.id_arvo
  GROUP BY submitted.status
),
statuses AS (
  SELECT status FROM by_status
  UNION DISTINCT
  SELECT 'SUBMITTED_SUCCESS' AS status
)
SELECT
  statuses.status,
  CASE
    WHEN total.vl_glosa_arvo > 0 THEN IFNULL(by_status.vl_glosa_arvo, 0) / total.vl_glosa_arvo
    WHEN (SELECT COUNT(*) FROM submitted) = 0 THEN 1
    ELSE 0
  END AS ratio
FROM statuses
CROSS JOIN total
LEFT JOIN by_status ON by_status.status = statuses.status
