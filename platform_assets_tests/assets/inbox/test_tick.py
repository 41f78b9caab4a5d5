"""A tick: bounds, back-pressure, bad messages, errors of the queue, what it offers, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest

from platform_assets.assets.inbox.store import Inbox
from platform_assets.assets.inbox.tick import offers, run_tick
from platform_assets.engine.errors import RejectedError, RetryableError
from platform_assets.engine.inbox.model import Retry, Route
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message, ObjectInfo
from platform_assets_tests.assets.inbox.rig import PARTITIONS, START, Rig, body, route

ACME, GLOBEX, NEXT_DAY = PARTITIONS


def test_messages_are_stored_before_they_are_acked_and_offered() -> None:
    rig = Rig()
    rig.queue.send("m1", body(ACME))
    rig.queue.send("m2", body(GLOBEX))
    tick = rig.tick()
    assert (tick.received, tick.batches, tick.quarantined, tick.stopped_by) == (2, 1, 0, "queue empty")
    assert [(offer.partition, offer.messages) for offer in tick.offers] == [(ACME, 1), (GLOBEX, 1)]
    assert not rig.queue.leased
    assert [m.id for part in rig.inbox.pending_of(ACME) for m in rig.inbox.read(part)] == ["m1"]


def test_batches_are_bounded_by_count_and_bytes() -> None:
    rig = Rig()
    for number in range(15):
        rig.queue.send(f"m{number}", body(ACME))
    assert rig.tick().batches == 3  # of seven
    rig = Rig(spec=InboxSpec(batch_messages=1, batch_bytes=1024))
    rig.queue.send("m", b"x" * 5000)
    assert rig.tick().received == 1


def test_batches_are_bounded_by_age() -> None:
    rig = Rig(spec=InboxSpec(batch_seconds=0.001))
    for number in range(3):
        rig.queue.send(f"m{number}", body(ACME))
    pull = rig.queue.pull

    def one_slowly(most: int, **more: Any) -> Sequence[Message]:
        time.sleep(0.002)
        return pull(1, **more)

    rig.queue.pull = one_slowly  # type: ignore[method-assign]
    tick = rig.tick()
    assert (tick.received, tick.batches) == (3, 3)


def test_back_pressure_stops_pulling_and_nothing_else() -> None:
    rig = Rig(spec=InboxSpec(batch_messages=1, max_pending_batches=3))
    for number in range(5):
        rig.queue.send(f"m{number}", body(ACME))
    tick = rig.tick()
    assert (tick.batches, tick.stopped_by, len(rig.queue.ready)) == (3, "back-pressure", 2)
    tick = rig.tick()
    assert (tick.received, [offer.messages for offer in tick.offers]) == (0, [3])
    rig.apply(ACME)
    assert rig.tick().received == 2


def test_a_router_that_fails_quarantines_its_message_only() -> None:
    def broken(message: Message) -> Route:
        return {"m1": 1}[message.id] and route(message)  # type: ignore[return-value]

    rig = Rig()
    rig.queue.send("m1", body(ACME))
    rig.queue.send("m2", body(ACME))
    tick = run_tick(rig.inbox, rig.queue, broken, rig.spec, now=rig.now)
    assert (tick.received, tick.quarantined) == (2, 1)
    assert rig.dead() == {"m2": "routing failed: KeyError: 'm2'"}


def test_a_router_that_cannot_decide_now_gives_the_messages_back() -> None:
    def later(message: Message) -> Route:
        raise RetryableError("no registry")

    rig = Rig()
    rig.queue.send("m1", body(ACME))
    tick = run_tick(rig.inbox, rig.queue, later, rig.spec, now=rig.now)
    assert (str(tick.error), tick.received, len(rig.queue.ready)) == ("no registry", 0, 1)


def test_an_unreachable_queue_does_not_keep_back_what_waits() -> None:
    rig = Rig()
    rig.queue.send("m1", body(ACME))
    rig.tick()

    def gone(operation: str) -> None:
        raise RejectedError("no such queue")

    rig.queue.before = gone
    tick = rig.tick()
    assert (tick.stopped_by, [offer.partition for offer in tick.offers]) == ("RejectedError", [ACME])


def test_what_was_pulled_before_the_queue_failed_is_kept() -> None:
    rig = Rig(spec=InboxSpec(batch_messages=10))
    rig.queue.send("m1", body(ACME))

    def fails_the_second_time(operation: str) -> None:
        if operation == "pull" and rig.queue.deliveries:
            raise RetryableError("gone")

    rig.queue.before = fails_the_second_time
    tick = rig.tick()
    assert (tick.received, tick.batches, str(tick.error)) == (1, 1, "gone")
    assert [offer.partition for offer in tick.offers] == [ACME]
    assert not rig.queue.leased


def test_a_long_batch_is_pulled_in_portions_between_which_the_clock_is_looked_at() -> None:
    rig = Rig(spec=InboxSpec(batch_messages=1_200))
    asked: list[int] = []
    pull = rig.queue.pull
    rig.queue.pull = lambda most, **more: asked.append(most) or pull(most, **more)  # type: ignore[func-returns-value, method-assign]
    for number in range(1_300):
        rig.queue.send(f"m{number}", body(ACME))
    assert rig.tick().batches == 2
    assert asked[:4] == [500, 500, 200, 500]


def test_the_partition_that_waits_longest_comes_first() -> None:
    rig = Rig()
    for partition in (NEXT_DAY, ACME):
        rig.queue.send(partition, body(partition))
        rig.tick()
    rig.queue.send("newest", body(NEXT_DAY))
    tick = rig.tick()
    assert [(offer.partition, offer.messages) for offer in tick.offers] == [(NEXT_DAY, 2), (ACME, 1)]
    assert tick.offers[0].oldest < tick.offers[1].oldest < tick.offers[0].newest


def test_what_waits_for_another_attempt_is_not_offered_before_its_time() -> None:
    rig = Rig()
    rig.effects.outcome = lambda message: Retry("busy")
    rig.queue.send("m1", body(ACME))
    rig.tick()
    rig.apply(ACME)
    assert not rig.tick().offers
    rig.queue.send("m2", body(ACME))
    assert [offer.messages for offer in rig.tick().offers] == [2]  # news are offered at once
    rig.apply(ACME)
    assert not rig.tick().offers
    rig.time += timedelta(seconds=rig.spec.retry_seconds)
    assert [offer.partition for offer in rig.tick().offers] == [ACME]


def test_leases_are_extended_while_a_batch_is_being_written() -> None:
    rig = Rig(spec=InboxSpec(renew_seconds=0.01))
    extended: list[int] = []

    class Slow(type(rig.queue)):  # type: ignore[misc]
        def extend(self, messages: Sequence[Message], seconds: int) -> None:
            extended.append(len(messages))

    rig.queue = Slow()
    rig.queue.send("m1", body(ACME))
    rig.store.before = lambda operation, key: time.sleep(0.05) if "/messages/" in key else None
    rig.tick()
    assert 1 in extended


# --- What listing costs --------------------------------------------------------------------------------------------


class CountingStore:
    """Counts requests as S3 would: a listing is one per thousand keys. ``folders`` keeps each prefix's own keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []
        self.data: dict[str, bytes] = {}
        self.requests: dict[str, int] = {"list": 0, "get": 0, "listed": 0}

    def put(self, key: str, data: bytes | Iterable[bytes], **_: Any) -> str:
        self.data[key] = data if isinstance(data, bytes) else b"".join(data)
        return ""

    def get(self, key: str) -> bytes:
        self.requests["get"] += 1
        return self.data[key]

    get_range = stat = None

    def list(self, prefix: str, *, start_after: str = "") -> Iterator[ObjectInfo]:
        found = [key for key in sorted(self.data) if key.startswith(prefix)]
        self.requests["list"] += len(found) // 1000 + 1
        self.requests["listed"] += len(found)
        return iter([ObjectInfo(key, 0, "", START) for key in found])

    def delete(self, keys: Sequence[str]) -> None:
        for key in keys:
            del self.data[key]

    def uri(self, key: str) -> tuple[str, Mapping[str, str]]:
        return key, {}


@pytest.mark.parametrize("old", [0, 100_000])
def test_a_tick_costs_the_same_however_many_batches_there_have_been(old: int) -> None:
    rig, store = Rig(), CountingStore()
    inbox = Inbox(store, "orders")  # type: ignore[arg-type]
    for number in range(old):
        batch = f"202601{number % 28 + 1:02d}T000000000000-{number:08x}"
        store.data[f"inbox/orders/messages/2026-01-{number % 28 + 1:02d}/{batch}.jsonl"] = b""
        store.data[f"inbox/orders/history/{number % 1000}/{batch}.json"] = b"[]"
        store.data[f"inbox/orders/state/{number}.json"] = b"{}"
    for number in range(50):
        rig.queue.send(f"m{number}", body(PARTITIONS[number % 3]))
    tick = run_tick(inbox, rig.queue, route, rig.spec, now=rig.now)
    assert tick.received == 50
    assert store.requests == {
        "list": 4,
        "get": 0,
        "listed": 7 * 3 + 1,
    }  # seven batches of three partitions, one of one
    assert len(offers(inbox, rig.now())) == 3
