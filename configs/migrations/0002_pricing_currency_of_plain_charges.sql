-- Currency audit: a charge that was never converted is priced in the currency it is billed in.
UPDATE silver_cost.focus_costs
SET PricingCurrency = BillingCurrency
WHERE x_run_date >= DATE '2000-01-01' AND PricingCurrency IS NULL;
