"""Pub/Sub pull under faults. Tests named ``fake`` rest on a gRPC server of ours that answers as documented."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from google.pubsub_v1 import types
from google.rpc import code_pb2

from platform_assets.engine.errors import AuthError, NotFoundError, RejectedError, RetryableError
from platform_assets.ports import Message
from platform_assets.resources.queue.pubsub import PubSubQueue, PubSubQueueSettings
from platform_assets_tests.servers.grpc_fake import FakeService, Refusal, serving, silent_port

LEASED = [Message(str(n), b"", f"ack-{n}") for n in range(3)]
OPERATIONS: dict[str, Callable[[PubSubQueue], object]] = {
    "pull": lambda queue: queue.pull(1),
    "ack": lambda queue: queue.ack(LEASED),
    "extend": lambda queue: queue.extend(LEASED, 60),
    "nack": lambda queue: queue.nack(LEASED),
}
every_operation = pytest.mark.parametrize("use", OPERATIONS.values(), ids=OPERATIONS)


def queue(endpoint: str, **settings: Any) -> PubSubQueue:
    defaults = {"timeout_seconds": 0.6, "connect_timeout_seconds": 0.5, "shortest_wait_seconds": 0.5}
    return PubSubQueue(
        PubSubQueueSettings(project="p", endpoint=endpoint, subscription="s", **(defaults | settings))
    )


@pytest.fixture
def fake() -> Iterator[FakeService]:
    empty = types.PullResponse()
    methods = {
        "Pull": (types.PullRequest, empty),
        "Acknowledge": (types.AcknowledgeRequest, empty),  # their own answers are empty as well
        "ModifyAckDeadline": (types.ModifyAckDeadlineRequest, empty),
    }
    with serving("google.pubsub.v1.Subscriber", methods) as fake:
        yield fake


@every_operation
def test_nobody_listens(use: Callable[..., object]) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        with pytest.raises(RetryableError):
            use(queue(f"127.0.0.1:{closed.getsockname()[1]}"))


@every_operation
def test_a_server_that_never_answers_is_no_empty_queue(use: Callable[..., object]) -> None:
    with silent_port() as address, pytest.raises(RetryableError):
        use(queue(address))


@every_operation
def test_a_subscription_that_is_not_there(pubsub_address: str, use: Callable[..., object]) -> None:
    with pytest.raises(NotFoundError, match="'s'"):
        use(queue(pubsub_address))


@every_operation
@pytest.mark.parametrize(
    "code", [code_pb2.UNAVAILABLE, code_pb2.INTERNAL, code_pb2.RESOURCE_EXHAUSTED, code_pb2.ABORTED]
)
def test_what_may_pass_is_tried_again_fake(fake: FakeService, use: Callable[..., object], code: int) -> None:
    fake.script = [Refusal(code)]
    use(queue(fake.address))
    assert len(fake.requests) == 2


@every_operation
def test_an_outage_that_lasts_ends_with_the_timeout_fake(
    fake: FakeService, use: Callable[..., object]
) -> None:
    fake.script = [Refusal(code_pb2.UNAVAILABLE)] * 1000
    with pytest.raises(RetryableError):
        use(queue(fake.address))
    assert 2 <= len(fake.requests) < 50


@every_operation
@pytest.mark.parametrize("code", [code_pb2.UNAUTHENTICATED, code_pb2.PERMISSION_DENIED])
def test_credentials_are_not_tried_again_fake(
    fake: FakeService, use: Callable[..., object], code: int
) -> None:
    fake.script = [Refusal(code)] * 10
    with pytest.raises(AuthError):
        use(queue(fake.address))
    assert len(fake.requests) == 1


def test_a_refused_request_is_not_tried_again_fake(fake: FakeService) -> None:
    fake.script = [Refusal(code_pb2.INVALID_ARGUMENT)] * 10
    with pytest.raises(RejectedError):
        queue(fake.address).ack(LEASED)
    assert len(fake.requests) == 1


def test_acks_that_came_too_late_are_reported_fake(fake: FakeService) -> None:
    fake.script = [
        Refusal(code_pb2.FAILED_PRECONDITION, failures={"ack-1": "PERMANENT_FAILURE_INVALID_ACK_ID"})
    ]
    assert list(queue(fake.address).ack(LEASED)) == [LEASED[1]]
    assert [list(request.ack_ids) for request in fake.requests] == [
        ["ack-0", "ack-1", "ack-2"],
        ["ack-0", "ack-2"],
    ]


def test_acks_that_failed_for_the_moment_are_sent_again_fake(fake: FakeService) -> None:
    fake.script = [
        Refusal(
            code_pb2.FAILED_PRECONDITION,
            failures={
                "ack-0": "TRANSIENT_FAILURE_UNORDERED_ACK_ID",
                "ack-1": "PERMANENT_FAILURE_INVALID_ACK_ID",
                "ack-2": "TRANSIENT_FAILURE_INVALID_ACK_ID",
            },
        ),
        Refusal(code_pb2.FAILED_PRECONDITION, failures={"ack-2": "PERMANENT_FAILURE_INVALID_ACK_ID"}),
    ]
    assert list(queue(fake.address).ack(LEASED)) == [LEASED[1], LEASED[2]]


def test_acks_that_keep_failing_raise_fake(fake: FakeService) -> None:
    fake.script = [
        Refusal(code_pb2.FAILED_PRECONDITION, failures={"ack-0": "TRANSIENT_FAILURE_INVALID_ACK_ID"})
    ] * 9
    with pytest.raises(RetryableError, match="acks failed"):
        queue(fake.address).ack(LEASED[:1])
    assert len(fake.requests) == 3


def test_a_pulled_message_says_all_that_the_service_said_fake(fake: FakeService) -> None:
    sent = datetime(2026, 1, 31, 10, 0, 0, 123456, UTC)
    message = types.PubsubMessage(
        data=b"\x00", attributes={"a": "b"}, message_id="7", publish_time=sent, ordering_key="customer"
    )
    received = types.ReceivedMessage(ack_id="ack", message=message, delivery_attempt=4)
    fake.script = [types.PullResponse(received_messages=[received])]
    expected = Message("7", b"\x00", "ack", {"a": "b"}, sent, "customer", 4)
    assert list(queue(fake.address).pull(5)) == [expected]
    pulled, extended = fake.requests
    assert pulled.max_messages == 5
    assert (list(extended.ack_ids), extended.ack_deadline_seconds) == (["ack"], 300)


def test_a_lease_is_at_most_ten_minutes_fake(fake: FakeService) -> None:
    queue(fake.address).extend(LEASED, 43_200)
    assert [request.ack_deadline_seconds for request in fake.requests] == [600]


def test_large_batches_are_cut_fake(fake: FakeService) -> None:
    queue(fake.address).ack([Message(str(n), b"", f"ack-{n}") for n in range(2300)])
    assert [len(request.ack_ids) for request in fake.requests] == [1000, 1000, 300]
