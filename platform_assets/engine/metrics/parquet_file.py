"""One Parquet object, read in as few and as small requests as its size allows.

A small object is one read. Of a large one the end is read first, then, row group by row group, only the columns
that are needed, as one range where they lie together. Row groups that cannot hold a series are never read.
"""

from __future__ import annotations

import io
import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from platform_assets.engine.errors import DataError
from platform_assets.engine.metrics.columns import to_times, to_values
from platform_assets.engine.metrics.failures import InputReadError, failing_as

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.engine.expressions.operation import Times, Values

TIME, VALUE, CODE = "obs_time", "value", "internal_series_code"
WHOLE_BYTES = 1024 * 1024  # objects up to this size are one read
_TAIL_BYTES = 64 * 1024  # holds the footer of nearly every file
_GAP_BYTES = 1024 * 1024  # reading this much for nothing is cheaper than another request
_TO_NS = {"milliseconds": 1_000_000, "microseconds": 1000, "nanoseconds": 1}
_SHARED_ROWS = 65_536  # below this, comparing costs more than it saves
_DAY_NS = 86_400_000_000_000


class Sized(Protocol):
    @property
    def size(self) -> int: ...


class ObjectReader(Protocol):
    """What reading needs of an object store. ``get_range`` gives fewer bytes where the object ends."""

    def get(self, key: str) -> bytes: ...
    def get_range(self, key: str, start: int, length: int) -> bytes: ...
    def stat(self, key: str) -> Sized | None: ...


class Meter:
    """Bytes read, over all threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.bytes = 0

    def add(self, count: int) -> None:
        with self._lock:
            self.bytes += count


class ByteBudget:
    """How many bytes of small files may be kept in memory between planning and decoding."""

    def __init__(self, left: int = 128 * 1024 * 1024) -> None:
        self._lock = threading.Lock()
        self._left = left

    def take(self, count: int) -> bool:
        """True where ``count`` bytes may be kept; they are then used up."""
        with self._lock:
            fits = count <= self._left
            self._left -= count if fits else 0
        return fits


@dataclass(frozen=True)
class RowGroup:
    """What a row group's statistics say. ``first``/``last``: nanoseconds, None where unknown. ``code``: the one
    series that all its rows belong to, None where there may be several."""

    number: int
    rows: int
    first: int | None
    last: int | None
    code: str | None
    codes: tuple[str, str] | None

    def may_hold(self, series: str) -> bool:
        return self.rows > 0 and (self.codes is None or self.codes[0] <= series <= self.codes[1])


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows of one series as they lie in a file. ``in_order``: by time, no timestamp twice."""

    times: Times
    values: Values
    in_order: bool


