# ruff: noqa: E501
"""Old pipelines become new ones that load, are replaced by shipped ones, or are refused at their line."""

import shutil
from collections.abc import Mapping
from datetime import date
from pathlib import Path

import pytest
import yaml

from platform_assets.commands import converting
from platform_assets.config import load
from platform_assets.config.historic.model import Translation
from platform_assets.config.historic.ps_types import PROCEDURES, PS_TYPES, Shipped
from platform_assets.config.historic.shapes import Shape, shape_of
from platform_assets.config.historic.translation import translate_tree
from platform_assets.engine.errors import ConfigError, Problem
from platform_assets_tests.config.historic.old_files import FOLDERS, README, STEPS
from platform_assets_tests.config.tree import write_tree

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
KNOWN = {"openai": "https://api.openai.com/v1", "gcp": "https://bigquery.googleapis.com"}


def translated(folder: Path, files: Mapping[str, str], *only: str) -> dict[str, Translation]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = {one.file: one for one in translate_tree(folder, KNOWN)}
    return {name: found[name] for name in only} if only else found


def changed(files: Mapping[str, str], name: str, old: str, new: str) -> dict[str, str]:
    assert old in files[name]
    return {**files, name: files[name].replace(old, new, 1)}


def steps_of(one: Translation) -> list[dict]:
    [text] = [text for name, text in one.files.items() if name.endswith("/pipeline.yml")]
    return yaml.safe_load(text)["steps"]


def told(problems: tuple[Problem, ...]) -> list[str]:
    return [f"{p.line}: {p.field}: {p.reason}" for p in problems]


@pytest.mark.parametrize("files", [README, FOLDERS, STEPS])
def test_what_is_translated_loads_beside_the_repositorys_own(
    tmp_path: Path, files: Mapping[str, str]
) -> None:
    root = tmp_path / "configs"
    shutil.copytree(CONFIGS, root)
    found = translated(tmp_path / "old", files)
    written = converting.write(root, list(found.values()))
    assert written
    configuration = load(root, deployment="local", environment={}, today=date(2026, 11, 28))
    names = {name.split("/")[-2] for name in written if name.endswith("/pipeline.yml")}
    assert names <= set(configuration.pipelines)


def test_each_form_is_known(tmp_path: Path) -> None:
    shapes = {one.shape for files in (README, FOLDERS, STEPS) for one in translated(tmp_path, files).values()}
    assert shapes == set(Shape)


def test_no_pipeline_of_ours_is_taken_for_an_old_one() -> None:
    files = sorted(CONFIGS.rglob("*.yml"))
    assert len(files) > 20
    assert [path for path in files if shape_of(yaml.safe_load(path.read_text()))] == []


# --- Service E's README -------------------------------------------------------------------------------


def test_the_readmes_example_is_one_folder(tmp_path: Path) -> None:
    [one] = translated(tmp_path, README).values()
    assert one.refused == ()
    folder = "pipelines/openai/cost/p_openai_billing"
    names = (
        "dq.yml",
        "openai_daily_schema.json",
        "pipeline.yml",
        "transform_silver.sql",
        "usage_logs_schema.json",
    )
    assert list(one.files) == [f"{folder}/{name}" for name in names]
    ingest, transform = steps_of(one)
    assert ingest["source"]["pagination"] == {
        "type": "cursor",
        "param": "page_token",
        "token_path": "next_page_token",
    }
    assert ingest["destination"]["keys"] == ["billing_date", "organization_id"]
    assert transform["destination"]["table"] == "silver_cost.openai_daily"


