"""A suggested suite: valid, true of the rows it was made from, and silent about personal data."""

from datetime import date
from decimal import Decimal
from typing import Any

from platform_assets.engine.quality.spec import DqFile
from platform_assets.engine.quality.suggest import (
    profile_query,
    read_profile,
    suggest,
    values_query,
    with_values,
)
from platform_assets.engine.schema.model import Slice
from platform_assets_tests.engine.quality.duck import TABLE, Duck, schema_of

SCHEMA = schema_of(
    x_run_date="DATE",
    id="INT64",
    kind="STRING",
    email="STRING pii",
    amount="BIGNUMERIC",
    f="FLOAT64",
    e="STRING",
)
DAY = date(2026, 1, 31)
SLICE = Slice((("x_run_date", DAY),))
ROWS = [
    {
        "x_run_date": DAY,
        "id": n,
        "kind": "ab"[n % 2],
        "email": "one@x" if n % 2 else "two@example",
        "amount": Decimal(n) / 4,
        "f": float("inf") if n == 3 else None if n % 10 == 0 else -float(n),
    }
    for n in range(100)
]


def _suggested(rows: list[dict[str, Any]]) -> dict[str, Any]:
    duck = Duck(SCHEMA, rows)
    profile = read_profile("raw_test.t", SCHEMA, duck.rows(profile_query(SCHEMA, TABLE, SLICE))[0])
    query = values_query(profile, SCHEMA, TABLE, SLICE)
    return suggest(with_values(profile, duck.rows(query)) if query else profile)


def test_the_proposal() -> None:
    (suite,) = _suggested([*ROWS, {"x_run_date": date(2026, 2, 1), "kind": "other slice"}])["suites"]
    said = [(e["type"].removeprefix("expect_"), e.get("column")) for e in suite["expectations"]]
    assert said == [
        ("table_row_count_to_be_between", None),
        ("column_values_to_not_be_null", "id"),
        ("column_values_to_be_unique", "id"),
        ("column_values_to_be_between", "id"),
        ("column_values_to_not_be_null", "kind"),
        ("column_values_to_be_in_set", "kind"),
        ("column_values_to_not_be_null", "email"),
        ("column_value_lengths_to_be_between", "email"),
        ("column_values_to_not_be_null", "amount"),
        ("column_values_to_be_unique", "amount"),
        ("column_values_to_be_between", "amount"),
        ("column_values_to_not_be_null", "f"),
        ("column_values_to_be_null", "e"),
    ]
    assert "one@x" not in str(suite)


def test_the_proposal_holds_for_its_own_rows() -> None:
    found = DqFile.model_validate(_suggested(ROWS))
    outcomes = Duck(SCHEMA, ROWS).check(*found.suites[0].expectations, slice_=SLICE)
    assert [o.expectation_id for o in outcomes if not o.success] == []


def test_an_empty_slice_suggests_nothing() -> None:
    assert _suggested([])["suites"][0]["expectations"] == []