class SharedTimes:
    """Time columns that are byte for byte the same in several files are decoded once.

    Series of one calendar, written by one program, are like that; comparing the encoded bytes costs a small part of
    decoding them, and operations see at once that the series need no join. The encoded bytes are kept as they were
    read, with what lay next to them, until the last column that may be equal has come.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._expected: Counter[object] = Counter()
        self._entries: dict[object, _TimesEntry] = {}

    def expect(self, kind: object) -> None:
        """Tells of one ``get`` to come."""
        self._expected[kind] += 1

    def get(self, kind: object, encoded: memoryview, decode: Callable[[], Times]) -> tuple[Times, bool]:
        """The times that ``encoded`` stands for, and whether they are in order. ``kind``: whatever else decides
        what the bytes mean; of each kind one at a time is decoded."""
        with self._lock:
            entry = self._entries.setdefault(kind, _TimesEntry())
            self._expected[kind] -= 1
            if not self._expected[kind]:
                del self._entries[kind]
        with entry.lock:
            if entry.times is None:
                times = decode()
                entry.encoded, entry.times, entry.in_order = encoded, times, in_order(times)
            elif not _same_bytes(entry.encoded, encoded):
                times = decode()
                return times, in_order(times)
            return entry.times, entry.in_order


class _TimesEntry:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.encoded = memoryview(b"")
        self.times: Times | None = None
        self.in_order = False


class ParquetObject:
    """An opened Parquet object of a data set: its footer has been read. One thread at a time decodes."""

    def __init__(self, key: str, ranges: Ranges, shared: SharedTimes) -> None:
        self.key = key
        self._shared = shared
        self._lock = threading.Lock()
        self._ranges = ranges
        self._file = _parquet_file(ranges, key)
        # Leaves of the schema: a list or struct called "value" is "value.list.element", and no series.
        names = _paths(self._file.schema)
        missing = [name for name in (TIME, VALUE, CODE) if names.count(name) != 1]
        if missing:
            raise InputReadError(
                f"{key!r} has no single column {', '.join(missing)}; it has {', '.join(names)}"
            )
        self._places = {name: names.index(name) for name in (TIME, VALUE, CODE)}
        self._factor = _time_factor(self._file.schema.column(self._places[TIME]).logical_type)
        self.row_groups = tuple(map(self._describe, range(self._file.num_row_groups)))
        self._undecoded = len(self.row_groups)

    @property
    def in_memory(self) -> bool:
        """Whether decoding needs no further reading."""
        return self._ranges.keep

    def expect(self, group: RowGroup) -> None:
        """Tells that a row group will be read, before any is."""
        if _may_share(group):
            self._shared.expect(self._time_kind(group))

    def read(self, group: RowGroup, series: Sequence[str]) -> Mapping[str, Rows]:
        """Rows of each wanted series in the file's order, which need not be that of time."""
        import pyarrow as pa

        columns = [TIME, VALUE] if group.code else [TIME, VALUE, CODE]
        with self._lock, failing_as(InputReadError, f"{self.key!r}"):
            if not self.in_memory:
                self._ranges.load(self._spans(group.number, columns))
            try:
                if group.code is not None and _may_share(group):
                    return {group.code: self._rows_at_shared_times(group)}
                table = self._table(group, columns)
                return {code: _rows(table, None if group.code else code) for code in series}
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"row group {group.number}: {error}") from error
            finally:
                self._undecoded -= 1
                self._ranges.unload(for_good=not self._undecoded)

    def _rows_at_shared_times(self, group: RowGroup) -> Rows:
        (start, end), kind = self._span(group.number, TIME), self._time_kind(group)
        encoded = self._ranges.view(start, end)
        times, ordered = self._shared.get(
            kind, encoded, lambda: to_times(_array(self._table(group, [TIME]), TIME))
        )
        return Rows(times, to_values(_array(self._table(group, [VALUE]), VALUE)), ordered)

    def _time_kind(self, group: RowGroup) -> object:
        """Whatever besides its bytes decides what a time column decodes to."""
        schema, place = self._file.schema.column(self._places[TIME]), self._places[TIME]
        column = self._file.metadata.row_group(group.number).column(place)
        dictionary = column.dictionary_page_offset
        return (
            *(group.rows, group.first, group.last, column.num_values, column.total_compressed_size),
            *(column.compression, column.encodings, column.physical_type, str(schema.logical_type)),
            *(schema.max_definition_level, dictionary and column.data_page_offset - dictionary),
        )

    def _table(self, group: RowGroup, columns: Sequence[str]) -> pa.Table:
        return self._file.read_row_group(group.number, columns=list(columns), use_threads=False)

    def _describe(self, number: int) -> RowGroup:
        group = self._file.metadata.row_group(number)
        first, last = _time_bounds(group.column(self._places[TIME]).statistics, self._factor)
        statistics = group.column(self._places[CODE]).statistics
        codes = _code_bounds(statistics)
        only = codes is not None and codes[0] == codes[1] and statistics.null_count == 0
        return RowGroup(number, group.num_rows, first, last, codes[0] if codes and only else None, codes)

    def _spans(self, number: int, columns: Sequence[str]) -> list[tuple[int, int]]:
        return _joined(sorted(self._span(number, name) for name in columns))

    def _span(self, number: int, name: str) -> tuple[int, int]:
        column = self._file.metadata.row_group(number).column(self._places[name])
        start = min(o for o in (column.dictionary_page_offset, column.data_page_offset) if o)
        return start, start + column.total_compressed_size


def open_ranges(reader: ObjectReader, key: str, meter: Meter, budget: ByteBudget) -> Ranges:
    """A small object whole, the end of a large one: all of opening that waits for the store."""

    def fetch(start: int, length: int) -> bytes:
        with failing_as(InputReadError, f"reading {key!r}"):
            data = reader.get_range(key, start, length)
        meter.add(len(data))
        return data

    head = fetch(0, WHOLE_BYTES)
    if len(head) < WHOLE_BYTES:
        return Ranges(fetch, len(head), (0, head), keep=budget.take(len(head)))
    with failing_as(InputReadError, f"reading {key!r}"):
        info = reader.stat(key)
    if info is None:
        raise InputReadError(f"{key!r} vanished while it was read", retryable=True)
    start = max(0, info.size - _TAIL_BYTES)
    return Ranges(fetch, info.size, (start, fetch(start, _TAIL_BYTES)), keep=False)


