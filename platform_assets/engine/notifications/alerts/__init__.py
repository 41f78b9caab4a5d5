"""Alerts: rules over gold tables and the run history, per tenant and day. Rows in, findings out."""
