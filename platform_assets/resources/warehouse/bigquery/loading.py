"""Arrow batches as files for load jobs: Parquet, or newline-delimited JSON where a column is JSON.

Owns what a value may become on its way into a column: numbers widen, a decimal loses no digit, text never becomes
a number. Sources: docs.cloud.google.com/bigquery/docs/loading-data-cloud-storage-parquet, …-json, json-data (JSON
columns cannot come from Parquet).
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.schema.arrow import arrow_schema
from platform_assets.engine.schema.model import Field, FieldType, Mode, TableSchema

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class LoadFile:
    """One file of a load. ``format`` is BigQuery's name of it."""

    path: Path
    rows: int
    format: str


def load_format(schema: TableSchema) -> str:
    return "NEWLINE_DELIMITED_JSON" if any(_has_json(f) for f in schema.fields) else "PARQUET"


def write_files(
    batches: Iterable[pa.RecordBatch], schema: TableSchema, table: object, folder: Path, max_bytes: int
) -> list[LoadFile]:
    """Read the batches to their end into files of about ``max_bytes``; no empty file is written.

    DataError and RejectedError name the table and the column, before anything was loaded.
    """
    kind = load_format(schema)
    open_writer = _JsonWriter if kind == "NEWLINE_DELIMITED_JSON" else _ParquetWriter
    files: list[LoadFile] = []
    with ExitStack() as opened:
        writer: _Writer | None = None
        for batch in batches:
            if batch.num_rows == 0:
                continue
            if writer is None:
                writer = opened.enter_context(closing(open_writer(folder / f"{len(files)}", schema)))
            writer.write(conformed(batch, schema, table))
            if writer.size() >= max_bytes:
                files.append(writer.close())
                writer = None
        if writer is not None:
            files.append(writer.close())
    return files


class _Writer(Protocol):
    """``close`` may be called again: it is, when a source breaks off."""

    def write(self, batch: pa.RecordBatch) -> None: ...
    def size(self) -> int: ...
    def close(self) -> LoadFile: ...


class _ParquetWriter:
    def __init__(self, path: Path, schema: TableSchema) -> None:
        import pyarrow.parquet as pq

        self._path, self._rows = path, 0
        self._file = path.open("wb")
        self._writer = pq.ParquetWriter(self._file, file_schema(schema), compression="zstd")

    def write(self, batch: pa.RecordBatch) -> None:
        self._writer.write_batch(batch)
        self._rows += batch.num_rows

    def size(self) -> int:
        return self._file.tell()

    def close(self) -> LoadFile:
        self._writer.close()
        self._file.close()
        return LoadFile(self._path, self._rows, "PARQUET")


class _JsonWriter:
    def __init__(self, path: Path, schema: TableSchema) -> None:
        self._path, self._rows = path, 0
        self._file = path.open("wb")
        self._columns = [(f.name, _encoder(f)) for f in schema.fields]

    def write(self, batch: pa.RecordBatch) -> None:
        import msgspec

        encode = msgspec.json.Encoder().encode
        for row in batch.to_pylist():
            line = {name: encoder(row[name]) for name, encoder in self._columns if row[name] is not None}
            self._file.write(encode(line) + b"\n")
        self._rows += batch.num_rows

    def size(self) -> int:
        return self._file.tell()

    def close(self) -> LoadFile:
        self._file.close()
        return LoadFile(self._path, self._rows, "NEWLINE_DELIMITED_JSON")


# --- JSON values ------------------------------------------------------------------------------------------------


def _has_json(field: Field) -> bool:
    return field.type is FieldType.JSON or any(_has_json(f) for f in field.fields)


def _encoder(field: Field) -> Callable[[Any], Any]:
    """How one column's Python values are written. Numbers go as text where JSON readers would round them."""
    one = _struct_encoder(field) if field.fields else _SCALARS.get(field.type, _json_encoder(field))
    if field.mode is Mode.REPEATED:
        return lambda values: [one(value) for value in values]
    return one


def _struct_encoder(field: Field) -> Callable[[Any], Any]:
    inner = [(f.name, _encoder(f)) for f in field.fields]
    return lambda value: {name: encode(value[name]) for name, encode in inner if value[name] is not None}


def _json_encoder(field: Field) -> Callable[[str], Any]:
    import msgspec

    def encode(text: str) -> Any:
        try:
            msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise DataError(f"column {field.name}: {text[:80]!r} is not JSON: {error}") from error
        # Line ends can only stand between tokens of valid JSON; a file of lines must not have them.
        return msgspec.Raw(text.replace("\r", " ").replace("\n", " ").encode())

    return encode


def _float(value: float) -> float | str:
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")


def _moment(value: datetime) -> str:
    return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%fZ")


_SCALARS: dict[FieldType, Callable[[Any], Any]] = {
    FieldType.STRING: str,
    FieldType.BYTES: lambda value: base64.b64encode(value).decode(),
    FieldType.INT64: str,
    FieldType.FLOAT64: _float,
    FieldType.NUMERIC: lambda value: format(Decimal(value), "f"),
    FieldType.BIGNUMERIC: lambda value: format(Decimal(value), "f"),
    FieldType.BOOL: bool,
    FieldType.DATE: date.isoformat,
    FieldType.DATETIME: lambda value: value.isoformat(timespec="microseconds"),
    FieldType.TIME: time.isoformat,
    FieldType.TIMESTAMP: _moment,
}


# --- Columns ----------------------------------------------------------------------------------------------------


