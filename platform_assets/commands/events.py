"""``platform-assets events``: publish made-up events, at the rate that was asked for, to the deployment's topic."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import click

from platform_assets.engine.events.generator import MAKERS, SCENARIOS, Generator, Scenario, known_types

if TYPE_CHECKING:
    from platform_assets.ports import OutboundMessage, Topic

TOPIC = "events"
AT_ONCE = 500
_TYPE = click.Choice(sorted(MAKERS))


@click.group("events")
def events() -> None:
    """Made-up events: generate, sample, scenario."""


def _publishing(command: Callable[..., None]) -> Callable[..., None]:
    rate = click.FloatRange(0, 1)
    for option in (
        click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]"),
        click.option("--topic", default=TOPIC, show_default=True, help="A topic of the deployment."),
        click.option("--tenant", help="Whose events: becomes the attribute `tenant`."),
        click.option("--seed", type=int, help="The same seed draws the same values."),
        click.option("--bad-rate", type=rate, default=0.0, help="Share of events that cannot be taken."),
        click.option(
            "--late-rate", type=rate, default=0.0, help="Share that happened one to seven days ago."
        ),
        click.option("--at-once", is_flag=True, help="Do not wait: as fast as the topic takes them."),
    ):
        command = option(command)
    return command


@events.command("generate")
@_publishing
@click.option("--type", "event_types", type=_TYPE, multiple=True, help="May be repeated.  [default: all]")
@click.option(
    "--per-minute",
    type=click.FloatRange(0, min_open=True),
    default=30.0,
    show_default=True,
    help="Events of all types together.",
)
@click.option("--minutes", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True)
def generate(event_types: Sequence[str], per_minute: float, minutes: float, **options: Any) -> None:
    """Publish events of all types in turn, evenly over the time."""
    _run(Scenario(per_minute, minutes, known_types(event_types)), options)


@events.command("scenario")
@_publishing
@click.argument("name", required=False, type=click.Choice(list(SCENARIOS)))
def scenario(name: str | None, **options: Any) -> None:
    """Publish a named scenario; without NAME, list them."""
    if name:
        _run(SCENARIOS[name], options)
        return
    for known, found in SCENARIOS.items():
        click.echo(
            f"{known:<20}{found.per_minute:>6g} a minute × {found.minutes:g} min = {found.events:>5} events of "
            f"{', '.join(found.event_types)}"
        )


@events.command("sample")
@click.argument("event_type", type=_TYPE)
@click.option("--count", default=1, show_default=True, type=click.IntRange(min=1))
@click.option("--seed", type=int)
def sample(event_type: str, count: int, seed: int | None) -> None:
    """Show events; nothing is published."""
    generator, now = Generator(Random(seed)), datetime.now(UTC)
    for _ in range(count):
        click.echo(json.dumps(json.loads(generator.body(event_type, now)), indent=2))


def _run(chosen: Scenario, options: dict[str, Any]) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    topic = _topic(options["deployment"], options["topic"])
    generator = Generator(Random(options["seed"]), options["bad_rate"], options["late_rate"])
    began = time.monotonic()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns) as progress:
        task = progress.add_task("published", total=chosen.events)
        bodies = paced(chosen, generator, at_once=options["at_once"])
        for count in publish(topic, bodies, options["tenant"]):
            progress.advance(task, count)
    seconds = max(time.monotonic() - began, 1e-9)
    click.echo(f"{chosen.events} events in {seconds:.1f} s ({chosen.events / seconds * 60:.0f} a minute)")


def paced(
    chosen: Scenario,
    generator: Generator,
    *,
    at_once: bool = False,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Iterator[list[bytes]]:
    """Bodies as they become due, several where the last publication took longer than one event's turn.

    Each event has its own moment since the start, so a slow topic delays events and does not lower the rate.
    """
    began, due = clock(), list[bytes]()
    for offset, event_type in chosen.moments():
        ahead = 0.0 if at_once else began + offset - clock()
        if due and (ahead > 0 or len(due) == AT_ONCE):
            yield due
            due = []
            ahead = 0.0 if at_once else began + offset - clock()
        if ahead > 0:
            sleep(ahead)
        due.append(generator.body(event_type, now()))
    yield due
    if not at_once:  # the last event's turn ends too
        sleep(max(0.0, began + chosen.events * 60 / chosen.per_minute - clock()))


def publish(topic: Topic, bodies: Iterator[list[bytes]], tenant: str | None) -> Iterator[int]:
    """Publish each group; yields how many were accepted."""
    from platform_assets.ports import OutboundMessage

    attributes = {"tenant": tenant} if tenant else {}

    def message(body: bytes) -> OutboundMessage:
        return OutboundMessage(body, attributes)

    for group in bodies:
        topic.publish([message(body) for body in group])
        yield len(group)


def _topic(deployment: str | None, name: str) -> Topic:
    from dataclasses import replace

    from platform_assets.commands.validating import load_configuration
    from platform_assets.engine.errors import ConfigError
    from platform_assets.resources.bindings import create
    from platform_assets.settings import read_settings

    settings = read_settings()
    if deployment:
        settings = replace(settings, deployment=deployment)
    topics = load_configuration(settings).deployment.ports.topics
    if name not in topics:
        raise ConfigError(
            f"the deployment has no topic {name!r}; known: {', '.join(sorted(topics)) or 'none'}"
        )
    topic: Topic = create("topic", topics[name].kind, topics[name].settings)
    return topic
