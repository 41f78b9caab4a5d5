"""What the folder adapters share: durable writes, locks between processes, error translation.

Owns no layout: each adapter says where its files lie. Needs a POSIX file system (``flock``, atomic rename).
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from platform_assets.engine.errors import (
    AuthError,
    DataError,
    NotFoundError,
    PlatformError,
    QuotaError,
    RejectedError,
    RetryableError,
)

_ERRORS: dict[int, type[PlatformError]] = {
    errno.ENOENT: NotFoundError,
    errno.EACCES: AuthError,
    errno.EPERM: AuthError,
    errno.EROFS: AuthError,
    errno.ENOSPC: QuotaError,
    errno.EDQUOT: QuotaError,
    errno.EFBIG: QuotaError,
    errno.ENAMETOOLONG: DataError,
    errno.EISDIR: RejectedError,
    errno.ENOTDIR: RejectedError,
    errno.EEXIST: RejectedError,
    errno.ENOTEMPTY: RejectedError,
}


@contextmanager
def translated(what: str) -> Iterator[None]:
    """OSError → our error tree; ``what`` names the object or message in the error's text."""
    try:
        yield
    except OSError as error:
        kind = _ERRORS.get(error.errno or 0, RetryableError)
        raise kind(f"{what}: {error.strerror or type(error).__name__}") from error


@contextmanager
def locked(path: Path) -> Iterator[int]:
    """Hold an exclusive lock that ends with the process; yields the lock file's descriptor.

    Opened anew each time, so it also excludes other threads of this process.
    """
    descriptor = os.open(_with_parent(path), os.O_RDWR | os.O_CREAT, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def write_temporary(folder: Path, chunks: Iterable[bytes]) -> Path:
    """A complete, durable file under a name that nobody else knows. Removed again where ``chunks`` raises."""
    path = folder / uuid.uuid4().hex
    descriptor = os.open(_with_parent(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    try:
        with os.fdopen(descriptor, "wb") as file:
            for chunk in chunks:
                file.write(chunk)
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path


def append_lines(lines: str, path: str | None) -> None:
    """Whole lines in one write, so that processes never mix theirs; a path of None is standard output."""
    if path is None:
        sys.stdout.write(lines)
        sys.stdout.flush()
        return
    with (
        translated(f"log file {path!r}"),
        _with_parent(Path(path).absolute()).open("ab", buffering=0) as file,
    ):
        file.write(lines.encode())


def sync_folder(folder: Path) -> None:
    """Make a rename, link or removal in ``folder`` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents durably; an existing one is left alone."""
    if folder.is_dir():
        return
    if folder.parent != folder:
        make_folder(folder.parent)
    with suppress(FileExistsError):
        folder.mkdir()
        sync_folder(folder.parent)


def _with_parent(path: Path) -> Path:
    if not path.parent.is_dir():
        make_folder(path.parent)
    return path
