-- AWS Cost and Usage Report 2.0 in FOCUS columns, one row for one row. BilledCost is the unblended cost. EffectiveCost
-- spreads what was paid up front, as AWS defines amortised cost: covered usage costs its share of the commitment,
-- the fees themselves only what nobody used, and negations nothing.
-- AWS rewrites a billing period as a whole, so the raw slice is a month; here it is cut into days. A row whose charge
-- begins outside its billing period stays with the period's first or last day.
WITH cur AS (
  SELECT
    *,
    CASE
      WHEN line_item_line_item_type = 'Tax' THEN 'Tax'
      WHEN line_item_line_item_type IN (
        'Credit', 'EdpDiscount', 'BundledDiscount', 'PrivateRateDiscount', 'Discount', 'SppDiscount'
      ) THEN 'Credit'
      WHEN line_item_line_item_type = 'Refund' THEN 'Adjustment'
      WHEN line_item_line_item_type IN (
        'Fee', 'RIFee', 'SavingsPlanRecurringFee', 'SavingsPlanUpfrontFee'
      ) THEN 'Purchase'
      WHEN line_item_line_item_type = 'SavingsPlanNegation' THEN 'Adjustment'
      ELSE 'Usage'
    END AS category,
    CASE
      WHEN line_item_line_item_type = 'SavingsPlanCoveredUsage' THEN savings_plan_savings_plan_effective_cost
      WHEN line_item_line_item_type = 'SavingsPlanRecurringFee'
        THEN savings_plan_total_commitment_to_date - savings_plan_used_commitment
      WHEN line_item_line_item_type IN ('SavingsPlanNegation', 'SavingsPlanUpfrontFee') THEN 0
      WHEN line_item_line_item_type = 'DiscountedUsage' THEN reservation_effective_cost
      WHEN line_item_line_item_type = 'RIFee'
        THEN reservation_unused_amortized_upfront_fee_for_billing_period + reservation_unused_recurring_fee
      WHEN line_item_line_item_type = 'Fee' AND reservation_reservation_a_r_n <> '' THEN 0
      ELSE line_item_unblended_cost
    END AS amortised,
    CASE
      WHEN line_item_product_code IN (
        'AmazonEC2', 'AWSLambda', 'AmazonECS', 'AmazonEKS', 'AmazonLightsail', 'AWSBatch', 'AWSAppRunner'
      ) THEN 'Compute'
      WHEN line_item_product_code IN ('AmazonS3', 'AmazonEFS', 'AmazonFSx', 'AmazonGlacier', 'AWSBackup')
        THEN 'Storage'
      WHEN line_item_product_code IN (
        'AmazonRDS', 'AmazonDynamoDB', 'AmazonElastiCache', 'AmazonDocDB', 'AmazonNeptune', 'AmazonMemoryDB'
      ) THEN 'Databases'
      WHEN line_item_product_code IN (
        'AmazonCloudFront', 'AmazonVPC', 'AWSELB', 'AmazonRoute53', 'AWSDirectConnect', 'AWSGlobalAccelerator',
        'AWSDataTransfer'
      ) THEN 'Networking'
      WHEN line_item_product_code IN (
        'AmazonBedrock', 'AmazonSageMaker', 'AmazonRekognition', 'AmazonComprehend', 'AmazonPolly', 'transcribe'
      ) THEN 'AI and Machine Learning'
      WHEN line_item_product_code IN (
        'AmazonAthena', 'AWSGlue', 'ElasticMapReduce', 'AmazonKinesis', 'AmazonRedshift', 'AmazonQuickSight',
        'AmazonES', 'AmazonMSK'
      ) THEN 'Analytics'
      WHEN line_item_product_code IN (
        'AmazonSNS', 'AWSQueueService', 'AmazonStates', 'AWSEvents', 'AmazonApiGateway', 'AmazonMQ'
      ) THEN 'Integration'
      WHEN line_item_product_code IN (
        'AmazonCloudWatch', 'AWSCloudTrail', 'AWSConfig', 'AWSSupportBusiness', 'AWSSupportEnterprise',
        'AWSSystemsManager', 'AWSCloudFormation'
      ) THEN 'Management and Governance'
      WHEN line_item_product_code IN (
        'awskms', 'AWSSecretsManager', 'AmazonGuardDuty', 'AmazonInspectorV2', 'AWSSecurityHub', 'awswaf'
      ) THEN 'Security'
      WHEN line_item_product_code IN ('AWSCodeBuild', 'AWSCodePipeline', 'AWSCodeCommit', 'AmazonECR')
        THEN 'Developer Tools'
      WHEN line_item_product_code IN ('AmazonCognito', 'AWSDirectoryService') THEN 'Identity'
      ELSE 'Other'
    END AS service_category
  FROM raw_aws.cur
  WHERE ingestion_date = @month_start
    AND GREATEST(LEAST(DATE(line_item_usage_start_date), @month_end), @month_start) = @run_date
)

