"""``platform-assets runs``: what ran, for whom and how it ended, from the tenants' ``metadata`` tables. Reads only."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from platform_assets.commands.opening import open_warehouse
from platform_assets.commands.options import configuration_options

if TYPE_CHECKING:
    from platform_assets.engine.pipelines import Configuration
    from platform_assets.engine.sql.model import BoundSql
    from platform_assets.ports import Warehouse

STATUSES = ("PENDING", "RUNNING", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED", "BLOCKED")
_LIST = """
SELECT pipeline_logging_id, tenant_id, pipeline_id, run_date, status, trigger_type, trigger_by, start_time,
  duration_ms, error_message
FROM {table}
WHERE ingestion_date >= DATE '{since}'
  AND (@pipeline IS NULL OR pipeline_id = @pipeline)
  AND (@run_date IS NULL OR run_date = @run_date)
  AND (@status IS NULL OR status = @status)
ORDER BY start_time DESC, pipeline_id, run_date DESC
LIMIT {limit}
"""
_OF_RUN = "SELECT * FROM {table} WHERE STARTS_WITH(pipeline_logging_id, @run_id) ORDER BY {order}"
_PARTS = {
    "pipeline_runs": "pipeline_id, run_date",
    "step_logs": "start_time, step_name, credential_id",
    "state_transitions": "transition_time, entity_type, entity_name",
    "dq_results": "target_table, run_date, expectation_id",
}


@dataclass(frozen=True)
class Wanted:
    """Which rows of ``pipeline_runs``; None means all. ``since``: the first day (UTC) on which they began."""

    since: date
    pipeline: str | None = None
    run_date: date | None = None
    status: str | None = None
    limit: int = 50


@click.group("runs")
def runs() -> None:
    """Runs: list them, show one."""


@runs.command("list")
@configuration_options
@click.option("--tenant", "tenants", multiple=True, help="May be repeated.  [default: all]")
@click.option("--pipeline")
@click.option("--date", "run_date", type=click.DateTime(["%Y-%m-%d"]), help="Data date.")
@click.option("--status", type=click.Choice(STATUSES, case_sensitive=False))
@click.option(
    "--days",
    type=click.IntRange(1, 3660),
    default=7,
    show_default=True,
    help="Began in the last so many days.",
)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="Per tenant.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def list_command(
    config_root: Path | None,
    deployment: str | None,
    tenants: tuple[str, ...],
    pipeline: str | None,
    run_date: datetime | None,
    status: str | None,
    days: int,
    limit: int,
    as_json: bool,
) -> None:
    """The newest slices of pipelines, one line each, newest first."""
    configuration, warehouse = open_warehouse(config_root, deployment)
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    wanted = Wanted(since, pipeline, run_date.date() if run_date else None, status and status.upper(), limit)
    rows = list_runs(configuration, warehouse, wanted, tenants)
    if as_json:
        click.echo(json.dumps(rows, indent=2, default=str))
        return
    heads = ("run", "tenant", "pipeline", "date", "status", "trigger", "began (UTC)", "seconds", "error")
    _table(heads, (_line(row) for row in rows))


@runs.command("show")
@configuration_options
@click.argument("run_id")
@click.option("--tenant", "tenants", multiple=True, help="May be repeated.  [default: all]")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
def show_command(
    config_root: Path | None, deployment: str | None, run_id: str, tenants: tuple[str, ...], as_json: bool
) -> None:
    """One run: its pipelines, steps, changes of state and failed checks. The first characters of RUN_ID are enough."""
    from platform_assets.engine.errors import NotFoundError

    configuration, warehouse = open_warehouse(config_root, deployment)
    found = show_run(configuration, warehouse, run_id, tenants)
    if not found["pipeline_runs"]:
        raise NotFoundError(f"no tenant has a run {run_id!r}; `platform-assets runs list` shows the newest")
    if as_json:
        click.echo(json.dumps(found, indent=2, default=str))
        return
    _table(
        ("tenant", "pipeline", "date", "status", "seconds", "error"), map(_run_line, found["pipeline_runs"])
    )
    _table(
        ("step", "table", "credential", "date", "status", "rows", "ms", "error"),
        map(_step_line, found["step_logs"]),
    )
    moves = [m for m in found["state_transitions"] if m["entity_type"] == "PIPELINE"]
    _table(("pipeline", "from", "to", "when (UTC)", "after ms"), map(_move_line, moves))
    bad = [check for check in found["dq_results"] if not check["success"]]
    _table(("table", "date", "check", "severity", "unexpected", "observed or error"), map(_check_line, bad))


# --- What the commands do -----------------------------------------------------------------------------


def list_runs(
    configuration: Configuration, warehouse: Warehouse, wanted: Wanted, tenants: Sequence[str] = ()
) -> list[dict[str, Any]]:
    """Rows of ``pipeline_runs``, newest first over all tenants. A tenant that never ran has none."""
    from platform_assets.engine.schema.model import FieldType
    from platform_assets.engine.sql.model import BoundSql

    rows: list[dict[str, Any]] = []
    for tenant, table in _tables(configuration, warehouse, "pipeline_runs", tenants):
        query = BoundSql(
            _LIST.format(table=table, since=wanted.since.isoformat(), limit=int(wanted.limit)),
            {
                "pipeline": (FieldType.STRING, wanted.pipeline),
                "run_date": (FieldType.DATE, wanted.run_date),
                "status": (FieldType.STRING, wanted.status),
            },
        )
        rows += warehouse.query(tenant, query).to_pylist()
    return sorted(rows, key=lambda row: row["start_time"], reverse=True)


def show_run(
    configuration: Configuration, warehouse: Warehouse, run_id: str, tenants: Sequence[str] = ()
) -> dict[str, list[dict[str, Any]]]:
    """Metadata table → the run's rows of all tenants."""
    return {
        name: [
            row
            for tenant, table in _tables(configuration, warehouse, name, tenants)
            for row in warehouse.query(tenant, _of_run(table, order, run_id)).to_pylist()
        ]
        for name, order in _PARTS.items()
    }


