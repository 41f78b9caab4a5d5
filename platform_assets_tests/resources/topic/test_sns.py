"""SNS under faults: moto behind a proxy that loses, delays and refuses."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from urllib.parse import parse_qs

import pytest

from platform_assets.engine.errors import AuthError, DataError, NotFoundError, RejectedError, RetryableError
from platform_assets.ports import OutboundMessage
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.topic.sns import SnsTopic, SnsTopicSettings
from platform_assets_tests.resources.aws_faults import (
    CREDENTIAL_CODES,
    closed_port,
    xml_error,
)
from platform_assets_tests.servers.http_proxy import HttpProxy

Make = Callable[..., SnsTopic]


def message(text: str) -> OutboundMessage:
    return OutboundMessage(text.encode(), {}, "run-1", f"run-1:{text}")


@pytest.fixture
def make(moto_proxy: HttpProxy, moto_url: str) -> Make:
    sns = connect("sns", AwsSettings(endpoint_url=moto_url))
    arn = sns.create_topic(Name=f"t-{uuid.uuid4().hex}.fifo", Attributes={"FifoTopic": "true"})["TopicArn"]

    def make(**settings: object) -> SnsTopic:
        defaults = {"endpoint_url": moto_proxy.url, "topic_arn": arn, "max_attempts": 2}
        return SnsTopic(SnsTopicSettings(**(defaults | settings)))

    return make


def sent_ids(moto_proxy: HttpProxy) -> list[list[str]]:
    """The de-duplication ids of each request."""
    name = re.compile(r"PublishBatchRequestEntries\.member\.(\d+)\.MessageDeduplicationId")
    forms = [parse_qs(exchange.body.decode()) for exchange in moto_proxy.exchanges]
    return [
        [
            form[key][0]
            for key in sorted(filter(name.fullmatch, form), key=lambda k: int(name.fullmatch(k)[1]))
        ]
        for form in forms
    ]


def answer(successful: list[str], failed: list[tuple[str, bool]]) -> bytes:
    done = "".join(f"<member><Id>{id_}</Id><MessageId>m{id_}</MessageId></member>" for id_ in successful)
    not_done = "".join(
        f"<member><Id>{id_}</Id><Code>Code{id_}</Code><SenderFault>{str(fault).lower()}</SenderFault></member>"
        for id_, fault in failed
    )
    result = f"<Successful>{done}</Successful><Failed>{not_done}</Failed>"
    return f"<PublishBatchResponse><PublishBatchResult>{result}</PublishBatchResult></PublishBatchResponse>".encode()


def test_nobody_listens(make: Make) -> None:
    with closed_port() as url, pytest.raises(RetryableError) as caught:
        make(endpoint_url=url, max_attempts=1).publish([message("a")])
    assert not caught.value.effect_unknown


@pytest.mark.parametrize(
    ("status", "code"), [(400, "Throttled"), (500, "InternalFailure"), (503, "ServiceUnavailable")]
)
def test_what_may_pass_is_tried_again_with_the_same_ids(
    make: Make,
    moto_proxy: HttpProxy,
    status: int,
    code: str,
) -> None:
    moto_proxy.fail("POST", "", status, xml_error(code))
    if code == "Throttled":  # SNS's own word for it, which botocore does not know
        with pytest.raises(RetryableError):
            make().publish([message("a")])
    make().publish([message("a"), message("b")])
    assert sent_ids(moto_proxy)[-1] == ["run-1:a", "run-1:b"]
    assert len(moto_proxy.exchanges) == 2


def test_an_outage_that_lasts(make: Make, moto_proxy: HttpProxy) -> None:
    moto_proxy.fail("POST", "", times=99)
    with pytest.raises(RetryableError) as caught:
        make(max_attempts=1).publish([message("a")])
    assert caught.value.effect_unknown


@pytest.mark.parametrize("code", CREDENTIAL_CODES)
def test_credentials_are_not_tried_again(make: Make, moto_proxy: HttpProxy, code: str) -> None:
    moto_proxy.fail("POST", "", 403, xml_error(code), times=99)
    with pytest.raises(AuthError, match=code):
        make().publish([message("a")])
    assert len(moto_proxy.exchanges) == 1


def test_a_topic_that_is_not_there(make: Make) -> None:
    with pytest.raises(NotFoundError, match="none"):
        make(topic_arn="arn:aws:sns:us-east-1:123456789012:none.fifo").publish([message("a")])


def test_entries_that_failed_on_its_side_are_sent_again(make: Make, moto_proxy: HttpProxy) -> None:
    moto_proxy.fail("POST", "", 200, answer(["0", "2"], [("1", False)]))
    moto_proxy.fail("POST", "", 200, answer(["1"], []))
    assert list(make().publish([message("a"), message("b"), message("c")])) == ["m0", "m1", "m2"]
    assert sent_ids(moto_proxy) == [["run-1:a", "run-1:b", "run-1:c"], ["run-1:b"]]


def test_entries_that_keep_failing_raise(make: Make, moto_proxy: HttpProxy) -> None:
    moto_proxy.fail("POST", "", 200, answer([], [("0", False)]), times=99)
    with pytest.raises(RetryableError, match="1 messages were not accepted"):
        make().publish([message("a")])


def test_entries_that_were_refused_raise_at_once(make: Make, moto_proxy: HttpProxy) -> None:
    moto_proxy.fail("POST", "", 200, answer(["0"], [("1", True)]))
    with pytest.raises(RejectedError, match="message 1: Code1"):
        make().publish([message("a"), message("b")])
    assert len(moto_proxy.exchanges) == 1


def test_batches_of_ten(make: Make, moto_proxy: HttpProxy) -> None:
    make().publish([message(f"{n}") for n in range(23)])
    assert [len(ids) for ids in sent_ids(moto_proxy)] == [10, 10, 3]


@pytest.mark.parametrize(
    "bad",
    [
        OutboundMessage(b"x", {}, None, "d"),
        OutboundMessage(b"x", {}, "g", None),
        OutboundMessage(b"\xff", {}, "g", "d"),
        OutboundMessage(b"x", {f"a{n}": "1" for n in range(11)}, "g", "d"),
        OutboundMessage(b"x", {"with space": "1"}, "g", "d"),
        OutboundMessage(b"x", {"AWS.mine": "1"}, "g", "d"),
        OutboundMessage(b"x", {"a": ""}, "g", "d"),
    ],
)
def test_bad_messages_are_refused_before_anything_is_sent(
    make: Make, moto_proxy: HttpProxy, bad: OutboundMessage
) -> None:
    with pytest.raises(DataError, match="message 1"):
        make().publish([message("good"), bad])
    assert moto_proxy.exchanges == []


def test_ids_that_sns_would_not_take_are_hashed(make: Make, moto_proxy: HttpProxy) -> None:
    long = OutboundMessage(b"x", {}, "läuft 1", "x" * 129)
    make().publish([long, OutboundMessage(b"y", {}, "läuft 1", "ok")])
    [[first, second]] = sent_ids(moto_proxy)
    assert re.fullmatch("[0-9a-f]{64}", first)
    assert second == "ok"
