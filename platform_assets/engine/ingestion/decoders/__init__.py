"""Decoders: one file each, for payloads which no path can describe. A decoder rearranges a decoded page, and paging
fields and records are then found in what it returns.

Owns the register. A decoder is a pure function; it refuses a page of another shape with a DataError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

DECODERS: Mapping[str, str] = {
    "aggregated_list": "Google's aggregated lists: items by zone become one list, each item with its _zone.",
    "bigquery_rows": "BigQuery's REST rows: cells by position become fields by name.",
}


def decoder(name: str) -> Callable[[Any], Any]:
    """The page function of ``decoders/<name>.py``."""
    page: Callable[[Any], Any] = import_module(f"{__name__}.{name}").page
    return page
