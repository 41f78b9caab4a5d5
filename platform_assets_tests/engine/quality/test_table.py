"""Rows, columns, types, contracts and other tables."""

from decimal import Decimal
from typing import Any

import pytest

from platform_assets.engine.names import TableName
from platform_assets.engine.quality.audit import compile_audit, judge
from platform_assets.engine.quality.model import CheckOutcome
from platform_assets.engine.quality.scope import Source
from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import TABLE, Duck, schema_of

SCHEMA = schema_of(a="INT64", money="BIGNUMERIC", cur="STRING")
OTHER = TableName("acme1281_raw_test", "other")
OTHER_SCHEMA = schema_of(amount="NUMERIC", currency="STRING", kind="STRING")

SCHEMA_CASES: list[tuple[str, dict[str, Any], bool, Any]] = [
    ("expect_table_column_count_to_equal", {"value": 3}, True, 3),
    ("expect_table_column_count_to_equal", {"value": 2}, False, 3),
    ("expect_table_column_count_to_be_between", {"min_value": 1, "max_value": 3}, True, 3),
    ("expect_table_column_count_to_be_between", {"max_value": 2}, False, 3),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ["a", "money", "cur"]}, True, None),
    ("expect_table_columns_to_match_ordered_list", {"column_list": ["a", "cur", "money"]}, False, None),
    ("expect_table_columns_to_match_set", {"column_set": ["cur", "a", "money"]}, True, None),
    ("expect_table_columns_to_match_set", {"column_set": ["a"]}, False, None),
    ("expect_table_columns_to_match_set", {"column_set": ["a"], "exact_match": False}, True, None),
    ("expect_table_columns_to_match_set", {"column_set": ["b"], "exact_match": False}, False, None),
    ("expect_column_to_exist", {"column": "money"}, True, 1),
    ("expect_column_to_exist", {"column": "money", "column_index": 0}, False, 1),
    ("expect_column_to_exist", {"column": "gone"}, False, None),
    ("expect_column_values_to_be_of_type", {"column": "money", "type_": "bigdecimal"}, True, "BIGNUMERIC"),
    ("expect_column_type_to_be", {"column": "a", "type_": "STRING"}, False, "INT64"),
    (
        "expect_column_values_to_be_in_type_list",
        {"column": "a", "type_list": ["FLOAT64", "INTEGER"]},
        True,
        "INT64",
    ),
]


@pytest.mark.parametrize(("type_", "arguments", "success", "observed"), SCHEMA_CASES)
def test_schema(type_: str, arguments: dict[str, Any], success: bool, observed: Any) -> None:
    found = Duck(SCHEMA, []).one(type_, **arguments)
    assert found.success is success
    assert observed is None or found.observed_value == observed


def test_a_contract_names_what_breaks_it() -> None:
    columns = [
        {"name": "a", "type": "INT64"},
        {"name": "money", "type": "FLOAT64"},
        {"name": "gone", "type": "STRING"},
        {"name": "cur", "type": "STRING", "mode": "REQUIRED"},
    ]
    found = Duck(SCHEMA, []).one("expect_table_schema_to_match", columns=columns)
    assert found.details == {
        "money": "BIGNUMERIC, not FLOAT64",
        "gone": "missing",
        "cur": "NULLABLE, not REQUIRED",
    }
    kept = Duck(SCHEMA, []).one("expect_table_schema_to_match", columns=columns[:1], exact_match=True)
    assert kept.details == {"money": "not in the contract", "cur": "not in the contract"}
    assert Duck(SCHEMA, []).one("expect_table_schema_to_match", columns=columns[:1]).success


def test_row_counts() -> None:
    duck = Duck(SCHEMA, [{"a": n} for n in range(5)])
    between = {"min_value": 5, "max_value": 5}
    assert duck.one("expect_table_row_count_to_be_between", **between).success
    assert not duck.one("expect_table_row_count_to_be_between", **between, strict_max=True).success
    assert duck.one("expect_table_row_count_to_equal", value=2, row_condition="a < 2").observed_value == 2
    assert not Duck(SCHEMA, []).one("expect_table_row_count_to_equal", value=1).success


# --- other tables ---


def _with_other(raw: dict[str, Any], ours: list[Any], theirs: list[Any]) -> CheckOutcome:
    duck = Duck(SCHEMA, [{"money": m, "cur": c} for m, c in ours])
    Duck(OTHER_SCHEMA, [{"amount": m, "currency": c, "kind": k} for m, c, k in theirs], OTHER)
    suite, problems = parse_suite([raw], SCHEMA, {"raw_test.other": OTHER_SCHEMA})
    assert problems == []
    assert suite[0].tables == ("raw_test.other",)
    plan = compile_audit(suite, SCHEMA, TABLE, others={"raw_test.other": Source(OTHER, OTHER_SCHEMA)})
    (row,) = duck.rows(plan.query)
    return judge(plan, row)[0]


