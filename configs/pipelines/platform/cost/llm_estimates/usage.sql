SELECT
  UsageDate,
  ProviderName,
  x_Provider,
  Model,
  ServiceTier,
  IsBatch,
  InferenceGeo,
  ContextWindow,
  SubAccountId,
  SUM(UncachedInputTokens) AS UncachedInputTokens,
  SUM(CacheReadTokens) AS CacheReadTokens,
  SUM(CacheWriteTokens) AS CacheWriteTokens,
  SUM(CacheWrite1hTokens) AS CacheWrite1hTokens,
  SUM(OutputTokens) AS OutputTokens,
  SUM(WebSearches) AS WebSearches
FROM silver_cost.token_usage
WHERE x_run_date = @run_date
GROUP BY
  UsageDate,
  ProviderName,
  x_Provider,
  Model,
  ServiceTier,
  IsBatch,
  InferenceGeo,
  ContextWindow,
  SubAccountId
