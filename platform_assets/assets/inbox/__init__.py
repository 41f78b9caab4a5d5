"""Queues into Dagster without losing a message: sensor → durable inbox → ack → run request → apply."""
