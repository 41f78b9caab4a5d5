"""One HTTP exchange as a value. Adding credentials, waiting and retrying is the adapter's business."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol


@dataclass(frozen=True)
class HttpRequest:
    """``params`` keeps order and repeats (``group_by[]``). The adapter adds credentials; none are here."""

    method: Literal["GET", "POST"]
    url: str
    params: tuple[tuple[str, str], ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    json: Any = None


@dataclass(frozen=True)
class HttpResponse:
    """A whole answer. ``url`` is where it came from, after redirects and without credentials."""

    status: int
    headers: Mapping[str, str]  # keys in lower case
    body: bytes
    url: str


class HttpSource(Protocol):
    """One provider's API for one credential: authentication, host lock, rate limit, timeouts, retries."""

    def send(self, request: HttpRequest) -> HttpResponse:
        """A 2xx answer; anything else is an error of ``engine.errors`` (429/5xx only after the retries)."""
