from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_assets.engine.expressions.nodes import Series, SeriesMath
from platform_assets.engine.metrics.failures import ErrorCode
from platform_assets.engine.metrics.request import (
    DatasetSource,
    RequestError,
    SeriesInput,
    parse_request,
)
from platform_assets_tests.engine.metrics.datasets import DATASET, MANIFEST, PROJECTIONS, RATIO, T0, request
from platform_assets_tests.engine.metrics.malformed import GOOD, PARSING, RUN_ID, Malformed


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def test_a_request_as_the_control_plane_sends_it() -> None:
    found = parse_request(GOOD, published_at=T0)
    assert found.run_id == RUN_ID
    assert found.metric_code == "ratio.a_to_b"
    assert found.expression == SeriesMath("ratio", Series("A"), Series("B"), 2.0)
    assert found.inputs == (SeriesInput(DATASET, "A"), SeriesInput(DATASET, "B"))
    assert found.datasets == {DATASET: DatasetSource(MANIFEST, PROJECTIONS)}
    assert found.base_path == "s3://bucket/metrics/ratio.a_to_b/"
    assert found.requested_at == T0


def snake(document: Any) -> Any:
    import re

    if isinstance(document, list):
        return [snake(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {re.sub("(?<=[a-z])(?=[A-Z])", "_", key).lower(): snake(value) for key, value in document.items()}


def test_snake_case_and_mixed_case_mean_the_same() -> None:
    good = json.loads(GOOD)
    assert parse_request(encoded(snake(good))) == parse_request(GOOD)
    mixed = {**good, "run_id": good["runId"], "output": snake(good["output"])}
    assert parse_request(encoded(mixed)) == parse_request(GOOD)


def test_data_set_ids_are_taken_as_they_are() -> None:
    source = {"manifestPath": "m", "projectionsPath": "p"}
    body = encoded(
        request(RATIO, catalog={"datasets": {"myData": source, "my_data": {**source, "manifestPath": "n"}}})
    )
    assert {k: v.manifest for k, v in parse_request(body).datasets.items()} == {"myData": "m", "my_data": "n"}


def test_an_sns_notification_is_unwrapped_and_its_attributes_win() -> None:
    attributes = {
        "metricCode": {"Type": "String", "Value": "other.code"},
        "n": {"Type": "Number", "Value": "1"},
    }
    wrapped = {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn:x",
        "Message": GOOD.decode(),
        "Timestamp": "2025-01-15T10:30:00.000Z",
        "MessageAttributes": attributes,
    }
    found = parse_request(encoded(wrapped), published_at=datetime(2030, 1, 1, tzinfo=UTC))
    assert found.metric_code == "other.code"
    assert found.requested_at == T0
    assert found.run_id == RUN_ID


def test_the_type_in_the_attributes_wins_too() -> None:
    body = encoded(request(RATIO, type="something else"))
    assert parse_request(body, {"type": "metric_run_requested"}).run_id == RUN_ID
    with pytest.raises(RequestError, match="type 'metric_run_started' is not"):
        parse_request(GOOD, {"type": "metric_run_started"})


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(encoded({"type": "metric_run_requested", "runId": "r", "inputs": [{}], "output": {}}))
    assert str(caught.value) == (
        "metricCode is missing; inputs[0].datasetId is missing; inputs[0].seriesCode is missing; "
        "catalog is missing; output.basePath is missing; expressionType is missing; expressionJson is missing"
    )


def test_an_expressions_faults_come_with_their_positions() -> None:
    with pytest.raises(RequestError, match=r"\$\.left\.window: must be from 1") as caught:
        parse_request(
            encoded(request({**RATIO, "left": {"op": "sma", "series": {"seriesCode": "A"}, "window": 0}}))
        )
    assert caught.value.code is ErrorCode.EXPRESSION_EVAL_ERROR
    assert caught.value.metric_code == "ratio.a_to_b"


@pytest.mark.parametrize("case", PARSING, ids=str)
def test_malformed_requests_are_refused(case: Malformed) -> None:
    with pytest.raises(RequestError) as caught:
        parse_request(case.body)
    assert caught.value.code is case.code
    assert caught.value.run_id == (RUN_ID if case.event else None)
    assert str(caught.value)


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_damaged_requests_raise_nothing_else(data: st.DataObject) -> None:
    body = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 6))):
        body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RequestError):
        parse_request(bytes(body))


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(st.sampled_from(sorted(json.loads(GOOD))), JSON)
def test_any_value_in_any_field_raises_nothing_else(name: str, value: Any) -> None:
    with contextlib.suppress(RequestError):
        parse_request(encoded({**json.loads(GOOD), name: value}))
