"""Objects as plain files below one folder: what a user can open, grep and copy.

Writes are whole or absent, conditional writes hold between processes, listing is in key order.
A key that is another key's folder (``a`` next to ``a/b``) is refused, unlike in a bucket.
Bookkeeping lives in ``.store/``, which is no key.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from platform_assets.engine.errors import ConflictError, DataError, NotFoundError, RejectedError
from platform_assets.engine.spec import Spec
from platform_assets.ports import ObjectInfo
from platform_assets.resources.local_files import (
    locked,
    make_folder,
    sync_folder,
    translated,
    write_temporary,
)
from platform_assets.resources.object_store.keys import check_key, check_prefix

_PRIVATE = ".store"
_LOCKS = 256  # two keys rarely share a lock, and the folder of locks never grows
_ABANDONED_SECONDS = 86_400


class LocalObjectStoreSettings(Spec):
    """``root``: the folder; created on first write."""

    root: str


class LocalObjectStore:
    """See ``ports.ObjectStore``."""

    def __init__(self, settings: LocalObjectStoreSettings) -> None:
        self.root = Path(settings.root).absolute()
        self._private = self.root / _PRIVATE
        self._swept = False

    def put(
        self, key: str, data: bytes | Iterable[bytes], *, if_absent: bool = False, if_match: str | None = None
    ) -> str:
        path = self._path(key)
        with translated(f"object {key!r}"):
            self._sweep_once()
            temporary = write_temporary(self._private / "tmp", [data] if isinstance(data, bytes) else data)
            try:
                return self._publish(temporary, path, key, if_absent, if_match)
            finally:
                temporary.unlink(missing_ok=True)

    def get(self, key: str) -> bytes:
        with translated(f"object {key!r}"):
            return self._readable(key).read_bytes()

    def get_range(self, key: str, start: int, length: int) -> bytes:
        if start < 0 or length < 0:
            raise DataError(f"object {key!r}: no range of {length} bytes at {start}")
        with translated(f"object {key!r}"), self._readable(key).open("rb") as file:
            file.seek(start)
            return file.read(length)

    def stat(self, key: str) -> ObjectInfo | None:
        with translated(f"object {key!r}"):
            return _info(key, self._path(key))

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        check_prefix(prefix)
        return self._walk(prefix[: prefix.rfind("/") + 1], prefix, start_after)

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            path = self._path(key)
            with translated(f"object {key!r}"), suppress(NotADirectoryError, IsADirectoryError):
                with locked(self._lock(key)):
                    path.unlink(missing_ok=True)
                self._remove_empty_folders(path.parent)

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        """A plain absolute path, which needs no escaping and which Polars, pyarrow and DuckDB take."""
        return str(self._path(key)), {}

    def _path(self, key: str) -> Path:
        if check_key(key).partition("/")[0] == _PRIVATE:
            raise DataError(f"object key {key!r} is reserved: {_PRIVATE}/ holds the store's own files")
        return self.root / key

    def _readable(self, key: str) -> Path:
        path = self._path(key)
        if not path.is_file():
            raise NotFoundError(f"object {key!r} does not exist in {self.root}")
        return path

    def _lock(self, key: str) -> Path:
        number = int.from_bytes(hashlib.sha256(key.encode()).digest()[:2]) % _LOCKS
        return self._private / "locks" / f"{number:03d}"

    def _publish(self, temporary: Path, path: Path, key: str, if_absent: bool, if_match: str | None) -> str:
        with locked(self._lock(key)):
            current = _info(key, path)
            _check_condition(key, current, if_absent, if_match)
            _stamp(temporary, current)
            _move(temporary, path)
            written = _info(key, path)
        if written is None:
            raise RejectedError(
                f"object {key!r}: something outside this store removed it while it was written"
            )
        return written.etag

    def _walk(self, folder: str, prefix: str, after: str) -> Iterator[ObjectInfo]:
        for name in _sorted_names(self.root / folder):
            key = folder + name
            if key.endswith("/"):
                # Below a folder every key starts with it, so one comparison skips them all.
                wanted = key.startswith(prefix) or prefix.startswith(key)
                if wanted and key != f"{_PRIVATE}/" and (key > after or after.startswith(key)):
                    yield from self._walk(key, prefix, after)
            elif key.startswith(prefix) and key > after and (info := _info(key, self.root / key)):
                yield info

    def _remove_empty_folders(self, folder: Path) -> None:
        with suppress(OSError):
            while folder != self.root:
                folder.rmdir()
                folder = folder.parent

    def _sweep_once(self) -> None:
        """Remove what processes killed in mid-write left behind, once per process."""
        if self._swept:
            return
        self._swept = True
        with suppress(FileNotFoundError):
            for entry in os.scandir(self._private / "tmp"):
                with suppress(FileNotFoundError):
                    if time.time() - entry.stat().st_mtime > _ABANDONED_SECONDS:
                        Path(entry.path).unlink()


def _info(key: str, path: Path) -> ObjectInfo | None:
    try:
        stat = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not path.is_file():
        return None
    modified = datetime.fromtimestamp(stat.st_mtime_ns // 1_000_000_000, UTC)
    modified = modified.replace(microsecond=stat.st_mtime_ns // 1000 % 1_000_000)
    return ObjectInfo(key, stat.st_size, f"{stat.st_mtime_ns:x}-{stat.st_ino:x}-{stat.st_size:x}", modified)


def _check_condition(key: str, current: ObjectInfo | None, if_absent: bool, if_match: str | None) -> None:
    if if_absent and current:
        raise ConflictError(f"object {key!r} exists already")
    if if_match is not None and (current is None or current.etag != if_match):
        raise ConflictError(f"object {key!r} is not at version {if_match!r} any more")


def _stamp(temporary: Path, current: ObjectInfo | None) -> None:
    """Give each version a time of its own: the kernel's clock cannot tell two quick writes apart."""
    previous = int(current.etag.partition("-")[0], 16) if current else 0
    now = max(time.time_ns(), previous + 1)
    os.utime(temporary, ns=(now, now))


def _move(temporary: Path, path: Path) -> None:
    for _ in range(10):
        make_folder(path.parent)
        with suppress(FileNotFoundError):  # a delete elsewhere removed the folder as empty
            try:
                temporary.replace(path)
            except (IsADirectoryError, NotADirectoryError) as error:
                raise RejectedError(
                    f"{path}: in a folder store no key can be another key's folder"
                ) from error
            sync_folder(path.parent)
            return
    raise RejectedError(f"folder {path.parent} is removed again and again while it is written to")


def _sorted_names(folder: Path) -> list[str]:
    """Names in key order: folders carry their ``/``, since ``a-b`` < ``a/…`` < ``a0``."""
    try:
        with os.scandir(folder) as entries:
            return sorted(entry.name + "/" if entry.is_dir() else entry.name for entry in entries)
    except (FileNotFoundError, NotADirectoryError):
        return []
