-- Providers' lower-case currency codes were kept as they came at first; FOCUS wants ISO 4217 as it is written.
UPDATE silver_cost.focus_costs
SET BillingCurrency = UPPER(BillingCurrency)
WHERE x_run_date >= DATE '2000-01-01' AND BillingCurrency != UPPER(BillingCurrency);
