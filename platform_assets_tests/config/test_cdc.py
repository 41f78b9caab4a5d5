"""CDC monitors: what their files may say wrong, each at its line, all at once."""

from datetime import date
from pathlib import Path

import pytest

from platform_assets.config import load
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets.engine.pipelines import Configuration
from platform_assets_tests.config.tree import GOOD, write_tree

FILE = "cdc/filter.yml"
MONITOR = """\
monitor: filter
description: What a filter took out.
match:
  status: [COMPLETED]
  where:
    - {path: payload.executor_type, matches: "^LOCAL"}
labels: {partner: {variable: partner}}
handlers:
  first:
    match: {pipeline_uuid: [one]}
    tables: {claims: claims_table, others: others_table}
queries:
  total:
    sql: |
      SELECT SUM(vl_pago) AS total
      FROM source.claims
      WHERE run = @run
    parameters: {run: run_id}
    missing: {claims: {total: 0}}
  agents: {file: agents.sql}
gauges:
  - name: claims/total
    value: total.total
    nulls: 0
  - name: claims/share
    value: agents.value / total.total
    each: agents
    labels: {agent: {column: agent_id, absent: unknown}}
    zero_denominator: omit
    missing: {others: omit}
counters:
  - {name: claims/count}
"""
AGENTS = """\
SELECT agent_id, SUM(vl_pago) AS value
FROM source.others
GROUP BY agent_id
"""


def _load(folder: Path, **files: str) -> Configuration:
    named = {name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()}
    root = write_tree(folder, {**GOOD, FILE: MONITOR, "cdc/agents.sql": AGENTS, **named})
    return load(root, deployment="local", environment={"PLATFORM_HOME": "/data"}, today=date(2026, 11, 21))


def _problems(folder: Path, **files: str) -> tuple[Problem, ...]:
    with pytest.raises(ConfigError) as caught:
        _load(folder, **files)
    return caught.value.problems


def test_monitors_are_read_with_their_queries(tmp_path: Path) -> None:
    (monitor,) = _load(tmp_path).monitors.values()
    assert monitor.name == "filter"
    assert monitor.queries["total"].columns == ("total",)
    assert monitor.queries["agents"].columns == ("agent_id", "value")


# (name, old, new, text on the problem's line, field, reason, nearest)
MISTAKES = [
    ("unknown key", "description:", "descripton:", "descripton", "descripton", "is not known here", "description"),
    ("wrong name", "monitor: filter", "monitor: filtre", "monitor:", "monitor", "the file is named", "filter"),
    ("no condition", ', matches: "^LOCAL"', "", "executor_type", "match.where[0]", "exactly one of", None),
    ("bad expression", '"^LOCAL"', '"("', "executor_type", "match.where[0].matches", "no regular expression", None),
    ("two sources of a label", "{variable: partner}", "{variable: partner, text: x}", "labels:", "labels.partner",
     "exactly one of", None),
    ("column outside each", "{variable: partner}", "{column: partner}", "labels:", "labels.partner", "'each'", None),
    ("unknown change type", "status: [COMPLETED]", "change_types: [UPSERT]", "change_types", "match.change_types[0]",
     "must be one of", "INSERT"),
    ("table without variable", "claims: claims_table, ", "", "tables:", "handlers.first.tables", "table 'claims'",
     None),
    ("table that is not read", "others: others_table", "others: others_table, more: x", "tables:",
     "handlers.first.tables.more", "read by no query", None),
    ("unknown query", "value: total.total", "value: totals.total", "value:", "gauges[0].value", "no query 'totals'",
     "total"),
    ("unknown column", "value: total.total", "value: total.totl", "value:", "gauges[0].value", "no column 'totl'",
     "total"),
    ("not arithmetic", "value: total.total", "value: max(total.total)", "value:", "gauges[0].value",
     "is not query.column", None),
    ("unknown each", "each: agents", "each: agent", "each:", "gauges[1].each", "no query 'agent'", "agents"),
    ("unknown label column", "column: agent_id", "column: agentid", "labels:", "gauges[1].labels.agent.column",
     "no column 'agentid'", "agent_id"),
    ("unknown missing table", "missing: {others: omit}", "missing: {other: omit}", "missing: {other:",
     "gauges[1].missing.other", "reads table 'other'", "others"),
    ("unknown rule", "missing: {others: omit}", "missing: {others: ignore}", "missing: {others",
     "gauges[1].missing.others", "", None),
    ("incomplete stand-in", "missing: {claims: {total: 0}}", "missing: {claims: {}}", "missing: {claims",
     "queries.total.missing.claims", "must give every column: total", None),
    ("foreign table", "FROM source.claims", "FROM tmp_acme.claims", "FROM", "queries.total.sql",
     "write source.<table>", None),
    ("no query", "SELECT SUM(vl_pago) AS total\n", "DROP TABLE x; SELECT SUM(vl_pago) AS total\n", "DROP",
     "queries.total.sql", "only one SELECT", None),
    ("unknown parameter", "WHERE run = @run\n", "WHERE run = @run AND day = @run_dat\n", "@run_dat",
     "queries.total.sql", "@run_dat is not a parameter", "@run"),
    ("unused parameter", "WHERE run = @run\n", "WHERE run = 1\n", "SELECT", "queries.total.sql",
     "'run' is not used by the query", None),
    ("unnamed column", "SUM(vl_pago) AS total", "SUM(vl_pago)", "SELECT", "queries.total.sql", "needs a name", None),
    ("no twin in DuckDB", "SUM(vl_pago) AS total", "ST_GEOGPOINT(1, 2) AS total", "SELECT", "queries.total.sql", "",
     None),
    ("no such file", "file: agents.sql", "file: agent.sql", "agents:", "queries.agents.file", "no file 'agent.sql'",
     "agents.sql"),
    ("told twice", "name: claims/count", "name: claims/total", "name: claims/total}", "counters[0].name", "told twice",
     None),
    ("bad metric name", "name: claims/count", "name: claims//count", "claims//count", "counters[0].name", "", None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "on_line", "field", "reason", "nearest"),
    [m[1:] for m in MISTAKES],
    ids=[m[0] for m in MISTAKES],
)
def test_mistakes_are_told_with_line_field_and_nearest_name(
    tmp_path: Path, old: str, new: str, on_line: str, field: str, reason: str, nearest: str | None
) -> None:
    assert old in MONITOR
    text = MONITOR.replace(old, new)
    found = [p for p in _problems(tmp_path, cdc__filter_dot_yml=text) if p.field == field]
    assert len(found) == 1
    (problem,) = found
    assert problem.file == FILE
    assert on_line in text.splitlines()[problem.line - 1]
    assert reason in problem.reason
    assert problem.nearest == nearest


