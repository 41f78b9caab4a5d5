"""The OpenAI pipelines as configured, pulled over HTTP from the bundled API: good days, and every kind of bad one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml

from platform_assets.demo.openai_data import charges, facts
from platform_assets.demo.provider_api import Fault, ProviderApi, serve
from platform_assets.engine.errors import (
    AuthError,
    DataError,
    NotFoundError,
    PlatformError,
    RejectedError,
    RetryableError,
)
from platform_assets.engine.ingestion.pull import PullStats, StandardValues, pull
from platform_assets.engine.ingestion.rounding import Rounded
from platform_assets.engine.ingestion.spec import IngestStep, PipelineSpec, ProviderSpec
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.schema.model import TableSchema
from platform_assets.engine.schema.reading import read_schema, with_standard_columns
from platform_assets.ports import Secret
from platform_assets.resources.http.live import LiveHttp, Settings
from platform_assets.resources.http.rate import Limiters

CONFIGS = Path(__file__).parents[2] / "configs"
FOLDERS = (CONFIGS / "pipelines/openai/cost/openai_costs", CONFIGS / "pipelines/openai/usage/openai_usage")
PROVIDER = ProviderSpec.model_validate(yaml.safe_load((CONFIGS / "providers/openai.yml").read_text()))
TENANT = "acme1281"
CREDIT_DAY, PLAIN_DAY, EMPTY_DAY = date(2026, 5, 1), date(2026, 5, 2), date(2026, 5, 13)


def steps() -> dict[str, tuple[IngestStep, TableSchema]]:
    """Every ingest step of the two pipelines with the schema of its table."""
    found = {}
    for folder in FOLDERS:
        spec = PipelineSpec.model_validate(yaml.safe_load((folder / "pipeline.yml").read_text()))
        for step in spec.steps:
            if isinstance(step, IngestStep):
                raw = json.loads((folder / step.destination.schema_file).read_text())
                found[step.step_id] = (step, with_standard_columns(read_schema(raw), "ingest"))
    return found


STEPS = steps()


@pytest.fixture
def api() -> Iterator[ProviderApi]:
    with serve() as server:
        yield server


def fetch(
    api: ProviderApi,
    step_id: str = "costs",
    day: date = PLAIN_DAY,
    *,
    token: str = f"demo-{TENANT}",
    stats: PullStats | None = None,
) -> list[dict[str, Any]]:
    step, schema = STEPS[step_id]
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds

    settings = Settings(base_urls={"openai": api.url}, allow_loopback=True)
    http = LiveHttp(settings, limiters=Limiters(lambda: clock[0], sleep))
    standard = StandardValues(
        day, datetime(2026, 5, 20, tzinfo=UTC), "run-1", TENANT, "openai_costs", "default"
    )
    variables = slice_variables(day, tenant=TENANT, credential="default")
    try:
        source = http.open(PROVIDER, Secret(token))
        batches = list(pull(step.source, PROVIDER, source, variables, schema, standard, stats))
    finally:
        http.close()
    return pa.Table.from_batches(batches).to_pylist()


# --- Configuration ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step_id", sorted(STEPS))
def test_mapped_and_clustered_columns_stand_in_the_schema(step_id: str) -> None:
    step, schema = STEPS[step_id]
    for column in (*step.source.columns, *step.destination.cluster_by):
        assert schema.get(column), f"{step_id}: {column}"


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda f: f.name)
def test_expectations_name_real_tables_and_columns(folder: Path) -> None:
    tables = {step.destination.table: schema for step, schema in STEPS.values()}
    suites = yaml.safe_load((folder / "dq.yml").read_text())["suites"]
    assert suites
    for suite in suites:
        schema = tables[suite["table"]]
        for rule in suite["expectations"]:
            for column in (rule.get("column"), rule.get("column_A"), rule.get("column_B")):
                assert column is None or schema.get(column), f"{suite['table']}: {column}"


# --- Good days --------------------------------------------------------------------------------------------------


def test_a_tiny_double_is_rounded_and_the_difference_is_told(api: ProviderApi) -> None:
    given = Decimal("1.2345678901234567e-7")
    api.fail(in_result(amount={"value": given, "currency": "usd"}))
    stats = PullStats()
    amounts = {r["amount_value"] for r in fetch(api, stats=stats)}
    kept = Decimal("0.000000123456789012")
    assert kept in amounts
    assert stats.roundings.columns == {"amount_value": Rounded(1, given - kept)}


@pytest.mark.parametrize("day", [CREDIT_DAY, PLAIN_DAY])
def test_costs_arrive_to_the_last_digit_over_several_pages(api: ProviderApi, day: date) -> None:
    stats = PullStats()
    rows = fetch(api, day=day, stats=stats)
    expected = charges("demo", TENANT, day)
    assert sorted(r["amount_value"] for r in rows) == sorted(c.amount for c in expected)
    assert stats.requests == -(-len(expected) // 20) > 1
    assert stats.unknown_fields == {}
    assert {r["amount_currency"] for r in rows} == {"usd"}
    assert {(r["start_time"].date(), r["ingestion_date"], r["x_run_date"]) for r in rows} == {(day, day, day)}
    credits = [r for r in rows if r["amount_value"] < 0]
    assert len(credits) == (day == CREDIT_DAY)
    assert all(r["project_id"] is None for r in credits)


@pytest.mark.parametrize("step_id", sorted(set(STEPS) - {"costs"}))
def test_usage_arrives_whole(api: ProviderApi, step_id: str) -> None:
    stats = PullStats()
    rows = fetch(api, step_id, stats=stats)
    of_step = [f for f in facts("demo", TENANT, PLAIN_DAY) if f.endpoint == step_id]
    assert rows
    assert stats.unknown_fields == {}
    for count in of_step[0].counts:
        assert sum(r[count] for r in rows) == sum(f.counts[count] for f in of_step)
    asked = STEPS[step_id][0].source.params["group_by"]
    assert isinstance(asked, list)
    assert all(r[dimension] is not None for r in rows for dimension in asked)


@pytest.mark.parametrize("step_id", sorted(STEPS))
def test_an_empty_day_is_empty_because_the_source_said_so(api: ProviderApi, step_id: str) -> None:
    stats = PullStats()
    assert fetch(api, step_id, EMPTY_DAY, stats=stats) == []
    assert stats.empty_confirmed


def test_fields_never_seen_before_are_kept(api: ProviderApi) -> None:
    def newer(page: dict[str, Any]) -> dict[str, Any]:
        for result in page["data"][0]["results"]:
            result["api_source"] = "agents_api"
            result["amount"]["tax"] = Decimal("0.10")
        return page

    api.fail(Fault(edit=newer))
    stats = PullStats()
    rows = fetch(api, stats=stats)
    assert [r["x_extra"] for r in rows if r["x_extra"]] == [
        '{"amount":{"tax":0.10},"api_source":"agents_api"}'
    ] * 20
    assert stats.unknown_fields == {"api_source": 20, "amount.tax": 20}
    assert sum(r["amount_value"] for r in rows) == sum(c.amount for c in charges("demo", TENANT, PLAIN_DAY))


def test_troubles_on_the_way_lose_and_double_nothing(api: ProviderApi) -> None:
    api.fail(Fault(429, {"Retry-After": "20"}), Fault(500), Fault(503), Fault(502))
    stats = PullStats()
    rows = fetch(api, stats=stats)
    assert sum(r["amount_value"] for r in rows) == sum(c.amount for c in charges("demo", TENANT, PLAIN_DAY))
    assert len(api.requests) == stats.requests + 4


# --- Bad days ---------------------------------------------------------------------------------------------------


def edited(**changes: Any) -> Fault:
    return Fault(edit=lambda page: page | changes)


def in_result(**changes: Any) -> Fault:
    def edit(page: dict[str, Any]) -> dict[str, Any]:
        page["data"][0]["results"][3].update(changes)
        return page

    return Fault(edit=edit)


BAD = [
    ([Fault(401)], AuthError, "HTTP 401"),
    ([Fault(403)], AuthError, "HTTP 403"),
    ([Fault(404)], NotFoundError, "HTTP 404"),
    ([Fault(400)], RejectedError, "HTTP 400"),
    ([Fault(429)] * 5, RetryableError, "HTTP 429"),
    ([Fault(500)] * 5, RetryableError, "HTTP 500"),
    ([Fault(302, {"Location": "https://evil.example.com/v1"})], RejectedError, "not followed"),
    ([Fault(truncate=0.6)], DataError, "page 1 of .*not whole JSON at byte"),
    ([Fault(truncate=0)], DataError, "the answer is empty"),
    ([Fault(replace=b"<html>maintenance</html>")], DataError, "byte 0 of 24"),
    ([Fault(replace=b'{"error": {"message": "x"}}')], DataError, "'data' is missing"),
    ([edited(data={})], DataError, "is not a list"),
    ([edited(data=[{"start_time": 1, "end_time": 2}])], DataError, "'results' is missing"),
    ([edited(has_more=True, next_page=None)], DataError, "next_page gives no next page"),
    ([edited(has_more="true")], DataError, "has_more is 'true', not true or false"),
    ([edited(next_page="page_other")], RejectedError, "HTTP 400.*cursor"),
    (
        [in_result(amount={"value": "twelve", "currency": "usd"})],
        DataError,
        'record 3, amount.value: "twelve" is not',
    ),
    ([in_result(amount={"value": [1], "currency": "usd"})], DataError, "record 3, amount.value"),
    ([in_result(amount="12.50")], DataError, "record 3, amount: a text, not an object"),
    ([in_result(quantity="many")], DataError, 'record 3, quantity: "many"'),
]


@pytest.mark.parametrize(("faults", "error", "words"), BAD, ids=[str(words) for _, _, words in BAD])
def test_a_bad_day_is_an_error_and_never_a_short_day(
    api: ProviderApi, faults: list[Fault], error: type[PlatformError], words: str
) -> None:
    api.fail(*faults)
    stats = PullStats()
    with pytest.raises(error, match=words) as caught:
        fetch(api, stats=stats)
    assert not stats.complete
    assert f"demo-{TENANT}" not in str(caught.value)


def test_a_cursor_that_leads_back_is_found(api: ProviderApi) -> None:
    """Page 2 names page 2 again."""
    first = fetch(api)
    second_page = api.requests[1].rpartition("page=")[2]
    api.fail(edited(), edited(next_page=second_page.replace("%3D", "=")))
    with pytest.raises(DataError, match=r"page 2 of .*: next_page .* was given before"):
        fetch(api)
    assert first == fetch(api)


def test_a_wrong_token_is_an_auth_error_that_does_not_show_it(api: ProviderApi) -> None:
    with pytest.raises(AuthError, match="Incorrect API key") as caught:
        fetch(api, token="demo-not-a-tenant")
    assert "demo-not-a-tenant" not in str(caught.value)
    assert len(api.requests) == 1


def test_each_token_sees_its_own_organization(api: ProviderApi) -> None:
    ours, theirs = fetch(api), fetch(api, token="demo-globex")
    assert not {r["project_id"] for r in ours} & {r["project_id"] for r in theirs}