def test_a_check_that_only_alerts_stops_nothing(tmp_path: Path) -> None:
    [one] = translated(tmp_path, README).values()
    [suite] = yaml.safe_load(one.files["pipelines/openai/cost/p_openai_billing/dq.yml"])["suites"]
    assert [rule["severity"] for rule in suite["expectations"]] == ["warning"] * 3
    stops = changed(README, "pipelines/p_openai_billing.yml", 'on_failure: "alert"', 'on_failure: "stop"')
    [one] = translated(tmp_path, stops).values()
    [suite] = yaml.safe_load(one.files["pipelines/openai/cost/p_openai_billing/dq.yml"])["suites"]
    assert [rule["severity"] for rule in suite["expectations"]] == ["critical", "warning", "critical"]


SOURCE, PIPELINE = "openai/sources/billing_usage.yml", "pipelines/p_openai_billing.yml"


@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        (SOURCE, "type: rest_api", "type: object_storage", "connector.type: a 'object_storage' connector"),
        (SOURCE, "strategy: \"merge\"", "strategy: api_post", "loading.strategy: 'api_post' is not done here"),
        (SOURCE, "type: bearer", "type: oauth2", "connector.auth.token_url: is missing"),
        (SOURCE, "  rate_limit:", "  rate_limits:", "connector.rate_limits: is not known here"),
        (SOURCE, "endpoint: \"/usage\"", "endpoint: 7", "connector.endpoint: must be text, not 7"),
        (SOURCE, "https://api.openai.com/v1", "https://api.example.com", "is not below https://api.openai.com/v1"),
        (SOURCE, "focus_cost.json", "../../../etc/passwd", "leads out of the configuration"),
        (PIPELINE, "billing_dq.yml", "no_such.yml", "'openai/dq_rules/no_such.yml' is no file"),
        (PIPELINE, "raw_openai.usage_logs", "raw_openai.usage", "is filled by no step before this one"),
        (PIPELINE, "type: \"dq_check\"", "type: dq", "must be ingest, dq_check or transform"),
        (PIPELINE, "on_failure: \"alert\"", "on_failure: warn", "must be stop, alert or continue"),
        ("sql/silver/openai_daily_cost.sql", "raw_openai.usage_logs", "raw_other.t", "reads raw_other.t, which no step"),
        ("sql/silver/openai_daily_cost.sql", "SELECT", "SELEC", "line 1 of the query"),
        ("sql/silver/openai_daily_cost.sql", "SUM(cost_usd)", "MYSTERY(cost_usd)", "function MYSTERY has no twin"),
        ("sql/silver/openai_daily_cost.sql", "SUM(cost_usd)", "ARRAY_AGG(cost_usd)", "no type follows for cost_usd"),
    ],
)  # fmt: skip
def test_what_the_readmes_form_cannot_say_is_refused(
    tmp_path: Path, file: str, old: str, new: str, reason: str
) -> None:
    [one] = translated(tmp_path, changed(README, file, old, new)).values()
    assert one.files == {}
    assert any(reason in text for text in told(one.refused)), told(one.refused)


# --- Service E's folders ------------------------------------------------------------------------------

PRICING = "acme1281/gcp/cost/gcp_pricing_calculation/gcp_pricing_calculation.yml"
EXPORT = "acme1281/gcp/cost/gcp_billing_export/gcp_billing_export.yml"


def test_a_folders_files_stay_its_tenants_own(tmp_path: Path) -> None:
    one = translated(tmp_path, FOLDERS)[PRICING]
    assert one.refused == ()
    copy, final = steps_of(one)
    assert copy["source"]["tables"] == {"origin": "gac-prod-471220.billing.usage_by_sku"}
    assert (final["type"], final["destination"]["partition_field"]) == ("transform", "x_run_date")
    assert {Path(name).parent.as_posix() for name in one.files} == {
        "acme1281/gcp/cost/gcp_pricing_calculation"
    }


def test_project_and_date_and_parameters_are_filled_in_the_query(tmp_path: Path) -> None:
    one = translated(tmp_path, FOLDERS)[PRICING]
    sql = " ".join(one.files[PRICING.replace("gcp_pricing_calculation.yml", "raw_copy.sql")].split())
    assert (
        sql
        == "SELECT sku_id, usage_date, cost FROM source.origin WHERE usage_date = @run_date AND cost >= 0.5"
    )


