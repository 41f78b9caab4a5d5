"""Samples of failing rows, quarantine, and what remains."""

from datetime import UTC, date, datetime
from typing import Any

from platform_assets.engine.quality.audit import judge, verdict
from platform_assets.engine.quality.model import AuditPlan, CheckOutcome
from platform_assets.engine.quality.report import samples_by_check
from platform_assets.engine.quality.rows import (
    QUARANTINE_FIELDS,
    compile_samples,
    kept_query,
    quarantine_query,
    quarantine_schema,
)
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.schema.model import Field, FieldType, Mode, Slice, TableSchema
from platform_assets.engine.sql.model import BoundSql
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(day="DATE", id="INT64", email="STRING pii", amount="FLOAT64", note="JSON")
DAY, NEXT = date(2026, 1, 31), date(2026, 2, 1)
SLICE = Slice((("day", DAY),))
ROWS = [
    {"day": DAY, "id": 1, "email": "a@x", "amount": 5.0, "note": "{}"},
    {"day": DAY, "id": 2, "email": "not an address", "amount": -1.0},
    {"day": DAY, "id": 2, "email": None, "amount": float("nan")},
    {"day": DAY, "id": 3, "email": "b@x", "amount": -7.0},
    {"day": NEXT, "id": 4, "email": "wrong", "amount": -9.0},
]
EMAIL = {"type": "expect_column_values_to_match_regex", "column": "email", "regex": "@"}
AMOUNT = {"type": "expect_column_values_to_be_between", "column": "amount", "min_value": 0}
UNIQUE = {"type": "expect_column_values_to_be_unique", "column": "id"}
COUNT = {"type": "expect_table_row_count_to_be_between", "min_value": 100}
LENGTH = {"type": "expect_column_value_lengths_to_be_between", "column": "email", "min_value": 1}


def _audit(
    *raw: dict[str, Any], rows: list[dict[str, Any]] = ROWS
) -> tuple[Duck, AuditPlan, tuple[CheckOutcome, ...]]:
    duck = Duck(SCHEMA, rows)
    plan = duck.plan(raw, SLICE)
    return duck, plan, judge(plan, duck.rows(plan.query)[0])


def test_samples_show_failing_rows_of_the_slice_with_personal_data_masked() -> None:
    duck, plan, outcomes = _audit(EMAIL, AMOUNT, UNIQUE, COUNT, LENGTH)
    query = compile_samples(plan, outcomes, also=["id"])
    assert query is not None
    found = samples_by_check(duck.rows(query))
    assert found == {
        "expect_column_values_to_match_regex__email": [{"id": 2, "email": "***", "amount": -1.0}],
        "expect_column_values_to_be_between__amount": [
            {"id": 2, "email": "***", "amount": -1.0},
            {"id": 3, "email": "***", "amount": -7.0},
        ],
        "expect_column_values_to_be_unique__id": [
            {"id": 2, "email": None, "amount": found["expect_column_values_to_be_unique__id"][0]["amount"]},
            {"id": 2, "email": "***", "amount": -1.0},
        ],
    }


def test_samples_are_limited_and_respect_row_conditions() -> None:
    rows = [{"day": DAY, "id": i, "amount": -float(i)} for i in range(50)]
    duck, plan, outcomes = _audit({**AMOUNT, "row_condition": "id >= 40"}, rows=rows)
    query = compile_samples(plan, outcomes, limit=3, also=["id"])
    assert query is not None
    found = duck.rows(query)
    assert len(found) == 3
    assert all(row["id"] >= 40 for row in found)


def test_no_sample_query_where_no_row_can_be_blamed() -> None:
    _, plan, outcomes = _audit(COUNT, LENGTH)
    assert [o.success for o in outcomes] == [False, True]
    assert compile_samples(plan, outcomes) is None


