"""The sensor with a real Dagster instance: what it asks for, when it does not, and what it never asks for."""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_assets.assets.inbox.apply import Handler, Step
from platform_assets.assets.inbox.definitions import DEAD_LETTER_KEY, build_inbox
from platform_assets.assets.inbox.run import REPLAY_TAG
from platform_assets.assets.inbox.sensor import PARTITION_TAG, QueueSource, evaluate, inbox_of
from platform_assets.assets.inbox.tick import run_tick, stored
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.inbox.model import Outcome, Route, Routed, StoredMessage
from platform_assets.engine.inbox.spec import InboxSpec
from platform_assets.ports import Message, OutboundMessage
from platform_assets.resources.object_store.local import LocalObjectStore, LocalObjectStoreSettings
from platform_assets.resources.queue.local import LocalQueue, LocalQueueSettings
from platform_assets_tests.assets.inbox import location

# Dagster's own partition tags have a form that it warns of.
pytestmark = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")
SPEC = InboxSpec(retry_seconds=0.001, max_retry_seconds=0.001)


class Place:
    """A code location, its instance and its queue, in a folder."""

    def __init__(self, folder: Path, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.queue = LocalQueue(LocalQueueSettings(root=str(folder / "queue")))
        self.store = LocalObjectStore(LocalObjectStoreSettings(root=str(folder / "objects")))
        self.adapters: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
            "object_store": ("object_store", "local", {"root": str(folder / "objects")}),
            "queue": ("queue", "local", {"root": str(folder / "queue")}),
        }
        self.defs = location.definitions(self.adapters, SPEC)

    def send(self, *ids: str, tenant: str = "acme", date: str = "2026-01-31", **more: Any) -> None:
        bodies = [json.dumps({"id": id_, "tenant": tenant, "date": date, **more}).encode() for id_ in ids]
        self.queue.send([OutboundMessage(data) for data in bodies])

    def tick(self) -> list[dg.RunRequest]:
        return location.tick(self.defs, self.instance)

    def run(self, request: dg.RunRequest, defs: dg.Definitions | None = None) -> dg.ExecuteInProcessResult:
        return location.run(defs or self.defs, self.instance, request)

    def effects(self) -> list[str]:
        return [info.key.removeprefix("effects/") for info in self.store.list("effects/")]

    def reasons(self) -> list[str]:
        return sorted(letter.reason for _, letter in inbox_of(self.store, "orders").dead_letters())


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Place(tmp_path, instance)


def test_messages_of_a_suspended_tenant_are_kept_until_it_is_resumed(place: Place) -> None:
    paused = location.definitions(place.adapters, SPEC, suspended=frozenset({"acme"}))
    place.send("a")
    place.send("b", tenant="globex")
    for _ in range(2):
        requests = location.tick(paused, place.instance)
        assert [r.partition_key for r in requests] == ["2026-01-31|globex"]
    assert place.queue.pull(10) == []
    assert [r.partition_key for r in place.tick()] == ["2026-01-31|acme", "2026-01-31|globex"]


def test_one_run_per_partition_applies_all_its_messages(place: Place) -> None:
    place.send("a", "b")
    place.send("c", tenant="globex")
    requests = place.tick()
    assert [r.partition_key for r in requests] == ["2026-01-31|acme", "2026-01-31|globex"]
    assert requests[0].tags[PARTITION_TAG] == "2026-01-31|acme"
    assert all(place.run(request).success for request in requests)
    assert place.effects() == ["a", "b", "c"]
    assert place.tick() == []


def test_unknown_tenants_and_days_are_quarantined_and_never_requested(place: Place) -> None:
    place.send("a", tenant="nobody")
    place.send("b", date="1999-01-01")
    place.send("c", date="soon")
    place.send("far", date="2999-01-01")  # the router lets it pass; there is no such partition yet
    place.send("d")
    assert [r.partition_key for r in place.tick()] == ["2026-01-31|acme"]
    assert place.reasons() == [
        "1999-01-01 is before the first partition",
        "cannot be read: ValueError",
        "there is no partition '2999-01-01|acme' (any more)",
        "there is no tenant 'nobody'",
    ]


def test_a_poisonous_message_ends_in_the_dead_letters_and_its_run_well(place: Place) -> None:
    place.send("a", "b")
    place.send("bad", kind="poison")
    (request,) = place.tick()
    assert place.run(request).success
    assert place.effects() == ["a", "b"]
    assert place.reasons() == ["DataError: poison"]
    assert place.tick() == []


def _unavailable(store: Any, step: Step) -> Handler:
    def handle(messages: Sequence[StoredMessage]) -> Mapping[str, Outcome]:
        raise RetryableError("the warehouse is down")

    return handle