def test_a_day_is_added_inside_the_condition_not_glued_behind_it(tmp_path: Path) -> None:
    one = translated(tmp_path, FOLDERS)[PRICING]
    sql = " ".join(one.files[PRICING.replace("gcp_pricing_calculation.yml", "final.sql")].split())
    condition = "WHERE ( NOT sku_id IS NULL OR cost > 0 ) AND ( ingestion_date >= @run_date AND"
    assert condition in sql


def test_a_partition_that_the_step_names_holds_the_day(tmp_path: Path) -> None:
    undated = changed(FOLDERS, PRICING, "usage_date = @date AND cost", "cost")
    undated = changed(
        undated,
        PRICING,
        "    timeout_minutes: 10\n",
        "    partition: {field: usage_date, type: DATE, parallel_batch_size: 10}\n",
    )
    one = translated(tmp_path, undated)[PRICING]
    sql = one.files[PRICING.replace("gcp_pricing_calculation.yml", "raw_copy.sql")]
    assert "usage_date >= @run_date AND usage_date < @next_date" in sql


def test_the_short_form_copies_a_whole_export_by_day(tmp_path: Path) -> None:
    one = translated(tmp_path, FOLDERS)[EXPORT]
    [step] = steps_of(one)
    assert step["source"]["tables"] == {"origin": "gac-prod-471220.billing.gcp_billing_export_v1_*"}
    assert "_PARTITIONTIME >= TIMESTAMP(@run_date)" in one.files[EXPORT.replace(".yml", ".sql")]
    assert any("money is NUMERIC" in text for text in told(one.remarks))


