"""One tenant's DuckDB file: who may open it when, and what DuckDB's errors mean.

Owns the lock. DuckDB locks a file for a whole process, so it is attached for one operation at a time and detached
right after: between two operations another run, the CLI or the UI gets in, and one that waits goes first. The DuckDB
instance itself stays (an instance costs about 25 ms, attaching a file about 2 ms) and may open no other file. Within a
process operations on one tenant take turns.
"""

from __future__ import annotations

import random
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from platform_assets.engine.errors import (
    DataError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.sql.dialect import DUCKDB_MACROS

if TYPE_CHECKING:
    import duckdb

Connection: TypeAlias = "duckdb.DuckDBPyConnection"

_FIRST_WAIT = 0.002
_LONGEST_WAIT = 0.04
_WANTED_FOR = 1.0
_GIVE_WAY = 1.6 * _LONGEST_WAIT  # longer than the longest sleep of one that waits
_HELD = re.compile(r"Could not set lock on file|already attached by database|Unique file handle conflict")
_MISSING = re.compile(
    r"(Table|Schema|View) with name \S+ does not exist|schema .* does not exist", re.IGNORECASE
)


class TenantFile:
    """The file at ``path`` and the instance that opens it. ``memory_limit`` and ``threads`` are DuckDB's."""

    def __init__(
        self, path: Path, *, lock_timeout: float, memory_limit: str | None = None, threads: int | None = None
    ) -> None:
        self.path = path
        self._wanted = path.with_name(path.name + ".wanted")
        self._lock_timeout = lock_timeout
        self._memory_limit = memory_limit
        self._threads = threads
        self._turn = threading.RLock()
        self._instance: Connection | None = None
        self._depth = 0

    @contextmanager
    def open(self) -> Iterator[Connection]:
        """The connection with the file attached and searched first; nested use shares it. Translates errors."""
        with self._turn, translated(self.path):
            connection = self._attach() if self._depth == 0 else self._connection()
            self._depth += 1
            try:
                yield connection
            except Exception as error:
                self._after(error)
                raise
            finally:
                self._depth -= 1
                if self._depth == 0:
                    self._detach()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """All or nothing."""
        with self.open() as connection:
            connection.execute("BEGIN")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                with suppress(Exception):
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        """End the instance; the next use starts another."""
        with self._turn:
            if self._instance is not None:
                self._instance.close()
                self._instance = None

    def remove(self) -> None:
        """Delete the file with all that is in it; nobody else has it open meanwhile."""
        with self.open():
            pass  # waits for whoever holds it
        with self._turn:
            self.close()
            for path in (self.path, self.path.with_name(f"{self.path.name}.wal")):
                path.unlink(missing_ok=True)

    def rest(self) -> None:
        """End the instance unless somebody is using it."""
        if self._turn.acquire(blocking=False):
            try:
                if self._depth == 0:
                    self.close()
            finally:
                self._turn.release()

    def _connection(self) -> Connection:
        if self._instance is None:
            self._instance = self._start()
        return self._instance

    def _start(self) -> Connection:
        import duckdb

        self.path.parent.mkdir(parents=True, exist_ok=True)
        instance = duckdb.connect(
            ":memory:", config={"python_enable_replacements": "false", "async_threads": "0"}
        )
        for name, value in self._settings():
            instance.execute(f"SET {name} = {value}")
        for macro in DUCKDB_MACROS:
            instance.execute(macro)
        return instance

    def _settings(self) -> Iterator[tuple[str, str]]:
        """Files beside its own are closed to the instance, whatever its SQL says; so are other time zones."""
        path = str(self.path)
        own = [path + end for end in ("", ".wal", ".wal.checkpoint", ".wal.recovery")]
        yield "temp_directory", quoted(path + ".tmp")
        if self._memory_limit:
            yield "memory_limit", quoted(self._memory_limit)
        if self._threads:
            yield "threads", str(self._threads)
        yield "TimeZone", "'UTC'"
        yield "allowed_paths", f"[{', '.join(quoted(p) for p in own)}]"
        yield "enable_external_access", "false"

    def _attach(self) -> Connection:
        import duckdb

        connection = self._connection()
        self._give_way()
        waited_since, wait = time.monotonic(), _FIRST_WAIT
        while True:
            try:
                connection.execute(f"ATTACH {quoted(str(self.path))} AS own")
                break
            except duckdb.Error as error:
                if not _HELD.search(str(error)):
                    raise
                waited = time.monotonic() - waited_since
                if waited >= self._lock_timeout:
                    raise RetryableError(self._held(error, waited)) from error
            self._wanted.touch()
            # Jitter, so that processes that wait together do not ask together.
            time.sleep(wait * random.uniform(0.5, 1.5))
            wait = min(wait * 2, _LONGEST_WAIT)
        if wait > _FIRST_WAIT:
            self._wanted.unlink(missing_ok=True)
        connection.execute("SET search_path = 'own.main,memory.main'")
        return connection

    def _give_way(self) -> None:
        """A process that goes from one operation to the next would keep all others out, so it lets one in that has
        said that it waits. What a killed process left behind is old and counts no more."""
        with suppress(FileNotFoundError):
            if time.time() - self._wanted.stat().st_mtime < _WANTED_FOR:
                time.sleep(_GIVE_WAY)

    def _held(self, error: Exception, waited: float) -> str:
        holder = re.search(r"\(PID (\d+)\)", str(error))
        who = f"process {holder.group(1)}" if holder else "another connection of this process"
        return f"{self.path} is held by {who}; waited {waited:.1f} s for its lock"

    def _detach(self) -> None:
        if self._instance is None:
            return
        self._instance.execute("SET search_path = 'memory.main'")
        self._instance.execute("DETACH own")

    def _after(self, error: Exception) -> None:
        """A fatal error leaves an instance that answers nothing more: the next use starts another."""
        import duckdb

        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            self._depth = 1
            self.close()


def quoted(text: str) -> str:
    """A SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


@contextmanager
def translated(path: Path) -> Iterator[None]:
    """DuckDB's errors as ``engine.errors``; the others pass."""
    import duckdb

    try:
        yield
    except PlatformError:
        raise
    except duckdb.Error as error:
        raise _translate(error, path) from error
    except OSError as error:
        raise RejectedError(f"{path}: {error.strerror}") from error


def _translate(error: Exception, path: Path) -> PlatformError:
    import duckdb

    text = f"{path.name}: {str(error).strip()}"
    if isinstance(error, duckdb.FatalException | duckdb.InternalException):
        return RetryableError(text, effect_unknown=True)
    if isinstance(error, duckdb.IOException | duckdb.TransactionException | duckdb.OperationalError):
        return RetryableError(text)
    if isinstance(error, duckdb.CatalogException) and _MISSING.search(text):
        return NotFoundError(text)
    if isinstance(error, duckdb.DataError | duckdb.IntegrityError | duckdb.InvalidInputException):
        return DataError(text)
    return RejectedError(text)
