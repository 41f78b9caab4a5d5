"""What every topic does, seen from a queue that subscribes to it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from platform_assets.engine.errors import DataError
from platform_assets.engine.messages import Envelope, unwrap
from platform_assets.ports import OutboundMessage
from platform_assets.resources.bindings import ADAPTERS
from platform_assets_tests.contracts.topic_rigs import TOPICS, TopicRig

WITH_LIMITS = ["sns", "sns-fifo", "pubsub"]


@pytest.fixture(params=sorted(TOPICS))
def rig(request: pytest.FixtureRequest, tmp_path: Path) -> TopicRig:
    return TOPICS[request.param](request, tmp_path)


def message(text: str, group: str = "group", **attributes: str) -> OutboundMessage:
    return OutboundMessage(text.encode(), attributes, group, f"once-{text[:40]}")


def receive(rig: TopicRig, count: int, seconds: float = 15.0) -> list[Envelope]:
    """Messages in the order they came, out of their wrappings, acked."""
    deadline = time.monotonic() + seconds
    found: list[Envelope] = []
    while len(found) < count and time.monotonic() < deadline:
        messages = rig.queue.pull(100, wait_seconds=1)
        found += [unwrap(m.body, m.attributes, id=m.id, ordering_key=m.ordering_key) for m in messages]
        rig.queue.ack(messages)
    return found


def test_every_bound_topic_has_its_contract_tests() -> None:
    assert {kind.partition("-")[0] for kind in TOPICS} == set(ADAPTERS["topic"])


def test_a_message_arrives_as_it_was_published(rig: TopicRig) -> None:
    sent = message('{"runId": "1", "ü": 1.10}', type="metric_run_started", metricCode="mon.base")
    [id_] = rig.topic.publish([sent])
    [got] = receive(rig, 1)
    assert id_
    assert got.body == sent.body
    assert {name: got.attributes[name] for name in sent.attributes} == sent.attributes
    if rig.keeps_order:
        assert got.ordering_key == "group"
    assert list(rig.queue.pull(10)) == []


def test_nothing_to_publish(rig: TopicRig) -> None:
    assert list(rig.topic.publish([])) == []
    assert list(rig.queue.pull(10)) == []


def test_more_than_a_batch_in_order(rig: TopicRig) -> None:
    sent = [message(f"{n:03d}", group=f"group {n % 3}".replace(" ", "-")) for n in range(34)]
    ids = rig.topic.publish(sent)
    assert len(set(ids)) == 34
    got = receive(rig, 34)
    assert sorted(envelope.body for envelope in got) == [m.body for m in sent]
    if rig.keeps_order:
        for group in ("group-0", "group-1", "group-2"):
            mine = [envelope.body for envelope in got if envelope.ordering_key == group]
            assert mine == [m.body for m in sent if m.group == group]


def test_batches_stay_within_their_bytes(rig: TopicRig) -> None:
    sent = [message(f"{n}" + "x" * 70_000, group=str(n), attribute="y" * 1000) for n in range(12)]
    rig.topic.publish(sent)
    assert sorted(envelope.body for envelope in receive(rig, 12)) == sorted(m.body for m in sent)


@pytest.mark.parametrize("rig", WITH_LIMITS, indirect=True)
def test_the_largest_message(rig: TopicRig) -> None:
    ok = message("z" * (min(rig.largest, 4_000_000) - 100), group="g")  # pstest itself takes 4 MiB a request
    rig.topic.publish([ok])
    assert [envelope.body for envelope in receive(rig, 1)] == [ok.body]
    with pytest.raises(DataError, match="message 1 has"):
        rig.topic.publish([message("fits"), message("z" * (rig.largest + 1))])
    assert list(rig.queue.pull(10)) == []  # nothing of the batch was sent


@pytest.mark.parametrize("rig", WITH_LIMITS, indirect=True)
def test_what_the_service_would_refuse_is_refused_before_anything_is_sent(rig: TopicRig) -> None:
    many = {f"a{n}": "1" for n in range(101)}
    for bad in (
        OutboundMessage(b"", {}, "g", "d"),
        OutboundMessage(b"x", many, "g", "d"),
        OutboundMessage(b"x", {"": "1"}, "g", "d"),
    ):
        with pytest.raises(DataError):
            rig.topic.publish([message("good"), bad])
    assert list(rig.queue.pull(10)) == []
