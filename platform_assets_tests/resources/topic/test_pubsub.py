"""Pub/Sub publishing under faults. Tests named ``fake`` rest on a gRPC server of ours that answers as documented."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import Any

import pytest
from google.pubsub_v1 import types
from google.rpc import code_pb2

from platform_assets.engine.errors import AuthError, DataError, NotFoundError, RejectedError, RetryableError
from platform_assets.ports import OutboundMessage
from platform_assets.resources.topic.pubsub import PubSubTopic, PubSubTopicSettings
from platform_assets_tests.servers.grpc_fake import FakeService, Refusal, serving, silent_port

ONE = [OutboundMessage(b"one", {"a": "b"}, "key")]


def topic(endpoint: str, **settings: Any) -> PubSubTopic:
    defaults = {"timeout_seconds": 0.6, "connect_timeout_seconds": 0.5}
    return PubSubTopic(
        PubSubTopicSettings(project="p", endpoint=endpoint, topic="t", **(defaults | settings))
    )


def accepted(request: Any) -> types.PublishResponse:
    return types.PublishResponse(message_ids=[message.data.decode()[:20] for message in request.messages])


@pytest.fixture
def fake() -> Iterator[FakeService]:
    with serving("google.pubsub.v1.Publisher", {"Publish": (types.PublishRequest, accepted)}) as fake:
        yield fake


def test_nobody_listens() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(RetryableError):
            topic(f"127.0.0.1:{closed.getsockname()[1]}").publish(ONE)


def test_a_server_that_never_answers() -> None:
    with silent_port() as address, pytest.raises(RetryableError) as caught:
        topic(address).publish(ONE)
    assert caught.value.effect_unknown


def test_a_topic_that_is_not_there(pubsub_address: str) -> None:
    with pytest.raises(NotFoundError, match="'t'"):
        topic(pubsub_address).publish(ONE)


@pytest.mark.parametrize("code", [code_pb2.UNAVAILABLE, code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED])
def test_what_may_pass_is_tried_again_fake(fake: FakeService, code: int) -> None:
    fake.script = [Refusal(code)]
    assert list(topic(fake.address).publish(ONE)) == ["one"]
    assert len(fake.requests) == 2


def test_an_outage_that_lasts_ends_with_the_timeout_fake(fake: FakeService) -> None:
    fake.script = [Refusal(code_pb2.UNAVAILABLE)] * 1000
    with pytest.raises(RetryableError):
        topic(fake.address).publish(ONE)
    assert 2 <= len(fake.requests) < 50


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (code_pb2.UNAUTHENTICATED, AuthError),
        (code_pb2.PERMISSION_DENIED, AuthError),
        (code_pb2.INVALID_ARGUMENT, RejectedError),
    ],
)
def test_what_cannot_pass_is_not_tried_again_fake(
    fake: FakeService, code: int, expected: type[RejectedError]
) -> None:
    fake.script = [Refusal(code)] * 10
    with pytest.raises(expected):
        topic(fake.address).publish(ONE)
    assert len(fake.requests) == 1


def test_batches_keep_the_order_fake(fake: FakeService) -> None:
    messages = [OutboundMessage(f"{n:04d}".encode(), {}, "key") for n in range(2300)]
    assert list(topic(fake.address).publish(messages)) == [f"{n:04d}" for n in range(2300)]
    assert [len(request.messages) for request in fake.requests] == [1000, 1000, 300]
    assert {message.ordering_key for request in fake.requests for message in request.messages} == {"key"}


def test_a_failed_batch_stops_the_ones_after_it_fake(fake: FakeService) -> None:
    fake.script = [accepted, Refusal(code_pb2.PERMISSION_DENIED)]
    with pytest.raises(AuthError):
        topic(fake.address).publish([OutboundMessage(b"x") for _ in range(2300)])
    assert len(fake.requests) == 2


@pytest.mark.parametrize(
    "bad",
    [
        OutboundMessage(b""),
        OutboundMessage(b"x", {"": "1"}),
        OutboundMessage(b"x", {"a" * 257: "1"}),
        OutboundMessage(b"x", {"a": "1" * 1025}),
        OutboundMessage(b"x", {f"a{n}": "1" for n in range(101)}),
        OutboundMessage(b"x", {}, "k" * 1025),
    ],
)
def test_bad_messages_are_refused_before_anything_is_sent_fake(
    fake: FakeService, bad: OutboundMessage
) -> None:
    with pytest.raises(DataError, match="message 1"):
        topic(fake.address).publish([*ONE, bad])
    assert fake.requests == []
