"""From a request's series to streams of sorted rows: which files, which row groups, in which order.

All manifests and files are opened in parallel, each once, also where several series share one. Rows come out in
time order although files and rows may be in any: row groups are ordered by their statistics, those that overlap are
sorted together, and only a few are in memory at a time. Of rows with one timestamp the last one given wins; the
manifest's order of files, then that of rows, is what "last" means.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass

from platform_assets.engine.expressions.series import Chunk, tidy
from platform_assets.engine.metrics.dataset import (
    DatasetManifest,
    file_key,
    object_key,
    parse_manifest,
)
from platform_assets.engine.metrics.failures import InputReadError, failing_as
from platform_assets.engine.metrics.parquet_file import (
    ByteBudget,
    Meter,
    ObjectReader,
    ParquetObject,
    RowGroup,
    Rows,
    SharedTimes,
    open_ranges,
)
from platform_assets.engine.metrics.request import DatasetSource, SeriesInput

_CHUNK_ROWS = 65_536  # small files are put together up to this
_OPENED_AT_ONCE = 128  # each may hold a megabyte until its footer is parsed
_AHEAD_ROWS = 1_048_576  # decoded ahead of use, per series
_INLINE_ROWS = 16_384  # decoding this much takes less time than handing it to a thread
_UNKNOWN = (-(2**63), 2**63)


@dataclass(frozen=True)
class SeriesFiles:
    """One series: the data set version it is read from, and the objects that may hold it."""

    series: str
    dataset: str
    version: str
    keys: tuple[str, ...]


@dataclass(frozen=True)
class SeriesSummary:
    """What was read of a series: rows, and rows that lost against a later one of their timestamp."""

    series: str
    dataset: str
    version: str
    rows: int
    duplicates: int


@dataclass(frozen=True)
class _Piece:
    """A row group that may hold rows of a series. ``order``: its place among the manifest's files and rows."""

    source: ParquetObject
    group: RowGroup
    order: tuple[int, int]

    @property
    def span(self) -> tuple[int, int]:
        if self.group.first is None or self.group.last is None:
            return _UNKNOWN
        return self.group.first, self.group.last


class Inputs:
    """The opened inputs of one run. ``sources`` are consumed once; ``summaries`` and ``progress`` follow along."""

    def __init__(self, files: Sequence[SeriesFiles], reader: ObjectReader, executor: Executor) -> None:
        self.meter = Meter()
        keys = list(dict.fromkeys(key for found in files for key in found.keys))
        budget = ByteBudget()
        shared = SharedTimes()
        objects: dict[str, ParquetObject] = {}
        for start in range(0, len(keys), _OPENED_AT_ONCE):
            some = keys[start : start + _OPENED_AT_ONCE]
            # Only waiting for the store is done in parallel: a small file's footer is parsed faster than handed over.
            fetched = executor.map(lambda key: open_ranges(reader, key, self.meter, budget), some)
            objects |= {
                key: ParquetObject(key, found, shared) for key, found in zip(some, fetched, strict=True)
            }
        pieces = {found.series: _pieces(found, objects) for found in files}
        for piece in {_identity(piece): piece for found in pieces.values() for piece in found}.values():
            piece.source.expect(piece.group)
        decoder = _Decoder(executor, pieces)
        self._streams = {f.series: _Stream(f, decoder, pieces[f.series]) for f in files}
        self._rows_planned = sum(piece.group.rows for found in pieces.values() for piece in found)

    def __enter__(self) -> Inputs:
        return self

    def __exit__(self, *exc: object) -> None:
        """Drop what was not decoded yet; the executor may be others' too."""
        for stream in self._streams.values():
            stream.close()

    @property
    def sources(self) -> Mapping[str, Iterator[Chunk]]:
        return {code: stream.chunks() for code, stream in self._streams.items()}

    @property
    def rows_planned(self) -> int:
        """At most so many rows will be used, by the files' own statistics."""
        return self._rows_planned

    @property
    def progress(self) -> float:
        """Which part of the rows has been used, 0 to 1."""
        used = sum(stream.rows_used for stream in self._streams.values())
        return used / self._rows_planned if self._rows_planned else 0.0

    @property
    def summaries(self) -> tuple[SeriesSummary, ...]:
        return tuple(stream.summary for _, stream in sorted(self._streams.items()))


