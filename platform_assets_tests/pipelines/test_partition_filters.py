"""Every query of every pipeline reads a bounded part of its tables: the partition column is compared with parameters
and constants only, so a warehouse prunes, and what a run scans does not grow with history."""

import pytest
from sqlglot import exp

from platform_assets.engine.schema.model import TableSpec
from platform_assets.engine.sql.transform import dataset_tables
from platform_assets_tests.pipelines.bench import configuration

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


@pytest.mark.parametrize("pipeline", ["gcp_billing", "gcp_focus"])
def test_sources_elsewhere_are_pruned_too(pipeline):
    step = configuration().pipelines[pipeline].steps[0]
    [table] = dataset_tables(step.transform.tree)
    column = {"gcp_billing": "_PARTITIONTIME", "gcp_focus": "x_ExportTime"}[pipeline]
    assert bounds(table.parent_select, column) == {"from", "to"}


def test_the_check_sees_an_unbounded_query():
    from platform_assets.engine.sql.transform import parse_transform

    loose = "SELECT a FROM raw_openai.costs WHERE ingestion_date >= @run_date AND ingestion_date <= DATE(start_time)"
    select = parse_transform(loose, file="q.sql").tree
    assert bounds(select, "ingestion_date") == {"from"}
