"""Events from topic to table and archive: publish, tick, run, look; on the embedded adapters and on emulators."""

import json
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import dagster as dg
import httpx
import pytest

from platform_assets.assets.events_volume import CHECK
from platform_assets.engine.errors import RejectedError
from platform_assets.engine.events.generator import Generator
from platform_assets.engine.events.spec import EventSpec
from platform_assets.engine.names import TableName
from platform_assets.resources.aws_client import AwsSettings, connect
from platform_assets.resources.pubsub_client import PubSubSettings
from platform_assets.resources.pubsub_client import connect as connect_pubsub
from platform_assets_tests.assets.events_location import OTHER, TENANT, EventLocation, ports, today
from platform_assets_tests.engine.events.samples import (
    INVENTORY,
    ORDER,
    README,
    SCRIPT,
    TEST_MESSAGE,
    USER_ACTIVITY,
)
from platform_assets_tests.servers import bigquery

# Dagster's own tags of multi-dimensional partitions.
pytestmark = pytest.mark.filterwarnings("ignore:Non-compliant tag keys:DeprecationWarning")

# --- Places ---------------------------------------------------------------------------------------------------------


def _embedded(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    return ports(folder)


def _emulated(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    """BigQuery's emulator, S3 on moto, Google's Pub/Sub test server."""
    url, aws = request.getfixturevalue("bigquery_url"), request.getfixturevalue("moto_url")
    request.addfinalizer(lambda: bigquery.forget(url))
    bucket = f"events-{uuid.uuid4().hex}"
    connect("s3", AwsSettings(endpoint_url=aws)).create_bucket(Bucket=bucket)
    return {
        **ports(folder),
        **_pubsub(request.getfixturevalue("pubsub_address")),
        "warehouse": {
            "kind": "bigquery",
            "settings": {
                "project": bigquery.PROJECT,
                "endpoint": url,
                "require_partition_filters": False,
                "job_labels": {
                    "test": bucket
                },  # an adapter of its own, which remembers no other test's tables
            },
        },
        "object_store": {"kind": "s3", "settings": {"bucket": bucket, "endpoint_url": aws}},
    }


def _gcs(request: pytest.FixtureRequest, folder: Path) -> dict[str, Any]:
    """The archive and the inbox on Cloud Storage, the rest embedded."""
    url, bucket = request.getfixturevalue("gcs_url"), f"events{uuid.uuid4().hex}"
    httpx.post(f"{url}/storage/v1/b", json={"name": bucket}).raise_for_status()
    store = {"kind": "gcs", "settings": {"bucket": bucket, "endpoint": url}}
    return {**ports(folder), "object_store": store}


def _pubsub(address: str) -> dict[str, Any]:
    name = f"events-{uuid.uuid4().hex}"
    place = {"project": "tests", "endpoint": address}
    topic, subscription = f"projects/tests/topics/{name}", f"projects/tests/subscriptions/{name}"
    connect_pubsub("publisher", PubSubSettings(**place)).create_topic(request={"name": topic})
    connect_pubsub("subscriber", PubSubSettings(**place)).create_subscription(
        request={"name": subscription, "topic": topic, "ack_deadline_seconds": 60}
    )
    pull = {**place, "subscription": name, "shortest_wait_seconds": 1}
    return {
        "queues": {"events": {"kind": "pubsub", "settings": pull}},
        "topics": {"events": {"kind": "pubsub", "settings": {**place, "topic": name}}},
    }


PLACES = {"embedded": _embedded, "emulated": _emulated, "gcs": _gcs}


@pytest.fixture(params=sorted(PLACES))
def anywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[EventLocation]:
    with dg.DagsterInstance.ephemeral() as instance:
        location = EventLocation(PLACES[request.param](request, tmp_path), instance)
        yield location
        location.adapter("warehouse").close()


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Callable[..., EventLocation]]:
    """Embedded locations, with other event types or settings."""
    with dg.DagsterInstance.ephemeral() as instance:
        made: list[EventLocation] = []

        def one(**changes: Any) -> EventLocation:
            made.append(EventLocation(ports(tmp_path), instance, **changes))
            return made[-1]

        yield one
        for location in made:
            location.adapter("warehouse").close()


# --- Everywhere -----------------------------------------------------------------------------------------------------


def test_samples_scripts_and_generated_events_land_in_tables_and_archive(anywhere: EventLocation) -> None:
    """The README's samples, what the old integration script sent, and generated events, with bad ones among them."""
    location, generator = anywhere, Generator(Random(7))
    location.publish(*README.values(), TEST_MESSAGE)
    assert [run.success for run in location.take_all()] == [True]
    counts = {"orders": 2, "inventory": 1, "user_activity": 1}
    assert {table: location.count(table) for table in counts} == counts
    (order,) = location.rows(
        "SELECT customer_id, order_date, event_date, total_amount, items, currency, shipping_address.city AS city, "
        "processed_timestamp > x_published_at AS later "
        "FROM raw_events.orders WHERE order_id = 'order-123' AND event_date = '2024-01-15'"
    )
    assert order == {
        "customer_id": "customer-456",
        "order_date": datetime(2024, 1, 15, 10, 30, tzinfo=UTC),
        "event_date": date(2024, 1, 15),
        "total_amount": Decimal("99.99"),
        "items": [
            {"product_id": "prod-1", "product_name": "Lamp", "quantity": 2, "price": Decimal("49.995")}
        ],
        "currency": "USD",
        "city": None,
        "later": True,
    }

    at = datetime.now(UTC).replace(hour=23, minute=59)  # generated events are up to an hour older
    generated = [generator.body(kind, at) for kind in README for _ in range(20)]
    location.publish(*SCRIPT.values(), *generated, b"[1]", {"event_type": "order", "order_id": 5})
    location.publish(INVENTORY | {"inventory_id": "other"}, tenant=OTHER)
    assert all(run.success for run in location.take_all())
    counts = {"orders": 23, "inventory": 22, "user_activity": 22}
    assert {table: location.count(table) for table in counts} == counts
    assert location.count("inventory", OTHER) == 1
    (activity,) = location.rows(
        "SELECT device.screen.height AS height, ab_test, seen_at, birthday FROM raw_events.user_activity "
        "WHERE user_id = 'test-user' AND event_date = '2025-08-01'"
    )
    assert activity == {
        "height": 1080.5,
        "ab_test": "B",
        "seen_at": datetime(2025, 8, 1, 10, 0, 20, tzinfo=UTC),
        "birthday": date(2000, 2, 29),
    }
    assert sorted(location.dead().values()) == [
        "field order_id = 5: the column is STRING, the value INT64",
        "not a JSON object with an event_type: Expected `object`, got `array`",
    ]

    archive = location.archived()
    assert sum(map(len, archive.values())) == sum(counts.values())
    (sample,) = archive[next(key for key in archive if key.startswith("order/2024/01/15/10/"))]
    assert sample.keys() - ORDER.keys() == {"processed_timestamp", "message_id"}
    assert {k: v for k, v in sample.items() if k in ORDER} == ORDER
    assert location.archived(OTHER).keys() != archive.keys()

    told = location.told("user_activity")
    assert (told["events"], told["inserted"], told["late"]) == (21, 21, 1)
    assert "add device STRUCT" in told["schema_changes"]


def test_a_replay_changes_nothing(anywhere: EventLocation) -> None:
    location = anywhere
    for _ in range(2):  # two batches, and twice the same order
        location.publish(*README.values(), SCRIPT["user_activity"])
        assert all(run.success for run in location.take_all())
    tables = {"orders": 1, "inventory": 1, "user_activity": 4}
    everything = [
        f"SELECT * FROM raw_events.{t} WHERE event_date > '2000-01-01' ORDER BY x_key" for t in tables
    ]
    before = [location.rows(sql) for sql in everything], location.archived()
    assert [len(rows) for rows in before[0]] == list(tables.values())
    assert location.replay().success
    assert ([location.rows(sql) for sql in everything], location.archived()) == before
    assert location.told("order") | {
        "events": 2,
        "inserted": 0,
        "updated": 0,
        "archive/objects": 0,
    } == location.told("order")


# --- Keys and times -------------------------------------------------------------------------------------------------


def _orders(location: EventLocation) -> list[tuple[str, str, date]]:
    rows = location.rows(
        "SELECT order_id, status, event_date FROM raw_events.orders WHERE event_date > '1970-01-01'"
    )
    return sorted((r["order_id"], r["status"], r["event_date"]) for r in rows)


def test_of_each_order_the_newest_event_stays_whatever_comes_when(make: Callable[..., EventLocation]) -> None:
    location = make()

    def order(status: str, day: int) -> dict[str, Any]:
        return ORDER | {"status": status, "order_date": f"2026-01-{day:02d}T10:00:00Z"}

    location.publish(order("pending", 1), order("shipped", 3), order("processing", 2))
    location.take_all()
    assert _orders(location) == [("order-123", "shipped", date(2026, 1, 3))]
    location.publish(order("processing", 2))
    location.take_all()
    assert _orders(location) == [("order-123", "shipped", date(2026, 1, 3))]
    location.publish(order("delivered", 4), order("corrected", 4))
    location.take_all()
    assert _orders(location) == [("order-123", "corrected", date(2026, 1, 4))]
    assert location.told("order")["updated"] == 1


def test_within_its_day_a_key_is_looked_for_on_that_day_only(make: Callable[..., EventLocation]) -> None:
    spec = make().events["order"].model_copy(update={"key_within": "event_date"})
    location = make(events={"order": spec})
    for day in (1, 2, 2):
        location.publish(ORDER | {"order_date": f"2026-01-{day:02d}T10:00:00Z"})
        location.take_all()
    assert [row[2].day for row in _orders(location)] == [1, 2]


def test_the_date_is_the_utc_date_and_without_a_time_the_day_of_publication(
    make: Callable[..., EventLocation],
) -> None:
    location = make()
    location.publish(
        ORDER | {"order_id": "offset", "order_date": "2026-01-31T22:30:00-05:00"},
        ORDER | {"order_id": "naive", "order_date": "2026-01-31T22:30:00"},
        ORDER | {"order_id": "none", "order_date": None},
        {k: v for k, v in ORDER.items() if k != "order_date"} | {"order_id": "absent"},
        ORDER | {"order_id": "old", "order_date": "1999-12-31T00:00:00Z"},
        ORDER | {"order_id": "future", "order_date": "2150-01-01T00:00:00Z"},
        ORDER | {"order_id": "bad", "order_date": "31/01/2026"},
    )
    location.take_all()
    assert {row[0]: row[2] for row in _orders(location)} == {
        "offset": date(2026, 2, 1),
        "naive": date(2026, 1, 31),
        "none": today(),
        "absent": today(),
        "old": date(1999, 12, 31),
        "future": date(2150, 1, 1),
    }
    assert list(location.dead().values()) == [
        'field order_date = "31/01/2026": the column is TIMESTAMP, the value STRING'
    ]
    assert location.told("order")["ahead"] == 1
    hours = {key.rpartition("/")[0] for key in location.archived()}
    assert {
        "order/2026/02/01/03",
        "order/2026/01/31/22",
        "order/1999/12/31/00",
        "order/2150/01/01/00",
    } < hours


def test_the_archive_is_an_asset_of_hours(make: Callable[..., EventLocation]) -> None:
    location = make()
    hour = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    earlier = hour - timedelta(hours=30)
    old, future = "1999-12-31T00:00:00Z", "2150-01-01T00:00:00Z"
    for moment in (hour, earlier, earlier, old, future):  # what is no partition is archived all the same
        location.publish(ORDER | {"order_date": str(moment)})
    location.publish({"event_type": "surprise", "a": 1}, {"event_type": "another", "a": 1})
    location.take_all()
    assert len(location.archived()) == 6
    partition = f"{earlier:%Y-%m-%d-%H}:00"
    told = location.hours("order")
    assert told.keys() == {f"{hour:%Y-%m-%d-%H}:00", partition}
    assert (told[partition]["events"], told[partition]["objects"]) == (2, 1)
    assert told[partition]["tenant"] == TENANT
    assert f"{TENANT}/output/order/{earlier:%Y/%m/%d/%H}" in told[partition]["folders"]
    (undeclared,) = location.hours("undeclared").values()
    assert (undeclared["events"], undeclared["objects"]) == (2, 2)
    asset = location.defs.resolve_asset_graph().get(dg.AssetKey(["events_archive", "order"]))
    assert asset.partitions_def is not None
    assert partition in asset.partitions_def.get_partition_keys()
    assert asset.parent_keys == {dg.AssetKey(["events", "order"])}


def test_a_message_sent_again_under_the_same_event_id_counts_once(make: Callable[..., EventLocation]) -> None:
    location = make()
    for _ in range(2):
        location.publish(USER_ACTIVITY, event_id="first try")
        location.take_all()
    assert location.count("user_activity") == 1
    assert [len(events) for events in location.archived().values()] == [1]


def test_several_key_columns_are_one_key(make: Callable[..., EventLocation]) -> None:
    spec = EventSpec.model_validate(
        {
            "event_type": "stock",
            "table": "stock",
            "key": ["shop", "number"],
            "fields": [{"name": "shop", "type": "STRING"}, {"name": "number", "type": "INTEGER"}],
        }
    )
    location = make(events={"stock": spec})
    pairs = [("a", 1), ("a", 2), ("b", 1), ("a", 1), ("a", None), ("a", None)]
    location.publish(*[{"event_type": "stock", "shop": shop, "number": number} for shop, number in pairs])
    location.take_all()
    assert location.count("stock") == 5


# --- Owners, undeclared types, contracts ----------------------------------------------------------------------------


def test_who_owns_an_event(make: Callable[..., EventLocation]) -> None:
    location = make()
    location.publish(INVENTORY | {"inventory_id": "attribute", "tenant": TENANT}, tenant=OTHER)
    location.publish(INVENTORY | {"inventory_id": "field", "tenant": OTHER})
    location.publish(INVENTORY | {"inventory_id": "default"})
    location.publish(INVENTORY | {"inventory_id": "nobody", "tenant": "stranger"})
    location.take_all()
    assert (location.count("inventory"), location.count("inventory", OTHER)) == (1, 2)
    assert list(location.dead().values()) == ["there is no tenant 'stranger'"]
    without = make(settings={})
    without.publish(INVENTORY | {"inventory_id": "ownerless"})
    without.take_all()
    assert sum("events.tenant is not set" in reason for reason in without.dead().values()) == 1


def test_a_type_that_nobody_declared_gets_a_table_or_none(make: Callable[..., EventLocation]) -> None:
    refund = {
        "event_type": "refund",
        "order_id": "order-123",
        "amount": 5,
        "timestamp": "2026-01-31T23:00:00-02:00",
    }
    location = make()
    location.publish(refund, refund | {"amount": 7.5})
    location.take_all()
    rows = location.rows(
        "SELECT amount, event_date FROM raw_events.refund WHERE event_date > '2000-01-01' ORDER BY amount"
    )
    assert rows == [{"amount": n, "event_date": date(2026, 2, 1)} for n in (5.0, 7.5)]
    assert location.told("undeclared")["refund/inserted"] == 2
    strict = make(settings={"tenant": TENANT, "undeclared": "dead_letter"})
    strict.publish(refund)
    strict.take_all()
    assert list(strict.dead().values()) == ["event type 'refund' is not declared in configs/events"]


@pytest.mark.parametrize("mode", ["freeze", "discard_row"])
def test_a_table_that_events_may_not_create(make: Callable[..., EventLocation], mode: str) -> None:
    raw = {"event_type": "order", "table": "orders", "contract": {"tables": mode}}
    location = make(events={"order": EventSpec.model_validate_json(json.dumps(raw))})
    location.publish(ORDER)
    assert all(run.success for run in location.take_all())
    assert location.adapter("warehouse").describe(TENANT, TableName("raw_events", "orders")) is None
    assert len(location.dead()) == (mode == "freeze")
    assert sum(map(len, location.archived().values())) == (mode == "discard_row")


def test_a_declaration_that_the_table_cannot_follow_fails_the_run_and_loses_nothing(
    make: Callable[..., EventLocation],
) -> None:
    location = make()
    location.publish(ORDER)
    location.take_all()
    raw = {"event_type": "order", "table": "orders", "fields": [{"name": "status", "type": "INTEGER"}]}
    wrong = make(events={"order": EventSpec.model_validate(raw)})
    wrong.publish(ORDER | {"order_id": "waiting"}, USER_ACTIVITY)
    (run,) = (wrong.run(r.partition_key, r.tags) for r in wrong.tick())
    assert not run.success
    assert wrong.dead() == {}
    assert wrong.count("user_activity") == 1, "of another type"
    assert location.run(f"{today()}|{TENANT}").success
    assert location.count("orders") == 2


def test_a_warehouse_that_refuses_burns_no_attempts(
    make: Callable[..., EventLocation], monkeypatch: pytest.MonkeyPatch
) -> None:
    location = make(inbox={"max_attempts": 1})
    location.publish(ORDER)
    (request,) = location.tick()

    def refuse(*args: Any, **more: Any) -> None:
        raise RejectedError("no right to write")

    with monkeypatch.context() as patch:
        patch.setattr(type(location.adapter("warehouse")), "upsert", refuse)
        assert not location.run(request.partition_key, request.tags).success
    assert location.dead() == {}
    assert location.run(request.partition_key).success
    assert location.count("orders") == 1


def test_a_run_that_dies_before_it_has_said_so_leaves_every_event_once(
    make: Callable[..., EventLocation], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table and archive are written; more events come before the next run takes all of them."""
    location = make()
    location.publish(*README.values(), SCRIPT["user_activity"])
    (request,) = location.tick()

    def die(*args: Any, **more: Any) -> None:
        raise KeyboardInterrupt  # as when the process is stopped

    with monkeypatch.context() as patch:
        patch.setattr("platform_assets.assets.inbox.store.Inbox.save_state", die)
        assert not location.run(request.partition_key, request.tags).success
    before = location.archived()
    assert sum(map(len, before.values())) == 4
    location.publish(ORDER | {"order_id": "next"}, USER_ACTIVITY)
    location.tick()
    assert location.run(request.partition_key).success
    after = location.archived()
    assert before.items() <= after.items()
    ids = [event["message_id"] for events in after.values() for event in events]
    assert len(ids) == len(set(ids)) == 6
    assert (location.count("orders"), location.count("user_activity")) == (2, 3)


# --- Volume ---------------------------------------------------------------------------------------------------------


def test_a_day_unlike_those_before_it_is_noticed(make: Callable[..., EventLocation]) -> None:
    location = make()
    yesterday = today() - timedelta(days=1)
    for back in range(12):
        day, count = yesterday - timedelta(days=back), 2 if back == 0 else 20 + back % 3
        location.publish(
            *[
                INVENTORY | {"inventory_id": f"{day}-{n}", "timestamp": f"{day}T12:00:00Z"}
                for n in range(count)
            ],
            *[USER_ACTIVITY | {"timestamp": f"{day}T12:00:00Z"} for n in range(9)],
        )
    location.take_all()
    job = location.defs.resolve_job_def("event_volume_checks")
    result = job.execute_in_process(instance=location.instance, resources=None)
    found = {e.asset_key.path[-1]: e for e in result.get_asset_check_evaluations()}
    assert {name: evaluation.passed for name, evaluation in found.items()} == {
        "inventory": False,
        "order": True,
        "user_activity": True,
    }
    assert {e.check_name for e in found.values()} == {CHECK}
    told = found["inventory"].metadata["tenants"].value[TENANT]
    assert (told["events"], told["expected"], told["values"]) == (2.0, 21.0, 11)
