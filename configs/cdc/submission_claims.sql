-- Claims received in the two days before the submission's end, and what of them was ever submitted, by status.
-- A claim submitted twice under one status counts once. Invoices that wait for validation are left out whole.
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
received AS (
  SELECT DISTINCT c.id_arvo, c.vl_pago, c.vl_info
  FROM (
    SELECT id_arvo, id_fatura, vl_pago, vl_info, ingested_at FROM source.unprocessable
    UNION ALL
    SELECT id_arvo, id_fatura, vl_pago, vl_info, ingested_at FROM source.processable
  ) AS c
  CROSS JOIN stretch
  WHERE c.ingested_at BETWEEN TIMESTAMP_SUB(stretch.ends, INTERVAL 2 DAY) AND stretch.ends
    AND NOT EXISTS (SELECT 1 FROM pending WHERE pending.id_fatura = c.id_fatura)
),
total AS (
  SELECT SUM(vl_pago) AS vl_pago, SUM(vl_info) AS vl_info FROM received
),
submitted AS (
  SELECT DISTINCT id_arvo, IFNULL(status, 'unknown') AS status FROM source.submitted
),
by_status AS (
  SELECT submitted.status, SUM(received.vl_pago) AS vl_pago, SUM(received.vl_info) AS vl_info
  FROM submitted
  JOIN received ON received.id_arvo = submitted.id_arvo
  GROUP BY submitted.status
),
statuses AS (
  SELECT status FROM by_status
  UNION DISTINCT
  SELECT 'SUBMITTED_SUCCESS' AS status
)
SELECT
  statuses.status,
  by_status.vl_pago,
  by_status.vl_info,
  total.vl_pago AS received_vl_pago,
  total.vl_info AS received_vl_info
FROM statuses
CROSS JOIN total
LEFT JOIN by_status ON by_status.status = statuses.status
