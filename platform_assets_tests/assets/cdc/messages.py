"""Change records as Datastream sends them, beginning with the old service's README sample."""

from __future__ import annotations

import base64
import copy
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

DAY = datetime(2025, 11, 5, 18, 23, 31, 393000, tzinfo=UTC)
SAMPLE: Mapping[str, Any] = {
    "uuid": "f23df35c-01c0-4e72-bf69-d6c300000000",
    "read_timestamp": "2025-11-05T18:23:46.698000Z",
    "source_timestamp": "2025-11-05T18:23:31.393000Z",
    "object": "public_pipeline_run",
    "read_method": "postgresql-cdc",
    "stream_name": "projects/575686610682/locations/us-east1/streams/mageai-cdc-stream",
    "schema_key": "69db90b9a8c1a263696eb5cbdf57404bd2a9b7f4",
    "sort_keys": [1762367011393, "BD/A0007310"],
    "source_metadata": {
        "schema": "public",
        "table": "pipeline_run",
        "is_deleted": False,
        "change_type": "UPDATE",
        "tx_id": 1186572,
        "lsn": "BD/A0007310",
        "primary_keys": ["id"],
    },
    "payload": {
        "id": 15204,
        "pipeline_uuid": "pipesv2_wrangling",
        "status": "COMPLETED",
        "variables": {
            "pre_processing_filters": None,
            "refined_unprocessable_claims_output_table": "tmp_abertta.unprocessable_claims_abertta_20251105_171427",
            "refined_processable_claims_output_table": "tmp_abertta.processable_claims_abertta_20251105_171427",
            "partner": "abertta",
            "run_id": "abertta_20251105_171427",
        },
        "passed_sla": False,
    },
}


def change(number: int = 0, *, seconds: float = 0.0, variables: Any = None, **payload: Any) -> dict[str, Any]:
    """The sample as another message: ``number`` makes its uuid, ``seconds`` moves it in time. ``variables`` are
    added to the sample's (a value that is no mapping replaces them), the rest to the row."""
    record = copy.deepcopy(dict(SAMPLE))
    at = DAY + timedelta(seconds=seconds)
    record["uuid"] = f"f23df35c-01c0-4e72-bf69-{number:012d}"
    record["source_timestamp"] = at.isoformat()
    record["sort_keys"] = [int(at.timestamp() * 1000), "BD/A0007310"]
    record["payload"] |= payload
    if isinstance(variables, dict):
        record["payload"]["variables"] |= variables
    elif variables is not None:
        record["payload"]["variables"] = variables
    return record


def body(record: Any) -> bytes:
    return json.dumps(record).encode()


def push_body(record: Any) -> dict[str, Any]:
    """As Pub/Sub pushes it."""
    data = base64.b64encode(body(record)).decode()
    return {"message": {"data": data, "messageId": "7"}, "subscription": "projects/p/subscriptions/cdc"}


def cloud_event(data: Any) -> dict[str, Any]:
    """A structured CloudEvent around a record or a push body."""
    return {
        "type": "google.cloud.pubsub.topic.v1.messagePublished",
        "source": "//pubsub.googleapis.com/projects/local-project/topics/local-topic",
        "specversion": "1.0",
        "id": "local-test-event-123",
        "data": data,
    }


BINARY_HEADERS = {
    "ce-type": "google.cloud.pubsub.topic.v1.messagePublished",
    "ce-source": "//pubsub.googleapis.com/projects/local-project/topics/local-topic",
    "ce-specversion": "1.0",
    "ce-id": "local-test-event-123",
}
