"""``platform-assets inbox``: look at dead letters, have them taken in again, or drop them.

A KEY is what ``list`` shows: ``<source>/<day>/<message>``; ``--all`` with ``--source`` means all of a source.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from platform_assets.assets.inbox.store import Inbox
    from platform_assets.ports import ObjectStore

_SHOWN_BYTES = 20_000


@click.group("inbox")
def inbox() -> None:
    """Messages given up: list, show, replay, drop."""


@inbox.command("list")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.option("--source", help="Only this queue's.")
def list_letters(deployment: str | None, source: str | None) -> None:
    """Every dead letter, by source and day: KEY, attempts, reason."""
    count = 0
    for _, box in _inboxes(_store(deployment), source):
        for key, letter in box.dead_letters():
            count += 1
            click.echo(f"{_short(key)}  {letter.attempts}  {letter.reason[:160]!r}")
    click.echo(f"{count} dead letter(s)")


@inbox.command("show")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.argument("key")
def show(deployment: str | None, key: str) -> None:
    """One dead letter: why, when, and its original bytes."""
    from platform_assets.engine.inbox.model import decode_dead_letter

    letter = decode_dead_letter(_store(deployment).get(_long(key)))
    message = letter.message
    for name, value in (
        ("source", letter.source),
        ("message", message.id),
        ("partition", letter.partition or "(none)"),
        ("published", message.published_at),
        ("given up", letter.at),
        ("attempts", letter.attempts),
        ("reason", letter.reason),
        ("attributes", dict(message.attributes)),
        ("body", f"{len(message.body)} bytes"),
    ):
        click.echo(f"{name:<12}{value}")
    click.echo(message.body[:_SHOWN_BYTES].decode(errors="backslashreplace"))


@inbox.command("replay")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.option("--source", help="With --all: whose.")
@click.option("--all", "everything", is_flag=True, help="All dead letters of --source.")
@click.argument("keys", nargs=-1)
def replay(deployment: str | None, source: str | None, everything: bool, keys: tuple[str, ...]) -> None:
    """Hand dead letters to the queue's sensor, which routes them anew."""
    store = _store(deployment)
    chosen = _chosen(store, source, everything, keys)
    for box, key in chosen:
        box.ask_for_replay(key)
    click.echo(f"{len(chosen)} message(s) will be taken in by the sensor's next tick")


@inbox.command("drop")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.option("--source", help="With --all: whose.")
@click.option("--all", "everything", is_flag=True, help="All dead letters of --source.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.argument("keys", nargs=-1)
def drop(
    deployment: str | None, source: str | None, everything: bool, yes: bool, keys: tuple[str, ...]
) -> None:
    """Delete dead letters for good."""
    store = _store(deployment)
    chosen = _chosen(store, source, everything, keys)
    if chosen and not yes:
        click.confirm(f"Delete {len(chosen)} message(s) for good?", abort=True)
    store.delete([key for _, key in chosen])
    click.echo(f"{len(chosen)} dead letter(s) dropped")


def _store(deployment: str | None) -> ObjectStore:
    from dataclasses import replace

    from platform_assets.commands.validating import load_configuration
    from platform_assets.resources.bindings import create
    from platform_assets.settings import read_settings

    settings = read_settings()
    if deployment:
        settings = replace(settings, deployment=deployment)
    binding = load_configuration(settings).deployment.ports.object_store
    store: ObjectStore = create("object_store", binding.kind, binding.settings)
    return store


def _inboxes(store: ObjectStore, source: str | None) -> Iterator[tuple[str, Inbox]]:
    from platform_assets.assets.inbox.store import Inbox, sources

    for name in [source] if source else sources(store):
        yield name, Inbox(store, name)


def _chosen(
    store: ObjectStore, source: str | None, everything: bool, keys: Sequence[str]
) -> list[tuple[Inbox, str]]:
    """The dead letters meant, all of which exist. NotFoundError names one that does not."""
    from platform_assets.engine.errors import NotFoundError

    if everything == bool(keys) or (everything and not source):
        raise click.UsageError("give KEYs, or --all with --source")
    inboxes = [box for _, box in _inboxes(store, source)]
    if everything:
        return [(box, key) for box in inboxes for key in box.dead_letter_keys()]
    chosen = [(box, _long(key)) for key in keys for box in inboxes if box.owns(_long(key))]
    missing = [key for key in keys if not any(_long(key) == k and store.stat(k) for _, k in chosen)]
    if missing:
        raise NotFoundError(f"there is no dead letter {missing[0]!r}; `platform-assets inbox list` shows all")
    return chosen


def _short(key: str) -> str:
    from platform_assets.assets.inbox.store import DEAD_LETTER

    return key.removeprefix(f"{DEAD_LETTER}/").removesuffix(".json")


def _long(key: str) -> str:
    from platform_assets.assets.inbox.store import DEAD_LETTER

    return f"{DEAD_LETTER}/{Path(key).as_posix()}.json"
