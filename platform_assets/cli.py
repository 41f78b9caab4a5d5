"""``platform-assets``: the command line. Each command parses its options and hands over to ``commands``.

Says what is wrong in one line per problem, with exit code 1; a traceback means a bug. Modules load inside commands.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from platform_assets.commands.cdc import cdc
from platform_assets.commands.conformance import conformance
from platform_assets.commands.events import events
from platform_assets.commands.expression import expression
from platform_assets.commands.inbox import inbox
from platform_assets.commands.notify import alerts, notify
from platform_assets.commands.operating import migrations, procedures
from platform_assets.commands.options import configuration_options
from platform_assets.commands.quality import dq
from platform_assets.commands.runs import runs
from platform_assets.commands.tenant_cli import offboard, provision, resume, suspend

if TYPE_CHECKING:
    from platform_assets.engine.pipelines import Configuration
    from platform_assets.settings import Settings


class _Group(click.Group):
    """Turns the platform's own errors into messages; vendor errors never get here."""

    def invoke(self, context: click.Context) -> Any:
        from platform_assets.engine.errors import PlatformError

        try:
            return super().invoke(context)
        except PlatformError as error:
            _show_error(error)
            sys.exit(1)


def _show_error(error: Exception) -> None:
    from platform_assets.commands.validating import shown

    problems = getattr(error, "problems", ())
    if not problems:
        click.echo(f"error: {error}", err=True)
        return
    root = _settings().config_root
    for problem in problems:
        click.echo(shown(problem, root), err=True)
    click.echo(f"{len(problems)} problem(s)", err=True)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="platform_assets")
def main() -> None:
    """Configuration, plans and upkeep of the platform's assets."""


def _settings() -> Settings:
    """The process's settings, with what the running command's options say instead."""
    from platform_assets.settings import read_settings

    context = click.get_current_context(silent=True)
    given = context.find_object(dict) or {} if context else {}
    return replace(read_settings(), **given)


def _remember(config_root: Path | None, deployment: str | None = None) -> None:
    context = click.get_current_context()
    given = {"config_root": config_root, "deployment": deployment}
    context.find_root().obj = {name: value for name, value in given.items() if value is not None}


# --- Configuration ------------------------------------------------------------------------------------


@main.command()
@configuration_options
def validate(config_root: Path | None, deployment: str | None) -> None:
    """Check everything below configs/ and report every problem at once.

    Warns where a tenant's schedules ask for more runs than its plan allows; the exit code stays 0.
    """
    from platform_assets.commands import validating

    _remember(config_root, deployment)
    configuration = validating.validate(_settings())
    _warn(configuration, configuration.tenants)
    click.echo(validating.summary(configuration))


def _warn(configuration: Configuration, tenants: Iterable[str]) -> None:
    """What is allowed and will not end well, on standard error."""
    from platform_assets.commands.validating import over_plan

    for tenant in tenants:
        for warning in over_plan(configuration, tenant, datetime.now(UTC).date()):
            click.echo(f"warning: {warning}", err=True)


