"""The whole platform on one machine: a provider's API, two tenants, the embedded warehouse. No account needed."""
