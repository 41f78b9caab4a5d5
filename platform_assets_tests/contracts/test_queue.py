"""What every queue does, whatever carries the messages. Order, attempts and dead letters where the server has them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from platform_assets.ports import Message, MessageQueue, OutboundMessage
from platform_assets.resources.bindings import ADAPTERS
from platform_assets_tests.contracts.queue_rigs import MAX_ATTEMPTS, QUEUES, QueueRig

MakeRig = Callable[[int], QueueRig]
ORDERED = ["local", "sqs-fifo"]
CARRYING_BYTES = ["local", "pubsub"]
SAFE_FOR_THREADS = ["local", "pubsub"]  # moto itself now and then leases a message twice
WITH_DEAD_LETTERS = ["local", "sqs", "sqs-fifo"]


@pytest.fixture(params=sorted(QUEUES))
def make(request: pytest.FixtureRequest, tmp_path: Path) -> MakeRig:
    return lambda lease_seconds: QUEUES[request.param](request, tmp_path, lease_seconds)


@pytest.fixture
def rig(make: MakeRig) -> QueueRig:
    return make(60)


def texts(*bodies: str, group: str | None = None) -> list[OutboundMessage]:
    return [OutboundMessage(body.encode(), group=group) for body in bodies]


def pull_all(queue: MessageQueue, count: int, seconds: float = 10.0) -> list[Message]:
    """A queue may give fewer than it has, so ask again."""
    deadline = time.monotonic() + seconds
    found: list[Message] = []
    while len(found) < count and time.monotonic() < deadline:
        found += queue.pull(count - len(found), wait_seconds=1)
    return found


def bodies(messages: Sequence[Message]) -> list[str]:
    return sorted(message.body.decode() for message in messages)


def test_every_bound_queue_has_its_contract_tests() -> None:
    assert {kind.partition("-")[0] for kind in QUEUES} == set(ADAPTERS["queue"])


def test_an_empty_queue_gives_nothing(rig: QueueRig) -> None:
    assert list(rig.queue.pull(10)) == []
    assert list(rig.queue.pull(10, wait_seconds=0.2)) == []
    assert list(rig.queue.pull(0)) == []
    assert list(rig.queue.ack([])) == []
    rig.queue.nack([])
    rig.queue.extend([], 60)


def test_a_message_arrives_as_it_was_sent(rig: QueueRig) -> None:
    body = '{"a": 1.10, "b": "ü 🦆"}'.encode()
    rig.send([OutboundMessage(body, {"type": "order"}, "customer-1")])
    [message] = pull_all(rig.queue, 1)
    assert message.body == body
    assert message.attributes["type"] == "order"
    assert message.attempts == 1
    assert message.id
    assert message.published_at is not None
    assert abs(message.published_at - datetime.now(UTC)) < timedelta(minutes=5)
    if rig.keeps_order:
        assert message.ordering_key == "customer-1"
    assert list(rig.queue.ack([message])) == []
    assert list(rig.queue.pull(10)) == []


@pytest.mark.parametrize("make", CARRYING_BYTES, indirect=True)
def test_bytes_arrive_as_they_were_sent(rig: QueueRig) -> None:
    rig.send([OutboundMessage(bytes(range(256)))])
    assert [message.body for message in pull_all(rig.queue, 1)] == [bytes(range(256))]


def test_no_more_than_asked_for(rig: QueueRig) -> None:
    rig.send([message for n in range(25) for message in texts(f"{n:02d}", group=str(n))])
    first = rig.queue.pull(4, wait_seconds=2)
    assert 1 <= len(first) <= 4
    rest = pull_all(rig.queue, 25 - len(first))
    assert bodies([*first, *rest]) == [f"{n:02d}" for n in range(25)]
    assert list(rig.queue.pull(10)) == []


def test_batches_of_any_size(rig: QueueRig) -> None:
    rig.send([message for n in range(23) for message in texts(str(n), group=str(n))])
    messages = pull_all(rig.queue, 23)
    rig.queue.extend(messages, 120)
    rig.queue.nack(messages)
    again = pull_all(rig.queue, 23)
    assert {message.id for message in again} == {message.id for message in messages}
    assert list(rig.queue.ack(again)) == []
    assert list(rig.queue.pull(10)) == []


def test_without_an_ack_a_message_comes_back(make: MakeRig) -> None:
    rig = make(1)
    rig.send(texts("again"))
    [first] = pull_all(rig.queue, 1)
    [second] = pull_all(rig.queue, 1)
    assert (second.id, second.body) == (first.id, first.body)
    assert second.published_at == first.published_at
    if rig.counts_attempts:
        assert second.attempts == 2
        assert second.receipt != first.receipt


def test_an_extended_lease_holds(make: MakeRig) -> None:
    rig = make(2)
    rig.send(texts("long work"))
    messages = pull_all(rig.queue, 1)
    rig.queue.extend(messages, 60)
    time.sleep(2.2)
    assert list(rig.queue.pull(10)) == []
    assert list(rig.queue.ack(messages)) == []


def test_a_nack_gives_back_at_once(rig: QueueRig) -> None:
    rig.send(texts("mine"))
    messages = pull_all(rig.queue, 1)
    assert list(rig.queue.pull(10)) == []
    rig.queue.nack(messages)
    assert [message.id for message in pull_all(rig.queue, 1)] == [messages[0].id]


def test_an_ack_that_cannot_be_is_reported(rig: QueueRig) -> None:
    rig.send(texts("a", "b", group=None))
    messages = pull_all(rig.queue, 2)
    stranger = Message("id", b"", "no such receipt")
    if rig.knows_receipts:
        assert list(rig.queue.ack([messages[0], stranger, messages[1]])) == [stranger]
        rig.queue.extend([stranger], 60)
        rig.queue.nack([stranger])
    else:
        rig.queue.ack([messages[0], stranger, messages[1]])
    assert list(rig.queue.pull(10)) == []


@pytest.mark.parametrize("make", SAFE_FOR_THREADS, indirect=True)
def test_consumers_side_by_side_never_share_a_message(rig: QueueRig) -> None:
    rig.send([message for n in range(40) for message in texts(f"{n:02d}", group=str(n))])

    def consume(_: int) -> list[Message]:
        return [message for _ in range(4) for message in rig.queue.pull(5)]

    with ThreadPoolExecutor(4) as pool:
        found = [message for messages in pool.map(consume, range(4)) for message in messages]
    found += pull_all(rig.queue, 40 - len(found))
    assert bodies(found) == [f"{n:02d}" for n in range(40)]


@pytest.mark.parametrize("make", ORDERED, indirect=True)
def test_order_holds_within_a_key(make: MakeRig) -> None:
    rig = make(60)
    rig.send(texts("a1", "a2", "a3", group="a") + texts("b1", group="b"))
    [first] = rig.queue.pull(1)
    assert first.body == b"a1"
    assert bodies(rig.queue.pull(10)) == ["b1"]  # a2 waits for a1
    rig.queue.nack([first])
    again = rig.queue.pull(10)
    assert [message.body for message in again] == [b"a1", b"a2", b"a3"]


@pytest.mark.parametrize("make", WITH_DEAD_LETTERS, indirect=True)
def test_a_message_that_keeps_failing_is_put_aside(make: MakeRig) -> None:
    rig = make(60)
    rig.send(texts("poison"))
    for attempt in range(1, MAX_ATTEMPTS + 1):
        [message] = pull_all(rig.queue, 1)
        assert message.attempts == attempt
        rig.queue.nack([message])
    assert list(rig.queue.pull(10)) == []
    assert rig.dead_letters is not None
    assert rig.dead_letters() == [b"poison"]