def locate(
    codes: Sequence[str],
    inputs: Sequence[SeriesInput],
    datasets: Mapping[str, DatasetSource],
    reader: ObjectReader,
    executor: Executor,
) -> tuple[SeriesFiles, ...]:
    """Which objects each series of an expression is in. InputReadError names the series and where it was sought.

    ``inputs`` says which data set a series is in, the last entry for it counts. A series that it leaves out is
    sought in all data sets of the catalog, since senders overlook those inside a composite's operands.
    """
    chosen = {entry.series: entry.dataset for entry in inputs}
    _check_catalog(codes, chosen, datasets)
    everywhere = any(code not in chosen for code in codes)
    names = sorted(name for name in datasets if everywhere or name in {chosen[c] for c in codes})
    sources = [datasets[name] for name in names]
    in_parallel = executor.map if len(names) > 1 else map
    manifests = dict(zip(names, in_parallel(lambda source: _manifest(source, reader), sources), strict=True))
    return tuple(_files_of(code, chosen.get(code), manifests, datasets) for code in codes)


def _check_catalog(
    codes: Sequence[str], chosen: Mapping[str, str], datasets: Mapping[str, DatasetSource]
) -> None:
    for code in codes:
        if code in chosen and chosen[code] not in datasets:
            known = ", ".join(sorted(datasets)) or "none"
            raise InputReadError(
                f"series {code!r}: data set {chosen[code]!r} is not in the catalog ({known})"
            )


def _manifest(source: DatasetSource, reader: ObjectReader) -> DatasetManifest:
    key = object_key(source.manifest, "manifestPath")
    with failing_as(InputReadError, f"data set manifest {key!r}"):
        return parse_manifest(reader.get(key), key)


def _files_of(
    code: str,
    dataset: str | None,
    manifests: Mapping[str, DatasetManifest],
    datasets: Mapping[str, DatasetSource],
) -> SeriesFiles:
    for name in [dataset] if dataset else sorted(manifests):
        if files := manifests[name].files_of(code):
            keys = tuple(dict.fromkeys(file_key(datasets[name].projections, file) for file in files))
            return SeriesFiles(code, name, manifests[name].version_id, keys)
    sought = dataset or ", ".join(sorted(manifests)) or "no data set"
    raise InputReadError(f"series {code!r} has no file in data set {sought}")


def _pieces(files: SeriesFiles, objects: Mapping[str, ParquetObject]) -> list[_Piece]:
    """The row groups to read for a series, by their first timestamp."""
    pieces = [
        _Piece(objects[key], group, (number, group.number))
        for number, key in enumerate(files.keys)
        for group in objects[key].row_groups
        if group.may_hold(files.series)
    ]
    return sorted(pieces, key=lambda piece: (piece.span, piece.order))


class _Decoder:
    """Decodes each row group once, however many series are in it; each series takes its rows away."""

    def __init__(self, executor: Executor, pieces: Mapping[str, Sequence[_Piece]]) -> None:
        self._executor = executor
        self._lock = threading.Lock()
        self._wanted: dict[tuple[str, int], list[str]] = {}
        self._running: dict[tuple[str, int], Future[Mapping[str, Rows]]] = {}
        for series, found in sorted(pieces.items()):
            for piece in found:
                self._wanted.setdefault(_identity(piece), []).append(series)

    def start(self, piece: _Piece, series: str) -> Future[Mapping[str, Rows]]:
        """The decoding of a row group; started by the series that asks first, forgotten after the last one."""
        key = _identity(piece)
        with self._lock:
            if key not in self._running:
                wanted = tuple(self._wanted[key])
                self._running[key] = self._submit(piece, wanted)
            future = self._running[key]
            self._wanted[key].remove(series)
            if not self._wanted[key]:
                del self._running[key]
        return future

    def _submit(self, piece: _Piece, wanted: Sequence[str]) -> Future[Mapping[str, Rows]]:
        if not piece.source.in_memory or piece.group.rows > _INLINE_ROWS:
            return self._executor.submit(piece.source.read, piece.group, wanted)
        done: Future[Mapping[str, Rows]] = Future()
        done.set_result(piece.source.read(piece.group, wanted))
        return done


