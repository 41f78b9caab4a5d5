"""SQS under faults: moto behind a proxy that loses, delays and refuses."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

import pytest
from pydantic import ValidationError

from platform_assets.engine.errors import AuthError, NotFoundError, RetryableError
from platform_assets.ports import Message
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.queue.sqs import SqsQueue, SqsQueueSettings
from platform_assets_tests.resources.aws_faults import (
    CREDENTIAL_CODES,
    closed_port,
    json_error,
)
from platform_assets_tests.servers.http_proxy import HttpProxy

LEASED = [Message(str(n), b"", f"receipt {n}") for n in range(12)]
OPERATIONS: dict[str, Callable[[SqsQueue], object]] = {
    "pull": lambda queue: queue.pull(1),
    "ack": lambda queue: queue.ack(LEASED[:1]),
    "extend": lambda queue: queue.extend(LEASED[:1], 60),
    "nack": lambda queue: queue.nack(LEASED[:1]),
}
every_operation = pytest.mark.parametrize("use", OPERATIONS.values(), ids=OPERATIONS)
Make = Callable[..., SqsQueue]


@pytest.fixture
def name(moto_url: str) -> str:
    name = f"faults-{uuid.uuid4().hex}.fifo"
    client = connect("sqs", AwsSettings(endpoint_url=moto_url))
    client.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})
    return name


@pytest.fixture
def make(moto_proxy: HttpProxy, name: str) -> Make:
    def make(endpoint: str = moto_proxy.url, **settings: object) -> SqsQueue:
        url = f"{endpoint}/123456789012/{name}"
        return SqsQueue(
            SqsQueueSettings(endpoint_url=endpoint, queue_url=url, **({"max_attempts": 2} | settings))
        )

    return make


def send(queue: SqsQueue, *bodies: str) -> None:
    for body in bodies:
        queue._client.send_message(
            QueueUrl=queue.settings.queue_url,
            MessageBody=body,
            MessageGroupId=body,
            MessageDeduplicationId=uuid.uuid4().hex,
        )


def actions(moto_proxy: HttpProxy, name: str) -> Sequence[dict[str, object]]:
    return [e.json for e in moto_proxy.exchanges if e.headers.get("X-Amz-Target", "").endswith(name)]


@every_operation
def test_nobody_listens(make: Make, use: Callable[..., object]) -> None:
    with closed_port() as url, pytest.raises(RetryableError) as caught:
        use(make(url, max_attempts=1))
    assert not caught.value.effect_unknown


@every_operation
def test_throttling_passes(make: Make, moto_proxy: HttpProxy, use: Callable[..., object]) -> None:
    moto_proxy.fail("POST", "", 400, json_error("RequestThrottled"))
    use(make())
    assert len(moto_proxy.exchanges) == 2


@every_operation
def test_an_outage_that_lasts(make: Make, moto_proxy: HttpProxy, use: Callable[..., object]) -> None:
    moto_proxy.fail("POST", "", 503, json_error("ServiceUnavailable"), times=99)
    with pytest.raises(RetryableError) as caught:
        use(make(max_attempts=1))
    assert caught.value.effect_unknown


@pytest.mark.parametrize("code", CREDENTIAL_CODES)
def test_credentials_are_not_tried_again(make: Make, moto_proxy: HttpProxy, code: str) -> None:
    moto_proxy.fail("POST", "", 403, json_error(code), times=99)
    with pytest.raises(AuthError, match=code):
        make().pull(1)
    assert len(moto_proxy.exchanges) == 1


@every_operation
def test_a_queue_that_is_not_there(make: Make, moto_url: str, use: Callable[..., object]) -> None:
    settings = SqsQueueSettings(endpoint_url=moto_url, queue_url=f"{moto_url}/123456789012/none")
    with pytest.raises(NotFoundError, match="none"):
        use(SqsQueue(settings))


def test_a_lost_answer_leases_the_same_messages_again(make: Make, moto_proxy: HttpProxy) -> None:
    moto_proxy.fail("POST", "", after_effect=True)
    make().pull(1)
    asked = actions(moto_proxy, "ReceiveMessage")
    assert len(asked) == 2
    assert len({request["ReceiveRequestAttemptId"] for request in asked}) == 1


def test_every_call_of_a_pull_asks_for_itself(make: Make, moto_proxy: HttpProxy) -> None:
    queue = make()
    send(queue, *(str(n) for n in range(12)))
    moto_proxy.exchanges.clear()
    assert len(queue.pull(12)) == 12
    asked = actions(moto_proxy, "ReceiveMessage")
    assert [request["MaxNumberOfMessages"] for request in asked] == [10, 2]
    assert len({request["ReceiveRequestAttemptId"] for request in asked}) == 2


def test_only_the_first_call_of_a_pull_waits(make: Make, moto_proxy: HttpProxy) -> None:
    queue = make()
    send(queue, *(str(n) for n in range(11)))
    moto_proxy.exchanges.clear()
    queue.pull(100, wait_seconds=7.5)
    assert [request["WaitTimeSeconds"] for request in actions(moto_proxy, "ReceiveMessage")] == [8, 0, 0]


def test_what_was_received_is_not_dropped_for_the_error_of_another_request(
    make: Make, moto_proxy: HttpProxy
) -> None:
    queue = make()
    send(queue, *(str(n) for n in range(10)))
    first = queue._client.receive_message(QueueUrl=queue.settings.queue_url, MaxNumberOfMessages=10)
    assert len(first["Messages"]) == 10
    body = {"Messages": [{"MessageId": "m", "Body": "x", "ReceiptHandle": "r"}]}
    moto_proxy.fail("POST", "", 200, body)
    moto_proxy.fail("POST", "", 400, {"__type": "QueueDoesNotExist"}, times=99)
    assert [message.id for message in queue.pull(100)] == ["m"]


def test_entries_that_failed_on_their_side_are_sent_again(make: Make, moto_proxy: HttpProxy) -> None:
    failed = [{"Id": "1", "SenderFault": False, "Code": "InternalError"}]
    moto_proxy.fail("POST", "", 200, {"Successful": [{"Id": "0"}], "Failed": failed})
    moto_proxy.fail("POST", "", 200, {"Successful": [{"Id": "1"}], "Failed": []})
    assert list(make().ack(LEASED[:2])) == []
    sent = actions(moto_proxy, "DeleteMessageBatch")
    assert [[entry["Id"] for entry in request["Entries"]] for request in sent] == [["0", "1"], ["1"]]


def test_entries_that_keep_failing_raise(make: Make, moto_proxy: HttpProxy) -> None:
    failed = [{"Id": "1", "SenderFault": False, "Code": "InternalError"}]
    moto_proxy.fail("POST", "", 200, {"Successful": [], "Failed": failed}, times=99)
    with pytest.raises(RetryableError, match="1 messages: InternalError"):
        make().ack(LEASED[:2])
    assert len(moto_proxy.exchanges) == 2


def test_receipts_that_were_refused_are_told_by_message(make: Make, moto_proxy: HttpProxy) -> None:
    for refused in ("3", "11"):
        code = {"Id": refused, "SenderFault": True, "Code": "InvalidParameterValue", "Message": "expired"}
        moto_proxy.fail("POST", "", 200, {"Successful": [], "Failed": [code]})
    assert {message.id for message in make().ack(LEASED)} == {"3", "11"}  # requests go out at once
    moto_proxy.fail("POST", "", 200, {"Successful": [], "Failed": [{**code, "Id": "0"}]})
    make().extend(LEASED[:1], 60)


def test_a_read_must_outlast_a_long_poll() -> None:
    with pytest.raises(ValidationError, match="read_timeout_seconds"):
        SqsQueueSettings(queue_url="https://sqs/1/q", read_timeout_seconds=20)


@pytest.mark.parametrize("raw", ["binary", "number"])
def test_attributes_of_any_type_become_text(make: Make, raw: str) -> None:
    queue = make()
    value = {
        "binary": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "number": {"DataType": "Number", "StringValue": "1.50"},
    }
    queue._client.send_message(
        QueueUrl=queue.settings.queue_url,
        MessageBody="x",
        MessageGroupId="g",
        MessageDeduplicationId="d",
        MessageAttributes={"a": value[raw]},
    )
    [message] = queue.pull(1)
    assert message.attributes == {"a": {"binary": "AP8=", "number": "1.50"}[raw]}
