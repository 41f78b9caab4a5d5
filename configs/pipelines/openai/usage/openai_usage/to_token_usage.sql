-- OpenAI's input_tokens include those read from and written to the cache: they are taken out, so that no token is
-- priced twice.
SELECT
  DATE(start_time) AS UsageDate,
  'OpenAI' AS ProviderName,
  'openai' AS x_Provider,
  model AS Model,
  service_tier AS ServiceTier,
  batch AS IsBatch,
  project_id AS SubAccountId,
  api_key_id AS ApiKeyId,
  x_credential,
  COALESCE(
    input_uncached_tokens,
    COALESCE(input_tokens, 0) - COALESCE(input_cached_tokens, 0) - COALESCE(input_cache_write_tokens, 0)
  ) AS UncachedInputTokens,
  COALESCE(input_cached_tokens, 0) AS CacheReadTokens,
  COALESCE(input_cache_write_tokens, 0) AS CacheWriteTokens,
  0 AS CacheWrite1hTokens,
  COALESCE(output_tokens, 0) AS OutputTokens,
  num_model_requests AS Requests,
  0 AS WebSearches
FROM raw_openai.usage_completions
WHERE ingestion_date = @run_date

UNION ALL

SELECT
  DATE(start_time) AS UsageDate,
  'OpenAI' AS ProviderName,
  'openai' AS x_Provider,
  model AS Model,
  NULL AS ServiceTier,
  NULL AS IsBatch,
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
