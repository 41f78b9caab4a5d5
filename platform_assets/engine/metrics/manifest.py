"""An output's manifest and the marker of a finished run: what they say, and whether an output is as they say."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from platform_assets.engine.expressions.explain import formula
from platform_assets.engine.expressions.nodes import Expression
from platform_assets.engine.metrics.failures import ManifestError
from platform_assets.engine.metrics.inputs import SeriesSummary
from platform_assets.engine.metrics.settings import OutputFormat

_TAIL_BYTES = 4 * 1024 * 1024
_MOST_FORMULA = 4000  # characters; a manifest is no place for a book


class _Model(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Outputs(_Model):
    data_prefix: Annotated[str, Field(min_length=1)]
    files: Annotated[tuple[str, ...], Field(min_length=1)]


class InputSeries(_Model):
    """One series that went in: its data set, the version read, rows used and rows that lost as duplicates."""

    series_code: str
    dataset_id: str
    version_id: str
    row_count: int
    duplicate_count: int


class OutputManifest(_Model):
    """The first six fields are the old worker's; the others are absent from manifests that it wrote.

    ``null_count`` are all rows without a value, ``inf_count`` those among them whose value was infinite.
    ``requested_at`` orders versions: the alias never moves to an older request.
    """

    run_id: str
    metric_code: str
    version_ts: str
    created_at: datetime
    row_count: Annotated[int, Field(ge=0)]
    outputs: Outputs
    requested_at: datetime | None = None
    format: OutputFormat | None = None
    byte_count: int | None = None
    sha256: str | None = None
    null_count: int | None = None
    inf_count: int | None = None
    duplicate_count: int | None = None
    expression: str | None = None
    inputs: tuple[InputSeries, ...] = ()

    @property
    def order(self) -> tuple[datetime, str]:
        """Newest request last; of one request's versions the one made later."""
        return _utc(self.requested_at or self.created_at), self.version_ts

    def encode(self) -> bytes:
        """Two-space JSON with times in UTC, as the old worker wrote it."""
        document = self.model_dump(mode="json", exclude_none=True)
        for name in ("created_at", "requested_at"):
            if value := getattr(self, name):
                document[name] = iso(value)
        return json.dumps(document, indent=2, ensure_ascii=False).encode()


class Marker(_Model):
    """``runs/<runId>.ok``: everything that is needed to say SUCCESS again. The old worker wrote the run id only."""

    run_id: str
    version_ts: str | None = None
    output_manifest: str | None = None
    row_count: int | None = None

    def encode(self) -> bytes:
        return json.dumps(self.model_dump(exclude_none=True)).encode()


@dataclass(frozen=True)
class Written:
    """What is known of the data object when it has been written."""

    key: str
    byte_count: int
    sha256: str
    row_count: int
    format: OutputFormat


def expression_text(expression: Expression) -> str:
    """An expression as manifests tell it."""
    return formula(expression)[:_MOST_FORMULA]


def parse_output_manifest(data: bytes, key: str) -> OutputManifest:
    """ManifestError where it is not a manifest."""
    try:
        return OutputManifest.model_validate_json(data)
    except ValidationError as error:
        raise ManifestError(
            f"output manifest {key!r} is not valid: {error.errors(include_url=False)}"
        ) from error


def parse_marker(data: bytes) -> Marker | None:
    """None for a marker that says nothing usable."""
    try:
        return Marker.model_validate_json(data)
    except ValidationError:
        return None


def inputs_of(summaries: tuple[SeriesSummary, ...]) -> tuple[InputSeries, ...]:
    return tuple(
        InputSeries(
            series_code=s.series,
            dataset_id=s.dataset,
            version_id=s.version,
            row_count=s.rows,
            duplicate_count=s.duplicates,
        )
        for s in summaries
    )


class ReadBack:
    """The written object, read again piece by piece: is it what was sent, row for row? ``check`` raises ManifestError.

    Keeps no more than the last pieces, which hold a Parquet file's footer.
    """

    def __init__(self, written: Written) -> None:
        self._written = written
        self._hash = hashlib.sha256()
        self._bytes = self._lines = 0
        self._tail = b""

    def add(self, piece: bytes) -> None:
        self._hash.update(piece)
        self._bytes += len(piece)
        if self._written.format is OutputFormat.JSONL:
            self._lines += piece.count(b"\n")
        self._tail = (self._tail + piece if len(piece) < _TAIL_BYTES else piece)[-_TAIL_BYTES:]

    def check(self) -> None:
        written = self._written
        if self._bytes != written.byte_count or self._hash.hexdigest() != written.sha256:
            raise ManifestError(f"{written.key!r} does not hold what was written (length or sha256)")
        rows = self._lines if written.format is OutputFormat.JSONL else _parquet_rows(written.key, self._tail)
        if rows != written.row_count:
            raise ManifestError(f"{written.key!r} has {rows:,} rows, {written.row_count:,} were written")


def check_size(written: Written, size: int | None) -> None:
    """The object is there and as long as what was sent."""
    if size != written.byte_count:
        found = "is not there" if size is None else f"has {size:,} bytes"
        raise ManifestError(f"{written.key!r} {found}, {written.byte_count:,} were written")


def iso(time: datetime) -> str:
    """UTC with microseconds and ``Z``, as all events and manifests write times."""
    return f"{_utc(time):%Y-%m-%dT%H:%M:%S.%fZ}"


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


def _parquet_rows(key: str, tail: bytes) -> Any:
    """From the end of the file alone: that is where the footer is."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_metadata(io.BytesIO(tail)).num_rows
    except pa.ArrowException as error:
        raise ManifestError(f"{key!r} is no readable Parquet file: {error}") from error