def test_a_failed_run_does_not_block_the_next_attempt(place: Place) -> None:
    place.send("a")
    broken = location.definitions(place.adapters, SPEC, handle=_unavailable)
    keys = set()
    for _ in range(4):
        (request,) = place.tick()
        keys.add(request.run_key)
        assert not place.run(request, broken).success
    assert len(keys) == 4
    (request,) = place.tick()
    assert place.run(request).success
    assert place.effects() == ["a"]


def test_after_failures_it_waits(place: Place) -> None:
    spec = InboxSpec(retry_seconds=1000)
    broken = location.definitions(place.adapters, spec, handle=_unavailable)
    place.send("a")
    (request,) = location.tick(broken, place.instance)
    place.run(request, broken)
    assert location.tick(broken, place.instance) == []
    assert len(place.tick()) == 1  # by a deployment that waits less


@pytest.mark.parametrize("status", [dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.STARTED])
def test_a_partition_with_a_run_in_progress_is_not_requested_again(
    place: Place, status: dg.DagsterRunStatus
) -> None:
    place.send("a")
    (request,) = place.tick()
    job = place.defs.resolve_implicit_global_asset_job_def()
    place.instance.create_run_for_job(job, status=status, tags=dict(request.tags))
    place.send("b")
    assert place.tick() == []
    place.send("c", tenant="globex")
    assert [r.partition_key for r in place.tick()] == ["2026-01-31|globex"]


def test_two_ticks_that_see_the_same_ask_for_the_same_run(place: Place) -> None:
    place.send("a")
    (first,), (second,) = place.tick(), place.tick()
    assert first.run_key == second.run_key


def test_dynamic_partitions_are_added_with_their_first_message(place: Place) -> None:
    codes = dg.DynamicPartitionsDefinition(name="codes")

    def by_code(message: Message) -> Route:
        return Routed(json.loads(message.body)["id"], stored(message))

    # Not through Dagster's own evaluation, which outside a code server cannot see what it is about to add.
    source = QueueSource("orders", "queue", by_code, dg.AssetSelection.all(), codes)
    inbox = inbox_of(place.store, "orders")
    place.send("x1", "x2")
    place.instance.add_dynamic_partitions("codes", ["x1"])
    done = run_tick(inbox, place.queue, by_code, SPEC, now=lambda: datetime.now(UTC))
    with dg.build_sensor_context(place.instance) as context:
        result = evaluate(context, source, inbox, done, SPEC)
    assert isinstance(result, dg.SensorResult)
    assert [r.partition_key for r in result.run_requests or ()] == ["x1", "x2"]
    assert [list(r.partition_keys) for r in result.dynamic_partitions_requests or ()] == [["x2"]]


def test_replaying_a_day_is_a_backfill_with_a_tag(place: Place) -> None:
    place.send("a", "b")
    (request,) = place.tick()
    place.run(request)
    place.store.delete(["effects/a"])
    tagged = dg.RunRequest(partition_key=request.partition_key, tags={REPLAY_TAG: "true"})
    result = place.run(tagged)
    assert result.success
    (event,) = result.asset_materializations_for_node("orders")
    assert event.metadata["inbox/done"].value == 2
    assert place.effects() == ["a", "b"]


def _inbox_definitions(place: Place) -> dg.Definitions:
    source = QueueSource("orders", "queue", location.route, dg.AssetSelection.assets(location.ASSET), _days())
    defs = build_inbox([source], SPEC, sensors_enabled=True, schedules_enabled=False)
    return dg.Definitions.merge(
        dg.Definitions(
            assets=defs.assets, jobs=defs.jobs, schedules=defs.schedules, resources=place.defs.resources
        )
    )


def _days() -> dg.PartitionsDefinition:
    return location.tenant_day_partitions(location.FIRST, location.TENANTS)


def _run_job(place: Place, name: str) -> dg.ExecuteInProcessResult:
    job = _inbox_definitions(place).resolve_job_def(name)
    return job.execute_in_process(instance=place.instance)


def test_dead_letters_are_an_asset_with_a_check_that_warns(place: Place) -> None:
    def check() -> tuple[bool, Any]:
        result = _run_job(place, "inbox_dead_letters")
        assert result.success
        (found,) = result.get_asset_check_evaluations()
        assert found.asset_key == DEAD_LETTER_KEY
        return found.passed, found.metadata["dead_letters"].value

    assert check() == (True, 0)
    place.send("a", tenant="nobody")
    place.tick()
    assert check() == (False, 1)


def test_compaction_runs(place: Place) -> None:
    place.send("a")
    for request in place.tick():
        place.run(request)
    assert _run_job(place, "inbox_compaction").success
    assert place.effects() == ["a"]