def _of_run(table: str, order: str, run_id: str) -> BoundSql:
    from platform_assets.engine.schema.model import FieldType
    from platform_assets.engine.sql.model import BoundSql

    return BoundSql(_OF_RUN.format(table=table, order=order), {"run_id": (FieldType.STRING, run_id)})


def _tables(
    configuration: Configuration, warehouse: Warehouse, name: str, tenants: Sequence[str]
) -> Iterable[tuple[str, str]]:
    """(tenant, physical table in backticks) of every tenant that has one. ConfigError for an unknown tenant."""
    from platform_assets.config.reading import nearest
    from platform_assets.engine.errors import ConfigError
    from platform_assets.engine.names import physical

    for tenant in tenants:
        if tenant not in configuration.tenants:
            guess = nearest(tenant, configuration.tenants)
            raise ConfigError(
                f"there is no tenant {tenant!r}" + (f"; did you mean {guess}?" if guess else "")
            )
    logical = configuration.metadata_tables[name].name
    for tenant in tenants or sorted(configuration.tenants):
        if warehouse.describe(tenant, logical) is not None:
            table = physical(tenant, logical)
            yield tenant, f"`{table.dataset}`.`{table.table}`"


# --- Lines --------------------------------------------------------------------------------------------


def _line(row: Mapping[str, Any]) -> tuple[str, ...]:
    trigger = " ".join(filter(None, (row["trigger_type"], row["trigger_by"])))
    began = f"{row['start_time']:%m-%d %H:%M:%S}"
    return (
        row["pipeline_logging_id"][:8],
        *(str(row[name]) for name in ("tenant_id", "pipeline_id", "run_date", "status")),
        trigger,
        began,
        _seconds(row["duration_ms"]),
        _first_line(row["error_message"]),
    )


def _run_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = (str(row[name]) for name in ("tenant_id", "pipeline_id", "run_date", "status"))
    return (*names, _seconds(row["duration_ms"]), _first_line(row["error_message"]))


def _step_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    names = (
        "step_name",
        "target_table",
        "credential_id",
        "run_date",
        "status",
        "rows_processed",
        "duration_ms",
    )
    return (
        *("" if row[name] is None else str(row[name]) for name in names),
        _first_line(row["error_message"]),
    )


def _move_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    when = f"{row['transition_time']:%m-%d %H:%M:%S}"
    return (row["entity_name"], row["from_state"], row["to_state"], when, str(row["duration_in_state_ms"]))


def _check_line(row: Mapping[str, Any]) -> tuple[str, ...]:
    told = row["error_message"] or row["observed_value"]
    count = "" if row["unexpected_count"] is None else str(row["unexpected_count"])
    names = (str(row[name]) for name in ("target_table", "run_date", "expectation_id", "severity"))
    return (*names, count, _first_line(told))


def _seconds(milliseconds: int | None) -> str:
    return "" if milliseconds is None else f"{milliseconds / 1000:.1f}"


def _first_line(text: str | None) -> str:
    return (text or "").split("\n")[0][:100]


def _table(heads: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*heads)
    for row in rows:
        table.add_row(*map(Text, row))  # not markup: names and errors may hold brackets
    Console().print(table)