RECONCILE = {
    "type": "expect_column_sum_to_equal_other_table",
    "column": "money",
    "other_table": "raw_test.other",
    "other_column": "amount",
}


def test_totals_reconcile_to_the_last_digit() -> None:
    ours = [(Decimal("0.1"), "USD"), (Decimal("0.2"), "USD"), (None, "USD")]
    found = _with_other(RECONCILE, ours, [(Decimal("0.3"), "USD", "x")])
    assert (found.success, found.observed_value) == (True, {"self": Decimal("0.3"), "other": Decimal("0.3")})
    off = _with_other(RECONCILE, ours, [(Decimal("0.300000001"), "USD", "x")])
    assert (off.success, off.details["groups_that_differ"]) == (False, 1)
    assert Decimal(off.details["largest_difference"]) == Decimal("0.000000001")


def test_errors_of_two_groups_do_not_cancel() -> None:
    ours, theirs = [(1, "USD"), (2, "EUR")], [(2, "USD", "x"), (1, "EUR", "x")]
    assert _with_other(RECONCILE, ours, theirs).success
    grouped = {**RECONCILE, "group_by": {"cur": "currency"}}
    found = _with_other(grouped, ours, theirs)
    assert (found.success, found.details["groups"], found.details["groups_that_differ"]) == (False, 2, 2)


def test_a_group_of_one_side_only_and_null_groups() -> None:
    grouped = {**RECONCILE, "group_by": {"cur": "currency"}}
    assert _with_other(grouped, [(1, None)], [(1, None, "x")]).success
    assert not _with_other(grouped, [(1, "USD")], []).success
    assert _with_other(grouped, [], []).success


def test_tolerance_and_the_other_tables_condition() -> None:
    near = {
        **RECONCILE,
        "tolerance": 0.01,
        "other_row_condition": "kind = 'usage'",
        "row_condition": "cur = 'USD'",
    }
    ours = [(1, "USD"), (50, "EUR")]
    assert _with_other(near, ours, [(Decimal("1.01"), "USD", "usage"), (9, "USD", "tax")]).success
    assert not _with_other(near, ours, [(Decimal("1.02"), "USD", "usage")]).success


def test_as_many_rows_as_another_table() -> None:
    raw = {"type": "expect_table_row_count_to_equal_other_table", "other_table_name": "raw_test.other"}
    assert _with_other(raw, [(1, "a")], [(1, "a", "b")]).success
    found = _with_other(raw, [(1, "a")], [])
    assert (found.success, found.observed_value) == (False, {"self": 1, "other": 0})


def test_other_tables_are_checked_at_load() -> None:
    tables = {"raw_test.other": OTHER_SCHEMA}
    unknown = {**RECONCILE, "other_table": "raw_test.othr"}
    wrong = {**RECONCILE, "other_column": "amuont", "group_by": {"curr": "currency"}}
    _, problems = parse_suite([unknown, wrong], SCHEMA, tables)
    assert [(p.index, p.field, p.nearest) for p in problems] == [
        (0, "other_table", "raw_test.other"),
        (1, "group_by", "cur"),
        (1, "other_column", "amount"),
    ]


# --- conditions and queries of one's own ---


def test_a_condition_that_rows_must_meet() -> None:
    duck = Duck(SCHEMA, [{"a": 1, "money": 2}, {"a": 3, "money": 2}, {"a": None, "money": 1}, {"a": 4}])
    found = duck.one("expect_column_values_to_satisfy", column="a", condition="a < money")
    assert (found.unexpected_count, found.missing_count) == (2, 1)


def test_a_query_that_must_find_nothing() -> None:
    query = "SELECT o.kind FROM {batch} AS b JOIN raw_test.other AS o ON b.cur = o.currency WHERE b.money > o.amount"
    raw = {"type": "unexpected_rows_expectation", "unexpected_rows_query": query}
    found = _with_other(raw, [(5, "USD"), (1, "EUR")], [(2, "USD", "k"), (2, "EUR", "k")])
    assert (found.success, found.observed_value) == (False, 1)
    assert _with_other(raw, [(1, "USD")], [(2, "USD", "k")]).success


BAD_QUERIES = [
    ("SELECT * FROM raw_test.other", "does not read {batch}"),
    ("DELETE FROM {batch}", "only one SELECT"),
    ("SELECT * FROM {batch} WHERE a = @p", "parameters"),
    ("SELECT * FROM {batch}; SELECT 1", "second statement"),
    ("SELECT * FROM {batch}, project.d.t", "project"),
    ("SELECT FROM WHERE {batch}", "not SQL"),
]


@pytest.mark.parametrize(("query", "reason"), BAD_QUERIES)
def test_bad_queries(query: str, reason: str) -> None:
    raw = {"type": "unexpected_rows_expectation", "unexpected_rows_query": query}
    _, problems = parse_suite([raw], SCHEMA)
    assert problems
    assert reason in problems[0].reason