def test_mistakes_in_a_sql_file_are_told_there(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, cdc__agents_dot_sql=AGENTS.replace("source.others", "gold_x.others"))
    assert (problem.file, problem.line) == ("cdc/agents.sql", 2)


def test_all_mistakes_are_told_at_once(tmp_path: Path) -> None:
    text = MONITOR.replace("FROM source.claims", "FROM x.claims").replace("each: agents", "each: agent")
    assert (
        len(_problems(tmp_path, cdc__filter_dot_yml=text, cdc__agents_dot_sql="SELECT * FROM source.others"))
        >= 3
    )


def test_a_metric_has_one_monitor(tmp_path: Path) -> None:
    other = "monitor: other\nhandlers: {all: {}}\ncounters: [{name: claims/count}]\n"
    (problem,) = _problems(tmp_path, cdc__other_dot_yml=other)
    assert (problem.file, problem.field) == ("cdc/other.yml", "counters[0].name")
    assert "monitor 'filter'" in problem.reason


def test_sql_that_no_monitor_runs_is_told(tmp_path: Path) -> None:
    (problem,) = _problems(tmp_path, cdc__old_dot_sql="SELECT 1 AS one")
    assert (problem.file, problem.reason) == ("cdc/old.sql", "is run by no monitor")


TENANT = "tenant: {0}\ndisplay_name: {0}\npipelines: []\ncdc: {1}\n"


def test_a_partners_name_is_one_tenants(tmp_path: Path) -> None:
    files = {
        "tenants__one_a_dot_yml": TENANT.format("one_a", "{partners: [X]}"),
        "tenants__two_b_dot_yml": TENANT.format("two_b", "{partners: [X]}"),
    }
    (problem,) = [p for p in _problems(tmp_path, **files) if p.field == "cdc.partners[0]"]
    assert problem.file == "tenants/two_b.yml"
    assert "tenant 'one_a'" in problem.reason


@pytest.mark.parametrize(
    ("first", "second"),
    [("{partners: [two_b_x]}", "{datasets: [tmp_two_b_x]}"), ("{datasets: [both]}", "{datasets: [both]}")],
)
def test_a_dataset_is_one_tenants(tmp_path: Path, first: str, second: str) -> None:
    files = {
        "tenants__one_a_dot_yml": TENANT.format("one_a", first),
        "tenants__two_b_dot_yml": TENANT.format("two_b", second),
    }
    (problem,) = _problems(tmp_path, **files)
    assert problem.file == "tenants/two_b.yml"
    assert "which is tenant 'one_a'" in problem.reason


def test_a_tenant_whose_name_is_anothers_dataset_is_told(tmp_path: Path) -> None:
    """``tmp_one_a`` is the dataset of ``one_a``, and of a tenant called so by the pattern ``{partner}``."""
    files = {
        "tenants__one_a_dot_yml": TENANT.format("one_a", "{}"),
        "tenants__tmp_one_a_dot_yml": TENANT.format("tmp_one_a", "{}"),
    }
    (problem,) = _problems(tmp_path, **files)
    assert "dataset 'tmp_one_a'" in problem.reason
