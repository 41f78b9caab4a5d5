from __future__ import annotations

import io
import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from platform_assets.commands.expression import expression
from platform_assets_tests.engine.metrics.datasets import RATIO, daily, request, rows_parquet

METRICS = Path(__file__).parents[2] / "configs" / "metrics"


def run(*arguments: str, given: object = None) -> Result:
    text = given if isinstance(given, str) else json.dumps(given)
    return CliRunner().invoke(expression, [*arguments], input=text)


@pytest.mark.parametrize("path", sorted(METRICS.glob("*.yml")), ids=lambda path: path.stem)
def test_declared_metrics_check(path: Path) -> None:
    result = run("check", str(path))
    assert result.exit_code == 0
    assert result.output.startswith("ok: ")


@pytest.mark.parametrize(
    "given", [RATIO, request(RATIO), {"expression_type": "series_math", "expression": RATIO}]
)
def test_every_form_is_read(given: object) -> None:
    assert run("check", "-", given=given).output == "ok: ratio(A, B) × 2.0\n"


def test_faults_are_told_with_positions() -> None:
    result = run("check", "-", given={**RATIO, "op": "divide", "scale": "x"})
    assert result.exit_code == 1
    assert "<stdin>: $.op: 'divide' is no series_math operation" in result.output
    assert "<stdin>: $.scale: must be a number, not 'x'" in result.output


@pytest.mark.parametrize("text", ["{", "- a\n b: [", "5", "[" * 3000])
def test_what_is_no_expression_has_no_traceback(text: str) -> None:
    result = run("check", "-", given=text)
    assert result.exit_code == 1
    assert result.output.startswith("<stdin>: ")


def test_the_kind_may_be_given() -> None:
    result = run("check", "-", "--type", "composite", given=RATIO)
    assert "expressionType says composite, but the fields are those of a series_math" in result.output


def test_explain_shows_meanings_and_series() -> None:
    lines = run("explain", "-", given=RATIO).output.splitlines()
    assert lines[0] == "series_math ratio, scale 2.0: left ÷ right"
    assert lines[-1] == "reads: A, B"


def test_eval_over_parquet_and_csv(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_bytes(rows_parquet("A", [*daily(1.0, 2.0), *daily(5.0)]))
    (tmp_path / "b.csv").write_text("obs_time,value\n2024-01-01,2\n2024-01-02,0\n")
    series = ["--series", f"A={tmp_path / 'a.parquet'}", "--series", f"B={tmp_path / 'b.csv'}"]
    result = run("eval", "-", *series, given=RATIO)
    assert result.stdout == (
        '{"obs_time": "2024-01-01T00:00:00", "value": 5.0}\n{"obs_time": "2024-01-02T00:00:00", "value": null}\n'
    )
    assert "A: 1 rows lost" in result.stderr
    last = run("eval", "-", *series, "--tail", "1", given=RATIO)
    assert last.stdout.count("\n") == 1


def test_eval_writes_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("obs_time,value\n2024-01-01T00:00:00Z,2\n")
    files = ["--series", f"A={tmp_path / 'a.csv'}", "--series", f"B={tmp_path / 'a.csv'}"]
    output = tmp_path / "out.parquet"
    assert run("eval", "-", *files, "--output", str(output), given=RATIO).exit_code == 0
    assert pq.read_table(io.BytesIO(output.read_bytes())).column("value").to_pylist() == [2.0]


def test_eval_names_what_is_missing(tmp_path: Path) -> None:
    result = run("eval", "-", "--series", "A=x.parquet", given=RATIO)
    assert result.exit_code == 2
    assert "--series B=PATH" in result.output
    both = ["--series", f"A={tmp_path / 'x.parquet'}", "--series", "B=y.csv"]
    assert "x.parquet" in str(run("eval", "-", *both, given=RATIO).exception)
