"""Placeholders of the old forms: ``{name}``, ``${name}``, ``{{ name }}``, ``{{ parameters.name }}`` and ``@name``.

Every date word means the run date: a run of old asked for a range, a slice is one day. Words that nobody can fill are
given back, so that whoever translates can refuse them at their place.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date
from typing import Any

DATES = frozenset(
    {
        "date",
        "start_date",
        "end_date",
        "execution_date",
        "run_date",
        "usage_date",
        "cost_date",
        "ingestion_date",
    }
)
_PLACEHOLDER = re.compile(
    r"(?P<quote>['\"]?)(?:\$\{(?P<a>\w+)\}|\{\{\s*(?:parameters\.)?(?P<b>\w+)\s*\}\}|\{(?P<c>\w+)\})(?P=quote)"
)


def filled(text: str, known: Callable[[str, str], str | None]) -> tuple[str, list[str]]:
    """The text with each placeholder replaced by ``known(word, quote)``, and the words for which that was None.
    ``quote`` is what stands around the placeholder and is replaced with it."""
    unknown: list[str] = []

    def one(match: re.Match[str]) -> str:
        word = match["a"] or match["b"] or match["c"]
        new = known(word, match["quote"])
        if new is None:
            unknown.append(word)
            return match[0]
        return new

    return _PLACEHOLDER.sub(one, text), unknown


def request_text(text: str, constants: Mapping[str, Any]) -> tuple[str, list[str]]:
    """A text of a request as a template of ours."""

    def known(word: str, quote: str) -> str | None:
        if word in DATES:
            return f"{quote}{{{{ run_date }}}}{quote}"
        if word == "org_slug":
            return f"{quote}{{{{ tenant }}}}{quote}"
        if word in ("project_id", "gcp_project_id"):
            return f"{quote}{{{{ parameters.project }}}}{quote}"
        return f"{quote}{constants[word]}{quote}" if word in constants else None

    return filled(text, known)


def literal(value: Any) -> str:
    """A value as BigQuery's SQL writes it."""
    from sqlglot import exp

    if isinstance(value, date):
        return f"DATE '{value.isoformat()}'"
    return str(exp.convert(value).sql("bigquery"))
