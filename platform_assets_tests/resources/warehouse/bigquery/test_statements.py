"""The SQL as text: what prunes partitions is a literal, what is a value is a parameter, names are quoted."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlglot import exp, parse, parse_one

from platform_assets.engine.errors import ConfigError, RejectedError
from platform_assets.engine.names import TableName
from platform_assets.engine.schema.model import (
    Field,
    FieldType,
    Granularity,
    Mode,
    Partitioning,
    Slice,
    TableSchema,
    TableSpec,
)
from platform_assets.engine.sql.model import BoundSql
from platform_assets.ports import SliceWrite
from platform_assets.resources.warehouse.bigquery import statements
from platform_assets.resources.warehouse.bigquery.statements import Staged
from platform_assets_tests.resources.warehouse.bigquery.rows import COSTS, DAY, EVERYTHING

TARGET, STAGING = "`a_raw_openai`.`costs`", "`a_raw_openai`.`costs__stage_1`"
EVENTS = TableSpec(
    TableName("raw_events", "clicks"),
    TableSchema(
        (Field("at", FieldType.TIMESTAMP), Field("id", FieldType.STRING), Field("n", FieldType.INT64))
    ),
    Partitioning("at", Granularity.HOUR),
)


def write(
    spec: TableSpec = COSTS, mode: Any = "merge", keys: tuple[str, ...] = (), **equals: Any
) -> SliceWrite:
    return SliceWrite(spec, TableName("raw_openai", "s"), mode, Slice(tuple(equals.items())), keys)


def test_a_slice_is_replaced_in_one_transaction_with_a_literal_partition() -> None:
    script = statements.replace_slice(TARGET, STAGING, write(mode="replace", day=DAY, item="x", hits=None))
    assert script.sql == (
        "DECLARE deleted, inserted INT64 DEFAULT 0;\n"
        "ASSERT NOT EXISTS (SELECT 1 FROM `a_raw_openai`.`costs__stage_1` WHERE NOT IFNULL("
        "`day` = DATE '2026-01-31' AND `item` = @slice_1 AND `hits` IS NULL, FALSE))\n"
        "  AS 'staged rows lie outside the slice';\n"
        "BEGIN TRANSACTION;\n"
        "DELETE FROM `a_raw_openai`.`costs` WHERE `day` = DATE '2026-01-31' AND `item` = @slice_1 AND `hits` IS NULL;\n"
        "SET deleted = @@row_count;\n"
        "INSERT INTO `a_raw_openai`.`costs` (`day`, `item`, `amount`, `hits`) "
        "SELECT `day`, `item`, `amount`, `hits` FROM `a_raw_openai`.`costs__stage_1`;\n"
        "SET inserted = @@row_count;\n"
        "COMMIT TRANSACTION;\n"
        "SELECT deleted, inserted"
    )
    assert script.parameters == {"slice_1": (FieldType.STRING, "x")}


def test_a_merge_lists_the_partitions_it_touches() -> None:
    merge = statements.merge_rows(
        TARGET, STAGING, write(keys=("day", "item")), Staged(3, (DAY, date(2026, 2, 1)), null_partition=True)
    )
    assert merge.sql == (
        "MERGE INTO `a_raw_openai`.`costs` AS t\n"
        "USING (SELECT `day`, `item`, `amount`, `hits` FROM `a_raw_openai`.`costs__stage_1`) AS s\n"
        "ON t.`day` = s.`day` AND t.`item` = s.`item` AND "
        "(t.`day` IS NULL OR t.`day` IN (DATE '2026-01-31', DATE '2026-02-01'))\n"
        "WHEN MATCHED THEN UPDATE SET `amount` = s.`amount`, `hits` = s.`hits`\n"
        "WHEN NOT MATCHED THEN INSERT (`day`, `item`, `amount`, `hits`) "
        "VALUES (s.`day`, s.`item`, s.`amount`, s.`hits`)"
    )


def test_an_append_never_updates() -> None:
    append = statements.merge_rows(TARGET, STAGING, write(mode="append", keys=("item",)), Staged(1, (DAY,)))
    assert "UPDATE" not in append.sql and "NOT MATCHED THEN INSERT" in append.sql


def test_keys_alone_leave_nothing_to_update() -> None:
    merge = statements.merge_rows(
        TARGET, STAGING, write(keys=("DAY", "item", "amount", "hits")), Staged(1, (DAY,))
    )
    assert "UPDATE" not in merge.sql


@pytest.mark.parametrize(
    ("granularity", "end"),
    [(Granularity.HOUR, "1 HOUR"), (Granularity.DAY, "1 DAY"), (Granularity.MONTH, "31 DAY")],
)
def test_moments_become_one_range_of_partitions(granularity: Granularity, end: str) -> None:
    spec = replace(EVENTS, partitioning=Partitioning("at", granularity))
    first, last = datetime(2026, 1, 31, 22, tzinfo=UTC), datetime(2026, 1, 31, 23, tzinfo=UTC)
    merge = statements.merge_rows(TARGET, STAGING, write(spec, keys=("id",)), Staged(2, (first, last)))
    assert (
        "(t.`at` >= TIMESTAMP '2026-01-31 22:00:00+00:00' AND "
        f"t.`at` < TIMESTAMP_ADD(TIMESTAMP '2026-01-31 23:00:00+00:00', INTERVAL {end}))"
    ) in merge.sql
    looked = statements.look_at_staged(STAGING, spec, ("id",)).sql
    assert f"ARRAY_AGG(DISTINCT TIMESTAMP_TRUNC(`at`, {granularity}) IGNORE NULLS)" in looked


def test_a_look_for_keys_says_that_all_partitions_are_meant() -> None:
    look = statements.look_for_keys(TARGET, STAGING, COSTS, ("item",))
    assert look.sql.endswith("ON t.`item` = s.`item` WHERE t.`day` IS NULL OR t.`day` IS NOT NULL")


def test_a_slice_on_an_hour_takes_a_literal_of_the_columns_type() -> None:
    hour = datetime(2026, 1, 31, 23, tzinfo=UTC)
    predicate, parameters = statements.slice_predicate(write(EVENTS, "replace", at=hour, n=1))
    assert predicate == "`at` = TIMESTAMP '2026-01-31 23:00:00+00:00' AND `n` = @slice_1"
    assert parameters == {"slice_1": (FieldType.INT64, 1)}


@pytest.mark.parametrize("value", ["2026-01-31", 5, True])
def test_a_partition_value_of_another_type_is_refused(value: Any) -> None:
    with pytest.raises(RejectedError, match="not a value of a partition column"):
        statements.slice_predicate(write(mode="replace", day=value))


@pytest.mark.parametrize("name", ["", "a b", "a`b", "a.b", "1a", "a;--", "naïve"])
def test_names_are_identifiers(name: str) -> None:
    with pytest.raises(ConfigError, match="is not a name"):
        statements.quoted(name)


def test_every_statement_is_googlesql() -> None:
    """Parsed by sqlglot; the ASSERT and SET of the script are commands to it."""
    merging = write(keys=("item",))
    for sql in (
        statements.merge_rows(TARGET, STAGING, merging, Staged(1, (DAY,))),
        statements.look_at_staged(STAGING, COSTS, ("day", "item")),
        statements.look_for_keys(TARGET, STAGING, COSTS, ("item",)),
        statements.some_duplicates(STAGING, ("item",), 3),
        statements.count_troubles(STAGING, ("day",), ("`day` = DATE '2026-01-31'", {})),
    ):
        (tree,) = parse(sql.sql, dialect="bigquery")
        assert isinstance(tree, exp.Merge | exp.Select)


# --- Inserting a query ------------------------------------------------------------------------------------------


def schema(**types: FieldType) -> TableSchema:
    return TableSchema(tuple(Field(name, kind) for name, kind in types.items()))


@pytest.mark.parametrize(
    ("given_type", "wanted", "value"),
    [
        (FieldType.INT64, FieldType.INT64, "`x`"),
        (FieldType.INT64, FieldType.BIGNUMERIC, "`x`"),
        (FieldType.BIGNUMERIC, FieldType.BIGNUMERIC, "ROUND(`x`, 18)"),
        (FieldType.NUMERIC, FieldType.FLOAT64, "`x`"),
        (FieldType.DATE, FieldType.DATETIME, "`x`"),
        (
            FieldType.BIGNUMERIC,
            FieldType.NUMERIC,
            "IF(`x` IS NULL OR CAST(SAFE_CAST(`x` AS NUMERIC) AS BIGNUMERIC) = `x`, SAFE_CAST(`x` AS NUMERIC), "
            "ERROR('column x is NUMERIC and would change a value'))",
        ),
        (
            FieldType.INT64,
            FieldType.STRING,
            "IF(`x` IS NULL, CAST(NULL AS STRING), "
            "ERROR('column x is STRING and would change a value: the rows give INT64'))",
        ),
    ],
)
def test_a_column_is_assigned_where_no_value_changes(
    given_type: FieldType, wanted: FieldType, value: str
) -> None:
    made = statements.insert_query(
        TARGET, schema(x=given_type), schema(x=wanted), BoundSql("SELECT 1 -- end")
    )
    assert made.sql == f"INSERT INTO {TARGET} (`x`) SELECT {value} FROM (\nSELECT 1 -- end\n)"


def test_floats_become_decimals_only_where_a_deployment_says_so() -> None:
    rows, table = schema(x=FieldType.FLOAT64), schema(x=FieldType.BIGNUMERIC)
    with pytest.raises(RejectedError, match="column x is BIGNUMERIC, the rows give FLOAT64"):
        statements.insert_query(TARGET, rows, table, BoundSql("SELECT 1"))
    made = statements.insert_query(TARGET, rows, table, BoundSql("SELECT 1"), digits_of_floats=9)
    assert "SELECT ROUND(CAST(`x` AS BIGNUMERIC), 9) FROM" in made.sql
    with pytest.raises(RejectedError):
        statements.insert_query(TARGET, rows, schema(x=FieldType.STRING), BoundSql("SELECT 1"), 9)


@given(st.sampled_from(list(FieldType)), st.sampled_from(list(FieldType)), st.booleans())
def test_text_floats_and_lists_never_become_something_else(
    given_type: FieldType, wanted: FieldType, repeated: bool
) -> None:
    mode = Mode.REPEATED if repeated else Mode.NULLABLE
    rows = TableSchema((Field("x", given_type, mode, fields=EVERYTHING.fields[:2]),))
    narrow = {FieldType.STRING, FieldType.FLOAT64, FieldType.BYTES, FieldType.BOOL, FieldType.STRUCT}
    if (given_type in narrow or repeated) and (given_type is not wanted or repeated):
        with pytest.raises(RejectedError, match=r"column x is .*, the rows give"):
            statements.insert_query(TARGET, rows, schema(x=wanted), BoundSql("SELECT 1"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "select 1;",
        "(SELECT 1)",
        "WITH a AS (SELECT 1) SELECT * FROM a",
        "SELECT ';' -- ;",
        "/* DROP */ SELECT 1",
    ],
)
def test_one_query_may_be_read(sql: str) -> None:
    statements.require_query(BoundSql(sql))


@given(
    st.sampled_from(["SELECT 1", "select ';'", "(SELECT 1)"]), st.sampled_from([";", " ; ", ";--\n", ";/**/"])
)
def test_nothing_may_follow_a_query(query: str, between: str) -> None:
    with pytest.raises(RejectedError):
        statements.require_query(BoundSql(f"{query}{between}DROP TABLE x"))


def test_types_for_ddl() -> None:
    record = EVERYTHING.fields[-1]
    assert statements.column_type(record) == "STRUCT<`x` BIGNUMERIC, `y` ARRAY<STRING>>"
    assert parse_one(f"CAST(NULL AS {statements.column_type(record)})", dialect="bigquery")
