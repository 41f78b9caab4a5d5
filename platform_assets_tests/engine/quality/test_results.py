"""What is kept of outcomes, and what people see of them."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from platform_assets.engine.quality.model import CheckOutcome, Severity
from platform_assets.engine.quality.plot import Point, history_image, history_svg
from platform_assets.engine.quality.report import SliceReport, html, markdown
from platform_assets.engine.quality.results import check_name, crashed, dq_results_row, observed_text, verdict
from platform_assets.engine.quality.suite import parse_suite
from platform_assets_tests.engine.quality.duck import Duck, schema_of

SCHEMA = schema_of(a="INT64", s="STRING")
SUITE = [
    {"type": "expect_column_values_to_not_be_null", "column": "a", "severity": "critical"},
    {"type": "expect_column_mean_to_be_between", "column": "a", "max_value": 1, "severity": "info"},
    {"type": "expect_column_distinct_values_to_contain_set", "column": "s", "value_set": ["x|y", "<b>"]},
]
NOW = datetime(2026, 2, 1, 3, tzinfo=UTC)


def _row(outcome: CheckOutcome) -> dict[str, object]:
    return dq_results_row(
        outcome,
        fact="run:table",
        tenant="acme1281",
        pipeline_logging_id="run",
        pipeline_id="openai_costs",
        target_table="raw_openai.costs",
        run_date=date(2026, 1, 31),
        executed_at=NOW,
        ingestion_date=NOW.date(),
    )


def test_one_row_per_check_for_an_empty_slice_and_for_a_crash() -> None:
    suite, _ = parse_suite(SUITE, SCHEMA)
    audited = [_row(o) for o in Duck(SCHEMA, []).check(*SUITE)]
    died = [_row(o) for o in crashed(suite, "the warehouse was away")]
    assert [r["dq_result_id"] for r in audited] == [r["dq_result_id"] for r in died]
    assert [r["success"] for r in audited] == [True, False, False]
    assert [r["success"] for r in died] == [None, None, None]
    assert {r["error_message"] for r in died} == {"the warehouse was away"}


def test_a_crash_blocks_what_a_failure_would_block() -> None:
    suite, _ = parse_suite([{**SUITE[0], "on_failure": "quarantine"}, *SUITE[1:]], SCHEMA)
    found = verdict(crashed(suite, "gone"))
    assert found.blocked  # nothing is known of the rows, so none can be put aside
    assert len(found.info) == 1


def test_rows_have_the_columns_of_the_results_table() -> None:
    root = Path(__file__).parents[3]
    columns = json.loads((root / "configs/metadata/schemas/dq_results.json").read_text())
    outcome = Duck(SCHEMA, [{"a": 1}]).check(*SUITE)[0]
    row = _row(outcome)
    assert set(row) == {c["name"] for c in columns}
    assert all(row[c["name"]] is not None for c in columns if c.get("mode") == "REQUIRED")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, None),
        (Decimal("1E+2"), "100"),
        (Decimal("0E-9"), "0.000000000"),
        (float("inf"), "inf"),
        (date(2026, 1, 31), "2026-01-31"),
        ({"b": [Decimal("1.5")], "a": None}, '{"a": null, "b": ["1.5"]}'),
        (True, "True"),
    ],
)
def test_observed_values_as_text(value: object, text: str | None) -> None:
    assert observed_text(value) == text


def test_details_are_json() -> None:
    outcomes = Duck(SCHEMA, [{"a": 1, "s": "q"}]).check(*SUITE)
    assert [json.loads(json.dumps(o.details)) for o in outcomes] == [
        {},
        {},
        {"missing_values": ["x|y", "<b>"]},
    ]


def test_check_names() -> None:
    suite, _ = parse_suite([*SUITE, {**SUITE[0], "name": "amount_there"}], SCHEMA)
    assert [check_name(e) for e in suite] == [
        "expect_column_values_to_not_be_null__a",
        "expect_column_mean_to_be_between__a",
        "expect_column_distinct_values_to_contain_set__s",
        "amount_there",
    ]


# --- for people ---


def _report() -> SliceReport:
    outcomes = Duck(SCHEMA, [{"a": None, "s": "x"}, {"a": 5, "s": "y"}]).check(*SUITE)
    samples = {outcomes[0].expectation_id: [{"a": None, "s": "pipe | <script>\n`"}]}
    return SliceReport("acme1281", "raw_openai.costs", date(2026, 1, 31), outcomes, samples)


def test_markdown_lists_the_worst_first_and_keeps_its_tables() -> None:
    text = markdown([_report()])
    lines = text.splitlines()
    checks = [line for line in lines if line.startswith("| failed |")]
    assert [line.split(" | ")[1] for line in checks] == ["critical", "warning", "info"]
    assert "1 of 2 rows (50 %)" in text
    assert "pipe \\| &lt;script&gt; `" in text
    tables = [line for line in lines if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") in (3, 5, 6) for line in tables)


def test_html_escapes_everything() -> None:
    page = html([_report()], title="<quality>")
    assert "<script>" not in page
    assert "&lt;quality&gt;" in page
    assert page.count("<details") == 3


def test_a_broken_check_is_an_error_in_reports() -> None:
    suite, _ = parse_suite(SUITE[:1], SCHEMA)
    page = markdown([SliceReport("acme1281", "raw_openai.costs", None, crashed(suite, "timed | out"))])
    assert "| error | critical |" in page
    assert "timed \\| out" in page


def test_history_as_a_picture() -> None:
    points = [Point(date(2026, 1, d), v, v != 9) for d, v in ((3, 9.0), (1, 1.0), (2, None))]
    svg = history_svg(points, "a < b")
    assert svg.count("<circle") == 3
    assert svg.index("2026-01-01: 1") < svg.index("2026-01-02: no value") < svg.index("2026-01-03: 9")
    assert "a &lt; b" in svg
    assert svg.count("#c62828") == 1
    assert history_image(points, "x").startswith("![x](data:image/svg+xml;base64,")
    assert "<circle" not in history_svg([])


def test_severities_sort_by_what_they_stop() -> None:
    assert [s.value for s in Severity] == ["critical", "warning", "info"]
