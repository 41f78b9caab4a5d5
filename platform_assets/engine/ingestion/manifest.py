"""Files that a manifest lists (AWS data exports), as columnar batches.

Owns finding the manifest that counts and reading exactly what it lists. Refuses to list data files: a folder also
holds those of older executions, and adding them up counts money twice. A slice without manifest is an error, never an
empty one; so is a file whose size is not what the manifest says (it is being rewritten).

Source: AWS, "Understanding export delivery"; both forms of ``dataFiles`` are in use.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from platform_assets.engine.errors import DataError, NotFoundError, RetryableError
from platform_assets.engine.ingestion.spec import ObjectStoreSource
from platform_assets.engine.ingestion.variables import render

_URI = re.compile(r"s3[an]?://([^/]+)/(.+)")
_BATCH_ROWS = 65_536


class FileInfo(Protocol):
    """``ports.ObjectInfo``, as far as it matters here."""

    @property
    def key(self) -> str: ...
    @property
    def modified(self) -> datetime: ...


class FileStore(Protocol):
    """``ports.ObjectStore``, as far as it matters here."""

    def get(self, key: str) -> bytes: ...
    def list(self, prefix: str, *, start_after: str = "") -> Iterable[FileInfo]: ...


@dataclass(frozen=True)
class DataFile:
    """One file of a manifest; ``size`` in bytes where the manifest gives one."""

    key: str
    size: int | None = None


def read_files(
    source: ObjectStoreSource, store: FileStore, variables: Mapping[str, Any]
) -> Iterator[pa.RecordBatch]:
    """The slice's rows, file by file in the manifest's order. NotFoundError, DataError, RetryableError."""
    key = newest_manifest(source, store, variables)
    bucket = render(source.bucket, variables)
    for file in data_files(store.get(key), key, bucket):
        data = store.get(file.key)
        if file.size is not None and len(data) != file.size:
            raise RetryableError(
                f"{file.key} has {len(data)} bytes, {key} says {file.size}: it is being rewritten"
            )
        yield from _READERS[source.format](data, file.key)


def newest_manifest(source: ObjectStoreSource, store: FileStore, variables: Mapping[str, Any]) -> str:
    """The key of the slice's manifest; of several executions, the last one written."""
    prefix = render(source.manifests, variables)
    found = [i for i in store.list(prefix) if i.key.endswith(source.manifest_suffix)]
    if not found:
        raise NotFoundError(f"no manifest …{source.manifest_suffix} below {prefix}")
    return max(found, key=lambda info: (info.modified, info.key)).key


def data_files(manifest: bytes, key: str, bucket: str) -> tuple[DataFile, ...]:
    """The files a manifest lists, which must lie in the bucket that the credential was given for."""
    try:
        listed = msgspec.json.decode(manifest)["dataFiles"]
        files = tuple(_data_file(item, bucket) for item in listed)
    except (msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{key} is not a manifest: {error}") from None
    twice = sorted({f.key for f in files if [g.key for g in files].count(f.key) > 1})
    if twice:
        raise DataError(f"{key} lists {twice[0]} twice")
    return files


def _data_file(item: Any, bucket: str) -> DataFile:
    uri, size = (item, None) if isinstance(item, str) else (item["s3Uri"], item.get("size"))
    match = _URI.fullmatch(uri)
    if match is None or ".." in match[2].split("/"):
        raise ValueError(f"{uri!r} is not an s3:// address")
    if match[1] != bucket:
        raise ValueError(f"{uri!r} is not in bucket {bucket!r}")
    return DataFile(match[2], size)


# --- Formats ----------------------------------------------------------------------------------------------------


def _csv(data: bytes, key: str) -> Iterator[pa.RecordBatch]:
    """Every column as text: what a value means is decided by the table's schema, exactly."""
    from pyarrow import csv

    try:
        names = _header(data, key)
        types = csv.ConvertOptions(
            column_types=dict.fromkeys(names, pa.string()), strings_can_be_null=True, null_values=[""]
        )
        parse = csv.ParseOptions(newlines_in_values=True)
        with csv.open_csv(_stream(data, key), parse_options=parse, convert_options=types) as reader:
            yield from reader
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{key}: {error}") from None


def _header(data: bytes, key: str) -> list[str]:
    from pyarrow import csv

    with csv.open_csv(_stream(data, key), parse_options=csv.ParseOptions(newlines_in_values=True)) as reader:
        names = list(reader.schema.names)
    if len({n.lower() for n in names}) != len(names):
        raise DataError(f"{key}: a column stands twice in the header")
    return names


def _stream(data: bytes, key: str) -> Any:
    source = pa.BufferReader(data)
    return pa.CompressedInputStream(source, "gzip") if key.endswith(".gz") else source


def _parquet(data: bytes, key: str) -> Iterator[pa.RecordBatch]:
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(io.BytesIO(data))
        yield from file.iter_batches(batch_size=_BATCH_ROWS)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{key}: {error}") from None


_READERS = {"csv": _csv, "parquet": _parquet}


def csv_batches(text: str, name: str) -> Iterator[pa.RecordBatch]:
    """A CSV text with a header, every column as text; nothing for a header without rows."""
    yield from _csv(text.removeprefix("\ufeff").encode(), name)
