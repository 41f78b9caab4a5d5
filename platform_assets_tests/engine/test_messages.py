import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_assets.engine.errors import DataError
from platform_assets.engine.messages import (
    Envelope,
    unwrap,
    unwrap_cloud_event,
    unwrap_pubsub_push,
    unwrap_sns,
)

RECORD = (
    b'{"uuid": "4f6b", "source_timestamp": "2026-01-31T10:00:00.000Z", "object": "public_pipeline_run", '
    b'"source_metadata": {"change_type": "INSERT"}, "payload": {"id": 7, "amount": 1500.10000000000000000001}}'
)
RUN_REQUEST = b'{"type": "metric_run_requested", "runId": "run-1", "metricCode": "mon.base_ampliada_ars"}'
ARN = "arn:aws:sns:us-east-1:123456789012:metrics-run-request.fifo"
SUBSCRIPTION = "projects/p/subscriptions/backend-events-topic-sub"


def sns(body: bytes, **changes: Any) -> bytes:
    envelope = {
        "Type": "Notification",
        "MessageId": "sns-1",
        "TopicArn": ARN,
        "Message": body.decode(),
        "Timestamp": "2026-01-31T10:00:01.234Z",
        "SignatureVersion": "1",
        "UnsubscribeURL": "https://sns.example/unsubscribe",
        "MessageAttributes": {"type": {"Type": "String", "Value": "metric_run_requested"}},
    }
    return json.dumps(envelope | changes).encode()


def push(body: bytes, **changes: Any) -> bytes:
    message = {
        "data": base64.b64encode(body).decode(),
        "attributes": {"type": "order"},
        "messageId": "ps-1",
        "message_id": "ps-1",
        "publishTime": "2026-01-31T10:00:02.123456789Z",
        "orderingKey": "customer-1",
    }
    return json.dumps({"message": message | changes, "subscription": SUBSCRIPTION}).encode()


def cloud_event(data: bytes, **changes: Any) -> bytes:
    event = {
        "specversion": "1.0",
        "id": "ce-1",
        "source": "//pubsub.googleapis.com/projects/p/topics/t",
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "time": "2026-01-31T10:00:03Z",
    }
    context = json.dumps(event | changes)
    return context.removesuffix("}").encode() + b', "data": ' + data + b"}"


HEADERS = {
    "Ce-Id": "ce-2",
    "Ce-Source": "//pubsub.googleapis.com/projects/p/topics/t",
    "ce-specversion": "1.0",
    "CE-TYPE": "google.cloud.pubsub.topic.v1.messagePublished",
    "Content-Type": "application/json",
}


def test_a_bare_body_is_the_event() -> None:
    sent = datetime(2026, 1, 31, tzinfo=UTC)
    envelope = unwrap(RUN_REQUEST, {"a": "b"}, id="sqs-1", published_at=sent, ordering_key="group")
    assert envelope == Envelope("sqs-1", RUN_REQUEST, {"a": "b"}, "", sent, "group")


@pytest.mark.parametrize(
    "body",
    [b"", b"not json", b"\xff\xfe\x00", b"[1, 2]", b'"text"', b"{", b'{"a": 1} tail', b"null", b'{"Type": 3}',
     b'{"Type": "Notification"}', b'{"message": {"data": "hello"}, "event_type": "chat"}',
     b'{"message": "text", "subscription": "gold"}', b'{"data": {"message": {"data": "eA=="}}}',
     b'{"specversion": "1.0"}', b'{"type": "order", "id": "1", "source": "shop"}'],
)  # fmt: skip
def test_what_is_no_wrapping_stays_as_it_is(body: bytes) -> None:
    assert unwrap(body, id="1") == Envelope("1", body)


def test_sns_notification() -> None:
    envelope = unwrap(sns(RUN_REQUEST), {"outer": "1", "type": "outer"}, id="sqs-1", ordering_key="group")
    assert envelope == Envelope(
        id="sns-1",
        body=RUN_REQUEST,
        attributes={"outer": "1", "type": "metric_run_requested"},
        source=ARN,
        published_at=datetime(2026, 1, 31, 10, 0, 1, 234000, UTC),
        ordering_key="group",
    )
    assert unwrap_sns(sns(RUN_REQUEST)).body == RUN_REQUEST
    assert unwrap(b'{"Type": "Notification", "Message": "{}"}', id="sqs-1") == Envelope("sqs-1", b"{}")


