"""All metrics of the old service's catalogue, told by the repository's monitors, against values worked out by hand;
and what each is where something is missing, zero or null."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from platform_assets_tests.assets.cdc import catalogue
from platform_assets_tests.assets.cdc.catalogue import EXPECTED, VARIABLES
from platform_assets_tests.assets.cdc.messages import change
from platform_assets_tests.assets.cdc.rig import Rig, data_project, monitors

COUNT = "mageai/pipeline_run/count"


def completed(pipeline: str, number: int = 0, **variables: Any) -> dict[str, Any]:
    record = change(number, pipeline_uuid=pipeline)
    record["payload"]["variables"] = {"partner": "abertta", **VARIABLES[pipeline], **variables}
    return record


def with_tables(folder: Path, **changed: tuple[str, str] | None) -> Rig:
    """A rig over the catalogue's tables, some of them with other rows, or left out."""
    tables = {
        name: changed.get(name, table)
        for name, table in catalogue.TABLES.items()
        if changed.get(name, table) is not None
    }
    data_project(folder, *catalogue.statements(only=tables))  # type: ignore[arg-type]
    return Rig(folder)


@pytest.mark.parametrize("pipeline", EXPECTED)
def test_each_pipeline_tells_what_was_worked_out_by_hand(tmp_path: Path, pipeline: str) -> None:
    rig = with_tables(tmp_path)
    rig.send(completed(pipeline))
    assert rig.run().done == 1, rig.dead()
    told = {key: value for key, value in rig.sink.told().items() if key[0] != COUNT}
    assert told == {key: pytest.approx(value) for key, value in EXPECTED[pipeline].items()}


def test_the_catalogue_has_its_twenty_names() -> None:
    declared = {m.name for found in monitors().values() for m in (*found.spec.gauges, *found.spec.counters)}
    told = {name for expected in EXPECTED.values() for name, _ in expected}
    assert declared == told | {COUNT}
    assert len(declared) == 20


PRE, PROCESSABLE = "claims/pipeline/filtered_pre/vl_pago/", "claims/pipeline/processable/vl_pago/"
POST, SAVINGS = "claims/pipeline/filtered_post/vl_glosa_arvo/", "claims/pipeline/savings/"
NEW, VOLUME = "providers/new_pct_last_3_mo", "providers/volume_ratio_last_1_mo"
SENT = "sent_over_recv_last_2_days"


def rows(name: str, rows: str) -> dict[str, tuple[str, str]]:
    return {name: (catalogue.TABLES[name][0], rows)}


NO_WINDOW = {"submitted": rows("submitted", "")["submitted"]}
# (case, pipeline, tables that differ, metric name's end → its values)
RULES: list[tuple[str, str, Mapping[str, Any], Mapping[str, list[float]]]] = [
    ("no unprocessable table", "pipesv2_wrangling", {"u": None},
     {PRE + "total": [0.0], PRE + "relative": [0.0], PROCESSABLE + "total": [8000.0], PROCESSABLE + "relative": [1.0]}),
    ("no processable table", "pipesv2_wrangling", {"p": None},
     {PRE + "total": [1500.0], PRE + "relative": [], PROCESSABLE + "total": [0.0], PROCESSABLE + "relative": [0.0]}),
    ("neither", "pipesv2_wrangling", {"u": None, "p": None},
     {PRE + "total": [0.0], PRE + "relative": [], PROCESSABLE + "total": [0.0], PROCESSABLE + "relative": []}),
    ("both empty", "pipesv2_wrangling", {**rows("u", ""), **rows("p", "")},
     {PRE + "total": [0.0], PRE + "relative": [0.0], PROCESSABLE + "total": [0.0], PROCESSABLE + "relative": [],
      NEW: [0.0]}),
    ("no history table", "pipesv2_wrangling", {"uh": None}, {NEW: [1.0], VOLUME: [1.0]}),
    ("empty history", "pipesv2_wrangling", {**rows("uh", ""), **rows("ph", "")}, {NEW: [1.0], VOLUME: [1.0]}),
    ("history of the month before only", "pipesv2_wrangling",
     {**rows("uh", "('h5', 5, 'b5', 'f5', 50, 5, '2025-09-26 00:00:00+00', NULL)"), **rows("ph", ""), **rows("u", ""),
      **rows("p", "")}, {VOLUME: [0.0]}),
    ("no excluded table", "pipesv2_selection", {"excluded": None}, {POST + "total": [0.0], POST + "relative": [0.0]}),
    ("empty savings", "pipesv2_selection", rows("savings", ""), {POST + "total": [500.0], POST + "relative": [0.0]}),
    ("no savings of agents", "pipesv2_evaluation", {"savings": None}, {SAVINGS + "count": []}),
    ("nothing expired", "pipesv2_release", {**rows("internal", ""), **rows("manual", "")}, {"expired/total": [0.0]}),
    ("nothing received", "pipesv2_submission", {**rows("uh", ""), **rows("ph", "")}, {"vl_pago/" + SENT: [1.0]}),
    ("nothing accepted nor submitted", "pipesv2_submission",
     {**NO_WINDOW, **rows("selected_history", ""), **rows("internal", ""), **rows("manual", "")},
     {"sent_over_accepted_last_2_days": [1.0], "sent_over_validation_last_2_days": [1.0],
      "shared_id_fatura_sent_over_validation": [1.0]}),
    ("nothing accepted but submitted", "pipesv2_submission",
     {**rows("selected_history", ""), **rows("internal", ""), **rows("manual", "")},
     {"sent_over_accepted_last_2_days": [0.0, 0.0, 0.0], "sent_over_validation_last_2_days": [0.0, 0.0, 0.0]}),
    # Without rows of the run the window ends twenty minutes before the change, at 18:03:31: h7 is in it, h5 is not.
    ("a run without rows", "pipesv2_submission",
     rows("submitted", "('h7', 'SUBMITTED_SUCCESS', 1, 'run2', '2025-11-05 18:00:00+00')"),
     {"vl_pago/" + SENT: [9 / 459]}),
]  # fmt: skip


