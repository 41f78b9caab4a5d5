"""``platform-assets dq``: audit a table's published slice, propose a suite for it, fetch a run's report.

Reads only. What is published was audited before it was; this looks again, with the configuration as it is now.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from platform_assets.commands.opening import open_configuration, open_warehouse
from platform_assets.commands.options import configuration_options

if TYPE_CHECKING:
    from platform_assets.assets.graph import Node
    from platform_assets.engine.pipelines import Configuration
    from platform_assets.engine.quality.report import SliceReport
    from platform_assets.ports import Warehouse


def _slice(command: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option(
            "--date", "day", type=click.DateTime(["%Y-%m-%d"]), help="Data date.  [default: yesterday, UTC]"
        ),
        click.option("--table", required=True, metavar="DATASET.TABLE", help="Logical name."),
    ):
        command = option(command)
    return configuration_options(command)


@click.group("dq")
def dq() -> None:
    """Data quality: audit a slice, propose a suite, fetch a run's report."""


@dq.command("run")
@_slice
@click.option(
    "--tenant", "tenants", multiple=True, help="May be repeated.  [default: all that have the table]"
)
@click.option("--report", type=click.Path(dir_okay=False, path_type=Path), help="Write a page: .html or .md.")
@click.option("--json", "as_json", is_flag=True, help="For machines.")
@click.option("--strict", is_flag=True, help="Exit code 1 for warnings as well.")
def run(
    config_root: Path | None,
    deployment: str | None,
    table: str,
    day: datetime | None,
    tenants: tuple[str, ...],
    report: Path | None,
    as_json: bool,
    strict: bool,
) -> None:
    """Judge a table's published slice by its suite. Exit code 1 where a critical check fails or any check breaks."""
    from platform_assets.engine.quality.report import html, markdown

    configuration, warehouse = open_warehouse(config_root, deployment)
    reports = audit_published(configuration, warehouse, table, _day(day), tenants)
    if report is not None:
        report.write_text(html(reports) if report.suffix == ".html" else markdown(reports), "utf-8")
        click.echo(f"wrote {report}", err=True)
    if as_json:
        click.echo(json.dumps([_as_json(r) for r in reports], indent=2, ensure_ascii=False))
    elif report is None:
        click.echo(markdown(reports), nl=False)
    sys.exit(1 if any(_stops(r, strict=strict) for r in reports) else 0)