def test_pubsub_push() -> None:
    expected = Envelope(
        id="ps-1",
        body=RECORD,
        attributes={"type": "order"},
        source=SUBSCRIPTION,
        published_at=datetime(2026, 1, 31, 10, 0, 2, 123456, UTC),
        ordering_key="customer-1",
    )
    assert unwrap(push(RECORD)) == expected
    assert unwrap_pubsub_push(push(RECORD)) == expected
    assert unwrap(push(b"", attributes=None)).body == b""
    only_attributes = {"message": {"attributes": {"a": "b"}, "messageId": "2"}, "subscription": SUBSCRIPTION}
    assert unwrap(json.dumps(only_attributes).encode()).attributes == {"a": "b"}


def test_snake_case_names_of_the_rest_api() -> None:
    body = {
        "message": {"data": "eA==", "message_id": "9", "publish_time": "2026-01-31T00:00:00Z"},
        "subscription": "s",
    }
    envelope = unwrap(json.dumps(body).encode())
    assert (envelope.id, envelope.body) == ("9", b"x")
    assert envelope.published_at == datetime(2026, 1, 31, tzinfo=UTC)


def test_structured_cloud_event_around_pubsub() -> None:
    envelope = unwrap(cloud_event(push(RECORD)))
    assert (envelope.id, envelope.body, envelope.source) == ("ps-1", RECORD, SUBSCRIPTION)
    assert envelope.attributes["ce-type"] == "google.cloud.pubsub.topic.v1.messagePublished"
    assert envelope.attributes["type"] == "order"


def test_cloud_event_whose_message_names_no_subscription() -> None:
    data = json.dumps({"message": {"data": base64.b64encode(RECORD).decode()}}).encode()
    envelope = unwrap(cloud_event(data))
    assert (envelope.id, envelope.body) == ("ce-1", RECORD)


def test_cloud_event_whose_data_is_the_record() -> None:
    envelope = unwrap(cloud_event(RECORD))
    assert (envelope.id, envelope.body) == ("ce-1", RECORD)  # digit for digit: 1500.10000000000000000001
    assert envelope.source == "//pubsub.googleapis.com/projects/p/topics/t"
    assert envelope.published_at == datetime(2026, 1, 31, 10, 0, 3, tzinfo=UTC)


def test_an_empty_inner_message_leaves_the_direct_form() -> None:
    data = b'{"message": {"data": ""}, "payload": {"id": 1}, "source_timestamp": "2026-01-31T00:00:00Z"}'
    assert unwrap(cloud_event(data)).body == data


def test_binary_cloud_event() -> None:
    assert unwrap(RECORD, HEADERS).body == RECORD
    envelope = unwrap(push(RECORD), HEADERS)
    assert (envelope.id, envelope.body, envelope.source) == ("ps-1", RECORD, SUBSCRIPTION)
    assert unwrap_cloud_event(push(RECORD), HEADERS).body == push(RECORD)
    assert unwrap_cloud_event(RECORD, HEADERS).id == "ce-2"
    assert unwrap(RECORD, HEADERS).attributes["Content-Type"] == "application/json"


def test_cloud_event_data_forms() -> None:
    def body(**data: Any) -> bytes:
        event = {
            "specversion": "1.0",
            "id": "1",
            "source": "s",
            "type": "t",
            "count": 3,
            "sampled": True,
            "x": None,
        }
        return unwrap_cloud_event(json.dumps(event | data).encode()).body

    assert body(data_base64="AP8=") == b"\x00\xff"
    assert body(data="text", datacontenttype="text/plain") == b"text"
    assert body(data="text", datacontenttype="application/json") == b'"text"'
    assert body(data="text") == b'"text"'
    assert body(data={"a": 1}) == b'{"a": 1}'
    assert body() == b""
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "s",
        "type": "t",
        "count": 3,
        "sampled": True,
        "x": None,
    }
    attributes = unwrap_cloud_event(json.dumps(event).encode()).attributes
    assert (attributes["ce-count"], attributes["ce-sampled"]) == ("3", "true")
    assert "ce-x" not in attributes


