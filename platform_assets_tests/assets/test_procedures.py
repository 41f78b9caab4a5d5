"""Procedures as assets: lineage from their SQL, never run by a selection of tables, run with their parameters."""

from __future__ import annotations

from typing import Any

import dagster as dg

from platform_assets_tests.assets.conftest import Location

PURGE = dg.AssetKey(["procedures", "retention", "sp_apply_retention"])
GIVEN = {"p_usage_before": "2020-01-01", "p_history_before": "2020-01-01"}


def run(location: Location, **config: Any) -> dg.ExecuteInProcessResult:
    job = location.module.defs.resolve_job_def("run_procedure")
    given = {"procedure": "sp_apply_retention", "tenant": "acme1281", "parameters": GIVEN} | config
    return job.execute_in_process(
        run_config={"ops": {"procedure": {"config": given}}},
        instance=location.instance,
        raise_on_error=False,
    )


def test_lineage_goes_from_the_caller_to_the_called_to_the_tables_that_are_changed(
    location: Location,
) -> None:
    graph = location.module.defs.resolve_asset_graph()
    assert not graph.get(PURGE).is_executable
    called = {key.to_user_string() for key in graph.get(PURGE).child_keys}
    assert called == {"procedures/retention/sp_purge_history", "procedures/retention/sp_purge_openai_usage"}
    usage = graph.get(dg.AssetKey(["procedures", "retention", "sp_purge_openai_usage"]))
    assert dg.AssetKey(["raw_openai", "usage_completions"]) in usage.child_keys


def test_no_pipelines_job_runs_a_procedure(location: Location) -> None:
    job = location.module.defs.resolve_job_def("openai_costs")
    keys = {key.path[0] for key in job.asset_layer.executable_asset_keys}
    assert "raw_openai" in keys
    assert "procedures" not in keys


def test_a_run_is_told_on_its_asset_and_a_dry_one_is_not(location: Location) -> None:
    assert run(location, dry_run=True).success
    assert location.instance.get_latest_materialization_event(PURGE) is None
    assert run(location, dry_run=False).success
    event = location.instance.get_latest_materialization_event(PURGE)
    assert event is not None and event.asset_materialization is not None
    found = {name: value.value for name, value in event.asset_materialization.metadata.items()}
    assert (found["tenant"], found["rows_changed"], found["parameters"]) == ("acme1281", 0, GIVEN)


def test_wrong_parameters_fail_the_run(location: Location) -> None:
    assert not run(location, parameters={"p_usage_before": "soon"}, dry_run=False).success
