"""One applier per partition: a lease in the object store, kept alive while the work lasts, lost with the process."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta

from platform_assets.engine.errors import ConflictError, NotFoundError, PlatformError, RetryableError
from platform_assets.ports import ObjectStore


class LeaseTaken(RetryableError):
    """Another run is applying this partition."""


@contextmanager
def lease(
    store: ObjectStore,
    key: str,
    owner: str,
    seconds: float,
    now: Callable[[], datetime],
    ended: Callable[[str], bool] = lambda owner: False,
) -> Iterator[None]:
    """Hold ``key`` for ``owner``. LeaseTaken while somebody else's lease has not run out and its owner not ``ended``.

    The lease spares work; it is not what keeps effects single. That is the state's compare-and-set and the effects'
    own idempotency, since no lease can stop a process that sleeps through its end.
    """
    etag = _take(store, key, owner, seconds, now, ended)
    keeper = _Keeper(store, key, owner, seconds, now, etag)
    keeper.start()
    try:
        yield
    finally:
        keeper.release()


def _take(
    store: ObjectStore,
    key: str,
    owner: str,
    seconds: float,
    now: Callable[[], datetime],
    ended: Callable[[str], bool],
) -> str:
    body = _body(owner, now() + timedelta(seconds=seconds))
    try:
        return store.put(key, body, if_absent=True)
    except ConflictError:
        pass
    try:
        info = store.stat(key)
        _check_free(store.get(key), owner, now, ended)
        return store.put(key, body, if_match=info.etag) if info else store.put(key, body, if_absent=True)
    except (ConflictError, NotFoundError):
        raise LeaseTaken(f"{key} was taken or cleared by another run just now") from None


def _check_free(data: bytes, owner: str, now: Callable[[], datetime], ended: Callable[[str], bool]) -> None:
    held = json.loads(data)
    if held["owner"] == owner or datetime.fromisoformat(held["until"]) <= now() or ended(held["owner"]):
        return
    raise LeaseTaken(f"held by {held['owner']} until {held['until']}")


def _body(owner: str, until: datetime) -> bytes:
    return json.dumps({"owner": owner, "until": until.isoformat()}).encode()


class _Keeper(threading.Thread):
    """Renews the lease from a thread of its own, so that a long handler does not lose it."""

    def __init__(
        self, store: ObjectStore, key: str, owner: str, seconds: float, now: Callable[[], datetime], etag: str
    ) -> None:
        super().__init__(daemon=True, name=f"lease {key}")
        self._store, self._key, self._owner, self._seconds, self._now = store, key, owner, seconds, now
        self._etag = etag
        self._stop_asked = threading.Event()

    def run(self) -> None:
        while not self._stop_asked.wait(self._seconds / 3):
            with suppress(PlatformError):  # a missed renewal is tried again; a lost lease only costs work
                self._write(self._now() + timedelta(seconds=self._seconds))

    def release(self) -> None:
        self._stop_asked.set()
        self.join()
        with suppress(PlatformError):
            self._write(self._now())

    def _write(self, until: datetime) -> None:
        self._etag = self._store.put(self._key, _body(self._owner, until), if_match=self._etag)