@dq.command("suggest")
@_slice
@click.option("--tenant", required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write here. Never overwrites.")
def suggest(
    config_root: Path | None,
    deployment: str | None,
    table: str,
    day: datetime | None,
    tenant: str,
    out: Path | None,
) -> None:
    """Profile a table's published slice and propose a dq.yml. It says what is, not what should be: review it."""
    configuration, warehouse = open_warehouse(config_root, deployment)
    text = proposal(configuration, warehouse, table, _day(day), tenant)
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{out} is there already") from None
    click.echo(f"wrote {out}", err=True)


@dq.command("report")
@configuration_options
@click.argument("run_id")
@click.option("--tenant", required=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="[default: quality-RUN_ID.html]")
def fetch_report(
    config_root: Path | None, deployment: str | None, run_id: str, tenant: str, out: Path | None
) -> None:
    """Fetch the page about data quality that a run wrote for a tenant."""
    from platform_assets.assets.quality_report import report_key
    from platform_assets.resources.bindings import create

    binding = open_configuration(config_root, deployment).deployment.ports.object_store
    page: bytes = create("object_store", binding.kind, binding.settings).get(report_key(tenant, run_id))
    target = out or Path(f"quality-{run_id}.html")
    target.write_bytes(page)
    click.echo(f"wrote {target}")


# --- What the commands do -----------------------------------------------------------------------------


def audit_published(
    configuration: Configuration, warehouse: Warehouse, table: str, day: date, tenants: Sequence[str] = ()
) -> list[SliceReport]:
    """One report per tenant that has the table, whole slices: all writers' rows together. A query that fails gives one
    broken result per expectation."""
    node, nodes = _node(configuration, table)
    chosen = _tenants(configuration, node, tenants)
    if not node.suite:
        raise click.ClickException(f"{table} has no suite: no dq.yml names it")
    return [_Audit(configuration, warehouse, node, nodes, tenant, day).report() for tenant in chosen]


class _Audit:
    """The audit of one published slice."""

    def __init__(
        self,
        configuration: Configuration,
        warehouse: Warehouse,
        node: Node,
        nodes: Sequence[Node],
        tenant: str,
        day: date,
    ) -> None:
        from platform_assets.assets.surroundings import PastResults

        self.warehouse, self.node, self.tenant, self.day = warehouse, node, tenant, node.slice_date(day)
        results = configuration.metadata_tables["dq_results"]
        self.past = PastResults(warehouse, results, [node], [self.day])
        self.nodes = {other.table: other for other in nodes}
        self.parts = node.parts(configuration.tenants[tenant], frozenset())

    def report(self) -> SliceReport:
        from platform_assets.engine.errors import PlatformError
        from platform_assets.engine.quality.report import SliceReport
        from platform_assets.engine.quality.results import crashed

        try:
            return self._audited()
        except PlatformError as error:
            broken = crashed(self.node.suite, str(error))
            return SliceReport(self.tenant, str(self.node.table), self.day, broken)

    def _audited(self) -> SliceReport:
        from platform_assets.assets.surroundings import beside, slice_of_day
        from platform_assets.engine.names import physical
        from platform_assets.engine.quality.audit import compile_audit, judge
        from platform_assets.engine.quality.model import Facts
        from platform_assets.engine.quality.past import values_of
        from platform_assets.engine.quality.report import SliceReport, samples_by_check
        from platform_assets.engine.quality.rows import compile_samples

        node, table = self.node, physical(self.tenant, self.node.table)
        others = {str(n): beside(self.tenant, node, self.nodes[n], self.day) for n in node.compared}
        plan = compile_audit(node.suite, node.spec.schema, table, slice_of_day(node, self.day), others)
        facts = Facts(datetime.now(UTC), values_of(self._earlier()))
        outcomes = judge(plan, self._rows(plan.query)[0], facts)
        samples = compile_samples(plan, outcomes)
        shown = samples_by_check(self._rows(samples)) if samples else {}
        return SliceReport(self.tenant, str(node.table), self.day, outcomes, shown)

    def _earlier(self) -> list[Any]:
        """Of a table with one writer; the whole slice of several has no past to be compared with."""
        if len(self.parts) != 1:
            return []
        (part,) = self.parts
        writer = (
            str(self.node.table),
            part.step.pipeline_id,
            part.credential.id if part.credential else None,
        )
        return self.past.of(self.tenant, writer, self.day, monthly=self.node.monthly)

    def _rows(self, query: Any) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = self.warehouse.query(self.tenant, query).to_pylist()
        return rows


def proposal(configuration: Configuration, warehouse: Warehouse, table: str, day: date, tenant: str) -> str:
    """A ``dq.yml`` as text."""
    import yaml

    from platform_assets.assets.surroundings import slice_of_day
    from platform_assets.engine.names import physical
    from platform_assets.engine.quality.suggest import (
        profile_query,
        read_profile,
        suggest,
        values_query,
        with_values,
    )

    node, _ = _node(configuration, table)
    (name,) = _tenants(configuration, node, (tenant,))
    schema, target = node.spec.schema, physical(name, node.table)
    of_day = slice_of_day(node, node.slice_date(day))
    row = warehouse.query(name, profile_query(schema, target, of_day)).to_pylist()[0]
    profile = read_profile(table, schema, row)
    values = values_query(profile, schema, target, of_day)
    if values is not None:
        profile = with_values(profile, warehouse.query(name, values).to_pylist())
    if not profile.rows:
        raise click.ClickException(
            f"{table} has no rows of {tenant} for {node.slice_date(day)}: nothing to look at"
        )
    head = f"# Proposed from {profile.rows} rows of {tenant}, {node.slice_date(day)}. Review before use.\n"
    return head + yaml.safe_dump(suggest(profile), sort_keys=False, allow_unicode=True, width=110)


def _day(day: datetime | None) -> date:
    return (day or datetime.now(UTC) - timedelta(days=1)).date()


def _node(configuration: Configuration, table: str) -> tuple[Node, tuple[Node, ...]]:
    from platform_assets.assets.graph import build_nodes
    from platform_assets.config.reading import nearest
    from platform_assets.engine.errors import ConfigError

    nodes = build_nodes(configuration.pipelines)
    known = {str(node.table): node for node in nodes}
    if table not in known:
        guess = nearest(table, known)
        raise ConfigError(f"no step fills {table}" + (f"; did you mean {guess}?" if guess else ""))
    return known[table], nodes


def _tenants(configuration: Configuration, node: Node, tenants: Sequence[str]) -> list[str]:
    """The tenants asked for, each of which must have the table; all that have it where none is asked for."""
    from platform_assets.config.reading import nearest
    from platform_assets.engine.errors import ConfigError

    having = [n for n, spec in sorted(configuration.tenants.items()) if node.parts(spec, frozenset())]
    for name in tenants:
        if name not in configuration.tenants:
            guess = nearest(name, configuration.tenants)
            raise ConfigError(f"there is no tenant {name!r}" + (f"; did you mean {guess}?" if guess else ""))
        if name not in having:
            raise ConfigError(f"tenant {name} runs nothing that fills {node.table}")
    return list(tenants) or having


def _stops(report: SliceReport, *, strict: bool) -> bool:
    worst = ("critical", "warning") if strict else ("critical",)
    return any(outcome.error or outcome.severity in worst for outcome in report.failed)


def _as_json(report: SliceReport) -> dict[str, Any]:
    from platform_assets.engine.quality.report import found, state
    from platform_assets.engine.quality.results import plain

    return {
        "tenant": report.tenant,
        "table": report.table,
        "run_date": str(report.run_date),
        "checks": [
            {
                "id": o.expectation_id,
                "type": o.type,
                "column": o.column,
                "severity": str(o.severity),
                "state": state(o),
                "found": found(o),
                "observed_value": plain(o.observed_value),
                "element_count": o.element_count,
                "missing_count": o.missing_count,
                "unexpected_count": o.unexpected_count,
                "unexpected_percent": o.unexpected_percent,
                "details": o.details,
                "failing_rows": plain(list(report.samples.get(o.expectation_id, ()))),
                "sql": o.sql,
            }
            for o in report.outcomes
        ],
    }
