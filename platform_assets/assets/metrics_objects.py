"""What a metric run writes to the object store and finds there: versions, markers, the alias.

A version is written whole, then read again and compared. The alias moves by compare-and-set, and only to a newer
request. All errors are typed by the step that they happened in.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from platform_assets.engine.errors import ConflictError, NotFoundError
from platform_assets.engine.metrics.ahead import ahead
from platform_assets.engine.metrics.failures import ManifestError, OutputWriteError, failing_as
from platform_assets.engine.metrics.layout import OutputLayout, version_ts
from platform_assets.engine.metrics.manifest import (
    Marker,
    OutputManifest,
    ReadBack,
    Written,
    check_size,
    parse_marker,
    parse_output_manifest,
)
from platform_assets.ports import ObjectStore

_ALIAS_TRIES = 50  # each lost try is another run's progress
_PIECE_BYTES = 8 * 1024 * 1024
_log = logging.getLogger(__name__)


class MetricObjects:
    """The objects of one metric."""

    def __init__(self, store: ObjectStore, layout: OutputLayout) -> None:
        self._store = store
        self.layout = layout

    # --- A version -------------------------------------------------------------------------------------

    def free_version(self, now: datetime) -> str:
        """The version of this moment, or of the next microsecond that nobody took."""
        with failing_as(OutputWriteError, "looking for a free version"):
            while self._store.stat(self.layout.manifest(version_ts(now))):
                now += timedelta(microseconds=1)
        return version_ts(now)

    def write_data(self, key: str, pieces: Iterable[bytes]) -> None:
        """Upload as the pieces are made. What their making raises comes out unchanged."""
        remembering = _Pieces(pieces)
        try:
            with failing_as(OutputWriteError, f"writing {key!r}"):
                self._store.put(key, remembering, if_absent=True)
        except Exception:
            # A store may dress up what its caller's iterator raised; what went wrong there is the reason.
            if remembering.error:
                raise remembering.error from None
            raise

    def write_manifest(self, manifest: OutputManifest) -> None:
        """Write, read again, compare."""
        key, data = self.layout.manifest(manifest.version_ts), manifest.encode()
        with failing_as(OutputWriteError, f"writing {key!r}"):
            self._store.put(key, data, if_absent=True)
        with failing_as(ManifestError, f"reading {key!r} again"):
            found = self._store.get(key)
        if found != data or parse_output_manifest(found, key) != manifest:
            raise ManifestError(f"{key!r} does not hold what was written")

    def verify(self, written: Written, most_bytes: int) -> None:
        """Read the data again; above ``most_bytes`` only its length is looked at."""
        with failing_as(ManifestError, f"reading {written.key!r} again"):
            info = self._store.stat(written.key)
            check_size(written, info.size if info else None)
            if written.byte_count <= most_bytes:
                self._compare(written)

    def _compare(self, written: Written) -> None:
        back, starts = ReadBack(written), range(0, written.byte_count, _PIECE_BYTES)
        pieces = (self._store.get_range(written.key, start, _PIECE_BYTES) for start in starts)
        for piece in ahead(pieces, 2) if len(starts) > 1 else pieces:
            back.add(piece)
        back.check()

    # --- Markers ---------------------------------------------------------------------------------------

    def finished(self, run_id: str) -> Marker | None:
        """What an earlier attempt at a run left, if it came to an end."""
        key = self.layout.marker(run_id)
        with failing_as(OutputWriteError, f"looking for {key!r}"):
            data = self._read(key)
            marker = parse_marker(data) if data is not None else None
            if marker is None or marker.output_manifest:
                return marker
            return self._old_marker(run_id)

    def _old_marker(self, run_id: str) -> Marker | None:
        """The old worker's markers name no version; its last one may be the run's. Else the run is done anew."""
        current, _ = self._current()
        if current is None or current.run_id != run_id:
            return None
        return _marker(self.layout, current)

    def mark(self, manifest: OutputManifest) -> Marker:
        """Leave the marker. Where another attempt at the same run was faster, its version counts."""
        key, marker = self.layout.marker(manifest.run_id), _marker(self.layout, manifest)
        with failing_as(OutputWriteError, f"writing {key!r}"):
            try:
                self._store.put(key, marker.encode(), if_absent=True)
            except ConflictError:
                return self._replace_marker(key, marker)
        return marker

    def _replace_marker(self, key: str, marker: Marker) -> Marker:
        """There is one already: another attempt's, or one of the old worker's, which says too little to keep."""
        found = parse_marker(self._store.get(key))
        if found and found.output_manifest:
            return found
        self._store.put(key, marker.encode())
        return marker

    # --- The alias -------------------------------------------------------------------------------------

    def move_alias(self, key: str) -> bool:
        """``current/manifest.json`` := the manifest at ``key``, unless it is of a newer request already."""
        with failing_as(OutputWriteError, f"moving {self.layout.current!r}"):
            data = self._read(key)
            if data is None:  # removed since the run finished, by a retention rule
                return False
            manifest = parse_output_manifest(data, key)
            for _ in range(_ALIAS_TRIES):
                current, etag = self._current()
                if current and current.order >= manifest.order:
                    return False
                if self._replace_alias(self.layout.current, data, etag):
                    return True
        raise OutputWriteError(f"{self.layout.current!r} is moved by others all the time", retryable=True)

    def _replace_alias(self, key: str, data: bytes, etag: str | None) -> bool:
        try:
            self._store.put(key, data, if_absent=etag is None, if_match=etag)
        except ConflictError:
            return False
        return True

    def _current(self) -> tuple[OutputManifest | None, str | None]:
        """What the alias shows and the etag to replace it by; (None, etag) for content that is no manifest."""
        # The etag first: if the alias moves in between, replacing it by the older etag fails, as it must.
        info = self._store.stat(self.layout.current)
        data = self._read(self.layout.current) if info else None
        try:
            manifest = parse_output_manifest(data, self.layout.current) if data is not None else None
        except ManifestError as error:
            _log.warning("the alias is no manifest and will be replaced: %s", error)
            manifest = None
        return manifest, info.etag if info else None

    def _read(self, key: str) -> bytes | None:
        try:
            return self._store.get(key)
        except NotFoundError:
            return None


class _Pieces:
    """An iterator that remembers what it raised."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self.error: BaseException | None = None

    def __iter__(self) -> Iterator[bytes]:
        try:
            yield from self._pieces
        except Exception as error:
            self.error = error
            raise


def _marker(layout: OutputLayout, manifest: OutputManifest) -> Marker:
    key = layout.manifest(manifest.version_ts)
    return Marker(
        run_id=manifest.run_id,
        version_ts=manifest.version_ts,
        output_manifest=key,
        row_count=manifest.row_count,
    )
