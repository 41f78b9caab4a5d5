"""What a slice is about to change, asked of every warehouse before it is published."""

from decimal import Decimal

from platform_assets.engine.costs.restatement import changes_query, summarise
from platform_assets.engine.ingestion.spec import Measure
from platform_assets.engine.names import physical
from platform_assets.engine.schema.model import Slice
from platform_assets.ports import Warehouse
from platform_assets_tests.contracts.test_warehouse import COSTS, DAY, NEXT, SPEC, TENANT, put, row, stage

MEASURE = Measure(column="amount", by="id")
OLD = Slice((("run_date", DAY), ("pipeline", "costs")))


def test_what_changes_is_told_to_the_last_digit(warehouse: Warehouse) -> None:
    put(warehouse, [row(1), row(2, amount="0.000000000000000001"), row(3)])
    put(warehouse, [row(1, amount="99", day=NEXT)], day=NEXT)
    put(warehouse, [row(1, amount="77", pipeline="others")], pipeline="others")
    staged = stage(warehouse, [row(1), row(2, amount="0.000000000000000002"), row(4)], token="again")
    query = changes_query(physical(TENANT, COSTS), physical(TENANT, staged), OLD, MEASURE)
    told = summarise(warehouse.query(TENANT, query).to_pylist())
    assert (told.rows_before, told.rows_after) == (3, 3)
    assert {c.dimension: c.difference for c in told.changes} == {
        "line-3": Decimal("-1.5"),
        "line-4": Decimal("1.5"),
        "line-2": Decimal("0.000000000000000001"),
    }


def test_the_first_slice_of_a_table_is_no_restatement(warehouse: Warehouse) -> None:
    warehouse.ensure_table(TENANT, SPEC)
    staged = stage(warehouse, [row(1)])
    query = changes_query(physical(TENANT, COSTS), physical(TENANT, staged), OLD, MEASURE)
    assert summarise(warehouse.query(TENANT, query).to_pylist()).first_time
