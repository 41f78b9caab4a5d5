"""How this deployment runs metrics: output form, compatibility with older readers, limits."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from platform_assets.engine.spec import Spec


class OutputFormat(StrEnum):
    """``parquet`` is the documented form; ``jsonl`` is for readers of the old worker's JSON Lines."""

    PARQUET = "parquet"
    JSONL = "jsonl"


class Compression(StrEnum):
    SNAPPY = "snappy"
    ZSTD = "zstd"
    NONE = "none"


class ErrorForm(StrEnum):
    """``object``: ``{"code", "message"}``; ``text``: ``"CODE: message"``, for consumers that store one string."""

    OBJECT = "object"
    TEXT = "text"


class MetricSettings(Spec):
    """``legacy_bucket_prefix`` keeps the bucket part of ``basePath`` in the key (``bucket/metrics/…``), as the
    old worker did. ``output_roots`` are the first parts of keys that requests may write below; empty: anywhere.
    ``records_prefix`` is where each run leaves its record for the exporter; empty: nowhere."""

    output_format: OutputFormat = OutputFormat.PARQUET
    compression: Compression = Compression.SNAPPY
    error_form: ErrorForm = ErrorForm.OBJECT
    legacy_bucket_prefix: bool = False
    output_roots: tuple[str, ...] = ("metrics",)
    heartbeat_seconds: Annotated[float, Field(gt=0, le=3600)] = 30.0
    read_threads: Annotated[int, Field(ge=1, le=64)] = 8
    verify_bytes: Annotated[int, Field(ge=0)] = 256 * 1024 * 1024
    records_prefix: str = "metric_runs"
