"""The conformance report: export, run, and which failures are excused.

The program is a stand-in that writes a report of the validator's form; the rules it names are real ones.
"""

from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from platform_assets.commands.conformance import KNOWN_FAILURES, focus_rows, read_report, told, validate
from platform_assets.engine.errors import ConfigError, DataError
from platform_assets_tests.pipelines.bench import Bench

CASES = """
<testsuites><testsuite>
<testcase name="BilledCost-C-001-M :: Type"/>
<testcase name="AvailabilityZone-C-001-C :: Type"><skipped/></testcase>
<testcase name="InvoiceId-C-005-C :: Nullability"><failure message="x"/></testcase>
<testcase name="CostAndUsage-D-000-M :: Composite"><failure message="x"/></testcase>
{more}
</testsuite></testsuites>"""
NEW = '<testcase name="ListCost-C-003-M :: Nullability"><error message="x"/></testcase>'


def test_known_failures_are_excused_and_others_are_not():
    report = read_report(CASES.format(more=""))
    assert (report.passed, report.skipped, report.known, report.ok) == (1, 1, ("InvoiceId-C-005-C",), True)
    assert report.composite == ("CostAndUsage-D-000-M",)
    worse = read_report(CASES.format(more=NEW))
    assert (worse.ok, worse.unknown) == (False, ("ListCost-C-003-M",))


def test_a_known_failure_that_holds_again_is_told():
    lines = told(read_report(CASES.format(more=NEW)), 7).splitlines()
    assert lines[0] == "7 rows, FOCUS 1.2: 1 rules hold, 1 do not apply"
    assert f"  known: InvoiceId-C-005-C: {KNOWN_FAILURES['InvoiceId-C-005-C']}" in lines
    assert "  FAILS: ListCost-C-003-M" in lines
    assert sum("holds again" in line for line in lines) == len(KNOWN_FAILURES) - 1


@pytest.fixture
def rows(tmp_path):
    bench = Bench(tmp_path)
    plan = {"subscription_id": "s", "provider": "p", "plan_name": "n", "billing_cycle": "monthly"}
    day = date(2026, 1, 5)
    bench.land("saas_subscriptions", "plans", day, [{**plan, "unit_price": Decimal(31), "seats": Decimal(1)}])
    bench.run("saas_subscriptions", "daily_costs", day)
    bench.run("saas_subscriptions", "to_focus", day)
    return lambda first, last: focus_rows(
        bench.warehouse, "acme1281", datetime(2026, 1, first), datetime(2026, 1, last)
    )


def test_rows_of_the_asked_days(rows):
    table = rows(5, 5)
    assert (table.num_rows, "BilledCost" in table.column_names) == (1, True)
    with pytest.raises(DataError, match="no FOCUS rows"):
        rows(6, 9)


def environment(folder: Path, script: str) -> Path:
    program = folder / "env" / "bin" / "focus-validator"
    program.parent.mkdir(parents=True)
    (folder / "env" / "lib" / "python3.13" / "site-packages").mkdir(parents=True)
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    return folder / "env"


def test_the_validator_gets_the_rows_and_runs_where_its_rules_are(rows, tmp_path):
    script = """pwd > "$2.cwd"; echo "$@" > "$2.args"
while [ "$1" != --output-destination ]; do shift; done; echo "<r/>" > "$2"
"""
    table = rows(5, 5)
    assert validate(table, environment(tmp_path, script), tmp_path) == "<r/>\n"
    assert pq.read_table(tmp_path / "focus.parquet").num_rows == 1
    assert (tmp_path / "focus.parquet.cwd").read_text().strip().endswith("site-packages")
    asked = (tmp_path / "focus.parquet.args").read_text()
    assert "--validate-version 1.2 --block-download --applicability-criteria ALL" in asked


def test_without_environment_or_report(rows, tmp_path):
    table = rows(5, 5)
    with pytest.raises(ConfigError, match="no validator at"):
        validate(table, tmp_path / "nowhere", tmp_path)
    with pytest.raises(DataError, match="no report: it broke"):
        validate(table, environment(tmp_path, "echo it broke >&2"), tmp_path)
