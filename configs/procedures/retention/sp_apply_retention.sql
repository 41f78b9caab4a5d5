-- All that a tenant's retention asks for, at once or not at all.
CREATE OR REPLACE PROCEDURE metadata.sp_apply_retention(IN p_usage_before DATE, IN p_history_before DATE)
BEGIN
  CALL metadata.sp_purge_openai_usage(p_usage_before);
  CALL metadata.sp_purge_history(p_history_before);
END;
