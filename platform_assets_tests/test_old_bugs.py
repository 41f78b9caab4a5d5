"""Mistakes of the services replaced here that no other test would catch. Each docstring tells what the old one did.

The sections are those of the account of what they did: 5 metadata, 6 notifications, 7 the scheduler.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import pytest
from dagster._daemon.run_coordinator.queued_run_coordinator_daemon import QueuedRunCoordinatorDaemon
from pytest_httpserver import HTTPServer

from platform_assets.assets.automation import run_tags
from platform_assets.assets.graph import build_nodes
from platform_assets.assets.history import RunHistory
from platform_assets.assets.keys import SliceKey
from platform_assets.assets.notifications.outbox import CHANNELS
from platform_assets.assets.run_facts import RunFacts
from platform_assets.assets.slice_runner import RunContext
from platform_assets.config import Configuration, load
from platform_assets.engine.errors import RetryableError
from platform_assets.engine.tenancy import PLANS, runs_pipeline
from platform_assets.resources.warehouse.duckdb import DuckDBSettings, DuckDBWarehouse
from platform_assets_tests.assets.notifications.rig import TENANT, Rig, Slack, make_rig, occurrence, spec
from platform_assets_tests.config.tree import write_tree
from platform_assets_tests.engine.quality.duck import TABLE, Duck, schema_of

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    return load(write_tree(tmp_path / "configs"), deployment="local", environment={}, today=NOW.date())


# --- 5.3 Run history ----------------------------------------------------------------------------------


def test_a_status_that_cannot_be_written_is_an_error(configuration: Configuration, tmp_path: Path) -> None:
    """The old writer swallowed the failure of a status update, and dropped rows when its buffer was full."""
    folder = tmp_path / "warehouse"
    folder.mkdir()
    (folder / "acme1281.duckdb").write_bytes(b"no database" * 1000)
    run = RunContext("run-1", lambda: NOW, lambda text: None)
    facts = RunFacts("run-1", {}, "v", NOW)
    history = RunHistory(
        DuckDBWarehouse(DuckDBSettings(folder=folder)), configuration.metadata_tables, run, facts
    )
    with pytest.raises(RetryableError, match="acme1281"):
        history.begin(
            build_nodes(configuration.pipelines),
            [SliceKey(date(2026, 11, 20), "acme1281")],
            configuration.tenants,
        )


# --- 5.4 Data quality ---------------------------------------------------------------------------------


def test_the_last_of_many_rows_is_judged_too() -> None:
    """The old checks read LIMIT 10000, in no order."""
    duck = Duck(schema_of(amount="FLOAT64"), [])
    duck.connection.execute(
        f'INSERT INTO "{TABLE.dataset}"."{TABLE.table}" '
        "SELECT CASE WHEN i < 49999 THEN i END FROM range(50000) AS numbers(i)"
    )
    found = duck.one("expect_column_values_to_not_be_null", column="amount", severity="critical")
    assert (found.success, found.element_count, found.unexpected_count) == (False, 50_000, 1)


# --- 6 Notifications ----------------------------------------------------------------------------------


@pytest.fixture
def told(tmp_path: Path, httpserver: HTTPServer) -> Iterator[tuple[Rig, Slack]]:
    slack = Slack(httpserver)
    made = make_rig(tmp_path, spec(slack.channel()))
    yield made, slack
    made.warehouse.close()


def test_a_cooldown_that_cannot_be_read_is_not_over(told: tuple[Rig, Slack]) -> None:
    """An error of the old history meant "not in cooldown"."""
    rig, slack = told
    rig.happens(occurrence("run-1"))
    rig.deliver()
    [state] = [info.key for info in rig.store.list(f"{CHANNELS}/{TENANT}/")]
    kept = rig.store.get(state)
    rig.store.put(state, b"{not json")
    rig.happens(occurrence("run-2"))
    assert rig.process().deliver().errors
    assert len(slack.texts) == 1
    rig.store.put(state, kept)
    rig.deliver()
    assert len(slack.texts) == 1, "the cooldown that can be read again suppresses it"


# --- 7 Scheduler --------------------------------------------------------------------------------------


@pytest.mark.parametrize("plan", sorted(PLANS))
def test_a_tenant_of_every_plan_is_scheduled(configuration: Configuration, plan: str) -> None:
    """Organisations on trial were never scheduled: the query joined active subscriptions only."""
    tenant = configuration.tenants["acme1281"].model_copy(update={"plan": plan})
    assert runs_pipeline(tenant, configuration.pipelines["shop_costs"])


def test_higher_priorities_begin_first(configuration: Configuration) -> None:
    """Two parts of the old service ordered priorities in opposite ways."""
    pipeline, day = configuration.pipelines["shop_costs"].spec, date(2026, 11, 20)
    queued = [
        dg.DagsterRun(
            "shop_costs", run_id=str(number), tags=run_tags(pipeline, priority, day, day, "acme1281")
        )
        for number, priority in enumerate((0, -5, 9, 3))
    ]
    for order in itertools.permutations(queued):
        begun = QueuedRunCoordinatorDaemon(interval_seconds=1)._priority_sort(order)
        assert [int(run.tags["dagster/priority"]) for run in begun] == [9, 3, 0, -5]
