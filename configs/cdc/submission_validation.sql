-- Savings that came back from validation in the two days before the submission's end, and what of them was ever
-- submitted, by status. None came back: 1 where nothing was submitted either, else 0.
WITH stretch AS (
  SELECT IFNULL(MAX(ingested_at), TIMESTAMP_SUB(@source_timestamp, INTERVAL 20 MINUTE)) AS ends
  FROM source.submitted
  WHERE submission_run_id = @submission_run_id
),
base AS (
  SELECT v.id_arvo, v.vl_glosa_arvo
  FROM (
    SELECT id_arvo, vl_glosa_arvo, status, filtered_reason, ingested_at FROM source.internal
    UNION ALL
    SELECT id_arvo, vl_glosa_arvo, status, filtered_reason, ingested_at FROM source.manual
  ) AS v
  CROSS JOIN stretch
  WHERE v.ingested_at BETWEEN TIMESTAMP_SUB(stretch.ends, INTERVAL 2 DAY) AND stretch.ends
    AND v.status NOT IN ('SENT_FOR_VALIDATION', 'NOT_SENT_FOR_VALIDATION')
    AND (v.filtered_reason IS NULL OR v.filtered_reason != 'SHARED_ID_FATURA')
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
