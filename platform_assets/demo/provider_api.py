"""A local HTTP server that speaks OpenAI's organization costs and usage API: for the demo, the tests, the benchmark.

Owns the shapes, checks and paging of ``/v1/organization/costs`` and ``/v1/organization/usage/<endpoint>`` as the
vendor documents them (openai/openai-openapi ``openapi.yaml``). The bearer token selects the organization; the data
are ``openai_data``'s. Not a product: it keeps no state, has no TLS, and listens on loopback only.

Run it: ``python -m platform_assets.demo.provider_api --port 0 --port-file port.txt``. A token is ``demo-<tenant>``.
In tests: ``with serve() as api: … api.url …``; ``api.fail(…)`` plans faults, ``api.requests`` remembers.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import msgspec

from platform_assets.demo.openai_data import Charge, Fact, charges, facts

_TOKEN = re.compile(r"demo-([a-z][a-z0-9_]{2,49})")
_WIDTHS = {"1d": 86_400, "1h": 3_600, "1m": 60}
_LIMITS = {"1d": (7, 31), "1h": (24, 168), "1m": (60, 1440)}
_COSTS_LIMIT = (7, 180)
_BY_KEY = ("project_id", "user_id", "api_key_id", "model")
_COMMON = {"start_time", "end_time", "bucket_width", "limit", "page", "group_by"}
_FILTERS = {
    "project_ids": "project_id",
    "user_ids": "user_id",
    "api_key_ids": "api_key_id",
    "models": "model",
}
# endpoint → (what results may be grouped by, result object)
_USAGE = {
    "completions": ((*_BY_KEY, "batch", "service_tier"), "organization.usage.completions.result"),
    "embeddings": (_BY_KEY, "organization.usage.embeddings.result"),
    "moderations": (_BY_KEY, "organization.usage.moderations.result"),
    "images": ((*_BY_KEY, "size", "source"), "organization.usage.images.result"),
    "audio_speeches": (_BY_KEY, "organization.usage.audio_speeches.result"),
    "audio_transcriptions": (_BY_KEY, "organization.usage.audio_transcriptions.result"),
    "vector_stores": (("project_id",), "organization.usage.vector_stores.result"),
    "code_interpreter_sessions": (("project_id",), "organization.usage.code_interpreter_sessions.result"),
    "file_search_calls": (
        ("project_id", "user_id", "api_key_id", "vector_store_id"),
        "organization.usage.file_searches.result",
    ),
    "web_search_calls": ((*_BY_KEY, "context_level"), "organization.usage.web_searches.result"),
}
_COST_GROUPS = ("project_id", "line_item", "api_key_id")
_JSON = msgspec.json.Encoder(decimal_format="number")


@dataclass(frozen=True)
class Fault:
    """What the next matching request gets instead of a proper answer.

    ``status`` with ``headers``: an error answer. ``truncate``: a proper answer cut to that share of its bytes, the
    length header fitting. ``replace``: another body altogether. ``edit`` changes the proper page (a decoded dict).
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    truncate: float | None = None
    replace: bytes | None = None
    edit: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    path: str = ""  # only requests whose path and query hold this text
    tenant: str = ""  # only requests with this tenant's token


@dataclass(frozen=True)
class Bulk:
    """Benchmark mode: every organization's day has ``rows`` cost rows, ``page_rows`` on a page."""

    rows: int
    page_rows: int = 10_000


@dataclass(frozen=True)
class _Query:
    endpoint: str  # "costs" or a usage endpoint
    start: int
    end: int
    width: int
    limit: int
    group_by: tuple[str, ...]
    filters: tuple[tuple[str, frozenset[str]], ...]
    skip_buckets: int = 0
    skip_rows: int = 0


