"""``platform-assets cdc``: what the monitors would make of a message, without touching queue, inbox or metric sink."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from platform_assets.engine.cdc.record import ChangeRecord
    from platform_assets.engine.cdc.tables import DataScope
    from platform_assets.engine.pipelines import Configuration
    from platform_assets.ports import MetricPoint


@dataclass
class Collected:
    """A metric sink and a ledger that keep what they are given for this process only."""

    points: list[MetricPoint] = field(default_factory=list)

    def write(self, points: Sequence[MetricPoint]) -> None:
        self.points += points

    def ledger(self, partition: str) -> tuple[None, None]:
        return None, None

    def save_ledger(self, partition: str, data: bytes, etag: str | None) -> None:
        return


@click.group("cdc")
def cdc() -> None:
    """CDC monitors: try a message."""


@cdc.command("check")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.option("--ask", is_flag=True, help="Ask the warehouse and show the points. Writes nothing.")
@click.argument("file", type=click.File("rb"))
def check(deployment: str | None, ask: bool, file: Any) -> None:
    """Which handlers take the message in FILE (``-``: standard input), and which tables they read.

    FILE is a Datastream record, bare or in a Pub/Sub push body or CloudEvent. Exit code 1 where a handler fails.
    """
    from platform_assets.commands.validating import load_configuration
    from platform_assets.engine.cdc.record import read_record
    from platform_assets.settings import read_settings

    settings = read_settings()
    chosen = replace(settings, deployment=deployment) if deployment else settings
    configuration = load_configuration(chosen)
    body = file.read()
    record = read_record(body)
    partition, scope = _place(configuration, record)
    click.echo(f"{partition}  {record.change} of {record.object or 'an unnamed table'}  {record.id}")
    failed = list(_handlers(configuration, record, scope))
    if ask:
        failed += _asked(configuration, body, record, partition, scope)
    sys.exit(1 if failed else 0)


def _place(configuration: Configuration, record: ChangeRecord) -> tuple[str, DataScope | None]:
    from platform_assets.assets.cdc import UNASSIGNED, partners_of, scope_of_tenant
    from platform_assets.assets.keys import SliceKey

    tenant = partners_of(configuration.tenants).get(record.partner)
    if record.partner and not tenant:
        click.echo(f"partner {record.partner!r} is no tenant", err=True)
    scope = scope_of_tenant(configuration.tenants[tenant], configuration.deployment.cdc) if tenant else None
    return str(SliceKey(record.at.date(), tenant or UNASSIGNED)), scope


def _handlers(configuration: Configuration, record: ChangeRecord, scope: DataScope | None) -> Iterator[str]:
    """Shows every handler that takes the change; yields the names of those that fail."""
    from platform_assets.engine.cdc.matching import handlers_for
    from platform_assets.engine.cdc.telling import Task, prepare
    from platform_assets.engine.errors import DataError

    tasks = [
        Task(record.id, record, *found)
        for found in handlers_for(tuple(configuration.monitors.values()), record)
    ]
    for task in tasks:
        try:
            tables = prepare(task, scope).tables
            click.echo(task.name)
            for name, table in sorted(tables.items()):
                click.echo(f"  {name} = {table}")
        except DataError as error:
            click.echo(f"{task.name}\n  fails: {error}")
            yield task.name
    if not tasks:
        click.echo("no monitor takes it")


def _asked(
    configuration: Configuration, body: bytes, record: ChangeRecord, partition: str, scope: DataScope | None
) -> list[str]:
    """Shows the points; returns what failed."""
    from platform_assets.assets.cdc_run import FAILURE, CdcHandler, Report
    from platform_assets.engine.inbox.model import Done, StoredMessage
    from platform_assets.resources.bindings import create

    binding, kept = configuration.deployment.ports.query_sources, Collected()
    source = create("query_sources", binding.kind, binding.settings).open({}, None)
    report = Report()
    handler = CdcHandler(
        partition,
        partition.partition("|")[2],
        tuple(configuration.monitors.values()),
        scope,
        lambda: source,
        kept,
        kept,
        configuration.deployment.cdc,
        lambda: datetime.now(UTC),
        report,
    )
    (outcome,) = handler([StoredMessage(record.id, body)]).values()
    for point in sorted(kept.points, key=lambda p: (p.name, sorted(p.labels.items()))):
        if point.name != FAILURE:
            labels = ", ".join(f"{key}={value}" for key, value in sorted(point.labels.items()))
            click.echo(f"{point.name}{{{labels}}} = {point.value} at {point.end.isoformat()}")
    counts: Counter[str] = report.counts
    click.echo(
        f"{counts['questions']} questions in {counts['queries']} queries, {counts['look-ups']} look-ups"
    )
    if isinstance(outcome, Done):
        return []
    click.echo(str(outcome), err=True)
    return [record.id]
