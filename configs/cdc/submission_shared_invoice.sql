-- Savings of the two days before the submission's end that share an invoice, and what of them was ever submitted.
WITH stretch AS (
  SELECT IFNULL(MAX(ingested_at), TIMESTAMP_SUB(@source_timestamp, INTERVAL 20 MINUTE)) AS ends
  FROM source.submitted
  WHERE submission_run_id = @submission_run_id
),
shared AS (
  SELECT v.id_arvo, v.vl_glosa_arvo
  FROM (
    SELECT id_arvo, vl_glosa_arvo, status, filtered_reason, ingested_at FROM source.internal
    UNION ALL
    SELECT id_arvo, vl_glosa_arvo, status, filtered_reason, ingested_at FROM source.manual
  ) AS v
  CROSS JOIN stretch
  WHERE v.ingested_at BETWEEN TIMESTAMP_SUB(stretch.ends, INTERVAL 2 DAY) AND stretch.ends
    AND v.filtered_reason = 'SHARED_ID_FATURA'
    AND IFNULL(v.status, '') != 'SENT_FOR_VALIDATION'
),
submitted AS (
  SELECT SUM(s.vl_glosa_arvo) AS total
  FROM (SELECT DISTINCT id_arvo, vl_glosa_arvo FROM source.submitted) AS s
  JOIN (SELECT DISTINCT id_arvo FROM shared) AS found ON found.id_arvo = s.id_arvo
),
held AS (
  SELECT SUM(vl_glosa_arvo) AS total FROM shared
)
SELECT submitted.total AS submitted, held.total AS shared
FROM submitted
CROSS JOIN held
