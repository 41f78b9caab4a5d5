"""``platform-assets tenant provision|suspend|resume|offboard``: options in, lines out."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from platform_assets.commands.opening import open_warehouse
from platform_assets.commands.options import configuration_options, settings_with

if TYPE_CHECKING:
    from platform_assets.commands.tenant_lifecycle import Status


@click.command("provision")
@configuration_options
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def provision(config_root: Path | None, deployment: str | None, name: str, dry_run: bool) -> None:
    """Create the tenant's datasets, tables, access, procedures; apply its migrations."""
    from platform_assets.assets.operations import require_tenants
    from platform_assets.commands.tenant_lifecycle import provision as act

    configuration, warehouse = open_warehouse(config_root, deployment)
    told: list[str] = []
    try:
        require_tenants(configuration, [name])
        act(configuration, warehouse, name, datetime.now(UTC), _teller(told), dry_run=dry_run)
    finally:
        warehouse.close()
    if not told:
        click.echo("nothing to change")


def _teller(told: list[str]) -> Callable[[str], None]:
    def tell(line: str) -> None:
        told.append(line)
        click.echo(line)

    return tell


@click.command("suspend")
@configuration_options
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def suspend(config_root: Path | None, deployment: str | None, name: str, dry_run: bool) -> None:
    """No schedule and no request runs anything for the tenant; what it has stays."""
    _set(config_root, deployment, name, "suspended", dry_run)


@click.command("resume")
@configuration_options
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be done.")
def resume(config_root: Path | None, deployment: str | None, name: str, dry_run: bool) -> None:
    """The tenant runs again; days that it missed are backfilled in the UI."""
    _set(config_root, deployment, name, "active", dry_run)


def _set(config_root: Path | None, deployment: str | None, name: str, status: Status, dry_run: bool) -> None:
    from platform_assets.commands.tenant_lifecycle import set_status

    root = settings_with(config_root, deployment).config_root
    changed = set_status(root, name, status, dry_run=dry_run)
    if not changed:
        click.echo(f"{name} is {status} already")
    elif dry_run:
        click.echo(f"would set status: {status} in {root / 'tenants' / name}.yml")
    else:
        click.echo(f"{name} is {status}; reload the code location")


@click.command("offboard")
@configuration_options
@click.argument("name")
@click.option("--dry-run", is_flag=True, help="Say what would be exported.")
@click.option("--delete", "deleting", is_flag=True, help="Delete every table once it is exported.")
@click.option("--confirm", metavar="NAME", help="The tenant's name again; --delete needs it.")
def offboard(
    config_root: Path | None,
    deployment: str | None,
    name: str,
    dry_run: bool,
    deleting: bool,
    confirm: str | None,
) -> None:
    """Export every table of the tenant to the object store; with --delete, delete them then."""
    from platform_assets.assets.operations import require_tenants
    from platform_assets.commands.tenant_offboarding import delete, export, require_deletable
    from platform_assets.resources.bindings import create

    configuration, warehouse = open_warehouse(config_root, deployment)
    try:
        require_tenants(configuration, [name])
        tenant = configuration.tenants[name]
        if deleting:
            require_deletable(tenant, confirm)
        if dry_run:
            for table in warehouse.tables(name):
                click.echo(f"would export {'and delete ' if deleting else ''}{table}")
            return
        objects = configuration.deployment.ports.object_store
        store = create("object_store", objects.kind, objects.settings)
        exported = export(configuration, warehouse, store, name, datetime.now(UTC), click.echo)
        if deleting:
            delete(configuration, warehouse, store, tenant, confirm, exported)
            click.echo(
                f"deleted every table of {name}; remove its file and its secrets when nobody needs them"
            )
    finally:
        warehouse.close()
