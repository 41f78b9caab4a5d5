"""A data set's manifest: which series it has and in which files. Written by the ingestor, read here.

Every field is required, as the ingestor writes them all: a manifest that lacks one is half-written or from another
program, and reading on would give an incomplete metric. Extra fields are ignored.
"""

from __future__ import annotations

from datetime import datetime
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, ValidationError

from platform_assets.engine.metrics.failures import InputReadError, ManifestError


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class DateRange(_Model):
    min_obs_time: datetime | None
    max_obs_time: datetime | None


class DatasetManifest(_Model):
    """``parquet_files``: ``<SERIES>/year=YYYY/month=MM/data.parquet``, relative to the projections path."""

    version_id: str
    dataset_id: str
    created_at: datetime
    collection_date: datetime
    data_points_count: int
    series_count: int
    series_codes: tuple[str, ...]
    date_range: DateRange
    parquet_files: tuple[str, ...]
    partitions: tuple[str, ...]
    partition_strategy: str

    def files_of(self, series: str) -> tuple[str, ...]:
        """The files that may hold a series, in the manifest's order.

        A part of the path is the code, exactly: ``E_PRE`` never opens ``E_PRE_LONG/…``. Where no path names the
        code, but the manifest lists it, it is in the files that name no series at all.
        """
        named = tuple(file for file in self.parquet_files if _names(file, series))
        if named or series not in self.series_codes:
            return named
        codes = frozenset(self.series_codes)
        return tuple(file for file in self.parquet_files if codes.isdisjoint(_parts(file)))


def parse_manifest(data: bytes, key: str) -> DatasetManifest:
    """Manifest JSON → manifest. ManifestError names the object and every field that is missing or wrong."""
    try:
        return DatasetManifest.model_validate_json(data)
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'document'}: {e['msg']}"
            for e in error.errors(include_url=False)
        )
        raise ManifestError(f"data set manifest {key!r} is not valid: {faults[:1000]}") from error


def object_key(path: str, what: str) -> str:
    """A key as requests write it: verbatim, or as ``s3://bucket/key``, whose bucket is the store's own business."""
    key = urlsplit(path).path if path.startswith(("s3://", "gs://")) else path
    if not key.strip("/"):
        raise InputReadError(f"{what} is empty")
    return key.strip("/")


def file_key(projections: str, file: str) -> str:
    """Where one of the manifest's files is. Slashes at either end of the projections path do not matter."""
    return f"{object_key(projections, 'projectionsPath')}/{file.lstrip('/')}"


def _parts(file: str) -> list[str]:
    """The folders of a path; ``series=X`` counts as ``X``."""
    return [part.rpartition("=")[2] for part in file.split("/")[:-1]]


def _names(file: str, series: str) -> bool:
    return series in _parts(file) or file.rsplit("/", maxsplit=1)[-1] == f"{series}.parquet"
