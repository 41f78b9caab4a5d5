"""The bundled API behaves as the vendor documents it: a demo or a test must not pass because the fake is kinder."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from platform_assets.demo.openai_data import CHAT_PRICES, CREDIT_DAY, EMPTY_DAY, charges, facts
from platform_assets.demo.provider_api import Bulk, Fault, ProviderApi, day_bounds, serve

DAY = date(2026, 5, 1)
START, END = day_bounds(DAY)
USAGE = {
    "completions": "organization.usage.completions.result",
    "embeddings": "organization.usage.embeddings.result",
    "moderations": "organization.usage.moderations.result",
    "images": "organization.usage.images.result",
    "audio_speeches": "organization.usage.audio_speeches.result",
    "audio_transcriptions": "organization.usage.audio_transcriptions.result",
    "vector_stores": "organization.usage.vector_stores.result",
    "code_interpreter_sessions": "organization.usage.code_interpreter_sessions.result",
    "file_search_calls": "organization.usage.file_searches.result",
    "web_search_calls": "organization.usage.web_searches.result",
}


@pytest.fixture(scope="module")
def api() -> Iterator[ProviderApi]:
    with serve() as server:
        yield server


def ask(api: ProviderApi, path: str, token: str = "demo-acme1281", **params: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    listed = {f"{k}[]" if isinstance(v, list) else k: v for k, v in params.items()}
    return httpx.get(
        f"{api.url}/organization/{path}", params=listed, headers=headers, trust_env=False, verify=False
    )


def page(api: ProviderApi, path: str, **params: Any) -> dict[str, Any]:
    answer = ask(api, path, **({"start_time": START, "end_time": END} | params))
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.text, parse_float=Decimal)
    return found


def results(api: ProviderApi, path: str, **params: Any) -> list[dict[str, Any]]:
    """All results over all pages."""
    found, token = [], None
    while True:
        one = page(api, path, **params, **({"page": token} if token else {}))
        found += [r for bucket in one["data"] for r in bucket["results"]]
        token = one["next_page"]
        assert one["has_more"] is (token is not None)
        if not token:
            return found


# --- Shapes -----------------------------------------------------------------------------------------------------


def test_a_page_of_costs(api: ProviderApi) -> None:
    one = page(api, "costs", group_by=["project_id", "line_item"])
    assert set(one) == {"object", "data", "has_more", "next_page"}
    (bucket,) = one["data"]
    assert {k: v for k, v in bucket.items() if k != "results"} == {
        "object": "bucket",
        "start_time": START,
        "end_time": END,
    }
    row = bucket["results"][0]
    assert set(row) == {
        "object",
        "amount",
        "line_item",
        "project_id",
        "api_key_id",
        "quantity",
        "quantity_unit",
    }
    assert row["amount"]["currency"] == "usd"
    assert row["api_key_id"] is None


@pytest.mark.parametrize("endpoint", sorted(USAGE))
def test_results_of_every_usage_endpoint(api: ProviderApi, endpoint: str) -> None:
    found = results(api, f"usage/{endpoint}", group_by=["project_id"])
    assert found
    assert {r["object"] for r in found} == {USAGE[endpoint]}
    assert all(r["project_id"] for r in found)
    assert all(r["model"] is None for r in found if "model" in r)


def test_amounts_are_numbers_on_even_days_and_text_on_odd_ones_with_many_digits(api: ProviderApi) -> None:
    kinds = {}
    for day in (DAY, DAY + timedelta(days=1)):
        start, end = day_bounds(day)
        found = results(api, "costs", start_time=start, end_time=end, group_by=["line_item", "project_id"])
        kinds[day.day % 2] = {type(r["amount"]["value"]) for r in found}
        assert max(-Decimal(r["amount"]["value"]).as_tuple().exponent for r in found) > 12
    assert kinds == {1: {str}, 0: {Decimal}}


def test_the_empty_day_is_a_bucket_without_results(api: ProviderApi) -> None:
    start, end = day_bounds(DAY.replace(day=EMPTY_DAY))
    one = page(api, "costs", start_time=start, end_time=end)
    assert [b["results"] for b in one["data"]] == [[]]
    assert (one["has_more"], one["next_page"]) == (False, None)


# --- Numbers ----------------------------------------------------------------------------------------------------


def test_totals_do_not_depend_on_grouping_or_paging() -> None:
    spent = sum(c.amount for c in charges("demo", "acme1281", DAY))
    for size in (1, 7, 1000):
        with ProviderApi(page_results=size) as small:
            for group in ([], ["project_id"], ["project_id", "line_item", "api_key_id"]):
                found = results(small, "costs", group_by=group)
                assert sum(Decimal(r["amount"]["value"]) for r in found) == spent


def test_a_credit_is_negative_and_has_no_project(api: ProviderApi) -> None:
    found = results(api, "costs", group_by=["project_id", "line_item"])
    (credit,) = [r for r in found if Decimal(r["amount"]["value"]) < 0]
    assert (credit["project_id"], credit["line_item"], credit["quantity"]) == (None, None, None)
    assert DAY.day == CREDIT_DAY


def test_usage_and_costs_agree(api: ProviderApi) -> None:
    tokens = results(api, "usage/completions", group_by=["model", "batch"])
    costs = {r["line_item"]: r for r in results(api, "costs", group_by=["line_item"])}
    for row in tokens:
        name = f"{row['model']} batch" if row["batch"] else row["model"]
        assert costs[f"{name}, output"]["quantity"] == row["output_tokens"]
        fresh = row["input_tokens"] - row["input_cached_tokens"]
        assert costs[f"{name}, input"]["quantity"] == fresh
        parts = ("input_cached_tokens", "input_cache_write_tokens", "input_uncached_tokens")
        assert row["input_tokens"] == sum(row[part] for part in parts)
    priced = {f"{m}, output": CHAT_PRICES[m].output for m in CHAT_PRICES}
    factors = {
        Decimal(costs[i]["amount"]["value"]) * 1_000_000 / (p * costs[i]["quantity"])
        for i, p in priced.items()
        if i in costs
    }
    assert len(factors) == 1


def test_hours_add_up_to_the_day(api: ProviderApi) -> None:
    by_day = results(api, "usage/completions")
    by_hour = results(api, "usage/completions", bucket_width="1h", limit=24)
    assert len(by_hour) > 1
    assert sum(r["input_tokens"] for r in by_hour) == by_day[0]["input_tokens"]


def test_filters(api: ProviderApi) -> None:
    everything = results(api, "usage/completions", group_by=["project_id"])
    project = everything[0]["project_id"]
    assert results(api, "usage/completions", group_by=["project_id"], project_ids=[project]) == everything[:1]


def test_a_day_is_always_the_same_and_every_tenant_has_its_own() -> None:
    def asked(tenant: str) -> list[dict[str, Any]]:
        with serve() as server:
            return results(server, "costs", token=f"demo-{tenant}", group_by=["project_id", "line_item"])

    assert asked("acme1281") == asked("acme1281")
    ours, theirs = asked("acme1281"), asked("globex")
    assert not {r["project_id"] for r in ours if r["project_id"]} & {
        r["project_id"] for r in theirs if r["project_id"]
    }
    assert facts("demo", "acme1281", DAY) != facts("other", "acme1281", DAY)


def test_many_days_are_many_buckets_page_by_page(api: ProviderApi) -> None:
    start = day_bounds(DAY)[0]
    one = page(api, "usage/vector_stores", start_time=start, end_time=start + 86_400 * 20, limit=3)
    assert [b["start_time"] for b in one["data"]] == [start, start + 86_400, start + 2 * 86_400]
    assert one["has_more"]
    open_ended = ask(api, "costs", start_time=start)
    times = [b["start_time"] for b in open_ended.json()["data"]]
    assert times[0] == start


# --- Refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "params", "message"),
    [
        ("costs", {}, "Missing required parameter: 'start_time'"),
        ("costs", {"start_time": "x"}, "expected an integer"),
        ("costs", {"start_time": 5, "end_time": 5}, "'end_time' must be after"),
        ("costs", {"start_time": 0, "bucket_width": "1h"}, "Invalid value: '1h'. Supported values are: '1d'"),
        ("costs", {"start_time": 0, "limit": 181}, "between 1 and 180"),
        ("usage/completions", {"start_time": 0, "limit": 32}, "between 1 and 31"),
        ("usage/completions", {"start_time": 0, "bucket_width": "1h", "limit": 169}, "between 1 and 168"),
        ("costs", {"start_time": 0, "limit": 0}, "between 1 and 180"),
        ("costs", {"start_time": 0, "group_by": ["model"]}, "Invalid value for 'group_by': 'model'"),
        (
            "usage/vector_stores",
            {"start_time": 0, "group_by": ["model"]},
            "Supported values are: 'project_id'",
        ),
        ("costs", {"start_time": 0, "page": "page_%%%"}, "Invalid 'page' cursor"),
        ("costs", {"start_time": 0, "after": "x"}, "Unknown query parameter: 'after'"),
    ],
)
def test_bad_requests(api: ProviderApi, path: str, params: dict[str, Any], message: str) -> None:
    answer = ask(api, path, **params)
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert answer.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("path", ["usage/nothing", "completions", "usage/costs", "projects"])
def test_unknown_endpoints(api: ProviderApi, path: str) -> None:
    assert ask(api, path, start_time=0).status_code == 404


@pytest.mark.parametrize("token", ["", "demo-X", "demo-acme1281x\u0000"[:-1] + "-", "other"])
def test_wrong_tokens(api: ProviderApi, token: str) -> None:
    answer = ask(api, "costs", token=token, start_time=START)
    assert answer.status_code == 401
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}
    assert not token or token not in answer.text


def test_tokens_of_ones_own() -> None:
    with serve(tokens={"t1": "acme1281"}) as server:
        assert ask(server, "costs", token="t1", start_time=START).status_code == 200
        assert ask(server, "costs", token="demo-acme1281", start_time=START).status_code == 401


# --- Faults, bulk, process --------------------------------------------------------------------------------------


def test_planned_faults_are_used_up_in_order() -> None:
    with serve() as server:
        server.fail(Fault(429, {"Retry-After": "3"}), Fault(500, path="usage"), Fault(truncate=0.5))
        first = ask(server, "costs", start_time=START)
        assert (first.status_code, first.headers["retry-after"]) == (429, "3")
        with pytest.raises(json.JSONDecodeError):
            ask(server, "costs", start_time=START).json()
        assert ask(server, "costs", start_time=START).status_code == 200
        assert ask(server, "usage/images", start_time=START).status_code == 500
        assert len(server.requests) == 4


def test_bulk_pages() -> None:
    with ProviderApi(bulk=Bulk(rows=25, page_rows=10)) as server:
        found = results(server, "costs")
    assert len(found) == 25
    assert len({r["api_key_id"] for r in found}) == 25


def test_it_runs_as_a_process(tmp_path: Path) -> None:
    port_file = tmp_path / "port"
    command = [
        sys.executable,
        "-m",
        "platform_assets.demo.provider_api",
        "--port",
        "0",
        "--port-file",
        str(port_file),
    ]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while not port_file.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        url = f"http://127.0.0.1:{port_file.read_text()}/v1/organization/costs"
        yesterday = int((datetime.now(UTC) - timedelta(days=1)).timestamp())
        answer = httpx.get(
            url,
            params={"start_time": yesterday},
            headers={"Authorization": "Bearer demo-acme1281"},
            trust_env=False,
        )
        assert answer.json()["object"] == "page"
    finally:
        process.terminate()
        process.communicate()
