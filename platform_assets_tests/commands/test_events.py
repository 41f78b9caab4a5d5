"""Made-up events: as many as asked for, as fast as asked for, the same ones for the same seed."""

import json
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from click.testing import CliRunner

from platform_assets.cli import main
from platform_assets.commands.events import AT_ONCE, paced
from platform_assets.engine.events.generator import MAKERS, SCENARIOS, Generator, Scenario
from platform_assets.resources.topic.local import LocalTopic, LocalTopicSettings

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


class Clock:
    """Moves where somebody sleeps; publishing takes ``cost`` seconds a group."""

    def __init__(self, cost: float = 0.0) -> None:
        self.time, self.cost = 100.0, cost

    def __call__(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        assert seconds >= 0
        self.time += seconds


@pytest.mark.parametrize("cost", [0.0, 0.7, 30.0])
def test_the_rate_is_the_one_asked_for_however_slow_the_topic(cost: float) -> None:
    clock = Clock()
    groups = []
    for group in paced(
        Scenario(120, 2), Generator(Random(1)), clock=clock, sleep=clock.sleep, now=lambda: NOW
    ):
        groups.append(len(group))
        clock.time += cost
    assert sum(groups) == 240
    assert max(groups) <= AT_ONCE
    assert clock.time - 100 == pytest.approx(120, abs=cost)
    if cost == 0:
        assert groups == [1] * 240


def test_types_take_turns() -> None:
    moments = list(Scenario(60, 0.1, ("order", "inventory")).moments())
    assert moments == [(float(n), ("order", "inventory")[n % 2]) for n in range(6)]


def test_one_seed_gives_the_same_events_and_another_others() -> None:
    def bodies(seed: int) -> list[bytes]:
        generator = Generator(Random(seed), bad_rate=0.2, late_rate=0.2)
        return [generator.body(kind, NOW) for _ in range(50) for kind in MAKERS]

    assert bodies(1) == bodies(1)
    assert bodies(1) != bodies(2)


def test_rates_of_bad_and_late_events() -> None:
    generator = Generator(Random(3), bad_rate=0.1, late_rate=0.25)
    bodies = [generator.body("inventory", NOW) for _ in range(4000)]
    bad, late = 0, 0
    for body in bodies:
        try:
            event = json.loads(body)
            happened = datetime.fromisoformat(event["timestamp"])
            bad += "event_type" not in event
            late += (NOW - happened).total_seconds() > 86_400
        except ValueError:
            bad += 1
    assert 320 < bad < 480
    assert 800 < late < 1000


def test_values_are_those_of_the_shop() -> None:
    generator = Generator(Random(5))
    for _ in range(200):
        order = json.loads(generator.body("order", NOW))
        assert 1 <= len({item["product_id"] for item in order["items"]}) == len(order["items"]) <= 3
        total = sum(item["price"] * item["quantity"] for item in order["items"])
        assert order["total_amount"] == pytest.approx(total)
        assert 0 <= (NOW - datetime.fromisoformat(order["order_date"])).total_seconds() <= 3600
        stock = json.loads(generator.body("inventory", NOW))
        low, high = {"restock": (10, 100), "sale": (-50, -1), "return": (1, 20), "damage": (-10, -1)}[
            stock["reason"]
        ]
        assert low <= stock["quantity_change"] <= high


def test_every_scenario_can_be_started() -> None:
    counts = {name: scenario.events for name, scenario in SCENARIOS.items()}
    assert counts["stress_test"] == 6000
    assert counts["orders_only"] == 300
    for scenario in SCENARIOS.values():
        drawn = Counter(kind for _, kind in scenario.moments())
        assert set(drawn) == set(scenario.event_types)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PLATFORM_HOME", str(tmp_path))
    monkeypatch.setenv("PLATFORM_DEPLOYMENT", "local")
    return tmp_path


def _published(home: Path) -> list[dict[str, object]]:
    topic = LocalTopic(LocalTopicSettings(root=str(home / "topics" / "events")))
    return [json.loads(line) for line in topic.published()]


def test_generate_publishes_to_the_deployments_topic_and_its_queue(home: Path) -> None:
    arguments = [
        "events",
        "generate",
        "--type",
        "order",
        "--per-minute",
        "60",
        "--minutes",
        "0.2",
        "--at-once",
    ]
    done = CliRunner().invoke(main, [*arguments, "--tenant", "globex", "--seed", "4"])
    assert done.exit_code == 0, done.output
    assert "12 events in" in done.output
    found = _published(home)
    assert {json.loads(str(m["body"]))["event_type"] for m in found} == {"order"}
    assert [m["attributes"] for m in found] == [{"tenant": "globex"}] * 12
    assert len(list((home / "queues" / "events" / "ready").iterdir())) == 12


def test_a_scenario_by_name_and_the_list_of_all(home: Path) -> None:
    listed = CliRunner().invoke(main, ["events", "scenario"])
    assert all(name in listed.output for name in SCENARIOS)
    done = CliRunner().invoke(main, ["events", "scenario", "quick_sample", "--at-once"])
    assert done.exit_code == 0, done.output
    assert len(_published(home)) == 12


def test_sample_shows_and_publishes_nothing(home: Path) -> None:
    done = CliRunner().invoke(main, ["events", "sample", "user_activity", "--seed", "1"])
    assert json.loads(done.output)["event_type"] == "user_activity"
    assert not (home / "topics").exists()


def test_a_topic_that_the_deployment_does_not_have(home: Path) -> None:
    done = CliRunner().invoke(main, ["events", "scenario", "quick_sample", "--topic", "evnts"])
    assert done.exit_code == 1
    assert "no topic 'evnts'; known: events" in done.output
