"""Metric runs: from a request to a versioned output, as values.

Requests, data set manifests, which files and rows to read, output encoding, output manifests, events and their
error codes. Objects are read through the small ``ObjectReader`` protocol; nothing here writes, publishes or waits.
"""
