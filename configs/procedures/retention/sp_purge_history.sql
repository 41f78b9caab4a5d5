-- What the platform remembers of its runs, once nobody may need it any more (an audit's retention, for example).
-- Runs that still go on keep their rows.
CREATE OR REPLACE PROCEDURE metadata.sp_purge_history(IN p_before DATE)
BEGIN
  DELETE FROM metadata.dq_results WHERE ingestion_date < p_before;
  DELETE FROM metadata.state_transitions WHERE ingestion_date < p_before;
  DELETE FROM metadata.step_logs WHERE ingestion_date < p_before AND status != 'RUNNING';
  DELETE FROM metadata.pipeline_runs WHERE ingestion_date < p_before AND status NOT IN ('PENDING', 'RUNNING');
END;
