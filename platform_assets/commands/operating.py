"""The command line of procedures and migrations: options in, lines out. What happens is in ``assets.operations``."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_assets.commands.opening import open_warehouse
from platform_assets.commands.options import configuration_options

if TYPE_CHECKING:
    from platform_assets.assets.operations import Operations, Preview

_tenants = click.option("--tenant", "tenants", multiple=True, help="May be repeated.  [default: all]")


@click.group("procedures")
def procedures() -> None:
    """Stored procedures: files below configs/procedures/<domain>/."""


@procedures.command("list")
@configuration_options
@_tenants
def list_procedures(config_root: Path | None, deployment: str | None, tenants: tuple[str, ...]) -> None:
    """Every procedure and whether what is deployed is what its file says."""
    for each in _operations(config_root, deployment, tenants):
        for one in each.deployed():
            at = f"{one.deployed_at:%Y-%m-%d %H:%M} UTC" if one.deployed_at else "never"
            click.echo(f"{each.tenant}  {one.name}  {one.state}  deployed {at}")


@procedures.command("diff")
@configuration_options
@_tenants
def diff(config_root: Path | None, deployment: str | None, tenants: tuple[str, ...]) -> None:
    """What sync would change. Exit code 1 where that is something."""
    lines = [line for each in _operations(config_root, deployment, tenants) for line in each.diff()]
    click.echo("\n".join(lines) if lines else "nothing to change")
    sys.exit(1 if lines else 0)


@procedures.command("sync")
@configuration_options
@_tenants
@click.option("--prune", is_flag=True, help="Drop procedures whose file is gone.")
def sync(config_root: Path | None, deployment: str | None, tenants: tuple[str, ...], prune: bool) -> None:
    """Deploy what is new or was edited, those that are called first."""
    for each in _operations(config_root, deployment, tenants):
        for line in each.sync(prune=prune) or ["nothing to change"]:
            click.echo(f"{each.tenant}  {line}")


@procedures.command("run")
@configuration_options
@click.argument("name")
@click.option("--tenant", required=True)
@click.option("--set", "given", multiple=True, metavar="P_NAME=VALUE", help="A parameter; may be repeated.")
@click.option("--dry-run", is_flag=True, help="Show the rows it would touch.")
def run(
    config_root: Path | None,
    deployment: str | None,
    name: str,
    tenant: str,
    given: tuple[str, ...],
    dry_run: bool,
) -> None:
    """Run a procedure for one tenant, in one transaction."""
    [operations] = _operations(config_root, deployment, (tenant,))
    values = dict(_pair(text) for text in given)
    if dry_run:
        click.echo("\n".join(_shown(operations.preview(name, values))))
        return
    counts = operations.run(name, values)
    click.echo(f"{tenant}  {name}  {sum(counts)} rows changed by {len(counts)} statements")


@click.group("migrations")
def migrations() -> None:
    """Changes of data, once for each tenant: files below configs/migrations/."""


@migrations.command("list")
@configuration_options
@_tenants
def list_migrations(config_root: Path | None, deployment: str | None, tenants: tuple[str, ...]) -> None:
    """What is still to be applied."""
    for each in _operations(config_root, deployment, tenants):
        waiting = ", ".join(migration.file for migration in each.pending()) or "none"
        click.echo(f"{each.tenant}  pending: {waiting}")


@migrations.command("run")
@configuration_options
@_tenants
@click.option("--dry-run", is_flag=True, help="Show the rows they would change.")
def run_migrations(
    config_root: Path | None, deployment: str | None, tenants: tuple[str, ...], dry_run: bool
) -> None:
    """Apply what is pending, by number. A failure stops that tenant only; exit code 1."""
    from platform_assets.assets.operations import migrate_tenants

    every = list(_operations(config_root, deployment, tenants))
    if dry_run:
        for each in every:
            for migration in each.pending():
                click.echo(f"{each.tenant}  {migration.file}")
                click.echo("\n".join(_shown(each.preview_migration(migration))))
        return
    failed = False
    for tenant, line in migrate_tenants(every):
        click.echo(f"{tenant}  {line}")
        failed = failed or line.startswith("FAILED")
    sys.exit(1 if failed else 0)


def _operations(
    config_root: Path | None, deployment: str | None, tenants: Sequence[str]
) -> Iterator[Operations]:
    from platform_assets.assets.operations import Operations, require_tenants

    configuration, warehouse = open_warehouse(config_root, deployment)
    try:
        chosen = require_tenants(configuration, tenants)
        for tenant in chosen:
            yield Operations(configuration, warehouse, tenant, datetime.now(UTC))
    finally:
        warehouse.close()


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise click.BadParameter(f"{text!r} is not p_name=value", param_hint="--set")
    return name, value


def _shown(previews: Sequence[Preview]) -> Iterator[str]:
    for preview in previews:
        yield f"  {preview.change}: {preview.rows} rows"
        for row in preview.sample:
            filled = {name: value for name, value in row.items() if value is not None}
            yield "    " + ", ".join(f"{name}={value}" for name, value in list(filled.items())[:8])
