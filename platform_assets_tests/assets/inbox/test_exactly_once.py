"""Whatever is delivered twice, killed, or run twice at once: every effect once, nothing lost, all accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets_tests.assets.inbox.rig import PARTITIONS, Killed, Rig, body

KINDS = ("good", "good", "good", "malformed", "unknown", "data", "bug")
sends = st.tuples(st.just("send"), st.sampled_from(KINDS), st.sampled_from(PARTITIONS))
ticks = st.tuples(st.just("tick"), st.integers(1, 40), st.just(""))
applies = st.tuples(st.just("apply"), st.integers(1, 40), st.sampled_from(PARTITIONS))
overlaps = st.tuples(st.just("overlap"), st.integers(1, 40), st.sampled_from(PARTITIONS))
again = st.tuples(st.just("redeliver"), st.just(0), st.just(""))
resend = st.tuples(st.just("resend"), st.integers(0, 40), st.just(""))


@contextmanager
def at_operation(rig: Rig, number: int, act: Callable[[], None]) -> Iterator[None]:
    """``act`` just before the n-th operation on the store, the queue or the effects."""
    left = [number]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            act()

    rig.store.before = rig.queue.before = rig.effects.before = count
    try:
        yield
    finally:
        nothing: Callable[..., None] = lambda *_: None  # noqa: E731
        rig.store.before = rig.queue.before = rig.effects.before = nothing


def kill() -> None:
    raise Killed


def send(rig: Rig, sent: dict[str, tuple[str, bytes]], kind: str, partition: str) -> None:
    id_ = f"m{len(sent)}"
    data = {
        "good": body(partition),
        "malformed": b"\xff not json",
        "unknown": body("2026-01-31|nobody"),
        "data": body(partition, poison="data"),
        "bug": body(partition, poison="bug"),
    }[kind]
    sent[id_] = (kind, data)
    rig.queue.send(id_, data)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.one_of(sends, sends, ticks, applies, overlaps, again, resend), max_size=40))
def test_any_interleaving_of_deliveries_and_deaths(actions: list[tuple[str, object, str]]) -> None:
    rig, sent = Rig(), dict[str, tuple[str, bytes]]()
    for action, what, partition in actions:
        if action == "send":
            send(rig, sent, str(what), partition)
        elif action == "redeliver":
            rig.queue.redeliver()
        elif action == "resend" and sent:
            id_ = sorted(sent)[int(str(what)) % len(sent)]
            rig.queue.send(id_, sent[id_][1])
        elif action == "tick":
            with suppress(Killed), at_operation(rig, int(str(what)), kill):
                rig.tick()
        elif action == "apply":
            with suppress(Killed), at_operation(rig, int(str(what)), kill):
                rig.apply(partition)
        elif action == "overlap":
            with at_operation(rig, int(str(what)), lambda partition=partition: rig.apply(partition)):  # type: ignore[misc]
                rig.apply(partition)
    rig.drain()
    good = {id_ for id_, (kind, _) in sent.items() if kind == "good"}
    assert set(rig.effects.made) == good
    assert set(rig.dead()) == set(sent) - good


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_within_a_group_holds_through_failures_and_deaths(data: st.DataObject) -> None:
    from platform_assets.engine.inbox.model import Done, Outcome, StoredMessage

    rig = Rig()
    groups = {}
    for number in range(data.draw(st.integers(1, 25))):
        group = data.draw(st.sampled_from("ab"))
        groups[f"m{number:02d}"] = group
        rig.queue.send(f"m{number:02d}", body(PARTITIONS[0]), group=group)
    failures = {id_: data.draw(st.integers(0, 2)) for id_ in groups}

    def sometimes(message: StoredMessage) -> Outcome:
        if failures[message.id]:
            failures[message.id] -= 1
            raise ConnectionError("not now")
        return Done()

    rig.effects.outcome = sometimes
    with suppress(Killed), at_operation(rig, data.draw(st.integers(1, 80)), kill):
        rig.tick()
        rig.apply(PARTITIONS[0], ordered=True)
    rig.drain(ordered=True)
    for group in "ab":
        made = [id_ for id_ in rig.effects.order if groups[id_] == group]
        assert made == sorted(id_ for id_ in groups if groups[id_] == group)
    assert not rig.dead()


def _filled() -> tuple[Rig, dict[str, tuple[str, bytes]]]:
    rig, sent = Rig(), dict[str, tuple[str, bytes]]()
    for number, kind in enumerate(
        ("good", "malformed", "good", "unknown", "data", "good", "good", "good", "good")
    ):
        send(rig, sent, kind, PARTITIONS[number % 2])
    return rig, sent


def _all_accounted_for(rig: Rig, sent: dict[str, tuple[str, bytes]]) -> None:
    good = {id_ for id_, (kind, _) in sent.items() if kind == "good"}
    assert set(rig.effects.made) == good
    assert set(rig.dead()) == set(sent) - good


def test_a_tick_may_die_before_any_operation() -> None:
    number, died = 0, True
    while died:
        number, died = number + 1, False
        rig, sent = _filled()
        with at_operation(rig, number, kill):
            try:
                rig.tick()
            except Killed:
                died = True
        rig.drain()
        _all_accounted_for(rig, sent)
    assert number > 12  # a tick of two batches: pulls, dead letters, batches, names of parts, acks, listings


def test_a_second_tick_may_overtake_the_first_before_any_operation() -> None:
    """Two daemons, or a second code location by mistake; the first one's leases may even have ended by then."""
    for ended in (False, True):
        for number in range(1, 25):
            rig, sent = _filled()

            def overtake(rig: Rig = rig, ended: bool = ended) -> None:
                if ended:
                    rig.queue.redeliver()
                rig.tick()
                rig.apply(PARTITIONS[0])

            with at_operation(rig, number, overtake):
                rig.tick()
            rig.drain()
            _all_accounted_for(rig, sent)


def test_a_run_may_die_before_any_operation() -> None:
    number, died = 0, True
    while died:
        number, died = number + 1, False
        rig, sent = _filled()
        rig.tick()
        with at_operation(rig, number, kill):
            try:
                rig.apply(PARTITIONS[0])
            except Killed:
                died = True
        rig.drain()
        _all_accounted_for(rig, sent)
    assert number > 12  # lease, listing, reading, effects, state, dead letter, history, pause


def test_a_second_run_may_overtake_the_first_before_any_operation() -> None:
    for number in range(1, 25):
        rig, sent = _filled()
        rig.tick()
        with at_operation(rig, number, lambda rig=rig: rig.apply(PARTITIONS[0])):  # type: ignore[misc]
            rig.apply(PARTITIONS[0])
        rig.drain()
        _all_accounted_for(rig, sent)
