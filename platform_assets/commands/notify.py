"""``platform-assets notify`` and ``alerts``: try channels out, look at what was told, evaluate rules by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from platform_assets.commands.options import configuration_options, settings_with

if TYPE_CHECKING:
    from platform_assets.assets.notifications.delivery import Deliverer
    from platform_assets.config import Configuration
    from platform_assets.engine.notifications.alerts.alert import Alert

_TEST_SUBJECT = "test"


@click.group("notify")
def notify() -> None:
    """Notifications: test a channel, see what was told, take something on."""


@notify.command("test")
@configuration_options
@click.option("--tenant", default="platform", show_default=True, help="Whose configuration.")
@click.option("--event", default="pipeline_failure", show_default=True)
@click.option("--channel", "channels", multiple=True, help="Only these.  [default: those of the event]")
def test(
    config_root: Path | None, deployment: str | None, tenant: str, event: str, channels: tuple[str, ...]
) -> None:
    """Send one message now, without cooldown, quiet hours, or a second attempt. Exit code 1 where a channel fails.

    Each delivery is a row of the tenant's history, like any other; it starts no cooldown.
    """
    deliverer = _deliverer(_configuration(config_root, deployment))
    occurrence = _test_occurrence(tenant, event, channels)
    facts = deliverer.deliver_now(occurrence)
    if not facts:
        raise click.ClickException(f"{tenant} has no channel for {event}: nobody would be told")
    for fact in facts:
        click.echo(f"{fact.status:<6} {fact.jobs[0].channel_id} ({fact.provider})" + _why(fact.error))
    sys.exit(1 if any(fact.status != "sent" for fact in facts) else 0)


def _test_occurrence(tenant: str, event: str, channels: tuple[str, ...]) -> Any:
    from platform_assets.engine.notifications.events import Event
    from platform_assets.engine.notifications.occurrence import Occurrence

    now = datetime.now(UTC)
    try:
        kind = Event(event.lower())
    except ValueError:
        raise click.ClickException(f"there is no event {event!r}; known: {', '.join(Event)}") from None
    return Occurrence(
        key=f"test:{now.isoformat()}",
        tenant=tenant,
        event=kind,
        title=f"Test of {kind}",
        message="This is a test: nothing has happened.",
        at=now,
        subject=_TEST_SUBJECT,
        channels=channels,
    )


@notify.command("history")
@configuration_options
@click.option("--tenant", required=True)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000))
def history(config_root: Path | None, deployment: str | None, tenant: str, limit: int) -> None:
    """The newest deliveries and suppressions of a tenant."""
    rows = _deliverer(_configuration(config_root, deployment)).log.newest(tenant, limit)
    for row in rows:
        words = (f"{row['created_at']:%Y-%m-%d %H:%M}", row["status"], row["event_type"], row["channel_id"])
        click.echo("  ".join((*words, row["subject"])) + _why(row["reason"] or row["error_message"]))
        click.echo(f"    {row['notification_id']}")
    click.echo(f"{len(rows)} notification(s)")


@notify.command("pending")
@configuration_options
def pending(config_root: Path | None, deployment: str | None) -> None:
    """What waits in the outbox, and what its channel is doing."""
    outbox = _deliverer(_configuration(config_root, deployment)).outbox
    for (tenant, channel), keys in sorted(outbox.waiting().items()):
        state = outbox.read(tenant, channel).state
        busy = f", being sent until {state.claim.until:%H:%M:%S}" if state.claim else ""
        click.echo(f"{tenant}/{channel}: {len(keys)} waiting{busy}")
        for job in outbox.jobs(keys):
            tried = state.attempts.get(job.id)
            click.echo(
                f"  {job.id}  {job.occurrence.title}"
                + _why(tried and f"attempt {tried.count}: {tried.error}")
            )


@notify.command("acknowledge")
@configuration_options
@click.option("--tenant", required=True)
@click.option("--by", required=True, help="Who takes it on.")
@click.argument("notification_id")
def acknowledge(
    config_root: Path | None, deployment: str | None, tenant: str, by: str, notification_id: str
) -> None:
    """Take a notification on: it is not escalated."""
    deliverer = _deliverer(_configuration(config_root, deployment))
    now = datetime.now(UTC)
    deliverer.outbox.acknowledge(tenant, notification_id, by, now)
    if not deliverer.log.acknowledge(tenant, notification_id, by, now):
        raise click.ClickException(f"{tenant} was never told {notification_id!r}; `notify history` shows all")
    click.echo(f"{notification_id} acknowledged by {by}")


@notify.command("config")
@configuration_options
@click.option("--tenant", default="platform", show_default=True)
def config(config_root: Path | None, deployment: str | None, tenant: str) -> None:
    """Which events a tenant is told, where, and what was translated from an older shape. No secret is shown."""
    from platform_assets.engine.notifications.events import Event

    notifications = _configuration(config_root, deployment).notifications
    spec = notifications.of(tenant)
    click.echo(f"{tenant}: {'enabled' if spec.enabled else 'disabled: nobody is told'}")
    for event in Event:
        trigger = spec.trigger(event)
        where = ", ".join(spec.chosen(trigger.channels)) if trigger else ""
        told = f"{where or 'nowhere'}, at most every {trigger.cooldown} s" if trigger else "off"
        click.echo(f"  {event:<22} {told}")
    for note in notifications.notes:
        click.echo(f"note: {note}")


@click.group("alerts")
def alerts() -> None:
    """Alerts: rules over gold tables and runs."""


@alerts.command("list")
@configuration_options
def list_alerts(config_root: Path | None, deployment: str | None) -> None:
    """Every alert: what it looks at, whom it concerns."""
    for alert in _configuration(config_root, deployment).alerts.values():
        spec = alert.spec
        whom = spec.tenants if isinstance(spec.tenants, str) else ", ".join(spec.tenants)
        state = "" if spec.enabled else "  (disabled)"
        click.echo(f"{alert.id}  {spec.rule.type} on {alert.table}  {whom}{state}")


@alerts.command("evaluate")
@configuration_options
@click.option("--tenant", "tenants", multiple=True, help="[default: all that it concerns]")
@click.option("--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="[default: yesterday, UTC]")
@click.option("--dry-run", is_flag=True, help="Only show: nobody is told.")
@click.argument("names", nargs=-1, metavar="[ALERT]...")
def evaluate(
    config_root: Path | None,
    deployment: str | None,
    tenants: tuple[str, ...],
    day: datetime | None,
    dry_run: bool,
    names: tuple[str, ...],
) -> None:
    """Evaluate alerts (all by default) on the warehouse as it is. Exit code 1 where one could not be evaluated."""
    from platform_assets.assets.notifications.alerts import evaluate_alert, tell

    configuration = _configuration(config_root, deployment)
    deliverer = _deliverer(configuration)
    now = datetime.now(UTC)
    date = (day or now - timedelta(days=1)).date()
    results = [
        evaluate_alert(deliverer.log.warehouse, alert, tenant, date, now)
        for alert, tenant in _asked(configuration, names, tenants)
    ]
    for result in results:
        click.echo(str(result))
    if not dry_run:
        told = tell(deliverer.outbox, configuration.notifications, results, now)
        click.echo(f"{told} notification(s) in the outbox")
    sys.exit(1 if any(result.status == "error" for result in results) else 0)


def _asked(
    configuration: Configuration, names: tuple[str, ...], tenants: tuple[str, ...]
) -> Iterator[tuple[Alert, str]]:
    for kind, given, known in (
        ("alert", names, configuration.alerts),
        ("tenant", tenants, configuration.tenants),
    ):
        for name in given:
            if name not in known:
                raise click.ClickException(f"there is no {kind} {name!r}; known: {', '.join(known)}")
    for name in names or configuration.alerts:
        alert = configuration.alerts[name]
        yield from ((alert, t) for t in tenants or configuration.tenants if alert.spec.concerns(t))


def _why(reason: str | None) -> str:
    return f": {reason}" if reason else ""


def _configuration(config_root: Path | None, deployment: str | None) -> Configuration:
    from platform_assets.commands.validating import validate

    return validate(settings_with(config_root, deployment))


def _deliverer(configuration: Configuration) -> Deliverer:
    """The delivering side of the deployment, as the sensor has it."""
    from platform_assets.assets.notifications.delivery import Deliverer
    from platform_assets.assets.notifications.log import TABLE, NotificationLog
    from platform_assets.assets.notifications.outbox import Outbox
    from platform_assets.resources.bindings import create

    ports = configuration.deployment.ports
    opened = {
        p: create(p, s.kind, s.settings)
        for p, s in configuration.deployment.resources().items()
        if p in _NEEDED
    }
    return Deliverer(
        outbox=Outbox(opened["object_store"]),
        log=NotificationLog(opened["warehouse"], configuration.metadata_tables[TABLE]),
        notifications=configuration.notifications,
        notifiers={
            str(k): create("notifier", s.kind, s.settings) for k, s in sorted(ports.notifiers.items())
        },
        secrets=opened["secrets"],
        now=lambda: datetime.now(UTC),
    )


_NEEDED = ("object_store", "secrets", "warehouse")
