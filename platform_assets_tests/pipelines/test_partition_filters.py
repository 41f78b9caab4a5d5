"""Every query of every pipeline reads a bounded part of its tables: the partition column is compared with parameters
and constants only, so a warehouse prunes, and what a run scans does not grow with history."""

from datetime import date

import pytest
from sqlglot import exp, parse_one

from platform_assets.engine.costs.restatement import changes_query
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import Slice, TableSpec
from platform_assets.engine.sql.transform import dataset_tables
from platform_assets_tests.pipelines.bench import configuration, nodes

_COMPARISONS = (exp.EQ, exp.GTE, exp.GT, exp.LTE, exp.LT, exp.Between)


def tables() -> dict[str, TableSpec]:
    steps = [s for p in configuration().pipelines.values() for s in p.steps]
    return {str(s.table.name): s.table for s in steps if s.spec.destination is not None}


def queries():
    for pipeline in configuration().pipelines.values():
        for step in pipeline.steps:
            source = step.spec.type == "ingest"
            found = [] if source else [*([step.transform] if step.transform else []), *step.inputs.values()]
            yield from (pytest.param(query, id=query.file) for query in found)


def constant(node: exp.Expr) -> bool:
    """Nothing but parameters, literals and functions of them."""
    return node.find(exp.Column) is None and node.find(exp.Query) is None


def bounds(select: exp.Select, column: str) -> set[str]:
    """From which sides a partition column is bounded by constants in a SELECT's WHERE."""
    found: set[str] = set()
    where = select.args.get("where")
    for node in (
        where.this.flatten() if where and isinstance(where.this, exp.And) else [where.this] if where else []
    ):
        if not isinstance(node, _COMPARISONS):
            continue
        sides = [node.args.get(k) for k in ("this", "expression", "low", "high")]
        names = [s.name for s in sides if isinstance(s, exp.Column)]
        if names == [column] and all(
            constant(s) for s in sides if s is not None and not isinstance(s, exp.Column)
        ):
            found |= {"from", "to"} if isinstance(node, exp.EQ | exp.Between) else set()
            found |= {"from"} if isinstance(node, exp.GTE | exp.GT) else set()
            found |= {"to"} if isinstance(node, exp.LTE | exp.LT) else set()
    return found


@pytest.mark.parametrize("query", list(queries()))
def test_partitions_are_pruned_by_constants(query):
    known = tables()
    for table in dataset_tables(query.tree):
        spec = known[f"{table.db}.{table.name}"]
        select = table.parent_select
        assert spec.partitioning is not None
        assert bounds(select, spec.partitioning.column) == {"from", "to"}, f"{table.db}.{table.name}"


# Where another system's table is cut by something else than the day a partition holds.
PARTITIONED_BY = {"gcp_billing": "_PARTITIONTIME", "gcp_focus": "x_ExportTime"}


def sql_sources():
    for name, pipeline in configuration().pipelines.items():
        for step in pipeline.steps:
            if step.spec.type == "ingest" and step.spec.source.type == "sql":
                yield pytest.param(name, step, id=f"{name}.{step.spec.step_id}")


@pytest.mark.parametrize(("pipeline", "step"), list(sql_sources()))
def test_sources_elsewhere_are_pruned_too(pipeline, step):
    [table] = dataset_tables(step.transform.tree)
    assert bounds(table.parent_select, PARTITIONED_BY[pipeline]) == {"from", "to"}
    assert step.spec.source.maximum_bytes_billed <= 100 * 2**30


@pytest.mark.parametrize("table", sorted(str(name) for name, node in nodes().items() if node.measure))
def test_what_is_replaced_before_it_is_published_is_compared_by_its_own_partition(table):
    """The summary of what changed reads the published slice only."""
    spec = tables()[table]
    measure = nodes()[spec.name].measure
    day = Slice(((spec.partitioning.column, date(2026, 1, 31)), ("x_pipeline", "p")))
    query = changes_query(spec.name, TableName("raw_x", "staged"), day, measure)
    [old] = [
        t for t in parse_one(query.sql, dialect="bigquery").find_all(exp.Table) if t.name == spec.name.table
    ]
    assert bounds(old.parent_select, spec.partitioning.column) == {"from", "to"}


def test_the_check_sees_an_unbounded_query():
    from platform_assets.engine.sql.transform import parse_transform

    loose = "SELECT a FROM raw_openai.costs WHERE ingestion_date >= @run_date AND ingestion_date <= DATE(start_time)"
    select = parse_transform(loose, file="q.sql").tree
    assert bounds(select, "ingestion_date") == {"from"}
