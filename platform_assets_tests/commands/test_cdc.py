"""``platform-assets cdc check``: what a message would do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from platform_assets.cli import main
from platform_assets.demo.cdc.sample import EVENT, Sample

ROOT = Path(__file__).parents[2]


@pytest.fixture
def sample(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Sample:
    monkeypatch.chdir(ROOT)
    found = Sample(tmp_path / "local")
    found.start_afresh(ROOT / "configs")
    for name, value in found.environment.items():
        if name.startswith("PLATFORM_"):
            monkeypatch.setenv(name, value)
    return found


def check(*arguments: str, text: str | None = None) -> Result:
    return CliRunner().invoke(main, ["cdc", "check", *arguments], input=text)


def test_handlers_and_tables_are_shown_without_asking_anything(sample: Sample) -> None:
    (sample.root / "sources" / "test-project.duckdb").unlink()
    done = check(str(EVENT))
    assert done.exit_code == 0, done.output
    assert done.output.splitlines()[:3] == [
        "2025-11-05|abertta  UPDATE of public_pipeline_run  f23df35c-01c0-4e72-bf69-d6c300000000",
        "pipeline_run.any",
        "pre_filter.wrangling",
    ]
    assert (
        "  processable = test-project.tmp_abertta.processable_claims_abertta_20251105_171427" in done.output
    )


def test_points_are_shown_and_nothing_is_written(sample: Sample) -> None:
    before = sorted(sample.root.rglob("*"))
    done = check("--ask", str(EVENT))
    assert done.exit_code == 0, done.output
    assert "filtered_pre/vl_pago/relative{approved=false, partner=abertta} = 0.1875" in done.output
    assert "2 questions in 1 queries, 1 look-ups" in done.output
    written = [path for path in sorted(sample.root.rglob("*")) if "cache" not in path.parts]
    assert written == before


def test_what_fails_is_told_and_the_exit_code_says_so(sample: Sample) -> None:
    event = json.loads(EVENT.read_text())
    event["data"]["payload"]["variables"]["refined_processable_claims_output_table"] = (
        "tmp_athena.savings_athena"
    )
    done = check("-", text=json.dumps(event))
    assert done.exit_code == 1
    assert (
        "fails: variable 'refined_processable_claims_output_table' names dataset 'tmp_athena'" in done.output
    )


def test_a_message_that_nobody_takes(sample: Sample) -> None:
    record = {
        "uuid": "x",
        "source_timestamp": "2025-11-05T00:00:00Z",
        "object": "public_users",
        "payload": {},
    }
    done = check("-", text=json.dumps(record))
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "no monitor takes it")


def test_no_message_at_all(sample: Sample) -> None:
    done = check("-", text="nothing")
    assert done.exit_code == 1
    assert "error: a change record is not JSON" in done.output
