"""What a re-pulled slice changes, asked of the warehouse before it is replaced."""

from datetime import UTC, date, datetime
from decimal import Decimal

from platform_assets.engine.costs.restatement import changes_query, summarise
from platform_assets.engine.ingestion.spec import Measure
from platform_assets.engine.names import TableName, physical
from platform_assets.engine.schema.model import Slice

DAY = date(2026, 1, 31)
MEASURE = Measure(column="amount_value", currency="amount_currency", by="line_item")


def charge(amount, item, currency="usd"):
    start, end = datetime(2026, 1, 31, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
    row = {"start_time": start, "end_time": end, "amount_value": Decimal(amount), "amount_currency": currency}
    return row | {"line_item": item, "project_id": "p"}


def test_rows_and_money_per_currency_and_service(bench):
    costs = TableName("raw_openai", "costs")
    bench.land("openai_costs", "costs", DAY, [charge("7", "a"), charge("1", "gone")], credential="other")
    bench.land(
        "openai_costs", "costs", DAY, [charge("1", "same"), charge("2", "b"), charge("2", "eur", "eur")]
    )
    new = [charge("1", "same"), charge("2.5", "b"), charge("0.5", "b"), charge("9", "new")]
    bench.land(
        "openai_costs", "costs", date(2026, 2, 1), new
    )  # any table of the same shape may be the staged one

    replaced = Slice((("ingestion_date", DAY), ("x_pipeline", "openai_costs"), ("x_credential", "default")))
    tenant = bench.tenant.tenant
    query = changes_query(physical(tenant, costs), physical(tenant, costs), replaced, MEASURE)
    told = summarise(bench.warehouse.query(tenant, _only_new(query)).to_pylist())
    assert (told.rows_before, told.rows_after, told.first_time) == (3, 4, False)
    assert [(c.dimension, c.currency, c.difference, c.rows_before, c.rows_after) for c in told.changes] == [
        ("new", "usd", Decimal(9), 0, 1),
        ("eur", "eur", Decimal(-2), 1, 0),
        ("b", "usd", Decimal(1), 1, 2),
    ]
    assert told.by_currency() == {"eur": Decimal(-2), "usd": Decimal(10)}


def _only_new(query):
    """The staged side reads the whole table it is given; here that is one day of the same one."""
    from dataclasses import replace

    side = "0 AS old FROM `acme1281_raw_openai`.`costs`"
    assert side in query.sql
    return replace(query, sql=query.sql.replace(side, f"{side} WHERE ingestion_date = DATE '2026-02-01'"))


def test_a_first_slice_and_an_unchanged_one():
    row = {"currency": "usd", "dimension": "a", "amount_before": None, "amount_after": Decimal(1)}
    first = summarise([{**row, "rows_before": 0, "rows_after": 1}])
    assert (first.first_time, first.changes[0].difference) == (True, 1)
    same = summarise([{**row, "amount_before": Decimal(1), "rows_before": 1, "rows_after": 1}])
    assert (same.first_time, same.changes) == (False, ())
