"""Where a metric's objects are: ``<prefix>/<versionTs>/data/…``, ``…/manifest.json``, ``current/``, ``runs/``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from platform_assets.engine.metrics.failures import RequestConfigError

_SCHEME = re.compile(r"(s3|gs)://")
_MAX_NAME = 200  # object stores on file systems hold 240 bytes a part


@dataclass(frozen=True)
class OutputLayout:
    """All keys of one metric."""

    prefix: str

    def data(self, version: str, file_name: str) -> str:
        return f"{self.data_prefix(version)}/{file_name}"

    def data_prefix(self, version: str) -> str:
        return f"{self.prefix}/{version}/data"

    def manifest(self, version: str) -> str:
        return f"{self.prefix}/{version}/manifest.json"

    @property
    def current(self) -> str:
        return f"{self.prefix}/current/manifest.json"

    def marker(self, run_id: str) -> str:
        return f"{self.prefix}/runs/{_file_name(run_id)}.ok"


def output_layout(base_path: str, *, legacy_bucket_prefix: bool, roots: Sequence[str] = ()) -> OutputLayout:
    """``s3://bucket/metrics/x/`` → ``metrics/x``, or ``bucket/metrics/x`` with the legacy setting.

    RequestConfigError for paths that no store takes or that lie outside ``roots``: a request must not be able to
    overwrite data sets.
    """
    scheme = _SCHEME.match(base_path)
    path = base_path[scheme.end() if scheme else 0 :].strip("/")
    bucket, _, key = path.partition("/") if scheme else ("", "", path)
    parts = key.split("/")
    if not key or any(part in {"", ".", ".."} for part in parts) or not key.isprintable():
        raise RequestConfigError(f"output.basePath {base_path[:200]!r} is no usable prefix")
    if roots and parts[0] not in roots:
        raise RequestConfigError(f"output.basePath {base_path[:200]!r} is not below {' or '.join(roots)}")
    return OutputLayout(f"{bucket}/{key}" if scheme and legacy_bucket_prefix else key)


def version_ts(now: datetime) -> str:
    """``2025-01-15T10-30-00-123456``: the documented form with microseconds behind, since a second holds many runs.

    Sorts as text in the order of time.
    """
    return f"{now.astimezone(UTC):%Y-%m-%dT%H-%M-%S-%f}"


def _file_name(run_id: str) -> str:
    """A run id as one part of a key: itself where it is plain, else escaped, else a hash."""
    name = quote(run_id, safe="", errors="backslashreplace")
    return (
        name
        if len(name) <= _MAX_NAME
        else hashlib.sha256(run_id.encode(errors="backslashreplace")).hexdigest()
    )
