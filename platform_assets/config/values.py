"""Values whose right ones are a closed list kept by somebody else: time zones, currencies, owners."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator, Sequence
from zoneinfo import ZoneInfo, available_timezones

from platform_assets.config.document import Document, Location
from platform_assets.config.reading import nearest
from platform_assets.engine.currencies import CURRENCIES
from platform_assets.engine.errors import Problem

# Dagster takes no job of these names: its own words and Python's.
_TAKEN = frozenset(
    [
        "arg_dict",
        "bool",
        "conf",
        "config",
        "context",
        "dict",
        "float",
        "input",
        "input_arg_dict",
        "int",
        "meta",
        "output",
        "output_arg_dict",
        "str",
        "type",
    ]
)
_LONGEST_LABEL = 63  # of BigQuery's labels and Dagster's tags
_OWNER = re.compile(r"team:.+|[^@\s]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}")


def label_problems(document: Document, at: Location, name: str) -> Iterator[Problem]:
    """A problem where a name cannot be a label in the warehouse, or a job or tag of the orchestrator."""
    if len(name) > _LONGEST_LABEL:
        yield document.problem(at, f"has {len(name)} characters; labels take {_LONGEST_LABEL}")
    if name in _TAKEN or keyword.iskeyword(name):
        yield document.problem(at, f"{name!r} is a reserved word; choose another name")


def owner_problems(document: Document, at: Location, owners: Sequence[str]) -> Iterator[Problem]:
    """A problem for every owner that is neither an e-mail address nor ``team:<name>``."""
    for index, owner in enumerate(owners):
        if not _OWNER.fullmatch(owner):
            yield document.problem((*at, index), f"{owner!r} is neither an e-mail address nor team:<name>")


def timezone_problems(document: Document, at: Location, name: str) -> Iterator[Problem]:
    """A problem where ``name`` is no IANA time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError; folders raise OSError
        yield document.problem(at, f"{name!r} is not a time zone", nearest(name, available_timezones()))


def currency_problems(document: Document, at: Location, code: str) -> Iterator[Problem]:
    """A problem where ``code`` is no active ISO 4217 currency."""
    if code not in CURRENCIES:
        yield document.problem(at, f"{code!r} is not an ISO 4217 currency", nearest(code, CURRENCIES))
