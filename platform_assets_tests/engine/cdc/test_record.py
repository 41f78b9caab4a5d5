"""What a delivery says, in every wrapping; and what is wrong with it, told without quoting it."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from platform_assets.engine.cdc.record import ChangeRecord, ChangeType, read_record
from platform_assets.engine.errors import DataError
from platform_assets_tests.assets.cdc.messages import (
    BINARY_HEADERS,
    DAY,
    SAMPLE,
    body,
    change,
    cloud_event,
    push_body,
)

FORMS = {
    "bare record": (SAMPLE, {}),
    "push body": (push_body(SAMPLE), {}),
    "structured event": (cloud_event(SAMPLE), {}),
    "structured event around a push body": (cloud_event(push_body(SAMPLE)), {}),
    "binary event": (SAMPLE, BINARY_HEADERS),
    "binary event around a push body": (push_body(SAMPLE), BINARY_HEADERS),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_wrapping_gives_the_same_record(form: str) -> None:
    sent, headers = FORMS[form]
    record = read_record(body(sent), headers, id="queue's")
    assert record == ChangeRecord(
        id=SAMPLE["uuid"],
        at=DAY,
        object="public_pipeline_run",
        change=ChangeType.UPDATE,
        order="00000001762367011393 000000BD/A0007310",
        fields=SAMPLE,
        payload=SAMPLE["payload"],
        variables=SAMPLE["payload"]["variables"],
    )
    assert record.partner == "abertta"


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in SAMPLE.items() if name not in names}


SECRET = "someone@example.com"
BAD: dict[str, tuple[Any, str]] = {
    "not JSON": (SECRET.encode(), "not JSON"),
    "half a record": (body(SAMPLE)[:-20], "not JSON"),
    "not UTF-8": (b"\xff\xfe\x00", "not JSON"),
    "empty": (b"", "not JSON"),
    "a list": ([SECRET], "is a list, not an object"),
    "text": (SECRET, "is text, not an object"),
    "null": (None, "is missing, not an object"),
    "no time": (without("source_timestamp"), "source_timestamp is missing"),
    "time is a number": ({**SAMPLE, "source_timestamp": 5}, "source_timestamp is a number"),
    "time is no time": ({**SAMPLE, "source_timestamp": SECRET}, "text that is no time"),
    "time beyond the calendar": (
        {**SAMPLE, "source_timestamp": "0001-01-01T00:00+23:00"},
        "text that is no time",
    ),
    "payload is text": ({**SAMPLE, "payload": SECRET}, "payload is text"),
    "payload is a list": ({**SAMPLE, "payload": [SECRET]}, "payload is a list"),
    "push body without base64": ({"message": {"data": "!" + SECRET}, "subscription": "s"}, "not base64"),
    "push body with other base64": ({"message": {"data": "c29tZW9uZQ=="}, "subscription": "s"}, "not JSON"),
    "push body without data": ({"message": {}, "subscription": "s"}, "not JSON"),
    "event without id": ({k: v for k, v in cloud_event(SAMPLE).items() if k != "id"}, "lacks id"),
    "event without data": ({k: v for k, v in cloud_event(SAMPLE).items() if k != "data"}, "not JSON"),
    "event of another version": ({**cloud_event(SAMPLE), "specversion": "9"}, "specversion"),
    "deeply nested": (b'{"a":' * 100_000, "nested too deeply|not JSON"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_read_is_told_without_its_content(case: str) -> None:
    sent, reason = BAD[case]
    with pytest.raises(DataError, match=reason) as raised:
        read_record(sent if isinstance(sent, bytes) else json.dumps(sent).encode(), id="m")
    assert SECRET not in str(raised.value)


@pytest.mark.parametrize(
    ("time", "moment"),
    [
        ("2025-11-05T18:23:31.393000Z", DAY),
        ("2025-11-05T15:23:31.393-03:00", DAY),
        ("2025-11-05T18:23:31.393", DAY),
        ("2025-11-05 18:23:31", DAY.replace(microsecond=0)),
        ("2025-11-06T00:30:00+02:00", datetime(2025, 11, 5, 22, 30, tzinfo=UTC)),
    ],
)
def test_times_are_utc_and_without_zone_they_are_meant_so(time: str, moment: datetime) -> None:
    assert read_record(body({**SAMPLE, "source_timestamp": time})).at == moment


@pytest.mark.parametrize(
    ("variables", "found"),
    [(None, {}), ('{"partner": "x"}', {"partner": "x"}), ("not json", {}), ("[1]", {}), ([1], {}), (7, {})],
)
def test_variables_that_are_none_are_an_empty_map(variables: Any, found: Any) -> None:
    record = {**SAMPLE, "payload": {**SAMPLE["payload"], "variables": variables}}
    assert read_record(body(record)).variables == found


@pytest.mark.parametrize(
    ("metadata", "kind"),
    [
        ({"is_deleted": True, "change_type": "UPDATE"}, ChangeType.DELETE),
        ({"change_type": "DELETE"}, ChangeType.DELETE),
        ({"change_type": "INSERT"}, ChangeType.INSERT),
        ({"change_type": "UPDATE-INSERT"}, ChangeType.UPDATE),
        ({"change_type": "UPDATE-DELETE"}, ChangeType.DELETE),
        ({}, ChangeType.UPDATE),
        (None, ChangeType.UPDATE),
    ],
)
def test_kinds_of_change(metadata: Any, kind: ChangeType) -> None:
    assert read_record(body({**SAMPLE, "source_metadata": metadata})).change is kind


def test_records_sort_by_milliseconds_and_then_by_log_position() -> None:
    keys = [[1000, "BD/A0007310"], [1000, "100/1"], [1000, "BD/FF"], [999, "FF/FF"], [1001, "0/1"]]
    orders = [read_record(body({**SAMPLE, "sort_keys": key})).order for key in keys]
    assert [keys[orders.index(order)] for order in sorted(orders)] == [
        [999, "FF/FF"],
        [1000, "BD/FF"],
        [1000, "BD/A0007310"],
        [1000, "100/1"],
        [1001, "0/1"],
    ]


@pytest.mark.parametrize("keys", [None, [], "x", ["a"], [None, None], [-5]])
def test_without_sort_keys_the_time_stands_in(keys: Any) -> None:
    first, second = ({**change(seconds=s), "sort_keys": keys} for s in (0, 1))
    assert read_record(body(first)).order < read_record(body(second)).order


def test_the_message_id_stands_in_for_a_missing_uuid() -> None:
    assert read_record(body(without("uuid")), id="m1").id == "m1"
    assert read_record(body(push_body(without("uuid"))), id="m1").id == "7"


def test_a_partner_may_be_a_number() -> None:
    assert read_record(body(change(variables={"partner": 42}))).partner == "42"
    assert read_record(body(change(variables={"partner": {"a": 1}}))).partner == ""


def test_a_record_may_name_its_table_in_its_metadata_only() -> None:
    assert read_record(body(without("object"))).object == "public_pipeline_run"
    assert read_record(body(without("object", "source_metadata"))).object == ""


def test_the_sample_is_of_the_day_it_says() -> None:
    assert DAY - read_record(body(SAMPLE)).at == timedelta(0)
