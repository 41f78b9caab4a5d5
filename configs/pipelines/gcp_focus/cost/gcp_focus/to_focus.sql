-- Google's own FOCUS 1.2 export. It only appends: a slice is what Google exported on that day, whatever it is about.
-- Many rows share few combinations of tags, so what follows from tags is worked out once per combination.
WITH tag_sets AS (
  SELECT
    IFNULL(TO_JSON_STRING(Tags), '') AS tag_set,
    ANY_VALUE(Tags) AS pairs
  FROM raw_gcp.focus_export
  WHERE ingestion_date = @run_date
  GROUP BY
    IFNULL(TO_JSON_STRING(Tags), '')
),

tag_facts AS (
  SELECT
    tag_set,
    CONCAT(
      '{',
      IFNULL(
        (
          SELECT STRING_AGG(CONCAT(TO_JSON_STRING(k), ':', TO_JSON_STRING(v)), ',' ORDER BY k)
          FROM (
            SELECT l.key AS k, MAX_BY(l.value, position) AS v
            FROM UNNEST(pairs) AS l WITH OFFSET AS position
            GROUP BY l.key
          )
        ),
        ''
      ),
      '}'
    ) AS tags,
    (
      SELECT MAX_BY(l.value, position)
      FROM UNNEST(pairs) AS l WITH OFFSET AS position
      WHERE l.key IN ('team', 'department')
    ) AS team,
    (
      SELECT MAX_BY(l.value, position)
      FROM UNNEST(pairs) AS l WITH OFFSET AS position
      WHERE l.key IN ('cost_center', 'cost-center', 'costcenter')
    ) AS cost_center
  FROM tag_sets
)

SELECT
  AvailabilityZone,
  BilledCost,
  BillingAccountId,
  COALESCE(BillingAccountName, BillingAccountId) AS BillingAccountName,
  COALESCE(BillingAccountType, 'Billing Account') AS BillingAccountType,
  UPPER(TRIM(BillingCurrency)) AS BillingCurrency,
  BillingPeriodEnd,
  BillingPeriodStart,
  CapacityReservationId,
  CapacityReservationStatus,
  ChargeCategory,
  ChargeClass,
  COALESCE(ChargeDescription, ServiceName) AS ChargeDescription,
  ChargeFrequency,
  ChargePeriodEnd,
  ChargePeriodStart,
  CommitmentDiscountCategory,
  CommitmentDiscountId,
  CommitmentDiscountName,
  CommitmentDiscountQuantity,
  CommitmentDiscountStatus,
  CommitmentDiscountType,
  CommitmentDiscountUnit,
  ConsumedQuantity,
  ConsumedUnit,
  COALESCE(ContractedCost, BilledCost) AS ContractedCost,
  ContractedUnitPrice,
  COALESCE(EffectiveCost, BilledCost) AS EffectiveCost,
  InvoiceId,
  COALESCE(InvoiceIssuerName, 'Google Cloud') AS InvoiceIssuerName,
  COALESCE(ListCost, BilledCost) AS ListCost,
  ListUnitPrice,
  PricingCategory,
  COALESCE(PricingCurrency, UPPER(TRIM(BillingCurrency))) AS PricingCurrency,
  PricingCurrencyContractedUnitPrice,
  COALESCE(PricingCurrencyEffectiveCost, EffectiveCost, BilledCost) AS PricingCurrencyEffectiveCost,
  PricingCurrencyListUnitPrice,
  PricingQuantity,
  PricingUnit,
  COALESCE(ProviderName, 'Google Cloud') AS ProviderName,
  COALESCE(PublisherName, 'Google Cloud') AS PublisherName,
  RegionId,
  RegionName,
  ResourceId,
  ResourceName,
  IF(ResourceId IS NULL, ResourceType, COALESCE(ResourceType, ServiceName)) AS ResourceType,
  COALESCE(ServiceCategory, 'Other') AS ServiceCategory,
  COALESCE(ServiceName, 'Google Cloud') AS ServiceName,
  COALESCE(ServiceSubcategory, CONCAT('Other (', COALESCE(ServiceCategory, 'Other'), ')')) AS ServiceSubcategory,
  SkuId,
  SkuMeter,
  SkuPriceDetails,
  SkuPriceId,
  SubAccountId,
  COALESCE(SubAccountName, SubAccountId) AS SubAccountName,
  IF(SubAccountId IS NULL, NULL, COALESCE(SubAccountType, 'Project')) AS SubAccountType,
  PARSE_JSON(tag_facts.tags) AS Tags,
  COALESCE(ProviderName, 'Google Cloud') AS ServiceProviderName,
  'Google Cloud' AS HostProviderName,
  x_credential,
  'gcp_focus' AS x_Provider,
  'raw_gcp.focus_export' AS x_SourceSystem,
  SubAccountId AS x_Project,
  tag_facts.team AS x_Team,
  tag_facts.cost_center AS x_CostCenter
FROM raw_gcp.focus_export AS e
INNER JOIN tag_facts
  ON IFNULL(TO_JSON_STRING(e.Tags), '') = tag_facts.tag_set
WHERE e.ingestion_date = @run_date