def test_samples_of_what_needs_the_whole_column() -> None:
    rows = [{"day": DAY, "id": i, "amount": float(v)} for i, v in enumerate([1, 2, 3, 2, 1, 2, 900])]
    compound = {"type": "expect_compound_columns_to_be_unique", "column_list": ["day", "amount"]}
    outlier = {"type": "expect_column_values_to_not_be_outliers", "column": "amount"}
    score = {"type": "expect_column_value_z_scores_to_be_less_than", "column": "amount", "threshold": 2}
    duck, plan, outcomes = _audit(compound, outlier, score, rows=rows)
    query = compile_samples(plan, outcomes, limit=9)
    assert query is not None
    found = samples_by_check(duck.rows(query))
    amounts = [sorted(row["amount"] for row in group) for group in found.values()]
    assert amounts == [[1, 1, 2, 2, 2], [900], [900]]


# --- quarantine ---

ASIDE = (
    {**EMAIL, "on_failure": "quarantine", "severity": "critical"},
    {**AMOUNT, "on_failure": "quarantine"},
)
NOW = datetime(2026, 2, 1, 3, tzinfo=UTC)


def test_quarantined_and_kept_rows_are_the_slice() -> None:
    duck, plan, outcomes = _audit(*ASIDE)
    aside, kept = quarantine_query(plan, outcomes, run_id="run-1", now=NOW), kept_query(plan, outcomes)
    assert aside is not None
    assert kept is not None
    put_aside = {(r["id"], r["email"]): r["quarantine_reason"] for r in duck.rows(aside)}
    assert put_aside == {
        (
            2,
            "not an address",
        ): "expect_column_values_to_match_regex__email; expect_column_values_to_be_between__amount",
        (3, "b@x"): "expect_column_values_to_be_between__amount",
    }
    assert [(r["id"], r["email"]) for r in duck.rows(kept)] == [(1, "a@x"), (2, None)]


def test_quarantined_rows_say_which_run_and_when() -> None:
    duck, plan, outcomes = _audit(ASIDE[1])
    query = quarantine_query(plan, outcomes, run_id="run-1", now=NOW)
    assert query is not None
    row = duck.rows(query)[0]
    assert (row["quarantine_run_id"], row["quarantined_at"]) == ("run-1", NOW)
    assert list(row) == list(quarantine_schema(SCHEMA).names)


def test_nothing_to_put_aside() -> None:
    _, plan, outcomes = _audit(EMAIL, {**LENGTH, "on_failure": "quarantine"})
    assert quarantine_query(plan, outcomes, run_id="r", now=NOW) is None
    assert kept_query(plan, outcomes) is None


def test_rows_put_aside_block_nothing() -> None:
    _, _, outcomes = _audit(*ASIDE, {**UNIQUE, "on_failure": "fail"})
    found = verdict(outcomes)
    assert found.critical == ("expect_column_values_to_be_unique__id",)
    assert len(found.quarantine) == 2
    assert found.warning == ()


def test_only_row_wise_expectations_can_put_rows_aside() -> None:
    _, problems = parse_suite([{**COUNT, "on_failure": "quarantine"}], SCHEMA)
    assert [(p.field, p.index) for p in problems] == [("on_failure", 0)]


def test_quarantine_columns_are_never_required() -> None:
    schema = TableSchema((Field("id", FieldType.INT64, Mode.REQUIRED),))
    assert quarantine_schema(schema).fields == (Field("id", FieldType.INT64), *QUARANTINE_FIELDS)


# --- the query people read ---


def test_each_check_has_a_query_that_can_be_run_as_it_stands() -> None:
    duck, _, outcomes = _audit(EMAIL, AMOUNT, UNIQUE, COUNT)
    for outcome, rows in zip(outcomes[:3], (1, 2, 2), strict=True):
        assert "@p" not in outcome.sql
        assert len(duck.rows(BoundSql(outcome.sql))) == rows
    assert outcomes[3].sql.startswith("SELECT COUNT(*)")


def test_observed_values_of_personal_data_are_not_quoted() -> None:
    quoting = {"type": "expect_column_max_to_be_between", "column": "email", "max_value": "a"}
    common = {"type": "expect_column_most_common_value_to_be_in_set", "column": "email", "value_set": ["x"]}
    counting = {"type": "expect_column_unique_value_count_to_be_between", "column": "email", "min_value": 9}
    _, _, outcomes = _audit(quoting, common, counting)
    assert [o.observed_value for o in outcomes] == ["***", "***", 3]
    assert not any("a@x" in str(o) for o in outcomes)