def _identity(piece: _Piece) -> tuple[str, int]:
    return piece.source.key, piece.group.number


class _Stream:
    """One series as chunks in time order."""

    def __init__(self, files: SeriesFiles, decoder: _Decoder, pieces: Sequence[_Piece]) -> None:
        self._files = files
        self._decoder = decoder
        self._pieces = deque(pieces)
        self._started: deque[tuple[_Piece, Future[Mapping[str, Rows]]]] = deque()
        self._last: int | None = None
        self.rows_used = 0
        self._rows = self._duplicates = 0

    @property
    def summary(self) -> SeriesSummary:
        found = self._files
        return SeriesSummary(found.series, found.dataset, found.version, self._rows, self._duplicates)

    def chunks(self) -> Iterator[Chunk]:
        """Chunks of some ten thousand rows or of one row group, whichever is more."""
        while (chunk := self._next()) is not None:
            if len(chunk):
                self._rows += len(chunk)
                yield chunk
        if not self._rows:
            where = f"data set {self._files.dataset!r} version {self._files.version}"
            raise InputReadError(f"series {self._files.series!r} has no rows in {where}")

    def close(self) -> None:
        for _, future in self._started:
            future.cancel()
        self._started.clear()
        self._pieces.clear()

    def _next(self) -> Chunk | None:
        """Clusters of overlapping row groups, until there are rows enough."""
        parts, rows = [], 0
        while rows < _CHUNK_ROWS and (cluster := self._cluster()):
            parts.append(self._sorted(cluster))
            rows += len(parts[-1])
        return _concatenated(parts) if parts else None

    def _cluster(self) -> list[tuple[_Piece, Mapping[str, Rows]]]:
        """The next row group and all that overlap it, decoded."""
        cluster: list[tuple[_Piece, Mapping[str, Rows]]] = []
        until = _UNKNOWN[1]
        while (piece := self._first()) and (not cluster or piece.span[0] <= until):
            until = max(piece.span[1], until) if cluster else piece.span[1]
            self._start_ahead()
            _, future = self._started.popleft()
            cluster.append((piece, future.result()))
        return cluster

    def _first(self) -> _Piece | None:
        return self._started[0][0] if self._started else self._pieces[0] if self._pieces else None

    def _start_ahead(self) -> None:
        """Decode the next row groups while the last one is being used."""
        ahead = sum(piece.group.rows for piece, _ in self._started)
        while self._pieces and (ahead < _AHEAD_ROWS or len(self._started) < 2):
            piece = self._pieces.popleft()
            self._started.append((piece, self._decoder.start(piece, self._files.series)))
            ahead += piece.group.rows

    def _sorted(self, cluster: list[tuple[_Piece, Mapping[str, Rows]]]) -> Chunk:
        """Rows that overlap in time, as one chunk; ``tidy`` needs them in the order in which they were given."""
        cluster.sort(key=lambda item: item[0].order)
        self.rows_used += sum(piece.group.rows for piece, _ in cluster)
        chunk = self._tidied([decoded[self._files.series] for _, decoded in cluster])
        self._check(chunk)
        return chunk

    def _tidied(self, parts: Sequence[Rows]) -> Chunk:
        chunks = [Chunk(part.times, part.values) for part in parts]
        if len(parts) == 1 and parts[0].in_order:
            return chunks[0]
        together = _concatenated(chunks)
        chunk, duplicates = tidy(together.times, together.values)
        self._duplicates += duplicates
        return chunk

    def _check(self, chunk: Chunk) -> None:
        """Clusters follow one another by their statistics; where these are wrong, so would the metric be."""
        if len(chunk):
            if self._last is not None and chunk.times[0] <= self._last:
                raise InputReadError(
                    f"series {self._files.series!r}: rows lie outside their file's statistics"
                )
            self._last = int(chunk.times[-1])


def _concatenated(chunks: Sequence[Chunk]) -> Chunk:
    import numpy as np

    if len(chunks) == 1:
        return chunks[0]
    return Chunk(np.concatenate([c.times for c in chunks]), np.concatenate([c.values for c in chunks]))