@pytest.mark.parametrize(("pipeline", "changed", "values"), [r[1:] for r in RULES], ids=[r[0] for r in RULES])
def test_rules_for_what_is_missing_zero_or_null(
    tmp_path: Path, pipeline: str, changed: Mapping[str, Any], values: Mapping[str, list[float]]
) -> None:
    rig = with_tables(tmp_path, **changed)
    rig.send(completed(pipeline))
    assert rig.run().handled == 1
    for end, wanted in values.items():
        found = sorted(p.value for p in rig.sink.points if p.name.endswith(end))
        assert found == wanted, end


MISSING: list[tuple[str, str, Mapping[str, Any], str]] = [
    ("savings table", "pipesv2_selection", {"savings": None}, "post_filter.selection: .*savings does not exist"),
    ("batch table", "pipesv2_approval", {"u": None}, "new_ids.approval: .*unprocessable does not exist"),
    ("validation table", "pipesv2_release", {"manual": None}, "expired_validation.release: .*manual does not exist"),
    ("submitted table", "pipesv2_submission", {"submitted": None}, "submission_claims.*submission_validation"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("pipeline", "changed", "reason"), [r[1:] for r in MISSING], ids=[r[0] for r in MISSING]
)
def test_a_table_that_must_exist_is_a_dead_letter_that_names_it(
    tmp_path: Path, pipeline: str, changed: Mapping[str, Any], reason: str
) -> None:
    rig = with_tables(tmp_path, **changed)
    rig.send(completed(pipeline))
    rig.run()
    (told,) = rig.dead()
    assert re.search(reason, told), told
    assert rig.sink.values(COUNT) == [1]


@pytest.mark.parametrize("gone", [None, "", {}, []], ids=["null", "empty", "an object", "a list"])
@pytest.mark.parametrize(
    ("pipeline", "variable"),
    [(p, v) for p, named in VARIABLES.items() for v in named if "historical" not in v]
    + [("pipesv2_submission", "selected_savings_historical_table")],
)
def test_a_variable_that_is_missing_or_none_is_named(
    tmp_path: Path, pipeline: str, variable: str, gone: Any
) -> None:
    if pipeline == "pipesv2_approval" and variable.endswith("claims_output_table") and gone is None:
        variable = "savings_input_table"  # an approval without history is only not compared with it
    rig = with_tables(tmp_path)
    rig.send(completed(pipeline, **{variable: gone}))
    rig.run()
    (told,) = rig.dead()
    assert variable in told
    assert rig.sink.values(COUNT) == [1]


def test_the_twenty_three_handlers_of_the_old_service_are_all_there() -> None:
    """Its providers' and beneficiaries' handlers had the same tables, so each pair is one here."""
    found = {f"{name}.{handler}" for name, m in monitors().items() for handler in m.spec.handlers}
    pairs = {f"{m}.{h}" for m in ("new_ids", "volume_ratio") for h in ("wrangling", "approval")}
    assert pairs < found
    assert len(found) + len(pairs) == 23
