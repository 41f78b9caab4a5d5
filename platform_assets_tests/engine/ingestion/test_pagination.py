"""Every pagination type against small sources that page as vendors do, and against sources that misbehave."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from platform_assets.engine.errors import DataError, PlatformError, RejectedError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.pagination import Page, Paginator
from platform_assets.engine.ingestion.spec import Pagination

BASE = "https://api.example.com/v1/items"
TOKEN = {"type": "cursor", "param": "page", "token_path": "next_page", "has_more_path": "has_more"}
Answer = tuple[dict[str, Any], Mapping[str, str]]


def paginator(spec: dict[str, Any], max_pages: int = 1000) -> Paginator:
    return Paginator(TypeAdapter(Pagination).validate_python(spec), max_pages)


def walk(spec: dict[str, Any], source: Callable[[HttpRequest], Answer], max_pages: int = 1000) -> list[Any]:
    """All items that a pull would see."""
    pages, items = paginator(spec, max_pages), []
    request: HttpRequest | None = pages.first(HttpRequest("GET", BASE))
    number = 0
    while request is not None:
        number += 1
        assert number < 5000, "the paginator never ends"
        document, headers = source(request)
        found = document["items"]
        items.extend(found)
        body = json.dumps(document).encode()
        url = request.url.partition("?")[0]
        page = Page(number, request, url, headers, body, document, len(found), len(found))
        request = pages.after(page)
    return items


def param(request: HttpRequest, name: str, default: str = "") -> str:
    return dict(request.params).get(name, default)


# --- Sources that behave ----------------------------------------------------------------------------------------

Rows = st.lists(st.integers(), max_size=40).map(lambda rows: list(enumerate(rows)))


@given(Rows, st.integers(1, 7))
def test_tokens_give_every_row_once_however_the_pages_are_cut(rows: list[Any], size: int) -> None:
    def source(request: HttpRequest) -> Answer:
        start = int(param(request, "page", "0"))
        more = start + size < len(rows)
        return {
            "items": rows[start : start + size],
            "has_more": more,
            "next_page": str(start + size) if more else None,
        }, {}

    assert walk(TOKEN, source) == rows
    without_flag = {k: v for k, v in TOKEN.items() if k != "has_more_path"}
    assert walk(without_flag, source) == rows


@given(Rows, st.integers(1, 7), st.booleans())
def test_offsets_give_every_row_once(rows: list[Any], size: int, total: bool) -> None:
    def source(request: HttpRequest) -> Answer:
        start, limit = int(param(request, "offset")), int(param(request, "limit"))
        return {"items": rows[start : start + limit], "total": len(rows)}, {}

    spec = {"type": "offset", "page_size": size} | ({"total_path": "total"} if total else {})
    assert walk(spec, source) == rows


@given(Rows, st.integers(2, 7))
def test_a_server_that_caps_the_page_loses_nothing_where_the_total_is_known(
    rows: list[Any], size: int
) -> None:
    def source(request: HttpRequest) -> Answer:
        start = int(param(request, "offset"))
        return {"items": rows[start : start + size - 1], "total": str(len(rows))}, {}

    assert walk({"type": "offset", "page_size": size, "total_path": "total"}, source) == rows


@given(Rows, st.integers(1, 7), st.booleans(), st.integers(0, 1))
def test_page_numbers_give_every_row_once(rows: list[Any], size: int, total: bool, first: int) -> None:
    def source(request: HttpRequest) -> Answer:
        start = (int(param(request, "page")) - first) * size
        return {"items": rows[start : start + size], "pages": -(-len(rows) // size)}, {}

    spec = {"type": "page_number", "page_size": size, "first": first}
    assert walk(spec | ({"total_pages_path": "pages"} if total else {}), source) == rows


@given(Rows, st.integers(1, 7), st.sampled_from(["header", "body", "relative"]))
def test_links_give_every_row_once(rows: list[Any], size: int, form: str) -> None:
    def source(request: HttpRequest) -> Answer:
        start = int(request.url.partition("at=")[2] or 0)
        following = start + size
        link = "" if following >= len(rows) else f"{'' if form == 'relative' else BASE}?at={following}"
        headers = (
            {"link": f'<{BASE}?at=0>; rel="first", <{link}>; rel="next"'} if link and form == "header" else {}
        )
        return {"items": rows[start:following], "next": link or None}, headers

    spec = {"type": "link"} | ({} if form == "header" else {"next_path": "next"})
    assert walk(spec, source) == rows


def test_one_page_when_nothing_is_declared() -> None:
    assert walk({"type": "none"}, lambda _: ({"items": [1, 2], "next_page": "x"}, {})) == [1, 2]


def test_a_post_pages_through_its_body() -> None:
    pages = paginator(TOKEN)
    request = pages.first(HttpRequest("POST", BASE, json={"query": "q"}))
    document = {"items": [1], "has_more": True, "next_page": "t2"}
    following = pages.after(Page(1, request, BASE, {}, b"{}", document, 1, 1))
    assert following is not None
    assert following.json == {"query": "q", "page": "t2"}
    assert following.params == ()


@pytest.mark.parametrize(
    "header",
    [
        '<{u}>; rel="next"',
        "<{u}>; rel=next",
        '<{u}>; title="a, b"; rel="prev next"',
        '<https://api.example.com/v1/items?at=9>; rel="last", <{u}>; REL="Next"',
    ],
)
def test_link_headers_as_they_are_written(header: str) -> None:
    target = f"{BASE}?at=1"
    document = {"items": [1]}
    page = Page(1, HttpRequest("GET", BASE), BASE, {"link": header.format(u=target)}, b"x", document, 1, 1)
    following = paginator({"type": "link"}).after(page)
    assert following is not None
    assert following.url == target


# --- Sources that misbehave -------------------------------------------------------------------------------------


def refused(spec: dict[str, Any], source: Callable[[HttpRequest], Answer], **kwargs: Any) -> str:
    with pytest.raises(PlatformError) as caught:
        walk(spec, source, **kwargs)
    text = str(caught.value)
    assert "page " in text
    assert BASE in text
    return text


def numbered(**fields: Any) -> Callable[[HttpRequest], Answer]:
    """Pages with ever new rows and these fields."""
    count = iter(range(10_000))
    return lambda _: ({"items": [next(count)], **fields}, {})


def test_has_more_without_a_token() -> None:
    for token in (None, ""):
        assert "gives no next page" in refused(TOKEN, numbered(has_more=True, next_page=token))
    assert "gives no next page" in refused(TOKEN, numbered(has_more=True))


def test_has_more_must_be_said() -> None:
    assert "has_more is missing" in refused(TOKEN, numbered(next_page="x"))
    assert "not true or false" in refused(TOKEN, numbered(has_more="yes", next_page="x"))


@pytest.mark.parametrize("token", [["x"], {"a": 1}, True, 1.5])
def test_a_token_that_is_none(token: Any) -> None:
    assert "not a page token" in refused(TOKEN, numbered(has_more=True, next_page=token))


def test_a_cursor_that_stays() -> None:
    assert "given before" in refused(TOKEN, numbered(has_more=True, next_page="same"))


@given(st.integers(1, 6), st.integers(0, 5))
def test_a_cycle_of_any_length_is_found(length: int, lead: int) -> None:
    count = iter(range(10_000))

    def source(request: HttpRequest) -> Answer:
        n = next(count)
        token = str(n if n < lead else lead + (n - lead) % length)
        return {"items": [n], "has_more": True, "next_page": token}, {}

    assert "given before" in refused(TOKEN, source)


def test_the_same_page_under_new_tokens() -> None:
    count = iter(range(10_000))
    assert "the same page" in refused(
        TOKEN, lambda _: ({"items": [1, 2], "has_more": True, "next_page": f"t{next(count)}"}, {})
    )


@pytest.mark.parametrize(
    "spec", [{"type": "offset", "page_size": 2}, {"type": "page_number", "page_size": 2}]
)
def test_a_source_that_ignores_the_position(spec: dict[str, Any]) -> None:
    assert "the same page" in refused(spec, lambda _: ({"items": [1, 2]}, {}))


def test_empty_pages_in_between_are_no_repetition() -> None:
    pages = [[], [], [1], [], [2]]

    def source(request: HttpRequest) -> Answer:
        at = int(param(request, "page", "0"))
        more = at + 1 < len(pages)
        return {"items": pages[at], "has_more": more, "next_page": str(at + 1) if more else None}, {}

    assert walk(TOKEN, source) == [1, 2]


def test_more_pages_than_allowed() -> None:
    count = iter(range(10_000))
    source = numbered()
    text = refused(
        TOKEN,
        lambda r: (source(r)[0] | {"has_more": True, "next_page": f"t{next(count)}"}, {}),
        max_pages=3,
    )
    assert "max_pages=3" in text
    assert text.startswith("page 3 of")


def test_a_total_that_is_never_reached() -> None:
    spec = {"type": "offset", "page_size": 2, "total_path": "total"}
    assert "an empty page" in refused(spec, lambda _: ({"items": [], "total": 5}, {}))
    assert "not a count" in refused(spec, numbered(total=-1))
    assert "total is missing" in refused(spec, numbered())


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example.com/v1/items?at=2",
        "http://api.example.com/v1/items?at=2",
        "https://api.example.com:8443/v1/items?at=2",
        "//evil.example.com/x",
        "https://api.example.com@evil.example.com/x",
        "https://key:secret@api.example.com/v1/items",
        "https://api.example.com.evil.com/v1",
        "file:///etc/passwd",
        "https://api.example.com:port/x",
    ],
)
def test_a_link_that_leaves_the_host_is_not_followed(link: str) -> None:
    spec = {"type": "link", "next_path": "next"}
    with pytest.raises(RejectedError, match="not followed") as caught:
        walk(spec, numbered(next=link))
    assert "secret" not in str(caught.value)
    assert "at=2" not in str(caught.value)


def test_the_default_port_is_the_same_host() -> None:
    links = iter([f"https://API.example.com:443/v1/items?at={1}", None])
    count = iter(range(9))
    assert walk(
        {"type": "link", "next_path": "next"}, lambda _: ({"items": [next(count)], "next": next(links)}, {})
    ) == [0, 1]


def test_a_link_to_itself() -> None:
    spec = {"type": "link", "next_path": "next"}
    assert "given before" in refused(spec, numbered(next=f"{BASE}?at=1"))
    with pytest.raises(DataError, match="not a URL"):
        walk(spec, numbered(next=7))