def test_parameters_may_be_declared_as_a_list(tmp_path: Path) -> None:
    listed = """\
parameters:
  - {name: date, type: DATE, required: true}
  - {name: min_cost, type: FLOAT64, default: 0.5, description: "less is noise"}
"""
    as_list = changed(FOLDERS, PRICING, 'parameters:\n  date: "2025-11-14"\n  min_cost: 0.5\n', listed)
    as_list = changed(
        as_list,
        PRICING,
        "@date AND cost >= @min_cost",
        "'{{ execution_date }}' AND cost >= {{ parameters.min_cost }}",
    )
    assert (
        translated(tmp_path / "a", as_list)[PRICING].files
        == translated(tmp_path / "b", FOLDERS)[PRICING].files
    )


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("depends_on: raw_copy", "depends_on: raw_kopy", "there is no step 'raw_kopy'"),
        ("step_id: final", "step_id: raw_copy", "is the id of steps[0] too"),
        ("  - step_id: raw_copy\n", "  - step_id: raw_copy\n    depends_on: [check]\n", "wait for one another in a circle"),
        ("@min_cost", "@least", "nothing fills @least"),
        ("{dataset}", "{dataset_name}", "nothing fills {dataset_name}"),
        ("type: data_quality", "type: api", "must be bigquery_to_bigquery or data_quality"),
        ("FROM `acme1281_gcp.pricing_raw`", "FROM `globex_gcp.pricing_raw`", "reads globex_gcp.pricing_raw, which no step"),
        ("recreate: true", "recreated: true", "recreated: is not known here"),
    ],
)  # fmt: skip
def test_what_a_folder_gets_wrong_is_refused_at_its_line(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    one = translated(tmp_path, changed(FOLDERS, PRICING, old, new))[PRICING]
    assert one.files == {}
    assert any(reason in text for text in told(one.refused)), told(one.refused)


# --- Service C's steps --------------------------------------------------------------------------------


def test_every_ps_type_of_the_readme_has_an_answer_that_exists() -> None:
    shipped = {path.parent.name for path in (CONFIGS / "pipelines").rglob("pipeline.yml")}
    named = {name for answer in PS_TYPES.values() if isinstance(answer, Shipped) for name in answer.pipelines}
    named |= {name for pipelines in PROCEDURES.values() for name in pipelines}
    assert named <= shipped
    readme = (
        "openai.usage openai.cost anthropic.usage gcp.bq_etl gcp.api_extractor generic.api_extractor"
        " generic.procedure_executor"
    )
    assert set(readme.split()) <= set(PS_TYPES)


def test_the_guide_names_every_ps_type() -> None:
    guide = (CONFIGS.parent / "docs" / "costs.md").read_text()
    assert [name for name in PS_TYPES if f"`{name}`" not in guide] == []


REPLACED = {
    "openai/cost/usage_cost.yml": ("openai_usage", "openai_costs", "llm_estimates"),
    "gcp/cost/billing.yml": ("gcp_billing",),
    "gcp/api/instances.yml": ("gcp_instances",),
    "saas_subscription/costs/saas_cost.yml": ("saas_subscriptions",),
}


@pytest.mark.parametrize(("file", "pipelines"), REPLACED.items())
def test_shipped_pipelines_take_the_place_of_old_ones(
    tmp_path: Path, file: str, pipelines: tuple[str, ...]
) -> None:
    one = translated(tmp_path, STEPS)[file]
    assert (one.replaced_by, one.refused, one.files) == (pipelines, (), {})


def test_a_google_api_is_a_provider_of_its_own_with_its_service_account(tmp_path: Path) -> None:
    one = translated(tmp_path, STEPS)["gcp/api/buckets.yml"]
    assert one.refused == ()
    provider = yaml.safe_load(one.files["providers/gcp_storage.yml"])
    assert (provider["base_url"], provider["auth"]["type"]) == (
        "https://storage.googleapis.com",
        "google_service_account",
    )
    [step] = steps_of(one)
    assert step["source"]["params"] == {"project": "{{ parameters.project }}", "maxResults": 500}
    assert step["source"]["pagination"]["token_path"] == "nextPageToken"


def test_any_api_and_its_transform_become_steps_of_ours(tmp_path: Path) -> None:
    one = translated(tmp_path, STEPS)["jira/tickets/issues.yml"]
    assert one.refused == ()
    extract, transform = steps_of(one)
    assert extract["source"]["params"] == {"updated": "{{ run_date }}", "site": "eu", "limit": 50}
    assert transform["destination"]["table"] == "silver_tickets.jira_issues_by_project"
    sql = one.files["pipelines/jira/tickets/jira_issues/per_project.sql"]
    assert "FROM raw_jira.jira_issues_raw" in sql and "ingestion_date = @run_date" in sql


def test_everything_wrong_is_told_at_once(tmp_path: Path) -> None:
    one = translated(tmp_path, STEPS)["azure/cost/billing.yml"]
    reasons = told(one.refused)
    assert any("6: steps[0].ps_type: there is no shipped pipeline for Azure" in r for r in reasons)
    assert any("8: steps[1].ps_type: there is no 'gcp.bq_elt'" in r for r in reasons)
    assert any("9: steps[1].depends_on: there is no step 'extrakt'" in r for r in reasons)
    assert {p.nearest for p in one.refused} == {None, "gcp.bq_etl", "extract"}


JIRA = "jira/tickets/issues.yml"


@pytest.mark.parametrize(
    ("given", "cron"),
    [
        ('"30 6 * * 1"', "30 6 * * 1"),
        ('{type: daily, time: "04:05"}', "5 4 * * *"),
        ('{type: monthly, time: "23:00", day_of_month: 3}', "0 23 3 * *"),
    ],
)
def test_schedules(tmp_path: Path, given: str, cron: str) -> None:
    old = '{cron: "15 5 * * *", timezone: Europe/Berlin, enabled: true}'
    one = translated(tmp_path, changed(STEPS, JIRA, old, given))[JIRA]
    [text] = [text for name, text in one.files.items() if name.endswith("/pipeline.yml")]
    assert yaml.safe_load(text)["schedule"]["cron"] == cron


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("ps_type: generic.api_extractor", "ps_type: generic.bq_procedure", "generic.procedure_executor was meant"),
        ("{site}", "{place}", "nothing fills {place}"),
        ("type: cursor", "type: keyset", "must be one of cursor, link, none, offset, page, token, not 'keyset'"),
        ("rate_limit_per_minute", "rate_limit_per_minutes", "is not known here"),
        ('{cron: "15 5 * * *", timezone: Europe/Berlin, enabled: true}', "{type: hourly}", "needs a cron text"),
        ("{org_dataset}.jira_issues_raw", "{org_dataset}.other", "which no step of the pipeline fills"),
        ("key_fields: [id]", "key_fields: {id: 1}", "must be a name or a list of names"),
    ],
)  # fmt: skip
def test_what_service_c_passed_over_in_silence_is_refused(
    tmp_path: Path, old: str, new: str, reason: str
) -> None:
    one = translated(tmp_path, changed(STEPS, JIRA, old, new))[JIRA]
    assert one.files == {}
    assert any(reason in text for text in told(one.refused)), told(one.refused)