def conformed(batch: pa.RecordBatch, schema: TableSchema, table: object) -> pa.RecordBatch:
    """The batch with exactly the table's columns, in its order and types; columns it does not have are NULL.

    RejectedError for unknown or repeated columns and types that do not fit, all at once; DataError for a value
    that would change.
    """
    import pyarrow as pa

    target = file_schema(schema)
    given: dict[str, pa.Array] = {}
    problems: list[str] = []
    for name, column in zip(batch.schema.names, batch.columns, strict=True):
        wanted = schema.get(name)
        if wanted is None:
            problems.append(f"column {name} does not exist in the table")
        elif wanted.name in given:
            problems.append(f"column {name} comes twice")
        elif not _fits(column.type, target.field(wanted.name).type):
            problems.append(f"column {name} is {_words(wanted)}, the rows give {column.type}")
        else:
            given[wanted.name] = column
    if problems:
        raise RejectedError(f"{table} cannot take these rows: {'; '.join(problems)}")
    columns = [
        _converted(given[f.name], f, table) if f.name in given else pa.nulls(batch.num_rows, f.type)
        for f in target
    ]
    nulls = [
        f"{f.name} in {c.null_count}"
        for f, c in zip(target, columns, strict=True)
        if c.null_count and not f.nullable
    ]
    if nulls:
        raise DataError(f"{table}: REQUIRED columns are NULL: {', '.join(nulls)} rows")
    return pa.RecordBatch.from_arrays(columns, schema=target)


def file_schema(schema: TableSchema) -> pa.Schema:
    """The Arrow schema with REQUIRED columns marked: BigQuery takes no optional Parquet column for a required one."""
    required = {f.name for f in schema.fields if f.mode is Mode.REQUIRED}
    target = arrow_schema(schema)
    for index, field in enumerate(target):
        if field.name in required:
            target = target.set(index, field.with_nullable(False))
    return target


def _words(field: Field) -> str:
    return f"ARRAY of {field.type}" if field.mode is Mode.REPEATED else field.type.value


def _fits(given: pa.DataType, wanted: pa.DataType) -> bool:
    from pyarrow import types as t

    if given.equals(wanted) or t.is_null(given):
        return True
    if t.is_dictionary(given):
        return _fits(given.value_type, wanted)
    if t.is_list(wanted):
        return _is_list(given) and _fits(given.value_type, wanted.value_type)
    if t.is_struct(wanted):
        return t.is_struct(given) and _members_fit(given, wanted)
    return any(
        is_wanted(wanted) and any(one(given) for one in sources) for is_wanted, sources in _conversions()
    )


def _members_fit(given: pa.DataType, wanted: pa.DataType) -> bool:
    members = {f.name: f.type for f in wanted}
    return all(f.name in members and _fits(f.type, members[f.name]) for f in given)


def _is_list(given: pa.DataType) -> bool:
    from pyarrow import types as t

    return bool(t.is_list(given) or t.is_large_list(given) or t.is_fixed_size_list(given))


def _conversions() -> Sequence[tuple[Callable[..., bool], Sequence[Callable[..., bool]]]]:
    """(is the column's type, what it takes besides itself); a lossy value among them is a DataError. A moment with a
    zone never becomes one without: which zone would it be?"""
    from pyarrow import types as t

    def moment(given: pa.DataType) -> bool:
        return bool(t.is_timestamp(given) and given.tz is not None)

    def local(given: pa.DataType) -> bool:
        return bool(t.is_timestamp(given) and given.tz is None)

    return (
        (t.is_int64, (t.is_integer,)),
        (t.is_float64, (t.is_floating, t.is_integer, t.is_decimal)),
        (t.is_decimal, (t.is_decimal, t.is_integer)),
        (t.is_string, (t.is_string, t.is_large_string, t.is_string_view)),
        (t.is_binary, (t.is_binary, t.is_large_binary, t.is_fixed_size_binary)),
        (t.is_date32, (t.is_date, local)),
        (moment, (moment, local)),
        (local, (local, t.is_date)),
        (t.is_time64, (t.is_time,)),
    )


def _converted(column: pa.Array, target: pa.Field, table: object) -> pa.Array:
    import pyarrow as pa
    from pyarrow import types as t

    if column.type.equals(target.type):
        return column
    try:
        made = column.cast(target.type)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise DataError(
            f"{table}: column {target.name} is {target.type} and would change: {error}"
        ) from error
    # Arrow cuts the time of day off without a word.
    if t.is_date32(target.type) and t.is_timestamp(column.type) and not made.cast(column.type).equals(column):
        raise DataError(f"{table}: column {target.name} is a date and would lose the time of day")
    return made


# --- Results ----------------------------------------------------------------------------------------------------


def result_table(found: pa.Table, schema: TableSchema) -> pa.Table:
    """A query's answer in the types of ``engine.schema.arrow``. Products and quotients of BIGNUMERIC come with up to 38
    digits after the point; they are rounded to 18, half away from zero, as DuckDB computes them
    (``engine.sql.dialect``). DataError for more than 20 digits before it."""
    import pyarrow as pa

    target = arrow_schema(schema)
    columns = [
        pa.chunked_array(
            [
                _converted(_shortened(_plain(chunk), field), field, "query")
                for chunk in found.column(index).chunks
            ],
            type=field.type,
        )
        for index, field in enumerate(target)
    ]
    return pa.Table.from_arrays(columns, schema=target)


def _shortened(column: pa.Array, target: pa.Field) -> pa.Array:
    import pyarrow.compute as pc
    from pyarrow import types as t

    if not (t.is_decimal256(column.type) and t.is_decimal128(target.type)):
        return column
    return pc.round(column, target.type.scale, "half_towards_infinity")


def _plain(column: pa.Array) -> pa.Array:
    """JSON comes as an extension type over its text."""
    return getattr(column, "storage", column)
