"""``platform-assets conformance``: a tenant's FOCUS table against the FinOps Foundation's own validator.

The validator lives in an environment of its own (Python 3.12 or newer, pyarrow below 22), because it pins what this
project must not pin:

    uv venv --python 3.13 .focus-validator
    uv pip install --python .focus-validator "focus-validator==2.2.1" "pyarrow<22"

Owns the export, the run and the comparison with the failures that are known and explained. Every applicability
criterion is switched on, so nothing is skipped that could be judged. A failure that is not known here is exit code 1.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import click

from platform_assets.engine.errors import ConfigError, DataError, RetryableError
from platform_assets.engine.schema.model import FieldType

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_assets.ports import Warehouse

FOCUS_VERSION = "1.2"
_TIMEOUT_SECONDS = 1800

# Rule → why it fails on tables that are right. Rules over these (…-000-…) fail with them.
KNOWN_FAILURES: Mapping[str, str] = MappingProxyType(
    {
        "EffectiveCost-C-005-C": "reads every purchase as prepayment; a subscription's own day is not",
        "InvoiceId-C-005-C": "providers name no invoice before it is issued, and some never do",
        "CapacityReservationStatus-C-004-C": "the rule's condition holds for rows without a reservation",
        "CommitmentDiscountStatus-C-004-C": "the rule's condition is turned round: it asks rows without a commitment",
    }
)


@dataclass(frozen=True)
class Report:
    """Rules by outcome. ``unknown`` are failures that nobody has explained; ``gone`` are known ones that passed."""

    passed: int
    skipped: int
    known: tuple[str, ...]
    unknown: tuple[str, ...]
    composite: tuple[str, ...]

    @property
    def ok(self) -> bool:
        return not self.unknown

    @property
    def gone(self) -> tuple[str, ...]:
        return tuple(rule for rule in sorted(KNOWN_FAILURES) if rule not in self.known)


@click.command("conformance")
@click.option("--deployment", help="A file of deployments/.  [env: PLATFORM_DEPLOYMENT]")
@click.option("--tenant", required=True, help="Whose table.")
@click.option("--from", "first", required=True, type=click.DateTime(["%Y-%m-%d"]), help="First run date.")
@click.option("--to", "last", required=True, type=click.DateTime(["%Y-%m-%d"]), help="Last run date.")
@click.option(
    "--validator",
    default=".focus-validator",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="The validator's environment.",
)
def conformance(
    deployment: str | None, tenant: str, first: datetime, last: datetime, validator: Path
) -> None:
    """FOCUS 1.2 conformance of silver_cost.focus_costs."""
    warehouse = _warehouse(deployment)
    try:
        table = focus_rows(warehouse, tenant, first, last)
    finally:
        warehouse.close()
    with tempfile.TemporaryDirectory() as folder:
        report = read_report(validate(table, validator, Path(folder)))
    click.echo(told(report, table.num_rows))
    if not report.ok:
        raise SystemExit(1)


def told(report: Report, rows: int) -> str:
    """The report in lines."""
    head = f"{rows} rows, FOCUS {FOCUS_VERSION}: {report.passed} rules hold, {report.skipped} do not apply"
    known = [f"  known: {rule}: {KNOWN_FAILURES[rule]}" for rule in report.known]
    unknown = [f"  FAILS: {rule}" for rule in report.unknown]
    gone = [f"  holds again, no longer to be excused: {rule}" for rule in report.gone]
    return "\n".join([head, *known, *gone, *unknown])


def _warehouse(deployment: str | None) -> Any:
    from dataclasses import replace

    from platform_assets.commands.validating import load_configuration
    from platform_assets.resources.bindings import create
    from platform_assets.settings import read_settings

    settings = read_settings()
    chosen = replace(settings, deployment=deployment) if deployment else settings
    spec = load_configuration(chosen).deployment.ports.warehouse
    return create("warehouse", spec.kind, spec.settings)


def focus_rows(warehouse: Warehouse, tenant: str, first: datetime, last: datetime) -> pa.Table:
    """The tenant's FOCUS rows of those run dates, our own columns included. DataError where there are none."""
    from platform_assets.engine.sql.binding import bind_query

    sql = "SELECT * FROM silver_cost.focus_costs WHERE x_run_date >= @first AND x_run_date <= @last"
    dates = {"first": (FieldType.DATE, first.date()), "last": (FieldType.DATE, last.date())}
    table = warehouse.query(tenant, bind_query(sql, tenant, dates))
    if table.num_rows == 0:
        raise DataError(f"{tenant} has no FOCUS rows from {first:%Y-%m-%d} to {last:%Y-%m-%d}")
    return table


def validate(table: pa.Table, environment: Path, folder: Path) -> str:
    """Run the validator on the rows; its report as JUnit XML. ConfigError where the environment is not there."""
    import pyarrow.parquet as pq

    program = environment.absolute() / "bin" / "focus-validator"
    if not program.is_file():
        raise ConfigError(f"there is no validator at {program}; see `platform-assets conformance --help`")
    data, report = folder / "focus.parquet", folder / "report.xml"
    pq.write_table(table, data)
    command = [
        str(program),
        "--data-file",
        str(data),
        "--validate-version",
        FOCUS_VERSION,
        "--block-download",
    ]
    command += [
        "--applicability-criteria",
        "ALL",
        "--output-type",
        "unittest",
        "--output-destination",
        str(report),
    ]
    # It reads its own rules by a path relative to where it is installed.
    home = next((environment.absolute() / "lib").glob("python3*/site-packages"))
    try:
        done = subprocess.run(
            command, cwd=home, capture_output=True, text=True, timeout=_TIMEOUT_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise RetryableError(f"the validator did not end within {_TIMEOUT_SECONDS} seconds") from None
    if not report.is_file():
        raise DataError(f"the validator gave no report: {done.stderr.strip()[-500:]}")
    return report.read_text()


def read_report(xml: str) -> Report:
    """Rules by outcome; those that only gather other rules are counted apart."""
    passed = skipped = 0
    failed: dict[str, bool] = {}
    for case in ElementTree.fromstring(xml).iter("testcase"):
        outcomes = {child.tag for child in case}
        rule, _, kind = (case.get("name") or "").partition(" :: ")
        if outcomes & {"failure", "error"}:
            failed[rule] = kind == "Composite"
        elif "skipped" in outcomes:
            skipped += 1
        else:
            passed += 1
    single = sorted(rule for rule, composite in failed.items() if not composite)
    return Report(
        passed,
        skipped,
        tuple(rule for rule in single if rule in KNOWN_FAILURES),
        tuple(rule for rule in single if rule not in KNOWN_FAILURES),
        tuple(sorted(rule for rule, composite in failed.items() if composite)),
    )
