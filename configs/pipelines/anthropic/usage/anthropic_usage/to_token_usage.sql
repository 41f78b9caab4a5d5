-- Anthropic's kinds of input tokens are disjoint already.
SELECT
  DATE(starting_at) AS UsageDate,
  'Anthropic' AS ProviderName,
  'anthropic' AS x_Provider,
  model AS Model,
  service_tier AS ServiceTier,
  inference_geo AS InferenceGeo,
  context_window AS ContextWindow,
  COALESCE(workspace_id, 'default') AS SubAccountId,
  api_key_id AS ApiKeyId,
  x_credential,
  COALESCE(uncached_input_tokens, 0) AS UncachedInputTokens,
  COALESCE(cache_read_input_tokens, 0) AS CacheReadTokens,
  COALESCE(cache_creation_5m_input_tokens, 0) AS CacheWriteTokens,
  COALESCE(cache_creation_1h_input_tokens, 0) AS CacheWrite1hTokens,
  COALESCE(output_tokens, 0) AS OutputTokens,
  COALESCE(web_search_requests, 0) AS WebSearches
FROM raw_anthropic.usage_messages
WHERE ingestion_date = @run_date