SELECT
  line_item_unblended_cost AS BilledCost,
  COALESCE(amortised, line_item_unblended_cost) AS EffectiveCost,
  IF(category = 'Usage', COALESCE(pricing_public_on_demand_cost, line_item_unblended_cost), line_item_unblended_cost)
    AS ListCost,
  line_item_unblended_cost AS ContractedCost,
  bill_payer_account_id AS BillingAccountId,
  COALESCE(bill_payer_account_name, bill_payer_account_id) AS BillingAccountName,
  'Payer Account' AS BillingAccountType,
  UPPER(TRIM(line_item_currency_code)) AS BillingCurrency,
  bill_billing_period_start_date AS BillingPeriodStart,
  COALESCE(
    bill_billing_period_end_date,
    TIMESTAMP(DATE_ADD(DATE_TRUNC(DATE(bill_billing_period_start_date), MONTH), INTERVAL 1 MONTH))
  ) AS BillingPeriodEnd,
  line_item_usage_start_date AS ChargePeriodStart,
  IF(
    line_item_usage_end_date > line_item_usage_start_date,
    line_item_usage_end_date,
    TIMESTAMP_ADD(line_item_usage_start_date, INTERVAL 1 SECOND)
  ) AS ChargePeriodEnd,
  category AS ChargeCategory,
  IF(line_item_line_item_type = 'Refund', 'Correction', NULL) AS ChargeClass,
  COALESCE(line_item_line_item_description, line_item_usage_type, line_item_line_item_type) AS ChargeDescription,
  CASE
    WHEN category = 'Usage' THEN 'Usage-Based'
    WHEN line_item_line_item_type IN ('RIFee', 'SavingsPlanRecurringFee', 'Tax') THEN 'Recurring'
    ELSE 'One-Time'
  END AS ChargeFrequency,
  COALESCE(NULLIF(reservation_reservation_a_r_n, ''), NULLIF(savings_plan_savings_plan_a_r_n, ''))
    AS CommitmentDiscountId,
  CASE
    WHEN reservation_reservation_a_r_n <> '' THEN 'Usage'
    WHEN savings_plan_savings_plan_a_r_n <> '' THEN 'Spend'
  END AS CommitmentDiscountCategory,
  CASE
    WHEN reservation_reservation_a_r_n <> '' THEN 'Reserved Instance'
    WHEN savings_plan_savings_plan_a_r_n <> '' THEN 'Savings Plan'
  END AS CommitmentDiscountType,
  IF(
    category = 'Usage' AND (reservation_reservation_a_r_n <> '' OR savings_plan_savings_plan_a_r_n <> ''),
    'Used',
    NULL
  ) AS CommitmentDiscountStatus,
  IF(category = 'Usage', line_item_usage_amount, NULL) AS ConsumedQuantity,
  IF(category = 'Usage' AND line_item_usage_amount IS NOT NULL, COALESCE(pricing_unit, line_item_usage_type, 'Units'), NULL)
    AS ConsumedUnit,
  IF(category IN ('Usage', 'Purchase'), line_item_usage_amount, NULL) AS PricingQuantity,
  IF(
    category IN ('Usage', 'Purchase') AND line_item_usage_amount IS NOT NULL,
    COALESCE(pricing_unit, line_item_usage_type, 'Units'),
    NULL
  ) AS PricingUnit,
  CASE
    WHEN line_item_line_item_type IN ('DiscountedUsage', 'SavingsPlanCoveredUsage') OR category = 'Purchase'
      THEN 'Committed'
    WHEN category = 'Usage' THEN 'Standard'
  END AS PricingCategory,
  bill_invoice_id AS InvoiceId,
  UPPER(TRIM(line_item_currency_code)) AS PricingCurrency,
  COALESCE(amortised, line_item_unblended_cost) AS PricingCurrencyEffectiveCost,
  'AWS' AS InvoiceIssuerName,
  'AWS' AS ProviderName,
  COALESCE(line_item_legal_entity, 'Amazon Web Services') AS PublisherName,
  'AWS' AS ServiceProviderName,
  'AWS' AS HostProviderName,
  service_category AS ServiceCategory,
  CONCAT('Other (', service_category, ')') AS ServiceSubcategory,
  COALESCE(line_item_product_code, product_servicecode, 'AWS') AS ServiceName,
  IF(category = 'Tax', NULL, product_region_code) AS RegionId,
  IF(category = 'Tax', NULL, product_region_code) AS RegionName,
  IF(category = 'Tax', NULL, line_item_availability_zone) AS AvailabilityZone,
  IF(category = 'Tax', NULL, line_item_resource_id) AS ResourceId,
  IF(category = 'Tax' OR line_item_resource_id IS NULL, NULL, line_item_product_code) AS ResourceType,
  IF(category = 'Tax', NULL, product_sku) AS SkuId,
  IF(category = 'Tax', NULL, line_item_usage_type) AS SkuMeter,
  line_item_usage_account_id AS SubAccountId,
  COALESCE(line_item_usage_account_name, line_item_usage_account_id) AS SubAccountName,
  IF(line_item_usage_account_id IS NULL, NULL, 'Account') AS SubAccountType,
  resource_tags AS Tags,
  x_credential,
  'aws_cur' AS x_Provider,
  'raw_aws.cur' AS x_SourceSystem,
  line_item_usage_account_id AS x_Project,
  COALESCE(JSON_VALUE(resource_tags, '$.user_team'), JSON_VALUE(resource_tags, '$.user_department')) AS x_Team,
  JSON_VALUE(resource_tags, '$.user_cost_center') AS x_CostCenter,
  IF(category = 'Credit', line_item_line_item_type, NULL) AS x_CreditType,
  IF(category = 'Adjustment', line_item_line_item_type, NULL) AS x_AdjustmentType
FROM cur
