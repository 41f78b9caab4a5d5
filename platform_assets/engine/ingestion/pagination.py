"""Which request comes after a page. One small state machine per pagination type; no I/O.

Owns the rules that keep pages from being lost, doubled or fetched for ever. Refuses: a cursor seen before,
``has_more`` without a cursor, a next link that leaves scheme, host and port, a page that was already received,
and more pages than the step allows. Every error names the page and the URL without its query.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NoReturn
from urllib.parse import SplitResult, urljoin, urlsplit

from platform_assets.engine.errors import DataError, RejectedError
from platform_assets.engine.ingestion.http import HttpRequest
from platform_assets.engine.ingestion.paths import parse_path
from platform_assets.engine.ingestion.spec import (
    LinkPagination,
    NoPagination,
    OffsetPagination,
    PageNumberPagination,
    Pagination,
    TokenPagination,
)

_LINK = re.compile(r"<([^>]*)>\s*((?:;\s*[^;,=\s]+\s*(?:=\s*(?:\"[^\"]*\"|[^;,\s]*))?\s*)*)(?:,|$)")
_NEXT = re.compile(r";\s*rel\s*=\s*(?:\"(?:[^\"]*\s)?next(?:\s[^\"]*)?\"|next\b)", re.IGNORECASE)
_DEFAULT_PORTS = {"http": 80, "https": 443}
_MISSING = object()


@dataclass(frozen=True)
class Page:
    """One decoded answer. ``items`` counts the outermost list of the records path (what APIs call page size),
    ``records`` the rows it holds. ``number`` starts at 1."""

    number: int
    request: HttpRequest
    url: str
    headers: Mapping[str, str]
    body: bytes
    document: Any
    items: int
    records: int


class Paginator:
    """Follows one pull. ``first`` makes the first request; ``after`` the next one, or None at the end."""

    def __init__(self, spec: Pagination, max_pages: int = 10_000) -> None:
        self._spec = spec
        self._max_pages = max_pages
        self._seen_cursors: set[str] = set()
        self._seen_pages: set[tuple[int, int]] = set()
        self._position = spec.first if isinstance(spec, PageNumberPagination) else 0

    def first(self, request: HttpRequest) -> HttpRequest:
        """The request with its starting position and page size."""
        spec = self._spec
        if isinstance(spec, OffsetPagination | PageNumberPagination):
            request = with_param(request, spec.param, str(self._position))
            if spec.size_param:
                request = with_param(request, spec.size_param, str(spec.page_size))
        return request

    def after(self, page: Page) -> HttpRequest | None:
        """DataError or RejectedError where the source's pages make no sense."""
        following = _RULES[type(self._spec)](self, self._spec, page)
        if following is None:
            return None
        if page.number >= self._max_pages:
            _fail(page, f"more than max_pages={self._max_pages} pages")
        return following

    def _token(self, spec: TokenPagination, page: Page) -> HttpRequest | None:
        token = self._token_of(spec, page)
        self._remember(page, _without_token(page.body, spec.token_path, token))
        if not self._more(spec, page, token):
            return None
        if not token:
            _fail(page, f"{spec.has_more_path} is true, but {spec.token_path} gives no next page")
        self._advance(page, token, f"{spec.token_path} {token[:40]!r}")
        return with_param(page.request, spec.param, token)

    def _token_of(self, spec: TokenPagination, page: Page) -> str:
        token = _look(page.document, spec.token_path)
        if token is None or token is _MISSING or token == "":
            return ""
        if isinstance(token, bool) or not isinstance(token, str | int):
            _fail(page, f"{spec.token_path} is {type(token).__name__}, not a page token")
        return str(token)

    def _more(self, spec: TokenPagination, page: Page, token: str) -> bool:
        if spec.has_more_path is None:
            return bool(token)
        more = _look(page.document, spec.has_more_path)
        if not isinstance(more, bool):
            shown = "missing" if more is _MISSING else repr(more)[:40]
            _fail(page, f"{spec.has_more_path} is {shown}, not true or false")
        return more

    def _offset(self, spec: OffsetPagination, page: Page) -> HttpRequest | None:
        self._remember(page)
        total = _count(page, spec.total_path)
        self._position += page.items
        if total is None:
            done = page.items < spec.page_size
        else:
            done = self._position >= total
            if not done and not page.items:
                _fail(page, f"an empty page at {self._position} although {spec.total_path} is {total}")
        return None if done else with_param(page.request, spec.param, str(self._position))

    def _page_number(self, spec: PageNumberPagination, page: Page) -> HttpRequest | None:
        self._remember(page)
        total = _count(page, spec.total_pages_path)
        done = page.items < spec.page_size if total is None else page.number >= total
        self._position += 1
        return None if done else with_param(page.request, spec.param, str(self._position))

    def _link(self, spec: LinkPagination, page: Page) -> HttpRequest | None:
        self._remember(page)
        link = _next_link(spec, page)
        if not link:
            return None
        target = urljoin(page.url, link)
        if _origin(target) != _origin(page.url):
            there = _show(target)
            raise RejectedError(f"{_at(page)}: the next link leads to {there}, another host; not followed")
        self._advance(page, target, f"next link {_show(target)}")
        return replace(page.request, url=target, params=())

    def _none(self, spec: NoPagination, page: Page) -> None:
        return None

    def _advance(self, page: Page, cursor: str, shown: str) -> None:
        if cursor in self._seen_cursors:
            _fail(page, f"{shown} was given before: the source repeats itself")
        self._seen_cursors.add(cursor)

    def _remember(self, page: Page, body: bytes | None = None) -> None:
        """A page that holds records may come only once, whatever its cursor says."""
        if not page.records:
            return
        body = page.body if body is None else body
        seen = (len(body), hash(body))  # siphash: 64 bits, and much faster than a digest
        if seen in self._seen_pages:
            _fail(page, "the same page was received before")
        self._seen_pages.add(seen)


