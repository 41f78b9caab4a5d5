"""``configs/deployments/emulated.yml`` and the servers that ``make emulators`` starts are about the same things."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from platform_assets.config.document import read_document
from platform_assets.config.placeholders import fill
from platform_assets.engine.deployment import DeploymentSpec
from platform_assets.engine.errors import Problem
from platform_assets.engine.messages import unwrap
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import MessageQueue, OutboundMessage
from platform_assets.resources.bindings import create
from platform_assets_tests.servers import moto
from platform_assets_tests.servers.__main__ import emulated

FILE = Path(__file__).parents[2] / "configs" / "deployments" / "emulated.yml"
MESSAGE = OutboundMessage(b'{"runId": "1"}', {"type": "metric_run_started"}, "run-1", "run-1:started")


@pytest.fixture(scope="module")
def deployment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DeploymentSpec]:
    problems: list[Problem] = []
    os.environ |= moto.CREDENTIALS
    with emulated(tmp_path_factory.mktemp("emulators")) as environment:
        document = read_document(FILE, FILE.name, problems)
        assert document is not None
        spec = DeploymentSpec.model_validate(fill(document, environment, problems).value, strict=False)
        assert problems == []
        yield spec


def received(queue: MessageQueue) -> Sequence[bytes]:
    messages = queue.pull(10, wait_seconds=5)
    assert list(queue.ack(messages)) == []
    return [unwrap(message.body, message.attributes).body for message in messages]


def test_objects(deployment: DeploymentSpec) -> None:
    spec = deployment.ports.object_store
    store = create("object_store", spec.kind, spec.settings)
    store.put("inbox/1", b"x", if_absent=True)
    assert [info.key for info in store.list("inbox/")] == ["inbox/1"]


def test_tables(deployment: DeploymentSpec) -> None:
    spec = deployment.ports.warehouse
    warehouse = create("warehouse", spec.kind, spec.settings)
    try:
        assert warehouse.query("acme1281", BoundSql("SELECT 1 AS one")).to_pylist() == [{"one": 1}]
    finally:
        warehouse.close()


def test_a_published_event_reaches_its_queue(deployment: DeploymentSpec) -> None:
    topic, queue = deployment.ports.topics["events"], deployment.ports.queues["events"]
    create("topic", topic.kind, topic.settings).publish([MESSAGE])
    assert received(create("queue", queue.kind, queue.settings)) == [MESSAGE.body]


def test_a_metric_event_is_taken(deployment: DeploymentSpec) -> None:
    topic = deployment.ports.topics["metric_events"]
    assert len(create("topic", topic.kind, topic.settings).publish([MESSAGE])) == 1


@pytest.mark.parametrize("name", ["cdc", "events", "metric_requests"])
def test_every_queue_is_there(deployment: DeploymentSpec, name: str) -> None:
    spec = deployment.ports.queues[name]
    assert list(create("queue", spec.kind, spec.settings).pull(1)) == []