class _ApiError(Exception):
    def __init__(
        self, status: int, message: str, kind: str = "invalid_request_error", code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": None, "code": code}}


class ProviderApi:
    """The server. ``tokens`` maps bearer tokens to tenants; without it ``demo-<tenant>`` is a tenant's token.

    ``page_results`` bounds the results on a page: a bucket with more of them goes on, with the same times, on the
    next page.
    """

    def __init__(
        self,
        *,
        port: int = 0,
        tokens: Mapping[str, str] | None = None,
        seed: str = "demo",
        page_results: int = 20,
        bulk: Bulk | None = None,
        faults: Iterable[Fault] = (),
    ) -> None:
        self._tokens, self._seed, self._page_results, self._bulk = tokens, seed, page_results, bulk
        self._faults = deque(faults)
        self._lock = threading.Lock()
        self._rendered: dict[tuple[str, str], bytes] = {}
        self.requests: list[str] = []
        self._server = _Server(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    @property
    def url(self) -> str:
        """What a provider's ``base_url`` is to be: it ends in ``/v1``."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def serve_forever(self) -> None:
        self._server.serve_forever()

    def fail(self, *faults: Fault) -> None:
        """Plan faults; each is used up by the first request that it matches."""
        with self._lock:
            self._faults.extend(faults)

    def forget_faults(self) -> None:
        """Faults planned and not used up are gone."""
        with self._lock:
            self._faults.clear()

    # --- One request ---

    def answer(self, target: str, authorization: str) -> tuple[int, dict[str, str], bytes]:
        """(status, extra headers, body) for one GET."""
        with self._lock:
            self.requests.append(target)
            fault = next((f for f in self._faults if self._meets(f, target, authorization)), None)
            if fault:
                self._faults.remove(fault)
        try:
            status, body = 200, self._page(target, self._tenant(authorization))
        except _ApiError as error:
            status, body = error.status, json.dumps(error.body).encode()
        return _spoiled(fault, body) if fault else (status, {}, body)

    def _meets(self, fault: Fault, target: str, authorization: str) -> bool:
        return fault.path in target and (not fault.tenant or fault.tenant == self._tenant(authorization))

    def _tenant(self, authorization: str) -> str:
        scheme, _, token = authorization.partition(" ")
        if scheme != "Bearer" or not token:
            raise _ApiError(401, "Missing bearer authentication in header")
        known = self._tokens.get(token) if self._tokens is not None else None
        match = _TOKEN.fullmatch(token) if self._tokens is None else None
        if not known and not match:
            masked = f"{token[:3]}***" if len(token) > 6 else "***"
            raise _ApiError(401, f"Incorrect API key provided: {masked}.", code="invalid_api_key")
        return known or str(match and match[1])

    def _page(self, target: str, tenant: str) -> bytes:
        key = (tenant, target)
        if key not in self._rendered:
            query = _query(target)
            page = self._bulk_page(tenant, query) if self._bulk else self._data_page(tenant, query)
            with self._lock:
                if len(self._rendered) > 10_000:
                    self._rendered.clear()
                self._rendered[key] = _JSON.encode(page)
        return self._rendered[key]

    def _data_page(self, tenant: str, query: _Query) -> dict[str, Any]:
        buckets: list[dict[str, Any]] = []
        room = self._page_results
        starts = range(query.start, query.end, query.width)
        position, skip = query.skip_buckets, query.skip_rows
        while position < len(starts) and len(buckets) < query.limit and room > 0:
            start = starts[position]
            results = self._results(tenant, query, start)[skip:]
            buckets.append(_bucket(start, min(start + query.width, query.end), results[:room]))
            if len(results) > room:
                skip += room
                break
            room, position, skip = room - len(results), position + 1, 0
        return _envelope(buckets, (position, skip) if position < len(starts) else None)

    def _bulk_page(self, tenant: str, query: _Query) -> dict[str, Any]:
        assert self._bulk is not None
        ends = min(query.skip_rows + self._bulk.page_rows, self._bulk.rows)
        rows = [_bulk_row(tenant, i) for i in range(query.skip_rows, ends)]
        more = (0, ends) if ends < self._bulk.rows else None
        return _envelope([_bucket(query.start, query.end, rows)], more)

    def _results(self, tenant: str, query: _Query, start: int) -> list[dict[str, Any]]:
        day = datetime.fromtimestamp(start, UTC).date()
        if query.endpoint == "costs":
            return _cost_results(charges(self._seed, tenant, day), query, as_text=day.day % 2 == 1)
        return _usage_results(facts(self._seed, tenant, day), query, start)


def serve(*, port: int = 0, tokens: Mapping[str, str] | None = None) -> ProviderApi:
    """The demo's server, as a context manager; see ProviderApi."""
    return ProviderApi(port=port, tokens=tokens)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def _handler(api: ProviderApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        server_version, sys_version = "provider-api", ""

        def do_GET(self) -> None:
            status, headers, body = api.answer(self.path, self.headers.get("Authorization", ""))
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            for name, value in headers.items():
                self.send_header(name, value)
            # Header and body in one packet: two small writes wait for one another.
            self._headers_buffer.append(b"\r\n")  # type: ignore[attr-defined]
            self._headers_buffer.append(body)  # type: ignore[attr-defined]
            self.flush_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet: the demo's own output is what people look at."""

    return Handler


# --- Queries ----------------------------------------------------------------------------------------------------


def _query(target: str) -> _Query:
    """The request as the API understands it, or the vendor's 400/404."""
    parts = urlsplit(target)
    endpoint = _endpoint(parts.path)
    given = parse_qsl(parts.query, keep_blank_values=True)
    lists: dict[str, list[str]] = {}
    for name, value in given:
        lists.setdefault(name.removesuffix("[]"), []).append(value)
    _known(endpoint, lists)
    width = _width(endpoint, lists)
    start = _integer(lists, "start_time")
    if start is None:
        raise _ApiError(400, "Missing required parameter: 'start_time'.")
    end = _integer(lists, "end_time") or start + _WIDTHS[width] * _limit(endpoint, width, lists)
    if end <= start:
        raise _ApiError(400, "'end_time' must be after 'start_time'.")
    groups = _COST_GROUPS if endpoint == "costs" else _USAGE[endpoint][0]
    step = _WIDTHS[width]
    buckets, rows = _cursor(lists.get("page", [""])[0])
    return _Query(
        endpoint,
        start - start % step,
        end,
        step,
        _limit(endpoint, width, lists),
        _groups(lists.get("group_by", []), groups),
        tuple((_FILTERS[n], frozenset(v)) for n, v in sorted(lists.items()) if n in _FILTERS),
        buckets,
        rows,
    )


def _endpoint(path: str) -> str:
    name = path.removeprefix("/v1").removeprefix("/organization/")
    if name == "costs":
        return name
    if name.removeprefix("usage/") in _USAGE and name.startswith("usage/"):
        return name.removeprefix("usage/")
    raise _ApiError(404, f"Invalid URL (GET {path})")


def _known(endpoint: str, lists: Mapping[str, Sequence[str]]) -> None:
    allowed = _COMMON | set(_FILTERS) | ({"batch"} if endpoint == "completions" else set())
    unknown = sorted(set(lists) - allowed)
    if unknown:
        raise _ApiError(400, f"Unknown query parameter: '{unknown[0]}'.")


def _width(endpoint: str, lists: Mapping[str, Sequence[str]]) -> str:
    width = lists.get("bucket_width", ["1d"])[0]
    allowed = ["1d"] if endpoint == "costs" else list(_WIDTHS)
    if width not in allowed:
        raise _ApiError(
            400, f"Invalid value: '{width}'. Supported values are: {', '.join(map(repr, allowed))}."
        )
    return width


def _limit(endpoint: str, width: str, lists: Mapping[str, Sequence[str]]) -> int:
    default, most = _COSTS_LIMIT if endpoint == "costs" else _LIMITS[width]
    limit = _integer(lists, "limit")
    if limit is None:
        return default
    if not 1 <= limit <= most:
        raise _ApiError(400, f"Invalid 'limit': {limit}. Expected a value between 1 and {most}.")
    return limit


def _integer(lists: Mapping[str, Sequence[str]], name: str) -> int | None:
    text = lists.get(name, [None])[0]
    if text is None:
        return None
    if not text.isdigit():
        raise _ApiError(400, f"Invalid type for '{name}': expected an integer.")
    return int(text)


def _groups(asked: Sequence[str], allowed: Sequence[str]) -> tuple[str, ...]:
    unknown = [g for g in asked if g not in allowed]
    if unknown:
        supported = ", ".join(map(repr, allowed))
        raise _ApiError(
            400, f"Invalid value for 'group_by': '{unknown[0]}'. Supported values are: {supported}."
        )
    return tuple(asked)


def _cursor(token: str) -> tuple[int, int]:
    if not token:
        return 0, 0
    try:
        buckets, _, rows = base64.urlsafe_b64decode(token.removeprefix("page_")).decode().partition(":")
        return int(buckets), int(rows)
    except (ValueError, UnicodeDecodeError):
        raise _ApiError(400, "Invalid 'page' cursor.") from None


# --- Answers ----------------------------------------------------------------------------------------------------


def _envelope(buckets: list[dict[str, Any]], following: tuple[int, int] | None) -> dict[str, Any]:
    token = base64.urlsafe_b64encode(f"{following[0]}:{following[1]}".encode()).decode() if following else ""
    return {
        "object": "page",
        "data": buckets,
        "has_more": following is not None,
        "next_page": f"page_{token}" if following else None,
    }


def _bucket(start: int, end: int, results: list[dict[str, Any]]) -> dict[str, Any]:
    return {"object": "bucket", "start_time": start, "end_time": end, "results": results}


def _cost_results(rows: Sequence[Charge], query: _Query, *, as_text: bool) -> list[dict[str, Any]]:
    sums: dict[tuple[Any, ...], list[Any]] = {}
    for row in rows:
        if not _wanted({"project_id": row.project_id, "api_key_id": row.api_key_id}, query):
            continue
        key = tuple(getattr(row, g) if g in query.group_by else None for g in _COST_GROUPS)
        entry = sums.setdefault(key, [Decimal(0), 0, row.unit])
        entry[0] += row.amount
        entry[1] += row.quantity or 0
    return [_cost(key, entry, query, as_text) for key, entry in sums.items()]


def _cost(key: tuple[Any, ...], entry: list[Any], query: _Query, as_text: bool) -> dict[str, Any]:
    amount, quantity, unit = entry
    project, line_item, api_key = key
    counted = line_item is not None  # quantities of unlike things are not added up
    return {
        "object": "organization.costs.result",
        "amount": {"value": format(amount, "f") if as_text else amount, "currency": "usd"},
        "line_item": line_item,
        "project_id": project,
        "api_key_id": api_key,
        "quantity": quantity if counted else None,
        "quantity_unit": unit if counted else None,
    }


def _usage_results(rows: Iterable[Fact], query: _Query, start: int) -> list[dict[str, Any]]:
    groups, name = _USAGE[query.endpoint]
    sums: dict[tuple[Any, ...], dict[str, int]] = {}
    for row in rows:
        if (
            row.endpoint != query.endpoint
            or not _within(row, query, start)
            or not _wanted(row.dimensions, query)
        ):
            continue
        key = tuple(row.dimensions.get(g) if g in query.group_by else None for g in groups)
        total = sums.setdefault(key, dict.fromkeys(row.counts, 0))
        for count, value in row.counts.items():
            total[count] += value
    return [{"object": name, **counts, **dict(zip(groups, key, strict=True))} for key, counts in sums.items()]


def _within(row: Fact, query: _Query, start: int) -> bool:
    second = row.hour * 3600
    return start % 86_400 <= second < start % 86_400 + query.width


def _wanted(dimensions: Mapping[str, Any], query: _Query) -> bool:
    return all(dimensions.get(name) in values for name, values in query.filters)


def _bulk_row(tenant: str, number: int) -> dict[str, Any]:
    return {
        "object": "organization.costs.result",
        "amount": {"value": Decimal(number * 7919 + 1).scaleb(-12), "currency": "usd"},
        "line_item": _BULK_ITEMS[number % len(_BULK_ITEMS)],
        "project_id": f"proj_{tenant}_{number % 97}",
        "api_key_id": f"key_{number}",
        "quantity": number * 31 + 1,
        "quantity_unit": "tokens",
    }


_BULK_ITEMS = ("gpt-4o-mini, input", "gpt-4o-mini, output", "gpt-4o, cached input", "o4-mini batch, input")


def _spoiled(fault: Fault, body: bytes) -> tuple[int, dict[str, str], bytes]:
    if fault.edit is not None:
        body = _JSON.encode(fault.edit(_decode(body)))
    if fault.truncate is not None:
        body = body[: int(len(body) * fault.truncate)]
    if fault.replace is not None:
        body = fault.replace
    if fault.status >= 400 and fault.replace is None:
        kind = "rate_limit_exceeded" if fault.status == 429 else "server_error"
        body = json.dumps({"error": {"message": f"planned fault {fault.status}", "type": kind}}).encode()
    return fault.status, dict(fault.headers), body


@lru_cache(maxsize=1)
def _decoder() -> msgspec.json.Decoder[Any]:
    return msgspec.json.Decoder(float_hook=Decimal)


def _decode(body: bytes) -> dict[str, Any]:
    page: dict[str, Any] = _decoder().decode(body)
    return page


def day_bounds(day: date) -> tuple[int, int]:
    """A UTC day as (start_time, end_time) in unix seconds."""
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return int(start.timestamp()), int((start + timedelta(days=1)).timestamp())


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted. ``--port-file`` receives the port once the server accepts connections."""
    parser = argparse.ArgumentParser(
        prog="provider_api", description="OpenAI-shaped costs and usage on loopback."
    )
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--port-file", type=Path, help="where to write the port")
    parser.add_argument("--seed", default="demo")
    parser.add_argument("--page-results", type=int, default=20)
    parser.add_argument("--bulk-rows", type=int, default=0, help="benchmark: this many cost rows a day")
    parser.add_argument("--bulk-page-rows", type=int, default=10_000)
    options = parser.parse_args(arguments)
    bulk = Bulk(options.bulk_rows, options.bulk_page_rows) if options.bulk_rows else None
    api = ProviderApi(port=options.port, seed=options.seed, page_results=options.page_results, bulk=bulk)
    if options.port_file:
        partial = options.port_file.with_suffix(".tmp")
        partial.write_text(str(api.port))
        partial.replace(options.port_file)
    print(f"listening on {api.url}", flush=True)
    try:
        api.serve_forever()
    except KeyboardInterrupt:
        return 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
