-- The costs of a credential that was connected to the wrong tenant, out of every layer that keeps it. The reports of
-- these days must be materialized again afterwards.
CREATE OR REPLACE PROCEDURE metadata.sp_forget_credential(IN p_credential STRING, IN p_from DATE, IN p_to DATE)
BEGIN
  DELETE FROM raw_openai.costs
  WHERE ingestion_date BETWEEN p_from AND p_to AND x_credential = p_credential;
  DELETE FROM silver_cost.focus_costs
  WHERE x_run_date BETWEEN p_from AND p_to AND x_credential = p_credential;
END;
