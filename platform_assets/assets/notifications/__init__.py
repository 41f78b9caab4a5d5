"""Telling people: what runs, checks, alerts and summaries say goes to an outbox, and from there to channels."""