def _parquet_file(ranges: Ranges, key: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        metadata = pq.read_metadata(pa.PythonFile(ranges, mode="r"))
        as_dictionary = [CODE] if CODE in _paths(metadata.schema) else []
        source = pa.PythonFile(ranges, mode="r")
        file = pq.ParquetFile(source, metadata=metadata, read_dictionary=as_dictionary, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise InputReadError(f"{key!r} is no readable Parquet file: {error}") from error
    finally:
        ranges.unload()
    return file


class Ranges(io.RawIOBase):
    """A seekable file over range reads. Holds what ``load`` fetched until ``unload``; with ``keep``, all of it."""

    def __init__(
        self, fetch: Callable[[int, int], bytes], size: int, first: tuple[int, bytes], *, keep: bool
    ) -> None:
        super().__init__()
        self._fetch, self._size, self.keep = fetch, size, keep
        self._held = [first]
        self._position = 0

    def load(self, spans: Sequence[tuple[int, int]]) -> None:
        self._held = [(start, self._fetch(start, end - start)) for start, end in spans]

    def unload(self, *, for_good: bool = False) -> None:
        if for_good or not self.keep:
            self._held = []

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = base + offset
        return self._position

    def read(
        self, size: int = -1
    ) -> Any:  # a view of what is held: copying it would cost as much as decoding
        start = self._position
        end = self._size if size < 0 else min(start + size, self._size)
        self._position = max(start, end)
        return self.view(start, end)

    def view(self, start: int, end: int) -> memoryview:
        """The bytes from ``start`` to ``end``, fetched if they are not held."""
        for held, data in self._held:
            if held <= start and end <= held + len(data):
                return memoryview(data)[start - held : end - held]
        return memoryview(self._fetch(start, end - start) if end > start else b"")


def _joined(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Spans that lie close together become one."""
    joined = [spans[0]]
    for start, end in spans[1:]:
        if start - joined[-1][1] <= _GAP_BYTES:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _paths(schema: Any) -> list[str]:
    return [schema.column(i).path for i in range(len(schema))]


def _time_factor(logical: Any) -> int | None:
    """By what the statistics of a time column become nanoseconds; None for texts, whose order is not that of time."""
    if logical.type == "DATE":
        return _DAY_NS
    if logical.type == "TIMESTAMP":
        return _TO_NS[json.loads(logical.to_json())["timeUnit"]]
    return None


def _time_bounds(statistics: Any, factor: int | None) -> tuple[int | None, int | None]:
    """The time range of a row group in nanoseconds, where it is known."""
    if factor is None or statistics is None or not statistics.has_min_max:
        return None, None
    return statistics.min_raw * factor, statistics.max_raw * factor


def _code_bounds(statistics: Any) -> tuple[str, str] | None:
    if statistics is None or not statistics.has_min_max:
        return None
    low, high = statistics.min_raw, statistics.max_raw
    try:
        return (low.decode(), high.decode()) if isinstance(low, bytes) else None
    except UnicodeDecodeError:  # a writer may cut long texts within a character
        return None


def _may_share(group: RowGroup) -> bool:
    return group.code is not None and group.rows >= _SHARED_ROWS


def in_order(times: Times) -> bool:
    return bool((times[1:] > times[:-1]).all())


def _same_bytes(left: memoryview, right: memoryview) -> bool:
    """By one ``memcmp``; Python would compare item by item."""
    import pyarrow as pa

    return bool(pa.py_buffer(left).equals(pa.py_buffer(right)))


def _rows(table: pa.Table, series: str | None) -> Rows:
    if series is not None:
        table = table.filter(_is_series(_array(table, CODE), series))
    times = to_times(_array(table, TIME))
    return Rows(times, to_values(_array(table, VALUE)), in_order(times))


def _is_series(codes: pa.Array, series: str) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    if not isinstance(codes, pa.DictionaryArray):
        return pc.equal(codes, series)
    return pc.equal(codes.indices, pc.index(codes.dictionary.cast(pa.string()), series))


def _array(table: pa.Table, name: str) -> Any:
    column = table.column(name)
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
