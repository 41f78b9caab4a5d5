"""Metric expressions: what may be written, what it means, and evaluating it over sorted timestamps.

``grammar`` parses JSON once into the frozen nodes of ``nodes``; ``series_math``, ``window_op`` and ``composite`` hold
one module per operation; ``evaluate`` runs an expression over series of any length in bounded memory.
Nothing here reads a file, knows a dataset or fills gaps: a series is sorted, has no timestamp twice, and NaN is null.
"""