_RULES: dict[type, Callable[[Paginator, Any, Page], HttpRequest | None]] = {
    NoPagination: Paginator._none,
    TokenPagination: Paginator._token,
    OffsetPagination: Paginator._offset,
    PageNumberPagination: Paginator._page_number,
    LinkPagination: Paginator._link,
}


def with_param(request: HttpRequest, name: str, value: str) -> HttpRequest:
    """The request with one parameter set: in the JSON body of a POST that has one, else in the query."""
    if request.method == "POST" and isinstance(request.json, dict):
        return replace(request, json={**request.json, name: value})
    kept = tuple(p for p in request.params if p[0] != name)
    return replace(request, params=(*kept, (name, value)))


def _look(document: Any, path: str) -> Any:
    for key in parse_path(path).tail:
        if not isinstance(document, dict) or key not in document:
            return _MISSING
        document = document[key]
    return document


def _without_token(body: bytes, path: str, token: str) -> bytes:
    """The page without its cursor: a source that gives the same rows under ever new cursors repeats itself."""
    name = b'"' + parse_path(path).tail[-1].encode() + b'"'
    at = body.find(name)
    if not token or at < 0:
        return body
    match = re.compile(name + rb'\s*:\s*"?(' + re.escape(token.encode()) + rb")").search(body, at)
    return body[: match.start(1)] + body[match.end(1) :] if match else body


def _count(page: Page, path: str | None) -> int | None:
    if path is None:
        return None
    total = _look(page.document, path)
    if isinstance(total, str) and total.isascii() and total.isdigit():
        total = int(total)
    if isinstance(total, bool) or not isinstance(total, int) or total < 0:
        _fail(page, f"{path} is {'missing' if total is _MISSING else repr(total)[:40]}, not a count")
    return total


def _next_link(spec: LinkPagination, page: Page) -> str:
    if spec.next_path is None:
        header = page.headers.get("link", "")
        return next((m[1] for m in _LINK.finditer(header) if _NEXT.search(m[2])), "")
    link = _look(page.document, spec.next_path)
    if link is None or link is _MISSING:
        return ""
    if not isinstance(link, str):
        _fail(page, f"{spec.next_path} is {type(link).__name__}, not a URL")
    return link


def _origin(url: str) -> tuple[str, str | None, int | None, bool]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, _port(parts), "@" in parts.netloc


def _port(parts: SplitResult) -> int | None:
    try:
        return parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None


def _show(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def _at(page: Page) -> str:
    return f"page {page.number} of {_show(page.url)}"


def _fail(page: Page, reason: str) -> NoReturn:
    raise DataError(f"{_at(page)}: {reason}")
