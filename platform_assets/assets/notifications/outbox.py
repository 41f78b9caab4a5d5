"""What is still to be told, in the object store: one object per job, one state per tenant and channel.

``notifications/pending/<tenant>/<channel>/<job>.json`` is written by whoever sees something happen, and
``notifications/channels/<tenant>/<channel>.json`` by whoever delivers, always by compare-and-set.
"""

import json
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from platform_assets.engine.errors import ConflictError, NotFoundError, RetryableError
from platform_assets.engine.notifications.occurrence import Job, Occurrence, dump, parse
from platform_assets.engine.notifications.planning import channels_for
from platform_assets.engine.notifications.spec import NotificationsSpec
from platform_assets.engine.notifications.state import ChannelState
from platform_assets.ports import ObjectStore

LOGGER = logging.getLogger(__name__)
PENDING = "notifications/pending"
CHANNELS = "notifications/channels"
ACKNOWLEDGED = "notifications/acknowledged"
DEAD_LETTER = "notifications/dead_letter"
MOST_TRIES = 20


@dataclass(frozen=True)
class Held:
    """A state as it was read; ``etag`` None: there is none yet."""

    state: ChannelState
    etag: str | None


class Outbox:
    """The store's side of notifications. All methods are safe from several processes at once."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    # --- Jobs -----------------------------------------------------------------------------------------------------

    def add(self, occurrence: Occurrence, config: NotificationsSpec, now: datetime) -> int:
        """One job per channel that is to tell it. Returns how many are new: seen twice, it is there once."""
        channels = channels_for(config, occurrence.event, occurrence.channels)
        return sum(self.add_job(Job(occurrence, channel, now)) for channel in channels)

    def add_job(self, job: Job) -> bool:
        try:
            self._store.put(_pending_key(job), dump(job), if_absent=True)
        except ConflictError:
            return False
        return True

    def waiting(self) -> dict[tuple[str, str], list[str]]:
        """Keys of all jobs, by (tenant, channel): one listing, whatever the number of tenants."""
        found: dict[tuple[str, str], list[str]] = defaultdict(list)
        for info in self._store.list(f"{PENDING}/"):
            tenant, _, rest = info.key.removeprefix(f"{PENDING}/").partition("/")
            found[tenant, rest.partition("/")[0]].append(info.key)
        return dict(found)

    def jobs(self, keys: Sequence[str]) -> list[Job]:
        """The jobs that are still there, as they were written."""
        found = []
        for key in keys:
            try:
                data = self._store.get(key)
            except NotFoundError:
                continue  # another process has finished it since the listing
            try:
                found.append(parse(Job, data))
            except ValueError as error:
                self._put_aside(key, data, error)
        return found

    def _put_aside(self, key: str, data: bytes, error: ValueError) -> None:
        """What is no job must not stand in the way of those that are."""
        LOGGER.error("%s is not a notification: %s", key, error)
        self._store.put(key.replace(PENDING, DEAD_LETTER, 1), data)
        self._store.delete([key])

    def remove(self, jobs: Iterable[Job]) -> None:
        self._store.delete([_pending_key(job) for job in jobs])

    # --- Channels ---------------------------------------------------------------------------------------------------

    def read(self, tenant: str, channel: str) -> Held:
        key = _state_key(tenant, channel)
        info = self._store.stat(key)
        if info is None:
            return Held(ChannelState(), None)
        # Read after the etag: were it to change in between, the write that depends on it is refused.
        return Held(parse(ChannelState, self._store.get(key)), info.etag)

    def write(self, tenant: str, channel: str, state: ChannelState, etag: str | None) -> str:
        """ConflictError where somebody else has written since ``etag`` was read."""
        key, data = _state_key(tenant, channel), dump(state)
        if etag is None:
            return self._store.put(key, data, if_absent=True)
        return self._store.put(key, data, if_match=etag)

    def change(self, tenant: str, channel: str, step: Callable[[ChannelState], ChannelState]) -> ChannelState:
        """Apply ``step`` to the state as it is by then, whoever else writes meanwhile."""
        for _ in range(MOST_TRIES):
            held = self.read(tenant, channel)
            changed = step(held.state)
            if changed == held.state:
                return changed
            try:
                self.write(tenant, channel, changed, held.etag)
            except ConflictError:
                continue
            return changed
        raise RetryableError(f"{_state_key(tenant, channel)} is written too often by others")

    # --- Acknowledgements ---------------------------------------------------------------------------------------------

    def acknowledge(self, tenant: str, notification_id: str, by: str, now: datetime) -> None:
        """Nobody is told a second time; acknowledging it again keeps the first name."""
        body = json.dumps({"by": by, "at": now.isoformat()}).encode()
        try:
            self._store.put(_acknowledged_key(tenant, notification_id), body, if_absent=True)
        except ConflictError:
            return

    def acknowledged(self, jobs: Iterable[Job]) -> set[str]:
        """Of the notifications that these jobs escalate, those that somebody has acknowledged."""
        asked = {(job.occurrence.tenant, job.escalates) for job in jobs if job.escalates}
        return {name for tenant, name in asked if self._store.stat(_acknowledged_key(tenant, name))}


def _pending_key(job: Job) -> str:
    return f"{PENDING}/{job.occurrence.tenant}/{job.channel_id}/{job.id}.json"


def _state_key(tenant: str, channel: str) -> str:
    return f"{CHANNELS}/{tenant}/{channel}.json"


def _acknowledged_key(tenant: str, notification_id: str) -> str:
    return f"{ACKNOWLEDGED}/{tenant}/{notification_id}.json"