@main.command()
@configuration_options
@click.argument("old", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--write", is_flag=True, help="Write the new files; nothing is overwritten.")
def convert(config_root: Path | None, deployment: str | None, old: Path, write: bool) -> None:
    """Translate pipelines of the replaced services below the folder OLD into this configuration's form.

    Tells what became of each and tries the result out; writes only with --write. Exit code 1 where one is refused or
    the result would not be valid.
    """
    from platform_assets.commands import converting

    _remember(config_root, deployment)
    found = converting.convert(_settings(), old)
    click.echo("\n".join(converting.lines(found)))
    converting.try_out(_settings(), found)
    if write:
        written = converting.write(_settings().config_root, found)
        click.echo(f"wrote {len(written)} file(s) below {_settings().config_root}")
    sys.exit(1 if any(one.refused for one in found) else 0)


@main.group()
def tenant() -> None:
    """Tenants: files below configs/tenants/."""


@tenant.command("add")
@configuration_options
@click.argument("name")
@click.option("--display-name", help="What people call the tenant.  [default: the name]")
@click.option("--timezone", default="UTC", show_default=True)
@click.option("--currency", default="USD", show_default=True, help="ISO 4217.")
@click.option("--fiscal-year-start-month", default=1, show_default=True, type=click.IntRange(1, 12))
@click.option("--plan", default="starter", show_default=True)
@click.option(
    "--credential", "credentials", multiple=True, metavar="PROVIDER=SECRET_NAME", help="May be repeated."
)
def tenant_add(
    config_root: Path | None, deployment: str | None, name: str, display_name: str | None, **given: Any
) -> None:
    """Write configs/tenants/NAME.yml. Never overwrites."""
    from platform_assets.commands.tenants import add_tenant

    _remember(config_root, deployment)
    path = add_tenant(_settings().config_root, name, display_name=display_name or name, **given)
    click.echo(f"wrote {path}; reload the code location to see the tenant's partitions")


@tenant.command("list")
@configuration_options
def tenant_list(config_root: Path | None, deployment: str | None) -> None:
    """Every tenant, and the pipelines that run for it."""
    from platform_assets.commands.tenants import tenant_rows
    from platform_assets.commands.validating import load_configuration

    _remember(config_root, deployment)
    rows = tenant_rows(load_configuration(_settings()))
    _table(("tenant", "status", "name", "providers", "pipelines"), rows)


@main.group()
def schema() -> None:
    """JSON Schemas of the configuration files, for editors."""


@schema.command("generate")
@configuration_options
@click.option("--check", is_flag=True, help="Write nothing; exit 1 where the files are not up to date.")
def schema_generate(config_root: Path | None, deployment: str | None, check: bool) -> None:
    """Write configs/.schema/*.json from the models."""
    from platform_assets.config import json_schema
    from platform_assets.engine.errors import ConfigError

    _remember(config_root, deployment)
    root = _settings().config_root
    if check:
        problems = json_schema.drift(root)
        if problems:
            raise ConfigError("the schemas are out of date", tuple(problems))
        click.echo(f"ok: {len(json_schema.MODELS)} schemas are up to date")
        return
    changed = json_schema.write(root)
    click.echo(f"changed: {', '.join(changed) or 'nothing'}")


# --- Runs ---------------------------------------------------------------------------------------------


@main.command()
@configuration_options
@click.argument("tables", nargs=-1, metavar="[DATASET.TABLE]...")
@click.option("--tenant", required=True)
@click.option(
    "--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="The data date.  [default: yesterday, UTC]"
)
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def plan(
    config_root: Path | None,
    deployment: str | None,
    tables: tuple[str, ...],
    tenant: str,
    day: datetime | None,
    as_json: bool,
) -> None:
    """What a run of these tables (all by default) would create, alter, read and write. Does nothing.

    Exit code 1 where a table cannot be changed to its declared schema.
    """
    from platform_assets.commands import planning
    from platform_assets.commands.validating import load_configuration
    from platform_assets.resources.bindings import create

    _remember(config_root, deployment)
    configuration = load_configuration(_settings())
    binding = configuration.deployment.ports.warehouse
    warehouse = create("warehouse", binding.kind, binding.settings)
    date = (day or datetime.now(UTC) - timedelta(days=1)).date()
    plans = planning.plan_run(configuration, warehouse, tables, tenant, date)
    _warn(configuration, [tenant])
    if as_json:
        click.echo(json.dumps([p.as_json() for p in plans], indent=2))
    else:
        click.echo("\n".join(planning.lines(plans)) or f"tenant {tenant} runs none of these tables")
    sys.exit(1 if any(p.refusals for p in plans) else 0)


@main.command()
@configuration_options
def doctor(config_root: Path | None, deployment: str | None) -> None:
    """Open every adapter and resolve every secret name. Exit code 1 where one is missing."""
    from platform_assets.commands.doctor import examine
    from platform_assets.commands.validating import validate as validated

    _remember(config_root, deployment)
    failed = 0
    for finding in examine(validated(_settings())):
        failed += not finding.ok
        mark = "ok  " if finding.ok else "FAIL"
        click.echo(f"{mark} {finding.what}" + ("" if finding.ok else f": {finding.error}"))
    sys.exit(1 if failed else 0)


# --- Metrics ------------------------------------------------------------------------------------------


@main.command("metrics-exporter")
@configuration_options
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9300, show_default=True, help="0: any free one."
)
def metrics_exporter(config_root: Path | None, deployment: str | None, host: str, port: int) -> None:
    """Serve Prometheus metrics of metric runs at /metrics, until it is stopped."""
    from platform_assets.commands.metrics_exporter import Collector, server
    from platform_assets.commands.serving import stop_when_told
    from platform_assets.commands.validating import load_configuration
    from platform_assets.resources.bindings import create

    _remember(config_root, deployment)
    chosen = load_configuration(_settings()).deployment
    if not chosen.metrics.records_prefix:
        raise click.ClickException("metrics.records_prefix is empty: runs leave no records")
    store = create("object_store", chosen.ports.object_store.kind, chosen.ports.object_store.settings)
    stop_when_told()
    with server(Collector(store, chosen.metrics.records_prefix), host, port) as serving:
        click.echo(f"http://{host}:{serving.server_port}/metrics")
        serving.serve_forever()


def _table(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(*head)
    for row in rows:
        table.add_row(*row)
    Console().print(table)


main.add_command(alerts)
main.add_command(cdc)
for command in (provision, suspend, resume, offboard):
    tenant.add_command(command)
main.add_command(conformance)
main.add_command(dq)
main.add_command(events)
main.add_command(expression)
main.add_command(inbox)
main.add_command(notify)
main.add_command(runs)
main.add_command(migrations)
main.add_command(procedures)


if __name__ == "__main__":
    main()
