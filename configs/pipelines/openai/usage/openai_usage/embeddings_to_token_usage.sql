SELECT
  DATE(start_time) AS UsageDate,
  'OpenAI' AS ProviderName,
  'openai' AS x_Provider,
  model AS Model,
  project_id AS SubAccountId,
  api_key_id AS ApiKeyId,
  x_credential,
  COALESCE(input_tokens, 0) AS UncachedInputTokens,
  0 AS CacheReadTokens,
  0 AS CacheWriteTokens,
  0 AS CacheWrite1hTokens,
  0 AS OutputTokens,
  num_model_requests AS Requests,
  0 AS WebSearches
FROM raw_openai.usage_embeddings
WHERE ingestion_date = @run_date
