-- Usage that OpenAI reported by key, user and project, older than a tenant's contract lets us keep. Costs stay.
CREATE OR REPLACE PROCEDURE metadata.sp_purge_openai_usage(IN p_before DATE)
BEGIN
  DELETE FROM raw_openai.usage_completions WHERE ingestion_date < p_before;
  DELETE FROM raw_openai.usage_embeddings WHERE ingestion_date < p_before;
  DELETE FROM raw_openai.usage_images WHERE ingestion_date < p_before;
END;