def test_sns_inside_pubsub_inside_a_cloud_event() -> None:
    assert unwrap(cloud_event(push(sns(RUN_REQUEST)))).body == RUN_REQUEST


def test_wrapping_without_end_is_refused() -> None:
    body = RUN_REQUEST
    for _ in range(5):
        body = sns(body)
    with pytest.raises(DataError, match="wrapped more than 4 times"):
        unwrap(body)


def test_ids_where_nobody_gave_one() -> None:
    assert unwrap(RECORD).id == "4f6b"
    assert unwrap(b"x").id == unwrap(b"x").id != unwrap(b"y").id


def test_times_keep_their_instant() -> None:
    assert unwrap(sns(b"{}", Timestamp="2026-01-31T10:00:00-05:00")).published_at == datetime(
        2026, 1, 31, 10, tzinfo=timezone(timedelta(hours=-5))
    )
    assert unwrap(sns(b"{}", Timestamp="2026-01-31T10:00:00")).published_at == datetime(
        2026, 1, 31, 10, tzinfo=UTC
    )


BROKEN = {
    "bad base64": push(b"", data="not base64!"),
    "base64 with a line break": push(b"", data="eA\n=="),
    "data is an object": push(b"", data={"a": 1}),
    "attribute is a number": push(b"", attributes={"a": 1}),
    "attributes is a list": push(b"", attributes=[]),
    "publish time": push(b"", publishTime="yesterday"),
    "SNS message is an object": sns(b"", Message={"a": 1}),
    "SNS time": sns(b"", Timestamp="1/2/2026"),
    "SNS attributes": sns(b"", MessageAttributes={"a": "b"}),
    "SNS confirmation": sns(b"", Type="SubscriptionConfirmation", Token="t"),
    "event without id": cloud_event(b"{}", id=""),
    "event without source": cloud_event(b"{}", source=None),
    "event of another version": cloud_event(b"{}", specversion="2.0"),
    "event data_base64": cloud_event(b"{}", data_base64="?"),
    "event time": cloud_event(b"{}", time="now"),
    "nested too deeply": b'{"a": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
}


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_broken_wrappings_are_refused(name: str) -> None:
    with pytest.raises(DataError):
        unwrap(BROKEN[name])


@pytest.mark.parametrize("strict", [unwrap_sns, unwrap_pubsub_push, unwrap_cloud_event])
@pytest.mark.parametrize("body", [b"", b"[]", b"{}", RECORD, b"\xff"])
def test_strict_forms_refuse_everything_else(strict: Callable[[bytes], Envelope], body: bytes) -> None:
    with pytest.raises(DataError):
        strict(body)


def test_binary_event_without_its_required_headers() -> None:
    with pytest.raises(DataError, match="lacks id, source, type"):
        unwrap(b"{}", {"ce-specversion": "1.0"})


WRAPPINGS: dict[str, Callable[[bytes], bytes]] = {"sns": sns, "push": push, "event": cloud_event}
bodies = st.dictionaries(
    st.text(),
    st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.none()),
).filter(lambda d: not {"Type", "message", "specversion"} & d.keys())


@given(st.lists(st.sampled_from(sorted(WRAPPINGS)), max_size=4), bodies)
def test_any_wrapping_comes_off_again(names: list[str], event: dict[str, Any]) -> None:
    body = wrapped = json.dumps(event, ensure_ascii=False).encode()
    for name in names:
        wrapped = WRAPPINGS[name](wrapped)
    assert unwrap(wrapped).body == body


@given(st.binary(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_any_bytes_are_unwrapped_or_refused(body: bytes, attributes: dict[str, str]) -> None:
    try:
        assert unwrap(body, attributes, id="1").id == "1"
    except DataError:
        assert body.lstrip().startswith(b"{") or any(name.lower() == "ce-specversion" for name in attributes)
