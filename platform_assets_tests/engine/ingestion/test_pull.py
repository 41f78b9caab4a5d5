"""A whole pull over pages, with sources that are plain functions."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from platform_assets.engine.errors import ConfigError, DataError, RetryableError
from platform_assets.engine.ingestion.http import HttpRequest, HttpResponse
from platform_assets.engine.ingestion.plan import first_request
from platform_assets.engine.ingestion.pull import PullStats, StandardValues, pull
from platform_assets.engine.ingestion.spec import ProviderSpec, RestSource
from platform_assets.engine.ingestion.variables import slice_variables
from platform_assets.engine.schema.model import Field, FieldType, TableSchema
from platform_assets.engine.schema.reading import with_standard_columns

PROVIDER = ProviderSpec.model_validate(
    {
        "provider": "example",
        "display_name": "Example",
        "base_url": "https://api.example.com/v1/",
        "auth": {"type": "none"},
    }
)
SCHEMA = with_standard_columns(TableSchema((Field("n", FieldType.INT64),)), "ingest")
DAY = date(2026, 5, 2)
STANDARD = StandardValues(
    DAY, datetime(2026, 5, 3, tzinfo=UTC), "run-1", "acme1281", "example_costs", "default"
)


def source(**changes: Any) -> RestSource:
    given = {
        "type": "rest_api",
        "path": "/costs/{{ tenant }}",
        "params": {
            "start": "{{ run_date_unix }}",
            "all": True,
            "limit": 5,
            "group_by": ["a", "{{ credential }}"],
        },
        "pagination": {"type": "page_token", "param": "page", "token_path": "next", "has_more_path": "more"},
        "records_path": "data[]",
    }
    return RestSource.model_validate(given | changes)


class Pages:
    """Serves these pages by token."""

    def __init__(self, *pages: list[Any]) -> None:
        self.pages = pages
        self.requests: list[HttpRequest] = []

    def send(self, request: HttpRequest) -> HttpResponse:
        self.requests.append(request)
        at = int(dict(request.params).get("page", 0))
        last = at + 1 >= len(self.pages)
        body = {"data": self.pages[at], "more": not last, "next": None if last else at + 1}
        return HttpResponse(200, {}, json.dumps(body).encode(), request.url)


def run(
    pages: Any, stats: PullStats | None = None, on_page: Callable[[PullStats], None] | None = None
) -> pa.Table:
    variables = slice_variables(DAY, tenant="acme1281", credential="default")
    batches = list(pull(source(), PROVIDER, pages, variables, SCHEMA, STANDARD, stats, on_page))
    return pa.Table.from_batches(batches)


def test_the_request_is_made_from_templates() -> None:
    pages = Pages([{"n": 1}])
    run(pages)
    (request,) = pages.requests
    assert request == HttpRequest(
        "GET",
        "https://api.example.com/v1/costs/acme1281",
        (
            ("start", "1777680000"),
            ("all", "true"),
            ("limit", "5"),
            ("group_by[]", "a"),
            ("group_by[]", "default"),
        ),
    )


@pytest.mark.parametrize(
    ("style", "expected"),
    [
        ("repeat", (("g", "a"), ("g", "b"))),
        ("comma", (("g", "a,b"),)),
        ("brackets", (("g[]", "a"), ("g[]", "b"))),
    ],
)
def test_lists_in_the_query(style: str, expected: Any) -> None:
    spec = source(params={"g": ["a", "b"]}, array_style=style)
    assert (
        first_request(spec, PROVIDER, slice_variables(DAY, tenant="abc", credential="c")).params == expected
    )


def test_a_post_has_a_rendered_body_and_headers() -> None:
    spec = source(
        method="POST",
        body={"day": "{{ run_date }}", "n": 5, "l": ["{{ tenant }}"]},
        headers={"x-day": "{{ run_date }}"},
    )
    request = first_request(spec, PROVIDER, slice_variables(DAY, tenant="abc", credential="c"))
    assert request.json == {"day": "2026-05-02", "n": 5, "l": ["abc"]}
    assert request.headers == (("x-day", "2026-05-02"),)


@pytest.mark.parametrize(
    "path", ["https://evil.example.com/x", "//evil.example.com", "a/../../b", "x?key=1", "x#y"]
)
def test_a_path_stays_below_the_base_url(path: str) -> None:
    with pytest.raises(ConfigError, match="plain path"):
        first_request(source(path=path), PROVIDER, slice_variables(DAY, tenant="abc", credential="c"))


def test_a_get_has_no_body() -> None:
    with pytest.raises(ValidationError, match="a GET has no body"):
        source(body={"x": 1})


def test_rows_of_all_pages_with_standard_columns_and_counts() -> None:
    stats, seen = PullStats(), []
    pages = Pages([{"n": 1}, {"n": 2, "new": 1}], [], [{"n": 3, "new": 1}])
    table = run(pages, stats, lambda s: seen.append((s.requests, s.records, s.complete)))
    assert table.column("n").to_pylist() == [1, 2, 3]
    assert table.slice(0, 1).drop_columns(["n"]).to_pylist() == [STANDARD.columns()]
    assert seen == [(1, 2, False), (2, 2, False), (3, 3, True)]
    assert stats.unknown_fields == {"new": 2}
    assert stats.bytes > 0
    assert not stats.empty_confirmed


def test_an_empty_answer_is_confirmed_only_at_the_end() -> None:
    stats, seen = PullStats(), []
    table = run(Pages([], []), stats, lambda s: seen.append(s.empty_confirmed))
    assert table.num_rows == 0
    assert table.column_names == list(SCHEMA.names)
    assert seen == [False, True]
    assert stats.empty_confirmed


def test_an_unasked_source_is_not_empty() -> None:
    assert not PullStats().empty_confirmed


class Broken(Pages):
    def send(self, request: HttpRequest) -> HttpResponse:
        if self.requests:
            raise RetryableError("example: HTTP 503")
        return super().send(request)


def test_an_error_on_a_later_page_comes_through_and_nothing_is_complete() -> None:
    stats = PullStats()
    with pytest.raises(RetryableError):
        run(Broken([], [{"n": 1}]), stats)
    assert not stats.complete
    assert not stats.empty_confirmed


def test_a_bad_record_names_page_and_record() -> None:
    with pytest.raises(
        DataError, match=r"page 2 of https://api\.example\.com/v1/costs/acme1281, record 1, n: \"x\""
    ):
        run(Pages([{"n": 1}], [{"n": 1}, {"n": "x"}]))


@given(st.lists(st.integers(0, 9), max_size=30), st.lists(st.integers(1, 9), max_size=12))
def test_any_cut_into_pages_gives_the_same_rows(numbers: list[int], cuts: list[int]) -> None:
    records = [{"n": n, "at": i} for i, n in enumerate(numbers)]
    pages, rest = [], records
    for cut in cuts:
        pages.append(rest[:cut])
        rest = rest[cut:]
    stats = PullStats()
    assert run(Pages(*pages, rest), stats).column("n").to_pylist() == numbers
    assert stats.records == len(numbers)
    assert stats.requests == len(pages) + 1
