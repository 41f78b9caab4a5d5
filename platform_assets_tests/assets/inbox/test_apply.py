"""A run: duplicates, retries, dead letters, order, poison, memory bounds, replays, retention."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import Random

import pytest

from platform_assets.assets.inbox.apply import MOST_UNKNOWN
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.inbox.model import Dead, Done, Outcome, Retry, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets_tests.assets.inbox.rig import PARTITIONS, START, Rig, body

ACME, GLOBEX, _ = PARTITIONS


def filled(*ids: str, spec: InboxSpec | None = None) -> Rig:
    rig = Rig(spec=spec) if spec else Rig()
    for id_ in ids:
        rig.queue.send(id_, body(ACME))
    rig.tick()
    return rig


def test_duplicates_count_once_within_and_across_batches() -> None:
    rig = filled("a", "b", "a")
    assert rig.apply(ACME).done == 2
    rig.queue.send("a", body(ACME))
    rig.tick()
    applied = rig.apply(ACME)
    assert (applied.received, applied.handled, applied.parts_settled) == (1, 0, 1)
    assert rig.effects.made == {"a": 1, "b": 1}


def test_10_000_messages_with_malformed_doubled_and_poisonous_ones_add_up() -> None:
    random, rig = Random(1), Rig(spec=InboxSpec(batch_messages=997, max_attempts=2))
    kinds = ["malformed"] * 500 + ["poison"] * 100 + ["good"] * 8900
    random.shuffle(kinds)
    for number, kind in enumerate(kinds):
        partition = random.choice(PARTITIONS)
        poison = random.choice(["data", "bug"])
        data = {"good": body(partition), "poison": body(partition, poison=poison), "malformed": b"{"}[kind]
        rig.queue.send(f"m{number}", data)
    good = [m for m, kind in zip(list(rig.queue.ready), kinds, strict=True) if kind == "good"]
    rig.queue.ready += random.sample(good, 500)  # published again under their ids
    random.shuffle(rig.queue.ready)
    rig.drain()
    assert rig.queue.deliveries == 10_000
    assert set(rig.effects.made) == {m.id for m in good}
    assert sorted(rig.effects.order) == sorted(m.id for m in good)
    reasons = list(rig.dead().values())
    assert sum(reason == "not JSON with a partition" for reason in reasons) == 500
    assert sum("cannot take it" in reason for reason in reasons) == 100
    assert len(reasons) == 600
    states = [rig.inbox.state(partition)[0] for partition in PARTITIONS]
    assert (sum(len(s.done) for s in states), sum(len(s.dead) for s in states)) == (8900, 100)
    assert not any(s.waiting for s in states)


def test_a_message_is_tried_again_with_growing_pauses_and_then_given_up() -> None:
    rig = filled("a")
    rig.effects.outcome = lambda message: Retry("busy")
    waits = []
    for _ in range(rig.spec.max_attempts - 1):
        assert rig.apply(ACME).waiting == 1
        assert rig.apply(ACME).handled == 0  # not due
        waits.append((rig.inbox.state(ACME)[0].waiting["a"].not_before - rig.time).total_seconds())
        rig.time += timedelta(hours=2)
    assert waits == pytest.approx([30, 60], abs=1)
    assert rig.apply(ACME).dead == 1
    assert rig.dead() == {"a": "3 attempts used up; last: busy"}
    ((key, letter),) = rig.inbox.dead_letters()
    assert (letter.attempts, letter.partition, letter.message.body) == (3, ACME, body(ACME))
    assert key == f"inbox/dead_letter/orders/{START:%Y-%m-%d}/a.json"
    assert not rig.inbox.pending()


def test_a_message_the_handler_forgets_is_not_taken_for_done() -> None:
    rig = filled("a", "b")

    def forgetful(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        return {"a": Done()}

    applied = rig.apply(ACME, handler=forgetful)
    assert (applied.done, applied.waiting, applied.parts_settled) == (1, 1, 0)


def test_nothing_is_counted_where_nothing_can_be_done() -> None:
    rig = filled("a")

    def unavailable(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        raise RetryableError("warehouse is down")

    for _ in range(10):
        with pytest.raises(RetryableError, match="down"):
            rig.apply(ACME, handler=unavailable)
    assert rig.apply(ACME).done == 1


def test_one_poisonous_message_is_found_among_many_and_costs_few_calls() -> None:
    rig = Rig(spec=InboxSpec(max_attempts=1))
    for number in range(500):
        rig.queue.send(f"m{number}", body(ACME, poison="refused") if number == 321 else body(ACME))
    rig.tick()
    calls = 0

    def counted(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        nonlocal calls
        calls += 1
        return rig.effects(messages)

    applied = rig.apply(ACME, handler=counted)
    assert (applied.done, applied.dead) == (499, 1)
    assert list(rig.dead()) == ["m321"]
    assert calls <= 20  # 2 log2 n


def test_a_handler_that_fails_whatever_it_is_given_is_not_asked_thousands_of_times() -> None:
    rig = Rig(spec=InboxSpec(batch_messages=3_000))
    for number in range(3_000):
        rig.queue.send(f"m{number}", body(ACME))
    rig.tick()
    calls = 0

    def broken(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        nonlocal calls
        calls += 1
        raise OSError("no such disk")

    with pytest.raises(RetryableError, match="no such disk"):
        rig.apply(ACME, handler=broken)
    assert calls == MOST_UNKNOWN
    state, _ = rig.inbox.state(ACME)
    assert len(state.waiting) < MOST_UNKNOWN, "of the others no attempt counts"
    rig.time += timedelta(hours=1)
    assert rig.apply(ACME).done == 3_000


def test_messages_come_in_their_order_whatever_order_they_arrived_in() -> None:
    rig = Rig()
    for id_, order in (("c", "3"), ("a", "1"), ("b", "2")):
        rig.queue.send(id_, body(ACME, order=order))
        rig.tick()
    rig.apply(ACME)
    assert rig.effects.order == ["a", "b", "c"]


def test_a_large_backlog_is_applied_in_parts_that_fit_into_memory() -> None:
    rig = Rig(spec=InboxSpec(batch_messages=1, apply_bytes=2048))
    for number in range(10):
        rig.queue.send(f"m{number}", body(ACME, filler="x" * 900))
    rig.tick()
    sizes: list[int] = []

    def sized(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        sizes.append(len(messages))
        return rig.effects(messages)

    assert rig.apply(ACME, handler=sized).done == 10
    assert sizes == [2] * 5


def test_a_run_reads_only_its_own_bytes() -> None:
    rig = Rig()
    rig.queue.send("a", body(ACME))
    for number in range(6):
        rig.queue.send(f"g{number}", body(GLOBEX, filler="x" * 10_000))
    rig.tick()
    before = rig.store.bytes_read
    rig.apply(ACME)
    assert rig.store.bytes_read - before < 1_000


@pytest.mark.parametrize(("old", "messages"), [(0, 1), (100_000, 1), (0, 3_000)])
def test_a_run_costs_the_same_however_many_batches_there_have_been_and_messages_there_are(
    old: int, messages: int
) -> None:
    rig = Rig(spec=InboxSpec(batch_messages=3_000))
    for number in range(old):
        batch = f"202601{number % 28 + 1:02d}T000000000000-{number:08x}"
        rig.store.objects[f"inbox/orders/messages/2026-01-{number % 28 + 1:02d}/{batch}.jsonl"] = (b"", "")
        rig.store.objects[f"inbox/orders/history/{ACME}/{batch}.json"] = (b"[]", "")
        rig.store.objects[f"inbox/orders/state/{number}.json"] = (b"{}", "")
    for number in range(messages):
        rig.queue.send(f"m{number}", body(ACME))
    rig.tick()
    before = Counter(rig.store.calls)
    assert rig.apply(ACME).done == messages
    spent = Counter(operation for operation, _ in (rig.store.calls - before).elements())
    # put: lease taken, state, history, lease released; stat: the one name listed, and the state
    assert spent == {"put": 4, "get_range": 1, "stat": 2}


def test_a_partition_held_by_a_living_run_is_left_to_it() -> None:
    rig = filled("a")
    seen = []

    def nested(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        seen.append(rig.apply(ACME, ended=False))
        return rig.effects(messages)

    assert rig.apply(ACME, handler=nested).done == 1
    assert (seen[0].busy, seen[0].handled) == (True, 0)


def test_the_lease_of_a_killed_run_ends() -> None:
    rig = filled("a")

    def dies(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        rig.store.before = lambda operation, key: (_ for _ in ()).throw(SystemExit)  # type: ignore[assignment]
        raise SystemExit

    with pytest.raises(SystemExit):
        rig.apply(ACME, handler=dies)
    rig.store.before = lambda operation, key: None
    assert rig.apply(ACME, ended=False).busy
    rig.time += timedelta(seconds=rig.spec.lease_seconds + 1)
    assert rig.apply(ACME, ended=False).done == 1


# --- Replay and retention --------------------------------------------------------------------------------------------


def test_a_replay_handles_everything_again_and_changes_no_count() -> None:
    rig = filled("a", "b")
    rig.apply(ACME)
    rig.queue.send("c", body(ACME))
    rig.tick()
    applied = rig.apply(ACME, replay=True)
    assert (applied.done, applied.parts_settled) == (3, 1)
    assert rig.effects.made == {"a": 2, "b": 2, "c": 1}
    assert rig.apply(ACME, replay=True).done == 3
    assert not rig.dead()


def test_a_replay_that_fails_for_now_fails_and_forgets_nothing() -> None:
    rig = filled("a")
    rig.apply(ACME)
    rig.effects.outcome = lambda message: Retry("busy")
    with pytest.raises(RetryableError, match="1 replayed"):
        rig.apply(ACME, replay=True)
    assert set(rig.inbox.state(ACME)[0].done) == {"a"}


def test_a_replayed_dead_letter_is_a_message_again_once() -> None:
    rig = filled("a")
    rig.effects.outcome = lambda message: Dead("refused")
    rig.apply(ACME)
    rig.effects.outcome = lambda message: Done()
    ((key, _),) = rig.inbox.dead_letters()
    data = rig.store.objects[key][0]
    rig.inbox.ask_for_replay(key)
    assert rig.tick().replayed == 1
    rig.store.put("inbox/orders/replay/a.json", data)  # as if the tick had been killed before it took it away
    rig.tick()
    assert rig.apply(ACME).done == 1
    assert rig.effects.made == {"a": 1}
    assert not rig.dead()


def test_a_message_dead_again_is_a_new_dead_letter() -> None:
    rig = filled("a")
    rig.effects.outcome = lambda message: Dead("refused")
    for _ in range(3):
        rig.apply(ACME)
        ((key, _),) = rig.inbox.dead_letters()
        rig.inbox.ask_for_replay(key)
        assert not rig.dead()
        rig.tick()
    rig.apply(ACME)
    assert rig.dead() == {"a": "refused"}


def test_retention_forgets_what_is_old_and_applied_only() -> None:
    rig = filled("a")
    rig.apply(ACME)
    rig.queue.send("b", body(GLOBEX))
    rig.tick()
    rig.time += timedelta(days=100)
    rig.queue.send("c", body(ACME))
    rig.tick()
    rig.apply(ACME)
    assert set(rig.inbox.state(ACME)[0].done) == {"c"}
    assert rig.inbox.forget_before(rig.time - timedelta(days=90)) == 2  # a's batch and its history
    assert rig.apply(GLOBEX).done == 1
    assert rig.apply(ACME, replay=True).done == 1
    assert rig.effects.made == {"a": 1, "b": 1, "c": 2}