def test_a_procedure_of_ones_own_is_refused_with_the_reason(tmp_path: Path) -> None:
    saas, known = "saas_subscription/costs/saas_cost.yml", "sp_run_saas_subscription_costs_pipeline"
    one = translated(tmp_path, changed(STEPS, saas, known, "sp_purge_old_rows"))[saas]
    assert one.files == {}
    assert any("sp_purge_old_rows" in t and "no pipeline runs a procedure" in t for t in told(one.refused))


def test_a_step_that_is_not_enabled_is_left_out_and_named(tmp_path: Path) -> None:
    off = changed(STEPS, JIRA, "step_id: per_project\n", "step_id: per_project\n    enabled: false\n")
    one = translated(tmp_path, off)[JIRA]
    assert [step["step_id"] for step in steps_of(one)] == ["extract"]
    assert any("per_project is left out: it is not enabled" in text for text in told(one.remarks))


def test_steps_are_written_in_the_order_that_depends_on_says(tmp_path: Path) -> None:
    text = STEPS[JIRA]
    first, second = text.index("  - step_id: extract"), text.index("  - step_id: per_project")
    swapped = text[:first] + text[second:].rstrip() + "\n    depends_on: extract\n" + text[first:second]
    swapped = swapped.replace("  - step_id: extract\n", "  - step_id: extract\n    depends_on: []\n")
    one = translated(tmp_path, {JIRA: swapped})[JIRA]
    assert [step["step_id"] for step in steps_of(one)] == ["extract", "per_project"]


def test_two_pipelines_never_write_one_file_differently(tmp_path: Path) -> None:
    other = STEPS[JIRA].replace("X-Token", "X-Other").replace("jira_issues", "jira_more")
    found = translated(tmp_path, {JIRA: STEPS[JIRA], "jira/tickets/more.yml": other})
    assert found[JIRA].refused == ()
    assert (
        "providers/jira.yml is written by jira/tickets/issues.yml too"
        in told(found["jira/tickets/more.yml"].refused)[0]
    )


# --- validate -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (EXPORT, FOLDERS[EXPORT]),
        ("pipelines/p_openai_billing.yml", README["pipelines/p_openai_billing.yml"]),
        ("gcp/cost/billing.yml", STEPS["gcp/cost/billing.yml"]),
        ("pipelines/jira/tickets/jira/pipeline.yml", STEPS[JIRA]),
    ],
)
def test_an_old_pipeline_among_the_new_is_reported_as_such(tmp_path: Path, name: str, text: str) -> None:
    root = write_tree(tmp_path / "configs")
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(root, deployment="local", environment={}, today=date(2026, 11, 28))
    [reason] = [p.reason for p in caught.value.problems if p.file == name]
    assert "'platform-assets convert' translates it" in reason
