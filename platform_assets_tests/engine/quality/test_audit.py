"""One scan, one row, one outcome per expectation."""

from datetime import date

from platform_assets.engine.quality.audit import check_name, compile_audit, verdict
from platform_assets.engine.quality.model import Severity
from platform_assets.engine.quality.suite import parse_suite
from platform_assets.engine.schema.model import Slice
from platform_assets_tests.engine.quality.duck import TABLE, Duck, schema_of

SCHEMA = schema_of(day="DATE", tenant="STRING", amount="FLOAT64", units="INT64")
SLICE = Slice((("day", date(2026, 1, 31)), ("tenant", "it's")))
ROWS = [
    {"day": date(2026, 1, 31), "tenant": "it's", "amount": 1.0, "units": 5},
    {"day": date(2026, 1, 31), "tenant": "it's", "amount": None, "units": 500},
    {"day": date(2026, 1, 31), "tenant": "other", "amount": None, "units": 1},
    {"day": date(2026, 2, 1), "tenant": "it's", "amount": None, "units": 1},
]
SUITE = [
    {"type": "expect_column_values_to_not_be_null", "column": "amount", "severity": "critical"},
    {"type": "expect_column_values_to_be_between", "column": "units", "min_value": 0, "max_value": 100},
    {"type": "expect_table_row_count_to_be_between", "min_value": 1, "severity": "info"},
]


def test_only_the_slice_is_read() -> None:
    nulls, between, rows = Duck(SCHEMA, ROWS).check(*SUITE, slice_=SLICE)
    assert (nulls.success, nulls.element_count, nulls.unexpected_count, nulls.unexpected_percent) == (
        False,
        2,
        1,
        50,
    )
    assert (between.success, between.unexpected_count, between.severity) == (False, 1, Severity.WARNING)
    assert (rows.success, rows.observed_value) == (True, 2)


def test_partition_date_is_literal_and_text_is_bound() -> None:
    query = Duck(SCHEMA, []).plan(SUITE, SLICE).query
    assert "`day` = CAST('2026-01-31' AS DATE)" in query.sql
    assert "it's" not in query.sql
    assert "it's" in [value for _, value in query.parameters.values()]


def test_equal_measures_are_asked_once() -> None:
    suite, _ = parse_suite([{**SUITE[1], "max_value": n} for n in (10, 20, 30)], SCHEMA)
    plan = compile_audit(suite, SCHEMA, TABLE)
    assert plan.query.sql.count("COUNT(*)") == 1
    assert plan.query.sql.count("COUNTIF") == 3


def test_empty_slice_gives_every_outcome() -> None:
    outcomes = Duck(SCHEMA, []).check(*SUITE, slice_=SLICE)
    assert [o.success for o in outcomes] == [True, True, False]
    assert [o.unexpected_percent for o in outcomes] == [None, None, None]


def test_row_condition_picks_the_rows() -> None:
    duck = Duck(SCHEMA, ROWS)
    found = duck.one("expect_column_values_to_not_be_null", column="amount", row_condition="units >= 5")
    assert (found.element_count, found.unexpected_count) == (2, 1)
    counted = duck.one("expect_table_row_count_to_be_between", max_value=1, row_condition='col("units") == 1')
    assert (counted.success, counted.observed_value) == (False, 2)


def test_verdict_sorts_failures_by_severity() -> None:
    found = verdict(Duck(SCHEMA, ROWS).check(*SUITE, slice_=SLICE))
    assert found.blocked
    assert found.critical == ("expect_column_values_to_not_be_null__amount",)
    assert found.warning == ("expect_column_values_to_be_between__units",)
    assert found.info == ()


def test_check_names_are_stable_and_unique() -> None:
    twice = [SUITE[0], {**SUITE[0], "row_condition": "units > 1"}]
    suite, problems = parse_suite(twice, SCHEMA)
    alone, _ = parse_suite(twice[:1], SCHEMA)
    names = [check_name(e) for e in suite]
    assert problems == []
    assert names[0] == check_name(alone[0]) == "expect_column_values_to_not_be_null__amount"
    assert names[1].startswith(names[0] + "__")
